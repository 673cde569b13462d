"""The family: what its losses compare, that the discriminator sees the input, and the papers' networks."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from generative_core import Pix2Pix, Pix2PixConfig
from generative_core.nets import (
    PatchDiscriminator,
    PixelDiscriminator,
    ResNetGenerator,
    UNetGenerator,
    initialise_normal,
)


class Shade(nn.Module):
    """Three planes of one shade."""

    def __init__(self) -> None:
        super().__init__()
        self.shade = nn.Parameter(torch.tensor(0.5))

    def forward(self, x: Tensor) -> Tensor:
        return self.shade.expand(len(x), 3, *x.shape[2:])


class Watched(nn.Module):
    """A discriminator that remembers what it has seen and says `scale` times the mean of it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(1.0))
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach())
        return self.scale * x.mean((1, 2, 3))


def test_losses_by_hand_and_the_discriminator_sees_input_and_output() -> None:
    model = Pix2Pix(Pix2PixConfig(adversarial="lsgan", lambda_l1=10.0), generator=Shade, discriminator=Watched)
    optimizers: dict[str, torch.optim.Optimizer] = {
        "generator": torch.optim.SGD(model.generator.parameters(), 0.1),
        "discriminator": torch.optim.SGD(model.discriminator.parameters(), 0.0),
    }
    batch = {"a": torch.full((2, 1, 4, 4), 1.0), "b": torch.full((2, 3, 4, 4), 0.9)}
    losses = model.training_step(batch, optimizers, 0)
    real, fake = (1 + 3 * 0.9) / 4, (1 + 3 * 0.5) / 4  # means of one input plane and three output planes
    assert losses["discriminator/total"].item() == pytest.approx(((real - 1) ** 2 + fake**2) / 2)
    assert losses["generator/adversarial"].item() == pytest.approx((fake - 1) ** 2)
    assert losses["generator/l1"].item() == pytest.approx(0.4)
    assert losses["generator/total"].item() == pytest.approx((fake - 1) ** 2 + 10 * 0.4)
    # The gradient with respect to the shade: of the discriminator's part 2 (fake - 1) 3 / 4, of the distance -10.
    assert model.generator.shade.item() == pytest.approx(0.5 - 0.1 * (2 * (fake - 1) * 0.75 - 10))  # type: ignore[union-attr]
    assert [tuple(x.shape) for x in model.discriminator.seen] == [(2, 4, 4, 4)] * 3  # type: ignore[union-attr]
    assert torch.equal(model.discriminator.seen[0][:, :1], batch["a"])  # type: ignore[index]
    assert all(p.requires_grad for p in model.parameters())


