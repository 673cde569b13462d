"""The contract that all families share: a family is added by adding its row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

import generative_core
from generative_core import (
    CUT,
    GAN,
    VAE,
    Autoencoder,
    AutoencoderConfig,
    ConsistencyConfig,
    ConsistencyStudent,
    CUTConfig,
    CycleGAN,
    CycleGANConfig,
    DebiasingVAE,
    DebiasingVAEConfig,
    Diffusion,
    DiffusionConfig,
    GANConfig,
    PairedLoader,
    Pix2Pix,
    Pix2PixConfig,
    TensorLoader,
    TrainConfig,
    Trainer,
    UnpairedLoader,
    VAEConfig,
    WaveformGAN,
    WaveformGANConfig,
)
from generative_core.nets import (
    ConvDecoder,
    ConvEncoder,
    DiffusionUNet,
    ImageDiscriminator,
    MLPDecoder,
    MLPEncoder,
    PatchDiscriminator,
    PeriodDiscriminator,
    ResNetGenerator,
    ResolutionDiscriminator,
    StyleGenerator,
    TextEncoder,
    UNetGenerator,
)
from generative_core.training.checkpoint import list_checkpoints, load_checkpoint
from generative_core.training.data import Loader


class Row(NamedTuple):
    """How to build a small model of the family, what to train it on, and what it makes of what."""

    model: Callable[[], nn.Module]
    loader: Callable[[], Loader]
    output: Callable[[nn.Module], Tensor]
    shape: tuple[int, ...]


def cyclegan() -> nn.Module:
    return CycleGAN(
        CycleGANConfig(),
        generator=lambda: ResNetGenerator(channels=4, blocks=1),
        discriminator=lambda: PatchDiscriminator(channels=4, layers=2),
    )


def pix2pix() -> nn.Module:
    """Batch normalisation and dropout, so that statistics and chance are resumed too."""
    return Pix2Pix(
        Pix2PixConfig(),
        generator=lambda: UNetGenerator(planes=1, channels=2, layers=6, norm="batch"),
        discriminator=lambda: PatchDiscriminator(planes=4, channels=4, layers=2, norm="batch"),
    )


def cut() -> nn.Module:
    return CUT(
        CUTConfig(patches=5, projection=8),
        generator=lambda: ResNetGenerator(channels=2, blocks=5),
        discriminator=lambda: PatchDiscriminator(channels=4, layers=2),
    )


class Renamed(UnpairedLoader):
    """Conditions `(B, 3, T)` and waveforms `(B, 16 T)` under the names that `WaveformGAN` asks for."""

    def __next__(self) -> dict[str, Tensor]:
        batch = super().__next__()
        return {"condition": batch["a"], "waveform": batch["b"]}


def waveform_gan() -> nn.Module:
    return WaveformGAN(
        WaveformGANConfig(),
        generator=nn.Sequential(
            nn.Conv1d(3, 8, 3, padding=1), nn.ReLU(), nn.ConvTranspose1d(8, 1, 16, 16), nn.Flatten()
        ),
        discriminators=[PeriodDiscriminator(3, channels=1), ResolutionDiscriminator(64, channels=2)],
        reconstruction=lambda fake, real: {"l1": (fake - real).abs().mean()},
    )


def gan() -> nn.Module:
    """All options on: classes, penalties, augmentation, minibatch-std, style mixing."""
    return GAN(
        GANConfig(adversarial="relativistic", z_dim=8, classes=3, r1=1.0, r2=1.0, gradient_penalty=1.0),
        generator=lambda: StyleGenerator(shape=(3, 16, 16), z_dim=8, w_dim=8, classes=3, channels=4),
        discriminator=lambda: ImageDiscriminator(shape=(3, 16, 16), classes=3, channels=4, minibatch_std=True),
        augment=lambda x: x.roll(int(torch.randint(16, ())), -1),
    )


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0)) * 2 - 1


IMAGE = (1, 8, 8)


def autoencoder() -> nn.Module:
    config = AutoencoderConfig(latent=3, noise="gaussian", noise_level=0.1)
    encoder, decoder = ConvEncoder(shape=IMAGE, outputs=3, channels=4), ConvDecoder(shape=IMAGE, latent=3, channels=4)
    return Autoencoder(config, encoder=encoder, decoder=decoder)


def vae() -> nn.Module:
    encoder, decoder = MLPEncoder(shape=IMAGE, outputs=6, hidden=(8,)), MLPDecoder(shape=IMAGE, latent=3, hidden=(8,))
    return VAE(VAEConfig(latent=3), encoder=encoder, decoder=decoder)


def debiasing_vae() -> nn.Module:
    config = DebiasingVAEConfig(latent=3, likelihood="gaussian")
    encoder, decoder = MLPEncoder(shape=(5,), outputs=7, hidden=(8,)), MLPDecoder(shape=(5,), latent=3, hidden=(8,))
    return DebiasingVAE(config, encoder=encoder, decoder=decoder)


def diffusion() -> nn.Module:
    """All conditions at once: class, text and picture."""
    config = DiffusionConfig(shape=IMAGE, classes=3, text=True, image_planes=2)
    text = TextEncoder(vocabulary=5, length=4, width=8, layers=1, heads=2)
    network = DiffusionUNet(
        shape=IMAGE, channels=4, multipliers=(1, 2), classes=3, text=text, image_planes=2, dropout=0.1
    )
    return Diffusion(config, network)


def consistency_student() -> nn.Module:
    teacher, student = diffusion(), diffusion()
    config = ConsistencyConfig(student.config, steps=3)
    return ConsistencyStudent(config, student, partial(guided_teacher, teacher))


def guided_teacher(teacher: Diffusion, x: Tensor, sigma: Tensor, condition: dict[str, Tensor]) -> Tensor:
    return teacher.guided(x, sigma, condition, guidance=1.5)


def described(count: int) -> dict[str, Tensor]:
    tokens = torch.arange(4 * count).view(count, 4) % 5
    return {"y": torch.arange(count) % 3, "tokens": tokens, "image": pictures(count, 2, 8, 8)}


def weighted_loader() -> TensorLoader:
    loader = TensorLoader({"x": pictures(6, 5), "y": torch.arange(6) % 2}, 4)
    loader.weights = torch.arange(6.0)
    return loader


@dataclass(frozen=True)
class LineConfig:
    rate: float = 0.1


class Line(nn.Module):
    """A family as somebody would write it who uses the package: `y = a x + b`, fitted to pairs."""

    ema_modules = ("line",)

    def __init__(self, config: LineConfig) -> None:
        super().__init__()
        self.config, self.line = config, nn.Linear(1, 1)

    def configure_optimizers(self) -> dict[str, torch.optim.Optimizer]:
        return {"line": torch.optim.Adam(self.parameters(), self.config.rate)}

    def training_step(
        self, batch: dict[str, Tensor], optimizers: dict[str, torch.optim.Optimizer], step: int
    ) -> dict[str, Tensor]:
        optimizers["line"].zero_grad()
        loss = (self.line(batch["a"]) - batch["b"]).square().mean()
        loss.backward()
        optimizers["line"].step()
        return {"line/loss": loss.detach()}


ROWS = {
    "Line": Row(
        model=lambda: Line(LineConfig()),
        loader=lambda: PairedLoader(pictures(6, 1), 2 * pictures(6, 1) + 1, 2),
        output=lambda model: model.line(pictures(5, 1)),
        shape=(5, 1),
    ),
    "Autoencoder": Row(
        model=autoencoder,
        loader=lambda: TensorLoader({"x": pictures(6, *IMAGE)}, 2),
        output=lambda model: model.reconstruct(pictures(2, *IMAGE)),
        shape=(2, *IMAGE),
    ),
    "VAE": Row(
        model=vae,
        loader=lambda: TensorLoader({"x": pictures(6, *IMAGE).abs()}, 2),
        output=lambda model: model.sample(2),
        shape=(2, *IMAGE),
    ),
    "DebiasingVAE": Row(
        model=debiasing_vae,
        loader=weighted_loader,
        output=lambda model: model.reconstruct(pictures(2, 5)),
        shape=(2, 5),
    ),
    "CycleGAN": Row(
        model=cyclegan,
        loader=lambda: UnpairedLoader(pictures(6, 3, 16, 16), pictures(6, 3, 16, 16) / 2, 2),
        output=lambda model: model.translate(pictures(1, 3, 20, 16), "ab"),
        shape=(1, 3, 20, 16),
    ),
    "CUT": Row(
        model=cut,
        loader=lambda: UnpairedLoader(pictures(6, 3, 16, 16), pictures(6, 3, 16, 16) / 2, 2),
        output=lambda model: model.translate(pictures(1, 3, 20, 16)),
        shape=(1, 3, 20, 16),
    ),
    "Pix2Pix": Row(
        model=pix2pix,
        loader=lambda: PairedLoader(pictures(6, 1, 64, 64), pictures(6, 3, 64, 64), 2),
        output=lambda model: model.translate(pictures(1, 1, 64, 128)),
        shape=(1, 3, 64, 128),
    ),
    "WaveformGAN": Row(
        model=waveform_gan,
        loader=lambda: Renamed(pictures(6, 3, 20), pictures(6, 320), 2),
        output=lambda model: model.reconstruct(pictures(1, 3, 7)),
        shape=(1, 112),
    ),
    "Diffusion": Row(
        model=diffusion,
        loader=lambda: TensorLoader({"x": pictures(6, *IMAGE), **described(6)}, 4),
        output=lambda model: model.sample(2, described(2), steps=2, guidance=2.0),
        shape=(2, *IMAGE),
    ),
    "ConsistencyStudent": Row(
        model=consistency_student,
        loader=lambda: TensorLoader({"x": pictures(6, *IMAGE), **described(6)}, 4),
        output=lambda model: model.sample(2, described(2), steps=2),
        shape=(2, *IMAGE),
    ),
    "GAN": Row(
        model=gan,
        loader=lambda: TensorLoader({"x": pictures(6, 3, 16, 16), "y": torch.arange(6) % 3}, 4),
        output=lambda model: model.sample(2),
        shape=(2, 3, 16, 16),
    ),
}


def trainer(row: Row, run_dir: Path, *, budget_seconds: float = 60.0) -> Trainer:
    torch.manual_seed(0)
    config = TrainConfig(steps=4, run_dir=run_dir, device="cpu", budget_seconds=budget_seconds)
    return Trainer(row.model(), row.loader(), config)


def test_every_family_has_a_row() -> None:
    exported = {name for name in generative_core.__all__ if hasattr(getattr(generative_core, name), "training_step")}
    assert set(ROWS) == exported | {"Line"}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_one_step_moves_the_parameters_of_every_optimizer(row: Row) -> None:
    model, loader = row.model(), row.loader()
    optimizers = model.configure_optimizers()
    owned = [p for opt in optimizers.values() for group in opt.param_groups for p in group["params"]]
    assert {id(p) for p in owned} == {id(p) for p in model.parameters()}, "every parameter has one optimizer"
    assert len(owned) == len({id(p) for p in owned})
    before = {name: [p.detach().clone() for p in _parameters(opt)] for name, opt in optimizers.items()}
    losses = model.training_step(next(loader), optimizers, 0)
    assert all("/" in name and value.ndim == 0 and not value.requires_grad for name, value in losses.items())
    for name, optimizer in optimizers.items():
        assert any(not torch.equal(p, q) for p, q in zip(_parameters(optimizer), before[name], strict=True)), name


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_save_and_resume_are_exact(row: Row, tmp_path: Path) -> None:
    whole = trainer(row, tmp_path / "whole")
    assert whole.fit()
    assert not trainer(row, tmp_path / "stopped", budget_seconds=0.0).fit()
    resumed = trainer(row, tmp_path / "stopped")
    assert resumed.fit(resume=True)
    for name, value in whole.module.state_dict().items():
        if isinstance(value, Tensor):
            assert torch.equal(value, resumed.module.state_dict()[name]), name
    for name, value in whole.ema.items():
        assert torch.equal(value, resumed.ema[name]), name


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_output_shape(row: Row) -> None:
    assert row.output(row.model().eval()).shape == row.shape


def test_a_family_of_ones_own_is_loaded_again(tmp_path: Path) -> None:
    trained = trainer(ROWS["Line"], tmp_path)
    assert trained.fit()
    state = load_checkpoint(list_checkpoints(tmp_path / "checkpoints")[-1])
    assert (state["family"], state["step"]) == ("Line", 4)
    model = Line(LineConfig(**state["config"]))
    model.load_state_dict(state["model"])
    assert torch.equal(model.line.weight, trained.module.state_dict()["line.weight"])


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"]]
