"""The loop: exact resume after every way to stop, atomic checkpoints, refusals, schedules, logs, warnings."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from generative_core import CheckpointError, NonFiniteLoss, TrainConfig, Trainer, UnpairedLoader
from generative_core.training.callbacks import Callback
from generative_core.training.checkpoint import list_checkpoints, load_checkpoint, load_latest_checkpoint
from generative_core.training.trainer import power_of_width

ROOT = Path(__file__).parents[3]

# A run that uses everything a resume must restore: EMA, pool, masks, penalties, a schedule, torch's random state.
SCRIPT = """
import sys, torch
from generative_core import TrainConfig, Trainer, UnpairedLoader
from generative_core.families.cyclegan_variants import MaskCycleGAN, MaskCycleGANConfig
from generative_core.objectives import DomainClassifier
from generative_core.nets import ConvNeXtGenerator, PatchClassifier, PatchDiscriminator

torch.set_num_threads(1)

def trainer(run_dir, steps=20, **options):
    torch.manual_seed(1)
    model = MaskCycleGAN(
        MaskCycleGANConfig(pool_size=3, mask_fraction=0.5, r1=0.1, lambda_identity=((5, 5.0), (15, 0.0))),
        generator=lambda: ConvNeXtGenerator(bands=16, planes=2, channels=8, blocks=1),
        discriminator=lambda: PatchDiscriminator(planes=1, channels=4, layers=2, norm="none"),
        objectives=[DomainClassifier(0.5, PatchClassifier(channels=4, layers=2))],
    )
    samples = torch.randn(50, 1, 16, 32, generator=torch.Generator().manual_seed(2))
    loader = UnpairedLoader(samples[:30], samples[30:] + 1, 2, seed=3)
    config = TrainConfig(
        steps=steps, run_dir=run_dir, device="cpu", decay_steps=10, log_every=5, checkpoint_seconds=0.0, **options
    )
    return Trainer(model, loader, config)

if __name__ == "__main__":
    sys.exit(0 if trainer(sys.argv[1], steps=int(sys.argv[2])).fit(resume=True) else 3)
"""


def load_script() -> dict[str, object]:
    namespace: dict[str, object] = {"__name__": "script"}
    exec(SCRIPT, namespace)
    return namespace


make_trainer = load_script()["trainer"]


def final_state(run_dir: Path) -> dict[str, object]:
    state = load_latest_checkpoint(run_dir / "checkpoints")
    assert state is not None
    return state


def assert_identical(a: object, b: object, where: str = "") -> None:
    """Bit for bit, through nested containers."""
    assert type(a) is type(b), where
    if isinstance(a, Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_identical(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list | tuple):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_identical(x, y, f"{where}[{i}]")
    else:
        assert a == b, where


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("uninterrupted")
    assert make_trainer(run).fit()
    return run


class StopAt(Callback):
    def __init__(self, step: int, number: int) -> None:
        self.step, self.number = step, number

    def on_step(self, trainer: Trainer, scalars: object) -> None:
        if trainer.step == self.step:
            os.kill(os.getpid(), self.number)


@pytest.mark.parametrize(("step", "number"), [(7, signal.SIGINT), (17, signal.SIGTERM)])
def test_resume_after_a_signal_is_bit_identical(uninterrupted: Path, tmp_path: Path, step: int, number: int) -> None:
    trainer = make_trainer(tmp_path)
    trainer.callbacks.append(StopAt(step, number))
    assert not trainer.fit()
    assert trainer.step == step
    assert make_trainer(tmp_path).fit(resume=True)
    assert_identical(final_state(tmp_path), final_state(uninterrupted))
    steps = [json.loads(line)["step"] for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert steps == [5, 10, 15, 20]


@pytest.mark.slow
def test_resume_after_kill_9_is_bit_identical(uninterrupted: Path, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    run = tmp_path / "run"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for kills in range(2):
        process = subprocess.Popen([sys.executable, str(script), str(run), "20"], env=environment)
        reached = 5 + 6 * kills
        while process.poll() is None and not _reached(run, reached):
            time.sleep(0.002)
        process.kill()
        process.wait()
    assert make_trainer(run).fit(resume=True)
    assert_identical(final_state(run), final_state(uninterrupted))


def _reached(run: Path, step: int) -> bool:
    paths = list_checkpoints(run / "checkpoints")
    return bool(paths) and int(paths[-1].name[5:13]) >= step


@pytest.mark.slow
def test_full_disk_stops_the_run_and_keeps_the_last_checkpoint(uninterrupted: Path, tmp_path: Path) -> None:
    """A limit on file sizes makes writing fail in the middle, as a full disk does."""
    program = (
        SCRIPT.split("if __name__")[0]
        + """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
