"""Rendering: discriminators see the speech that the vocoder makes of a sample."""

from __future__ import annotations

import pytest
import torch

from voiceconv.audio.files import load_audio
from voiceconv.features.mel import MelSpectrogram
from voiceconv.training.rendering import RenderedSpeech
from voiceconv.vocoder.base import load_vocoder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.voice.voice import VOICES, Voice

FRAMES = 128


@pytest.fixture(scope="module")
def rendered() -> RenderedSpeech:
    vocoder = load_vocoder("istft", MelSpectrogram().config)
    assert isinstance(vocoder, ISTFTVocoder)
    return RenderedSpeech(vocoder, Voice.load(VOICES / "allison-joe").speakers[1])


@pytest.fixture(scope="module")
def sample() -> torch.Tensor:
    """Joe's own speech as his discriminator sees it, `(1, 1, 80, FRAMES)`."""
    clip = min((VOICES / "allison-joe" / "examples" / "joe").glob("*.flac"))
    mel = MelSpectrogram()(torch.from_numpy(load_audio(clip, 22050)))
    return Voice.load(VOICES / "allison-joe").speakers[1].normalise(mel)[None, None, :, 40 : 40 + FRAMES]


def test_a_recording_is_rendered_much_as_it_is(rendered: RenderedSpeech, sample: torch.Tensor) -> None:
    torch.manual_seed(0)
    with torch.no_grad():
        copy = rendered(sample)
    assert copy.shape == sample.shape
    inside = slice(8, -8)
    assert (copy - sample)[..., inside].abs().mean() < 0.25
    assert (sample.roll(5, -1) - sample)[..., inside].abs().mean() > 0.5  # so that the bound says something


def test_what_is_no_speech_is_rendered_differently(rendered: RenderedSpeech, sample: torch.Tensor) -> None:
    """Every second band silenced: no sound has that mel-spectrogram, and discriminators need not learn that."""
    torn = sample.clone()
    torn[:, :, ::2] -= 6
    with torch.no_grad():
        spoken = rendered(torn)
    ripple = [(x[..., 1:-1, :] - (x[..., 2:, :] + x[..., :-2, :]) / 2).abs().mean() for x in (torn, spoken)]
    assert ripple[1] < 0.7 * ripple[0]


@pytest.mark.parametrize("level", [0.0, -20.0, 3.0])
def test_gradients_are_finite_for_speech_silence_and_noise(
    rendered: RenderedSpeech, sample: torch.Tensor, level: float
) -> None:
    x = (sample + level).requires_grad_()
    rendered(x).square().mean().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
    if level == 0:
        assert (x.grad.abs().amax((0, 1, 3)) > 0).all()  # every band has a gradient
    assert not any(p.requires_grad for p in rendered.parameters())


def test_a_step_towards_the_rendering_is_a_step_towards_it(rendered: RenderedSpeech, sample: torch.Tensor) -> None:
    """Gradients through the vocoder point the right way: a duller mel comes back to the recording's rendering."""
    torch.manual_seed(0)
    with torch.no_grad():
        target = rendered(sample)
    x = (0.7 * sample).requires_grad_()
    optimizer = torch.optim.Adam([x], 0.05)
    losses = []
    for _ in range(12):
        torch.manual_seed(0)
        loss = (rendered(x) - target).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.6 * losses[0]
