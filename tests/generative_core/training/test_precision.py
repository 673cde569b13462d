"""The choice of numbers and layout changes nothing but itself, and the trainer follows it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from generative_core import Pix2Pix, Pix2PixConfig, TensorLoader, TrainConfig, Trainer
from generative_core.training.precision import Precision, choose_precision, has_fast_bfloat16


@dataclass(frozen=True)
class NoConfig:
    pass


class Probe(nn.Module):
    """A family of one convolution that remembers in what form it was trained; `only_single` refuses bfloat16."""

    ema_modules = ("layer",)

    def __init__(self, only_single: bool = False) -> None:
        super().__init__()
        self.config = NoConfig()
        self.layer = nn.Conv2d(4, 4, 3)
        self.only_single = only_single
        self.seen: list[tuple[torch.dtype, bool]] = []

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"probe": torch.optim.Adam(self.parameters())}

    def training_step(self, batch: dict[str, Tensor], optimizers: dict, step: int) -> dict[str, Tensor]:
        y = self.layer(batch["x"])
        if self.only_single and y.dtype != torch.float32:
            raise RuntimeError("no kernel for that\nand a long trace")
        self.seen.append((y.dtype, batch["x"].is_contiguous(memory_format=torch.channels_last)))
        loss = y.float().square().mean()
        optimizers["probe"].zero_grad()
        loss.backward()
        optimizers["probe"].step()
        return {"probe/total": loss.detach()}


def loader() -> TensorLoader:
    return TensorLoader({"x": torch.randn(8, 4, 6, 6, generator=torch.Generator().manual_seed(0))}, 2)


def test_measuring_changes_nothing() -> None:
    torch.manual_seed(0)
    model, batches, lines = Probe(), loader(), []
    next(batches)
    weights, state = model.layer.weight.detach().clone(), torch.get_rng_state()
    chosen = choose_precision(model, batches, torch.device("cpu"), seconds=0.02, report=lines.append)
    assert batches.position == 1
    assert torch.equal(model.layer.weight, weights)
    assert model.layer.weight.is_contiguous()
    assert torch.equal(torch.get_rng_state(), state)
    assert len(lines) == 5
    assert lines[-1] == f"chosen for cpu: {chosen}"


def test_what_is_not_possible_is_said_and_not_chosen() -> None:
    lines: list[str] = []
    chosen = choose_precision(Probe(only_single=True), loader(), torch.device("cpu"), seconds=0.02, report=lines.append)
    assert not chosen.bfloat16
    assert "bfloat16, contiguous: not possible here (no kernel for that)" in lines


@pytest.mark.parametrize("bfloat16", [False, True])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_trainer_follows_the_choice(bfloat16: bool, channels_last: bool, tmp_path: Path) -> None:
    model = Probe()
    config = TrainConfig(steps=2, run_dir=tmp_path, device="cpu", precision=Precision(bfloat16, channels_last))
    trainer = Trainer(model, loader(), config)
    trainer.save = lambda: None  # type: ignore[method-assign]  # this family is not in the table of those to be saved
    trainer.fit()
    assert model.seen == [(torch.bfloat16 if bfloat16 else torch.float32, channels_last)] * 2
    assert model.layer.weight.dtype == torch.float32
    assert model.layer.weight.is_contiguous(memory_format=torch.channels_last) == channels_last


@pytest.mark.parametrize("fast", [False, True])
def test_families_compute_in_bfloat16_only_where_that_is_fast(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("generative_core.training.precision.has_fast_bfloat16", lambda device: fast)
    x = torch.rand(1, 3, 16, 16)
    drawn = []
    for bfloat16 in (False, True):
        torch.manual_seed(0)
        model = Pix2Pix(Pix2PixConfig(bfloat16=bfloat16), generator=lambda: nn.Conv2d(3, 3, 3))
        drawn.append(model.translate(x))
    assert torch.equal(*drawn) == (not fast)


@pytest.mark.skipif(not Path("/proc/cpuinfo").exists(), reason="says what a processor can do on Linux only")
def test_a_processor_with_bfloat16_is_known_by_its_flags() -> None:
    flags = re.findall(r"\w+", Path("/proc/cpuinfo").read_text())
    assert has_fast_bfloat16(torch.device("cpu")) == ("avx512_bf16" in flags)
    assert not has_fast_bfloat16(torch.device("meta"))
