"""The networks of the GANs against their definitions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from generative_core.nets import ConvGenerator, ImageDiscriminator, MappingNetwork, ModulatedConv2d, StyleGenerator
from generative_core.nets.discriminator import append_minibatch_std


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def convolved_naively(layer: ModulatedConv2d, x: Tensor, w: Tensor) -> Tensor:
    """One sample at a time, with weights of its own: the equations 1 and 3 of the StyleGAN2 paper as they stand."""
    results = []
    for sample, style in zip(x, layer.style(w), strict=True):
        weight = layer.weight * layer.scale
        weight = torch.stack([style[i] * weight[:, i] for i in range(weight.shape[1])], dim=1)
        if layer.demodulate:
            lengths = [math.sqrt(filters.square().sum().item() + 1e-8) for filters in weight]
            weight = torch.stack([filters / length for filters, length in zip(weight, lengths, strict=True)])
        results.append(F.conv2d(sample[None], weight, padding=weight.shape[-1] // 2))
    return torch.cat(results)


@pytest.mark.parametrize("demodulate", [True, False])
@pytest.mark.parametrize("kernel_size", [1, 3])
def test_modulated_convolution_is_what_its_definition_says(demodulate: bool, kernel_size: int) -> None:
    layer = ModulatedConv2d(5, 7, kernel_size, w_dim=6, demodulate=demodulate)
    x, w = torch.randn(3, 5, 8, 9), 3 * torch.randn(3, 6)
    torch.testing.assert_close(layer(x, w), convolved_naively(layer, x, w), rtol=1e-4, atol=1e-5)


def test_demodulation_keeps_the_variance_whatever_the_style() -> None:
    layer = ModulatedConv2d(64, 64, 3, w_dim=8)
    x = torch.randn(2, 64, 32, 32)
    for strength in (0.1, 1.0, 30.0):
        inner = layer(x, strength * torch.randn(2, 8))[..., 1:-1, 1:-1]
        assert inner.std().item() == pytest.approx(1.0, abs=0.1)


def generator(**options: object) -> StyleGenerator:
    return StyleGenerator(shape=(3, 16, 16), z_dim=8, w_dim=6, channels=4, max_channels=8, **options)


def test_truncation_moves_styles_towards_their_mean() -> None:
    net = generator().eval()
    z = torch.randn(5, 8)
    w = net.mapping(z).detach()
    mean = net.mapping(torch.randn(4000, 8)).mean(0)
    torch.testing.assert_close(net.styles(z, None, 1.0)[:, 0], w)
    torch.testing.assert_close(net.styles(z, None, 0.0)[:, 3], mean.expand(5, -1), rtol=0, atol=0.15 * float(w.std()))
    half = (net.styles(z, None, 1.0) + net.styles(z, None, 0.0)) / 2
    torch.testing.assert_close(net.styles(z, None, 0.5), half)
    untruncated, one = net.synthesise(net.styles(z), noise_seed=0), net(z, truncation=0.0)
    assert untruncated.std(0).mean() > 1e-3
    torch.testing.assert_close(one, one[:1].expand_as(one))  # the noise of an untrained network has no strength


def test_classes_have_mean_styles_of_their_own() -> None:
    mapping = MappingNetwork(z_dim=4, w_dim=5, classes=3)
    means = mapping.mean_style(torch.tensor([2, 0, 2]))
    assert torch.equal(means[0], means[2])
    assert not torch.allclose(means[0], means[1])


def test_mixed_styles_differ_between_layers_in_training_only() -> None:
    net = generator(style_mixing=1.0)
    seen: list[Tensor] = []
    synthesise = net.synthesise
    net.synthesise = lambda styles: seen.append(styles) or synthesise(styles)  # type: ignore[func-returns-value]
    z = torch.randn(200, 8)
    net.train()(z)
    net.eval()(z)
    mixed, plain = seen
    first, last = (mixed[:, 0] - plain[:, 0]).abs().amax(1), (mixed[:, -1] - plain[:, -1]).abs().amax(1)
    assert float(first.max()) == 0, "the first layer keeps its style"
    assert float(last.min()) > 0, "the last one has another"
    changes = ((mixed[:, 1:] - mixed[:, :-1]).abs().amax(2) > 0).sum(1)
    assert torch.equal(changes, torch.ones(200, dtype=torch.long)), "there are two styles, one after the other"
    assert torch.equal(plain, plain[:, :1].expand_as(plain))


def test_noise_varies_the_picture_and_can_be_fixed() -> None:
    net = generator().eval()
    for layer in net.layers:
        torch.nn.init.constant_(layer.noise_strength, 0.5)
    styles = net.styles(torch.randn(1, 8)).expand(2, -1, -1)
    free, fixed = net.synthesise(styles), net.synthesise(styles, noise_seed=3)
    assert not torch.allclose(free[0], free[1])
    torch.testing.assert_close(fixed[0], fixed[1])
    assert torch.equal(fixed, net.synthesise(styles, noise_seed=3))


def test_sizes_that_cannot_be_drawn_are_refused() -> None:
    for shape in ((3, 28, 28), (3, 2, 2), (3, 16, 32), (1, 24, 24)):
        with pytest.raises(ValueError, match=r"8, 16, 32, \.\.\. pixels"):
            StyleGenerator(shape=shape)
    with pytest.raises(ValueError, match="multiples of 4"):
        ConvGenerator(shape=(1, 30, 30))
    with pytest.raises(ValueError, match="multiples of 8"):
        ImageDiscriminator(shape=(1, 28, 28), layers=3)


def test_projection_adds_the_inner_product_with_the_class() -> None:
    net = ImageDiscriminator(shape=(1, 8, 8), classes=3, channels=4)
    x = torch.randn(4, 1, 8, 8)
    h = net.summary(net.features(x).flatten(1))
    for label in range(3):
        expected = net.head(h)[:, 0] + torch.stack([features @ net.embedding.weight[label] for features in h])
        torch.testing.assert_close(net(x, torch.full((4,), label))[:, 0], expected)


def test_minibatch_std_of_known_samples() -> None:
    """Two samples that are 1 apart in one of two channels and alike in the other: deviations .5 and 0, mean .25."""
    x = torch.zeros(2, 2, 3, 3)
    x[1, 0] = 1.0
    y = append_minibatch_std(x)
    assert y.shape == (2, 3, 3, 3)
    torch.testing.assert_close(y[:, 2], torch.full((2, 3, 3), 0.25), rtol=0, atol=1e-4)


def test_what_becomes_of_a_noise_depends_on_its_direction_and_class_alone() -> None:
    net = ConvGenerator(shape=(2, 12, 20), z_dim=8, classes=3, channels=8)
    z, y = torch.randn(4, 8), torch.tensor([0, 1, 2, 0])
    x = net(z, y)
    assert x.shape == (4, 2, 12, 20)
    torch.testing.assert_close(net(7 * z[1:2], y[1:2]), x[1:2])
    assert not torch.allclose(net(z, (y + 1) % 3), x)