from generative_core.training.callbacks import Callback
class Fill(Callback):
    def on_step(self, trainer, scalars):
        if trainer.step == 12:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
run = trainer(sys.argv[1])
run.callbacks.append(Fill())
run.fit()
"""
    )
    script = tmp_path / "script.py"
    script.write_text(program)
    run = tmp_path / "run"
    result = subprocess.run(
        [sys.executable, str(script), str(run)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "The checkpoint of step 12 could not be written" in result.stderr
    assert final_state(run)["step"] == 11
    assert not list((run / "checkpoints").glob(".*"))
    assert make_trainer(run).fit(resume=True)
    assert_identical(final_state(run), final_state(uninterrupted))


def test_a_torn_checkpoint_is_passed_over_with_its_reason(tmp_path: Path) -> None:
    make_trainer(tmp_path, steps=6).fit()
    older, newest = list_checkpoints(tmp_path / "checkpoints")
    newest.write_bytes(newest.read_bytes()[:-100])
    with pytest.warns(UserWarning, match="is damaged: its content does not match the hash in its name"):
        state = load_latest_checkpoint(tmp_path / "checkpoints")
    assert state is not None
    assert state["step"] == 5
    older.write_bytes(b"")
    with pytest.warns(UserWarning, match="damaged"), pytest.raises(CheckpointError, match="None of the 2"):
        load_latest_checkpoint(tmp_path / "checkpoints")


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    import hashlib
    import pickle

    def named(content: bytes) -> Path:
        path = tmp_path / f"step_00000001-{hashlib.sha256(content).hexdigest()[:12]}.pt"
        path.write_bytes(content)
        return path

    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return os.mkdir, (str(tmp_path / "harm"),)

    with pytest.raises(CheckpointError, match="is not a checkpoint of this library"):
        load_checkpoint(named(b"not a checkpoint"))
    with pytest.raises(CheckpointError, match="is not a checkpoint of this library"):
        load_checkpoint(named(pickle.dumps(Harm(), protocol=2)))
    assert not (tmp_path / "harm").exists()
    torch.save({"weights": torch.ones(1)}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match="does not hold a training state"):
        load_checkpoint(named((tmp_path / "other.pt").read_bytes()))
    with pytest.raises(CheckpointError, match="not named like a checkpoint"):
        load_checkpoint(tmp_path / "other.pt")


def test_a_run_is_not_overwritten_and_not_continued_as_another(uninterrupted: Path) -> None:
    with pytest.raises(CheckpointError, match="already holds a run at step 20"):
        make_trainer(uninterrupted).fit()
    other = make_trainer(uninterrupted)
    object.__setattr__(other.family.config, "lambda_cycle", 3.0)
    with pytest.raises(CheckpointError, match="settings that differ: lambda_cycle"):
        other.fit(resume=True)


def test_only_the_newest_checkpoints_are_kept(uninterrupted: Path) -> None:
    assert [path.name[5:13] for path in list_checkpoints(uninterrupted / "checkpoints")] == ["00000019", "00000020"]


@dataclass(frozen=True)
class LineConfig:
    rate: float = 0.1


class Line(nn.Module):
    """The smallest family: one weight that moves by exactly the learning rate in every step."""

    ema_modules = ("layer",)

    def __init__(self, losses: Iterable[float] = itertools.repeat(1.0)) -> None:
        super().__init__()
        self.config = LineConfig()
        self.layer = nn.Linear(1, 1, bias=False)
        nn.init.zeros_(self.layer.weight)
        self.losses = iter(losses)
        self.weights: list[float] = []

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"line": torch.optim.SGD(self.parameters(), self.config.rate)}

    def training_step(self, batch: object, optimizers: dict, step: int) -> dict[str, Tensor]:
        optimizers["line"].zero_grad()
        (-self.layer.weight.sum()).backward()
        optimizers["line"].step()
        self.weights.append(self.layer.weight.item())
        return {"line/loss": torch.tensor(next(self.losses))}


def line_trainer(run_dir: Path, model: Line, **options: object) -> Trainer:
    loader = UnpairedLoader(torch.zeros(2, 1), torch.zeros(2, 1), 1)
    config = TrainConfig(run_dir=run_dir, device="cpu", **{"steps": 10, "log_every": 1, **options})
    return Trainer(model, loader, config)


def test_learning_rate_warms_up_and_falls_to_zero(tmp_path: Path) -> None:
    trainer = line_trainer(tmp_path, Line(), warmup_steps=2, decay_steps=4)
    factors = [trainer.rate_factor(step) for step in range(11)]
    assert factors == pytest.approx([0.5, 1, 1, 1, 1, 1, 1, 0.75, 0.5, 0.25, 0])


def test_average_of_weights_by_hand(tmp_path: Path) -> None:
    model = Line()
    trainer = line_trainer(tmp_path, model, steps=3, ema_decay=0.5)
    average, decays = 0.0, [min(0.5, (1 + n) / (10 + n)) for n in (1, 2, 3)]

    trainer.save = lambda: None  # type: ignore[method-assign]  # this family is not in the table of those to be saved
    trainer.fit()
    for weight, decay in zip((0.1, 0.2, 0.3), decays, strict=True):
        average = decay * average + (1 - decay) * weight
    assert trainer.ema["layer.weight"].item() == pytest.approx(average)
    with trainer.averaged_weights():
        assert model.layer.weight.item() == pytest.approx(average)
    assert model.layer.weight.item() == pytest.approx(0.3)


def test_power_function_average_by_hand(tmp_path: Path) -> None:
    gamma = power_of_width(0.1)
    assert (gamma + 1) / ((gamma + 2) ** 2 * (gamma + 3)) == pytest.approx(0.1**2)  # the variance of t ** gamma
    trainer = line_trainer(tmp_path, Line(), steps=300, ema_width=0.1)
    trainer.save = lambda: None  # type: ignore[method-assign]
    trainer.fit()
    # The weight is a tenth of the step, and so the average a tenth of the steps' mean under t ** gamma.
    assert trainer.ema["layer.weight"].item() == pytest.approx(30 * (gamma + 1) / (gamma + 2), rel=0.01)
    with pytest.raises(ValueError, match=r"at most 0\.288, not 0\.5"):
        power_of_width(0.5)


def test_a_loss_that_is_not_finite_stops_the_run_by_name(tmp_path: Path) -> None:
    trainer = line_trainer(tmp_path, Line([1.0, 1.0, float("nan")]))
    with pytest.raises(NonFiniteLoss, match=r"line/loss became nan at step 2"):
        trainer.fit()


def test_watching_does_not_change_the_run(uninterrupted: Path, tmp_path: Path) -> None:
    class Noisy(Callback):
        def on_start(self, trainer: Trainer) -> None:
            torch.rand(10)

        def on_step(self, trainer: Trainer, scalars: object) -> None:
            torch.rand(10)
            with trainer.averaged_weights():
                pass

    trainer = make_trainer(tmp_path)
    trainer.callbacks.append(Noisy())
    trainer.fit()
    assert_identical(final_state(tmp_path), final_state(uninterrupted))


def test_the_log_names_losses_norms_and_rates(uninterrupted: Path) -> None:
    row = json.loads((uninterrupted / "metrics.jsonl").read_text().splitlines()[0])
    expected = {"step", "seconds", "generator/cycle", "discriminator/accuracy_a", "classifier/source"}
    assert expected | {"gradient_norm/generator", "gradient_norm/discriminator", "rate/generator"} <= set(row)
    assert row["gradient_norm/generator"] > 0
    assert list((uninterrupted / "tensorboard").glob("events.*"))


def test_budget_ends_a_run_that_can_go_on(uninterrupted: Path, tmp_path: Path) -> None:
    assert not make_trainer(tmp_path, budget_seconds=0.0).fit()
    assert final_state(tmp_path)["step"] == 1
    assert make_trainer(tmp_path).fit(resume=True)
    assert_identical(final_state(tmp_path), final_state(uninterrupted))


def test_saturation_and_collapse_are_reported(tmp_path: Path) -> None:
    from generative_core.training.callbacks import HealthWarnings

    trainer = line_trainer(tmp_path, Line())
    watch = HealthWarnings()
    watch.on_start(trainer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for trainer.step in range(1, 401):
            healthy = trainer.step <= 200
            scalars = {
                "discriminator/accuracy_a": 0.8 if healthy else 1.0,
                "generator/spread_b": 0.9 if healthy else 0.1,
            }
            watch.on_step(trainer, scalars)
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert messages[0].startswith("step 400: discriminator/accuracy_a tells 100% apart: it is saturated")
    assert messages[1].startswith("step 400: generator/spread_b is 10% of the real samples'")
