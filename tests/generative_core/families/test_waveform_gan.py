"""WaveformGAN: who learns when and from what, on waveforms small enough to work out by hand."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from generative_core import WaveformGAN, WaveformGANConfig
from generative_core.nets import ConvNeXtBlock1d, PeriodDiscriminator, ResolutionDiscriminator


class Scale(nn.Module):
    """Generator: the condition times one number."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.factor * x


class Weigh(nn.Module):
    """Discriminator: the waveform times one number is both its output and its only feature."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(2.0))

    def forward(self, wav: Tensor) -> tuple[Tensor, list[Tensor]]:
        return self.weight * wav, [self.weight * wav]


def l1(fake: Tensor, real: Tensor) -> dict[str, Tensor]:
    return {"l1": 10 * (fake - real).abs().mean()}


def model(config: WaveformGANConfig | None = None, reconstruction: Callable = l1) -> WaveformGAN:
    return WaveformGAN(config, generator=Scale(), discriminators=[Weigh()], reconstruction=reconstruction)


BATCH = {"condition": torch.tensor([[1.0, 1.0]]), "waveform": torch.tensor([[0.25, 0.25]])}


def test_the_losses_of_a_step_worked_out_by_hand() -> None:
    gan = model(WaveformGANConfig(discriminator_rate=0.0))
    losses = gan.training_step(BATCH, gan.configure_optimizers(), 0)
    # The fake is .5, the real .25; the discriminator says 1 and .5 of them: hinge (1 - .5) + (1 + 1).
    assert losses["discriminator/total"] == pytest.approx(2.5)
    assert losses["discriminator/accuracy"] == 0.5  # both above 0, called real
    assert losses["generator/l1"] == pytest.approx(2.5)
    assert losses["generator/adversarial"] == pytest.approx(-1.0)
    assert losses["generator/features"] == pytest.approx(1.0)  # .5 apart, relative to .5
    assert losses["generator/total"] == pytest.approx(2.5 - 2.0 * 1.0 + 2.0 * 1.0)


def test_discriminators_wait_until_they_are_wanted() -> None:
    gan = model(WaveformGANConfig(adversarial_after=5))
    optimizers = gan.configure_optimizers()
    losses = gan.training_step(BATCH, optimizers, 4)
    assert set(losses) == {"generator/l1", "generator/total"}
    assert gan.discriminators[0].weight == 2.0
    assert gan.generator.factor < 0.5
    losses = gan.training_step(BATCH, optimizers, 5)
    assert "generator/features" in losses
    assert gan.discriminators[0].weight != 2.0


def test_the_generators_loss_leaves_the_discriminators_alone() -> None:
    gan = model()
    optimizers = gan.configure_optimizers()
    gan.training_step(BATCH, optimizers, 0)
    # Only their own loss is in their gradient: -.25 of the real (.5 < 1) and .5 of the fake (-1 < 1).
    assert gan.discriminators[0].weight.grad == pytest.approx(0.25)
    assert gan.discriminators[0].weight.requires_grad


def test_a_loss_that_cannot_work_is_refused() -> None:
    with pytest.raises(ValueError, match="relativistic"):
        WaveformGANConfig(adversarial="relativistic")


def test_periods_are_folded_row_by_row() -> None:
    folded = PeriodDiscriminator(3, channels=1).fold(torch.arange(7.0)[None])
    assert folded.tolist() == [[[[0, 1, 2], [3, 4, 5], [6, 5, 4]]]]  # the end is reflected
    assert PeriodDiscriminator(3, channels=1).fold(torch.arange(6.0)[None]).shape == (1, 1, 2, 3)


def test_a_period_discriminator_keeps_the_columns_apart() -> None:
    torch.manual_seed(0)
    discriminator = PeriodDiscriminator(4, channels=2)
    wav = torch.randn(1, 400)
    changed = wav.clone()
    changed[0, 202] += 1.0  # column 2 of 4
    difference = (discriminator(wav)[0] - discriminator(changed)[0]).abs().amax((0, 1, 2))
    assert (difference > 0).tolist() == [False, False, True, False]


def test_discriminators_give_features_of_every_layer_and_can_be_differentiated_in_silence() -> None:
    wav = torch.zeros(2, 1024, requires_grad=True)
    for discriminator in (PeriodDiscriminator(5, channels=2), ResolutionDiscriminator(256, channels=4)):
        outputs, features = discriminator(wav)
        assert len(features) == 5
        assert outputs.shape[:2] == (2, 1)
        (gradient,) = torch.autograd.grad(outputs.sum(), wav)
        assert gradient.isfinite().all()


@pytest.mark.parametrize(("lookahead", "seen"), [(None, range(2, 9)), (0, range(5, 12)), (2, range(3, 10))])
def test_a_convnext_block_looks_no_further_ahead_than_told(lookahead: int | None, seen: range) -> None:
    torch.manual_seed(0)
    block = ConvNeXtBlock1d(4, lookahead=lookahead)
    x = torch.randn(1, 4, 14)
    changed = x.clone()
    changed[..., 5] += 1.0
    difference = (block(x) - block(changed)).abs().amax((0, 1))
    assert [i for i in range(14) if difference[i] > 0] == list(seen)
