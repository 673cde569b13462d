"""What one may ask of a conversion: each control does what it says, in pieces as in a whole, and nothing by default."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.signals import SAMPLE_RATE, hum
from voiceconv.convert.controls import USUAL, Controls
from voiceconv.convert.converter import VoiceConverter
from voiceconv.convert.noise import NoiseRemover, remove_noise
from voiceconv.errors import UserError


def glide() -> np.ndarray:
    """A voice that goes from 150 to 300 Hz in two seconds."""
    f0 = 150.0 * 2 ** np.linspace(0, 1, 2 * SAMPLE_RATE)
    phase = 2 * np.pi * np.cumsum(f0) / SAMPLE_RATE
    return (0.1 * sum(np.sin(k * phase) / k for k in range(1, 12))).astype(np.float32)


def noisy(snr_db: float) -> tuple[np.ndarray, np.ndarray]:
    """Words and pauses, and the same in noise."""
    wav = hum(180.0, 3.0) * (np.sin(2 * np.pi * np.arange(3 * SAMPLE_RATE) / SAMPLE_RATE) > 0)
    noise = np.random.default_rng(0).standard_normal(len(wav))
    return wav, (wav + wav.std() * 10 ** (-snr_db / 20) * noise).astype(np.float32)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"pitch": 25.0}, "semitones from -24 to 24"),
        ({"strength": 1.5}, "strength must be a number from 0 to 1"),
        ({"melody": float("nan")}, "melody must be a number from 0 to 1"),
        ({"formants": "high"}, "formants must be semitones from -6 to 6, not 'high'"),
    ],
)
def test_what_is_out_of_range_is_refused(streaming: VoiceConverter, values: dict[str, float], said: str) -> None:
    with pytest.raises(UserError, match=said):
        streaming.convert(hum(180.0, 1.0), "joe", **values)  # type: ignore[arg-type]


def test_controls_are_read_from_what_a_page_sends() -> None:
    sent = {"pitch": "-3", "melody": 0.5, "voice": "joe", "strength": None, "denoise": True}
    assert Controls.read(sent) == Controls(pitch=-3.0, melody=0.5, denoise=True)
    assert Controls.read({}) == USUAL


def test_no_strength_is_the_speaker(streaming: VoiceConverter) -> None:
    wav = hum(180.0, 2.0)
    mel = streaming.mel(torch.from_numpy(wav))
    f0 = streaming._pitch(torch.from_numpy(wav), mel)
    copy = streaming.vocoder(mel[None], f0[None])[0].numpy()[2000:-2000]
    near, far = (streaming.convert(wav, "joe", strength=strength)[2000:-2000] for strength in (0.0, 1.0))
    likeness = [float(np.corrcoef(copy, each[: len(copy)])[0, 1]) for each in (near, far)]
    assert likeness[0] > 0.95 > 0.5 > likeness[1]


def test_melody_is_flattened_around_its_middle(streaming: VoiceConverter) -> None:
    adaptations = [streaming.adapt(glide(), "joe", Controls(melody=melody)) for melody in (1.0, 0.5, 0.0)]
    f0 = torch.tensor([150.0, 0.0, 212.1, 300.0])
    full, half, flat = (adaptation.pitch_of(f0) for adaptation in adaptations)
    assert adaptations[0].contour is None
    torch.testing.assert_close(full, f0 * 2 ** (adaptations[0].shift / 12))
    assert 12 * torch.log2(half[3] / half[0]) == pytest.approx(6.0, abs=1e-3)
    assert flat[0] == flat[3]
    assert full[2] == pytest.approx(float(flat[2]), rel=0.03)  # the middle stays
    assert full[1] == half[1] == flat[1] == 0


@pytest.mark.parametrize(
    "controls",
    [Controls(strength=0.5), Controls(melody=0.3), Controls(formants=3.0), Controls(-2.0, 0.7, 0.0, -4.0)],
    ids=["strength", "melody", "formants", "all"],
)
def test_the_pieces_are_those_of_the_whole(streaming: VoiceConverter, controls: Controls) -> None:
    wav = glide()
    adaptation = streaming.adapt(wav, "joe", controls)
    expected = streaming._speak(wav, "joe", adaptation)
    stream = streaming.stream("joe", adaptation)
    live = np.concatenate([*(stream.push(wav[i : i + 3_000]) for i in range(0, len(wav), 3_000)), stream.flush()])
    np.testing.assert_allclose(live, expected, atol=0.01 * np.abs(expected).max())
    usual = streaming._speak(wav, "joe", streaming.adapt(wav, "joe"))
    assert np.abs(usual - expected).max() > 0.05 * np.abs(expected).max()


def test_noise_is_removed_and_words_stay() -> None:
    wav, heard = noisy(10.0)
    cleaned = remove_noise(heard, SAMPLE_RATE)
    assert cleaned.shape == wav.shape
    pause, word = (
        slice(round((start + 0.1) * SAMPLE_RATE), round((start + 0.4) * SAMPLE_RATE)) for start in (1.5, 1.0)
    )
    assert cleaned[pause].std() < 0.25 * heard[pause].std()
    assert np.corrcoef(cleaned[word], wav[word])[0, 1] > np.corrcoef(heard[word], wav[word])[0, 1]
    assert 0.8 < cleaned[word].std() / wav[word].std() < 1.1


def test_clean_and_silent_recordings_stay_as_they_are() -> None:
    for wav in (noisy(60.0)[1], np.zeros(5_000, np.float32), np.zeros(100, np.float32)):
        assert remove_noise(wav, SAMPLE_RATE) is not None
        np.testing.assert_array_equal(remove_noise(wav, SAMPLE_RATE), wav)


@pytest.mark.parametrize("piece", [1, 255, 1_024, 10_000])
def test_noise_is_removed_piece_by_piece_as_from_the_whole(piece: int) -> None:
    heard = noisy(10.0)[1][: 20_001 if piece > 1 else 2_000]
    remover = NoiseRemover(heard)
    pieces = [remover.push(heard[i : i + piece]) for i in range(0, len(heard), piece)]
    np.testing.assert_allclose(np.concatenate([*pieces, remover.flush()]), remove_noise(heard, SAMPLE_RATE), atol=1e-6)
