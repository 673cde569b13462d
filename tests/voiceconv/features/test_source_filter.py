"""Pitch and formants move by what was asked, each without the other, and the timing stays."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.signals import SAMPLE_RATE
from voiceconv.features.mel import MelSpectrogram, cosine_series
from voiceconv.features.source_filter import log_envelope, log_harmonics, move, move_formants, stretch

FORMANT = 700.0


@pytest.fixture(scope="module")
def mel() -> MelSpectrogram:
    return MelSpectrogram()


def vowel(f0: float, seconds: float = 0.5) -> torch.Tensor:
    """Harmonics of `f0` under one broad resonance at `FORMANT`."""
    t = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    harmonics = np.arange(1, int(8000 / f0))
    strength = 1 / (1 + ((harmonics * f0 - FORMANT) / 250) ** 2) + 0.01
    wav = (strength[:, None] * np.cos(2 * np.pi * f0 * harmonics[:, None] * t)).sum(0)
    return torch.from_numpy((0.3 * wav / np.abs(wav).max()).astype(np.float32))


def breathy(f0: float) -> torch.Tensor:
    """The same with breath, as in recordings: noise under the same resonance, the stronger the higher the frequency."""
    wav = vowel(f0)
    noise = torch.randn(len(wav), generator=torch.Generator().manual_seed(0))
    frequency = torch.arange(len(wav) // 2 + 1) * SAMPLE_RATE / len(wav)
    shape = (1 / (1 + ((frequency - FORMANT) / 250) ** 2) + 0.01) * frequency * (frequency < 8000)
    shaped = torch.fft.irfft(torch.fft.rfft(noise) * shape, len(wav))
    return wav + shaped * (0.05**0.5 * wav.norm() / shaped.norm())


def contour(wav: torch.Tensor, f0: float) -> torch.Tensor:
    return torch.full((len(wav) // 256,), f0)


def spectrum(mel: MelSpectrogram, log_mel: torch.Tensor) -> torch.Tensor:
    return log_mel[:, 10:-10].mean(1)


def as_bands(mel: MelSpectrogram, wav: torch.Tensor) -> torch.Tensor:
    return spectrum(mel, mel(wav))


def test_moving_nothing_is_the_mel_spectrogram(mel: MelSpectrogram) -> None:
    wav = vowel(150.0)
    unmoved = move(mel, wav, contour(wav, 150.0))
    torch.testing.assert_close(unmoved[:, 2:-2], mel(wav)[:, 2:-2])  # which mirrors at the ends


@pytest.mark.parametrize("semitones", [-12.0, -5.0, 4.0, 12.0])
def test_moved_pitch_is_that_of_a_voice_that_speaks_there(mel: MelSpectrogram, semitones: float) -> None:
    """The bands up to 2 kHz, where a mel-spectrogram shows harmonics, against the same vowel sung at that pitch."""
    f0 = 180.0
    moved = spectrum(mel, move(mel, breathy(f0), contour(breathy(f0), f0), pitch=semitones))
    sung = as_bands(mel, breathy(f0 * 2 ** (semitones / 12)))
    unmoved = as_bands(mel, breathy(f0))
    low = slice(4, 45)

    def fit(x: torch.Tensor) -> float:
        return float(torch.corrcoef(torch.stack([x[low], sung[low]]))[0, 1])

    assert fit(moved) > 0.85
    assert fit(moved) > fit(unmoved) + 0.1


@pytest.mark.parametrize("semitones", [-4.0, 4.0])
def test_moved_formants_leave_the_pitch_alone(mel: MelSpectrogram, semitones: float) -> None:
    """The strongest band moves with the formant, the ripple of the harmonics stays where it was."""
    wav = vowel(110.0)
    before, after = as_bands(mel, wav), spectrum(mel, move(mel, wav, contour(wav, 110.0), formants=semitones))
    centre = torch.arange(80).float()
    weights = [(x.exp() ** 2)[:50] for x in (before, after)]
    formant = [float((w * centre[:50]).sum() / w.sum()) for w in weights]
    hertz_per_band = 36.9  # Slaney's bands are linear below 1 kHz
    expected = FORMANT * (2 ** (semitones / 12) - 1) / hertz_per_band
    assert formant[1] - formant[0] == pytest.approx(expected, abs=1.5)

    def ripple(x: torch.Tensor) -> torch.Tensor:
        x = x[:26]
        return x - torch.nn.functional.avg_pool1d(x[None, None], 5, 1, 2, count_include_pad=False)[0, 0]

    assert torch.corrcoef(torch.stack([ripple(before)[3:23], ripple(after)[3:23]]))[0, 1] > 0.9


@pytest.mark.parametrize("pitch", [-13.0, 13.0])
def test_timing_stays(mel: MelSpectrogram, pitch: float) -> None:
    wav = torch.cat([torch.zeros(SAMPLE_RATE // 2), vowel(150.0), torch.zeros(SAMPLE_RATE // 2)])
    moved, own = move(mel, wav, contour(wav, 150.0), pitch=pitch), mel(wav)
    assert moved.shape == own.shape
    level = [x.exp().sum(0) for x in (moved, own)]
    on, off = [[int(f) for f in (x > 0.3 * x.max()).nonzero()[[0, -1], 0]] for x in level]
    assert np.abs(np.array(on) - np.array(off)).max() <= 3  # a longer window blurs, but moves nothing


def test_the_envelope_does_not_show_the_pitch(mel: MelSpectrogram) -> None:
    """The same resonance sung at three pitches, as strong in every hertz: peaks where it is, and is nearly the same."""
    envelopes = []
    for f0 in (90.0, 140.0, 220.0):
        wav = vowel(f0) * vowel(f0).norm().reciprocal()
        frames = mel.frames_at(wav, torch.tensor([len(wav) // 2]))
        envelopes.append(log_envelope(mel, frames, torch.tensor([f0]))[0, 5:300])
        peak = (envelopes[-1].argmax() + 5) * SAMPLE_RATE / 1024
        assert float(peak) == pytest.approx(FORMANT, abs=60)
    for other in envelopes[1:]:
        assert (other - envelopes[0]).abs().mean() < 0.2
    frequency = torch.arange(5, 300) * SAMPLE_RATE / 1024
    true = (1 / (1 + ((frequency - FORMANT) / 250) ** 2) + 0.01).log()
    for envelope in envelopes:
        assert torch.corrcoef(torch.stack([envelope, true]))[0, 1] > 0.98


@pytest.mark.parametrize("hertz", [80.0, 215.0, 400.0])
def test_harmonics_are_where_they_belong_and_of_the_energy_of_noise(mel: MelSpectrogram, hertz: float) -> None:
    drawn = log_harmonics(mel, torch.tensor([hertz]), torch.zeros(1))[0]
    frequency = torch.arange(513) * SAMPLE_RATE / 1024
    bins = frequency / hertz
    assert float(drawn[bins > 0.5].exp().square().mean()) == pytest.approx(1, abs=0.05)
    assert (drawn[bins < 0.5 - 43 / hertz] < -3).all()  # nothing under the first
    near = (bins - bins.round()).abs() * hertz
    if hertz > 100:  # nearer than that the window does not tell them apart
        low = (bins > 0.5) & (frequency < 2_500)
        assert drawn[(near < 11) & low].min() > drawn[(near > 70) & low].max() + 0.5
    assert (drawn[frequency > 4_000] == 0).all()  # noise, which leaves the envelope as it is


def test_a_gliding_pitch_smears_high_harmonics_and_keeps_their_energy(mel: MelSpectrogram) -> None:
    still, gliding = log_harmonics(mel, torch.tensor([215.0, 215.0]), torch.tensor([0.0, 10.0])).exp().square()
    first, tenth = slice(5, 15), slice(95, 105)  # bins; 215 Hz are ten of them
    for harmonic, flatter in ((first, 0.95), (tenth, 0.5)):
        assert float(gliding[harmonic].max() / still[harmonic].max()) == pytest.approx(flatter, abs=0.35)
    assert gliding[first].max() / still[first].max() > 2 * gliding[tenth].max() / still[tenth].max()
    assert float(gliding[5:155].mean()) == pytest.approx(float(still[5:155].mean()), rel=0.05)


def test_what_has_no_pitch_stays_when_the_pitch_moves(mel: MelSpectrogram) -> None:
    wav = 0.1 * torch.randn(SAMPLE_RATE, generator=torch.Generator().manual_seed(0))
    f0 = contour(wav, 150.0)
    f0[20:] = 0
    plain, moved = move(mel, wav, f0), move(mel, wav, f0, pitch=7.0)
    torch.testing.assert_close(moved[:, 20:], plain[:, 20:])
    assert (moved[:, :20] - plain[:, :20]).abs().mean() > 0.2


def test_frames_do_not_depend_on_what_they_are_read_with(mel: MelSpectrogram) -> None:
    wav = vowel(150.0)
    f0 = contour(wav, 150.0)
    middles = mel.middles(len(wav))
    part = move(mel, wav, f0[10:13], pitch=5.0, formants=1.0, middles=middles[10:13], before=float(f0[9]))
    torch.testing.assert_close(part, move(mel, wav, f0, pitch=5.0, formants=1.0)[:, 10:13], atol=1e-4, rtol=1e-4)


def test_stretch_reads_between_the_bins() -> None:
    ramp = torch.arange(6.0)
    torch.testing.assert_close(stretch(ramp, 2.0), torch.tensor([0.0, 0.5, 1.0, 1.5, 2.0, 2.5]))
    torch.testing.assert_close(stretch(ramp, 0.5), torch.tensor([0.0, 2.0, 4.0, 5.0, 5.0, 5.0]))


@pytest.mark.parametrize("semitones", [-4.0, 3.0])
def test_formants_of_a_mel_move_and_its_harmonics_stay(mel: MelSpectrogram, semitones: float) -> None:
    wav = breathy(110.0)
    before = as_bands(mel, wav)
    after = spectrum(mel, move_formants(mel, mel(wav), semitones))
    centres = mel.centres()
    assert centres[0] == pytest.approx(37.0, abs=15)
    assert centres[-1] == pytest.approx(7_900.0, abs=200)
    broad = [cosine_series(bands, 20) for bands in (before, after)]
    peaks = [float(centres[int(bands[5:].argmax()) + 5]) for bands in broad]
    assert 12 * np.log2(peaks[1] / peaks[0]) == pytest.approx(semitones, abs=2.0)  # bands are 1.3 wide there
    change = after - before
    # There are no harmonics in what has changed.
    assert (change - cosine_series(change, 40)).abs().max() < 0.25 * (before - broad[0]).abs().max()


def test_a_contour_is_followed(mel: MelSpectrogram) -> None:
    wav = vowel(150.0)
    f0 = contour(wav, 150.0)
    f0[:5] = 0
    to_200 = move(mel, wav, f0, contour=lambda hz: torch.where(hz > 0, 200.0, 0.0))
    torch.testing.assert_close(to_200, move(mel, wav, f0, pitch=12 * float(np.log2(200 / 150))), atol=1e-3, rtol=1e-3)
