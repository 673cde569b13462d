"""Critics of spectrograms, and networks on pictures that are still growing."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from generative_core.nets import ConvNeXtGenerator, SpectrogramClassifier, SpectrogramDiscriminator, Streamed


def seen(network: nn.Module, frames: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A spectrogram that asks for gradients, and what the network says of it."""
    torch.manual_seed(0)
    x = torch.randn(1, 1, 80, frames, requires_grad=True)
    return x, network(x)


def test_half_of_the_outputs_are_of_patches_and_half_of_all_bands() -> None:
    network = SpectrogramDiscriminator(channels=4, layers=2, band_channels=8)
    _, outputs = seen(network, 64)
    patches = network.patches(torch.zeros(1, 1, 80, 64)).numel()
    assert outputs.shape == (1, 2 * patches)


@pytest.mark.parametrize(("which", "frames", "bands"), [("patches", 34, 34), ("stretches", 25, 80)])
def test_an_output_sees_a_third_of_a_second(which: str, frames: int, bands: int) -> None:
    network = SpectrogramDiscriminator(channels=4, layers=2, band_channels=8)
    x = torch.randn(1, 1, 80, 128, requires_grad=True)
    outputs = network.patches(x) if which == "patches" else network.stretches(x.flatten(1, 2))
    outputs.flatten(0, -2)[outputs.flatten(0, -2).shape[0] // 2, outputs.shape[-1] // 2].backward()
    touched = x.grad[0, 0] != 0
    assert int(touched.any(0).sum()) == frames
    assert int(touched.any(1).sum()) == bands


def test_the_classifier_takes_any_length() -> None:
    network = SpectrogramClassifier(channels=4, layers=2, band_channels=8)
    for frames in (16, 64, 101):
        assert seen(network, frames)[1].shape == (1, 2)


@pytest.mark.parametrize("lookahead", [None, 0, 3, 11])
def test_a_growing_picture_is_translated_as_the_whole(lookahead: int | None) -> None:
    torch.manual_seed(0)
    network = ConvNeXtGenerator(bands=10, channels=12, blocks=3, kernel_size=5, lookahead=lookahead).eval()
    x = torch.randn(2, 1, 10, 57)
    whole, stream, pieces = network(x), Streamed.trunk(network), []
    for start, end in itertools.pairwise([0, 1, 1, 4, 30, 31, 57]):
        pieces.append(stream.push(x[:, 0, :, start:end]))
    ahead = sum(piece.shape[-1] for piece in pieces)
    assert ahead == 57 - network.lookahead  # as soon as possible, and no sooner
    pieces.append(stream.flush())
    torch.testing.assert_close(network.answer(torch.cat(pieces, -1)), whole, atol=1e-5, rtol=1e-4)


def test_what_is_ahead_of_the_lookahead_does_not_matter() -> None:
    torch.manual_seed(0)
    network = ConvNeXtGenerator(bands=10, channels=12, blocks=2, kernel_size=5, lookahead=3).eval()
    x = torch.randn(1, 1, 10, 40)
    changed = x.clone()
    changed[..., 20:] += 1
    different = (network(x) != network(changed)).any(2)[0, 0].nonzero()
    assert int(different.min()) == 17