def test_features_of_the_truth_are_asked_for_and_weights_averaged() -> None:
    torch.manual_seed(0)
    model = Pix2Pix(
        Pix2PixConfig(adversarial="lsgan", lambda_l1=0.0, lambda_features=10.0, averaged=True),
        generator=Shade,
        discriminator=lambda: PixelDiscriminator(channels=4, norm="none"),
    )
    assert model.ema_modules == ("generator",)
    batch = {"a": torch.empty(1, 0, 4, 4), "b": torch.full((1, 3, 4, 4), 0.9)}
    optimizers: dict[str, torch.optim.Optimizer] = {
        "generator": torch.optim.SGD(model.generator.parameters(), 0.0),
        "discriminator": torch.optim.SGD(model.discriminator.parameters(), 0.0),
    }
    losses = model.training_step(batch, optimizers, 0)
    wanted, found = (
        [x.detach() for x in model.discriminator.with_features(torch.full((1, 3, 4, 4), value))[1]]  # type: ignore[operator]
        for value in (0.9, 0.5)
    )
    assert len(wanted) == 2
    by_hand = [float((a - b).abs().mean() / b.abs().mean()) for a, b in zip(found, wanted, strict=True)]
    assert losses["generator/features"].item() == pytest.approx(sum(by_hand) / 2, rel=1e-5)
    expected = losses["generator/adversarial"] + 10 * losses["generator/features"]
    assert losses["generator/total"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("discriminator", [PatchDiscriminator, PixelDiscriminator])
def test_features_come_with_the_same_outputs(discriminator: type[PatchDiscriminator]) -> None:
    torch.manual_seed(0)
    network, x = discriminator(channels=2), torch.rand(1, 3, 32, 32)
    outputs, features = network.with_features(x)
    assert torch.equal(outputs, network(x))
    assert len(features) == sum(isinstance(module, nn.LeakyReLU) for module in network.modules())


def test_an_input_skip_hands_single_pixels_on() -> None:
    """Which pixels of the input move one of the output when all that passes the U-Net is switched off."""
    torch.manual_seed(0)
    network = UNetGenerator(channels=2, layers=5, input_skip=True)
    x = torch.rand(1, 3, 32, 32, requires_grad=True)
    assert network(x).shape == (1, 3, 32, 32)
    for parameter in network.up[0].parameters():
        nn.init.zeros_(parameter)
    (gradient,) = torch.autograd.grad(network(x)[0, :, 16, 16].sum(), x)
    rows, columns = gradient.abs().sum((0, 1)).nonzero(as_tuple=True)
    assert {*rows.tolist()} == {*columns.tolist()} == {14, 15, 16, 17, 18}  # two convolutions of 3x3


def test_a_colour_that_can_be_known_is_learned() -> None:
    torch.manual_seed(0)
    model = Pix2Pix(
        Pix2PixConfig(generator_rate=2e-3, lambda_l1=100.0),
        generator=lambda: UNetGenerator(planes=1, channels=4, layers=5, dropout=False),
        discriminator=lambda: PixelDiscriminator(planes=4, channels=4),
    )
    optimizers = model.configure_optimizers()
    a = torch.rand(4, 1, 32, 32) * 2 - 1
    batch = {"a": a, "b": torch.cat([a, -a, torch.zeros_like(a)], 1)}
    l1 = [float(model.training_step(batch, optimizers, step)["generator/l1"]) for step in range(60)]
    assert l1[-1] < 0.6 * l1[0]


def test_dropout_makes_outputs_differ_in_training_only() -> None:
    torch.manual_seed(0)
    model = Pix2Pix(generator=lambda: UNetGenerator(channels=2, layers=6), discriminator=PixelDiscriminator)
    x = torch.rand(1, 3, 64, 64)
    assert not torch.equal(model.translate(x), model.translate(x))
    model.eval()
    assert torch.equal(model.translate(x), model.translate(x))


def test_sizes_of_the_papers_networks() -> None:
    """Parameter counts that the papers' implementations print."""

    def millions(network: nn.Module) -> float:
        return round(sum(p.numel() for p in network.parameters()) / 1e6, 3)

    with torch.device("meta"):
        assert millions(UNetGenerator(norm="batch")) == 54.414
        assert millions(ResNetGenerator()) == 11.378
        assert millions(PatchDiscriminator()) == 2.765


@pytest.mark.parametrize("upsampling", ["transposed", "resize"])
def test_sizes_in_and_out(upsampling: str) -> None:
    resnet = ResNetGenerator(planes=1, channels=2, blocks=1, upsampling=upsampling)  # type: ignore[arg-type]
    assert resnet(torch.zeros(1, 1, 12, 20)).shape == (1, 3, 12, 20)
    unet = UNetGenerator(out_planes=2, channels=2, layers=5, upsampling=upsampling)  # type: ignore[arg-type]
    assert unet(torch.zeros(1, 3, 64, 96)).shape == (1, 2, 64, 96)
    with pytest.raises(ValueError, match=r"64x80 cannot be halved 5 times: both sides must be multiples of 32"):
        unet(torch.zeros(1, 3, 64, 80))
    assert PixelDiscriminator(channels=2)(torch.zeros(2, 3, 5, 7)).shape == (2, 1, 5, 7)
    with pytest.raises(ValueError, match="at least 5 layers"):
        UNetGenerator(layers=4)


def test_a_patch_of_three_layers_is_seventy_pixels_wide() -> None:
    """Which pixels move one output, without normalisation that lets every pixel have a say."""
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(channels=2, norm="none")
    x = torch.rand(1, 3, 128, 128, requires_grad=True)
    y = discriminator(x)
    (gradient,) = torch.autograd.grad(y[0, 0, y.shape[2] // 2, y.shape[3] // 2], x)
    columns = gradient.abs().sum((0, 1, 2)).nonzero().flatten()
    assert int(columns.max() - columns.min()) + 1 == 70


def test_weights_start_as_in_the_papers() -> None:
    torch.manual_seed(0)
    network = initialise_normal(UNetGenerator(channels=16, layers=5, norm="batch"))
    convolution = torch.cat([m.weight.detach().flatten() for m in network.modules() if isinstance(m, nn.Conv2d)])
    assert float(convolution.mean()) == pytest.approx(0, abs=1e-3)
    assert float(convolution.std()) == pytest.approx(0.02, rel=0.02)
    scales = torch.cat([m.weight.detach() for m in network.modules() if isinstance(m, nn.BatchNorm2d)])
    assert float(scales.mean()) == pytest.approx(1, abs=0.01)
    assert 0.01 < float(scales.std()) < 0.03
