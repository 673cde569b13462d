"""The vocoder's network: framing, the amplitudes it starts from, and how far ahead it looks."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.signals import hum
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.features.pitch import extract_f0
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder.istft_generator import MAX_CORRECTION, GeneratorConfig, InverseSTFT, ISTFTGenerator
from voiceconv.vocoder.pitch_estimator import phases

MEL = MelConfig()


def generator(**size: int) -> ISTFTGenerator:
    """Untrained, but with filters that depend on everything it sees."""
    torch.manual_seed(0)
    network = ISTFTGenerator(MEL, GeneratorConfig(**{"channels": 24, "blocks": 3, **size}))
    for layer in (network.harmonics, network.noise, network.rotation, network.correction):
        torch.nn.init.normal_(layer.weight, std=0.1)
    return network.eval().requires_grad_(False)


def synthesise(network: ISTFTGenerator, mel: Tensor) -> Tensor:
    """At 140 Hz, voiced, with the same noise every time."""
    f0 = torch.full((mel.shape[0], mel.shape[2]), 140.0)
    noise = torch.randn(1, network.noise_length(mel.shape[2]), generator=torch.Generator().manual_seed(0))
    return network.synthesise(
        mel, f0, torch.ones_like(f0), phases(f0, torch.ones_like(f0), MEL.hop_length, MEL.sample_rate).float(), noise
    )


def spectra(wav: Tensor) -> Tensor:
    """`(T,)` -> `(1, frames, n_fft // 2 + 1)`, the transforms that `MelSpectrogram` takes its magnitudes from."""
    margin = (MEL.n_fft - MEL.hop_length) // 2
    padded = torch.nn.functional.pad(wav[None, None], (margin, margin), mode="reflect")[0]
    return torch.fft.rfft(padded.unfold(-1, MEL.n_fft, MEL.hop_length) * torch.hann_window(MEL.n_fft))


def mel_noise(frames: int, batch: int = 1) -> Tensor:
    return torch.randn(batch, 80, frames, generator=torch.Generator().manual_seed(0)) * 2 - 5


def test_the_framing_is_that_of_the_mel() -> None:
    wav = torch.from_numpy(hum(140, 0.5)[: 256 * 40])
    frames = spectra(wav)
    mel = (frames[0].abs() @ MelSpectrogram(MEL).filters).clamp_min(1e-5).log().T
    torch.testing.assert_close(mel, MelSpectrogram(MEL)(wav), atol=1e-3, rtol=0)


def test_true_amplitudes_and_phases_give_the_waveform_back() -> None:
    wav = torch.from_numpy(hum(140, 0.5)[: 256 * 40])
    frames = spectra(wav)
    again = InverseSTFT(MEL)(torch.polar(frames.abs(), frames.angle()))
    torch.testing.assert_close(again, wav[None], atol=1e-4, rtol=0)


@pytest.mark.parametrize("position", [0, 1, 130, 2000, 2047])
def test_an_impulse_comes_out_where_it_was(position: int) -> None:
    wav = torch.zeros(2048)
    wav[position] = 1.0
    again = InverseSTFT(MEL)(spectra(wav))[0]
    assert int(again.argmax()) == position
    torch.testing.assert_close(again, wav, atol=1e-4, rtol=0)


def test_a_frame_is_centred_in_its_hop() -> None:
    """An impulse in the middle of one frame's window alone."""
    spectrum = torch.zeros(1, 9, 513, dtype=torch.complex64)
    spectrum[:, 4] = torch.fft.rfft(torch.nn.functional.one_hot(torch.tensor(512), 1024).float())
    assert int(InverseSTFT(MEL)(spectrum)[0].argmax()) == 4 * 256 + 128


def test_neighbourhoods_of_true_spectra_are_the_waveform() -> None:
    """At the beginning too, where there are no frames before, and whatever is not known is no part of the mean."""
    wav = torch.from_numpy(hum(140, 0.5)[: 256 * 40])
    inverse = InverseSTFT(MEL)
    frames = torch.nn.functional.pad(inverse.frames(spectra(wav)), (0, 0, 3, 1))
    known = torch.nn.functional.pad(torch.ones(40), (3, 1))
    pieces = inverse.neighbourhoods(frames, known)[0]
    assert pieces.shape == (40, 1024)
    expected = torch.nn.functional.pad(wav[None], (384, 384), mode="reflect")[0].unfold(0, 1024, 256)
    torch.testing.assert_close(pieces[:, 64:-64], expected[:, 64:-64], atol=1e-4, rtol=0)
    lonely = inverse.neighbourhoods(frames, torch.nn.functional.one_hot(torch.tensor(23), 44).float())[0]
    assert not torch.allclose(lonely[20, 200:-200], pieces[20, 200:-200], atol=1e-2)  # others count as what they are


def test_the_second_pass_brings_bands_to_what_is_wanted() -> None:
    """Frames that agree, half a neper too loud or too quiet in some bands, come out as they should be."""
    network = generator()
    wav = torch.from_numpy(hum(140, 0.5)[: 256 * 40])
    mel = MelSpectrogram(MEL)(wav)[None]
    tilted = torch.linspace(-0.5, 0.5, 80)[:, None]
    frames = torch.nn.functional.pad(network.inverse.frames(spectra(wav)), (0, 0, 3, 1))
    known = torch.nn.functional.pad(torch.ones(40), (3, 1))
    made = network.to_mel.from_magnitude(network.second_pass(frames, known, mel + tilted).abs())
    torch.testing.assert_close(made, mel + tilted, atol=0.1, rtol=0)
    unchanged = network.second_pass(frames, known, mel)
    torch.testing.assert_close(network.inverse(unchanged)[0], wav, atol=1e-3, rtol=0)
    far = network.to_mel.from_magnitude(network.second_pass(frames, known, mel + 5).abs())
    torch.testing.assert_close(far, mel + MAX_CORRECTION, atol=0.1, rtol=0)


def test_other_framings_are_refused() -> None:
    with pytest.raises(ValueError, match="n_fft 1024 must be a multiple"):
        InverseSTFT(MelConfig(hop_length=200))


def test_the_prior_worked_out_by_hand() -> None:
    network = generator()
    filters = MelSpectrogram(MEL).filters.double()
    # pinv(F) = (F'F)^-1 F' for filters F (n_freqs, n_mels) of full rank.
    inverse = torch.linalg.solve(filters.T @ filters, filters.T)
    mel = mel_noise(3)
    expected = (mel[0].double().exp().T @ inverse).abs()
    prior = network.log_prior(mel)[0].exp().double()
    assert prior.shape == (3, 513)
    known = network.known_bins
    assert 360 < known < 372  # the last band ends at 8 kHz, in bin 371.5
    torch.testing.assert_close(prior[:, :known], expected[:, :known].clamp_min(MEL.log_floor), atol=1e-4, rtol=1e-3)
    assert (prior[:, known:] == prior[:, known:][:, :1]).all()  # nothing is known there: it goes on as it ended


def test_sources_have_unit_power() -> None:
    network = generator()
    for hertz in (70.0, 141.3, 410.0):
        f0 = torch.full((1, 50), hertz)
        source = network.harmonic_source(
            f0, torch.ones_like(f0), phases(f0, torch.ones_like(f0), MEL.hop_length, MEL.sample_rate).float()
        )
        assert source.abs().square().mean() == pytest.approx(1.0, rel=0.05), hertz
    noise = torch.randn(1, network.noise_length(400), generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(network.noise_source(noise).abs(), torch.ones(1, 400, 513))


def test_the_harmonic_source_is_a_sum_of_cosines() -> None:
    network = generator()
    hertz, phase = 1800.0, 0.7  # six harmonics under 11,025 Hz
    time = (torch.arange(1024) - 512) / 22050
    waves = sum(torch.cos(k * (phase + 2 * math.pi * hertz * time)) for k in range(1, 7))
    amplitude = math.sqrt(hertz * 1024 / (1.5 * 22050)) / 256
    expected = torch.fft.rfft(amplitude * waves * torch.hann_window(1024))
    source = network.harmonic_source(torch.tensor([[hertz]]), torch.ones(1, 1), torch.tensor([[phase]]))[0, 0]
    torch.testing.assert_close(source, expected, atol=2e-3, rtol=0)


def test_a_steady_pitch_is_one_wave_through_all_frames() -> None:
    """The stationary frames meet in phase: the sum is the pulse train itself."""
    network = generator()
    f0 = torch.full((1, 30), 150.0)
    wav = network.inverse(
        network.harmonic_source(
            f0, torch.ones_like(f0), phases(f0, torch.ones_like(f0), MEL.hop_length, MEL.sample_rate).float()
        )
    )[0, 1024:-1024]
    period = 22050 / 150  # 147 samples
    torch.testing.assert_close(wav[147:], wav[:-147], atol=1e-3, rtol=0)
    assert period == 147


@pytest.mark.parametrize("hertz", [90.0, 220.0])
def test_a_given_pitch_is_spoken(hertz: float) -> None:
    """Untrained already: the mel tells the envelope, and does not resolve the harmonics of a low voice."""
    network = ISTFTGenerator(MEL, GeneratorConfig(channels=8, blocks=1)).eval()
    torch.nn.init.constant_(network.noise.bias, -2.0)
    f0 = torch.full((1, 80), hertz)
    source = network.harmonic_source(f0, torch.ones_like(f0), phases(f0, torch.ones_like(f0), 256, 22050).float())
    mel = network.to_mel.from_magnitude(source.abs()) + torch.linspace(0, -5, 80)[:, None]
    wav = ISTFTVocoder(network)(mel, f0)[0].numpy()
    heard = extract_f0(wav, MEL.sample_rate)[4:-4]
    assert (heard > 0).all()
    np.testing.assert_allclose(heard, hertz, rtol=0.02)


@pytest.mark.parametrize("frames", [1, 2, 5, 41])
def test_one_hop_of_samples_per_frame(frames: int) -> None:
    wav = synthesise(generator(), mel_noise(frames, 2))
    assert wav.shape == (2, frames * 256)
    assert wav.isfinite().all()


@pytest.mark.parametrize("lookahead", [0, 1, 4])
def test_the_lookahead_is_exact(lookahead: int) -> None:
    """Changing a frame changes the first sample that may depend on it, and nothing before."""
    network = generator(lookahead=lookahead)
    assert network.lookahead_samples == (lookahead + 1) * 256 + 384
    mel = mel_noise(40)
    changed = mel.clone()
    frame = 30
    changed[..., frame] += 3.0
    difference = (synthesise(network, mel) - synthesise(network, changed))[0].abs()
    first = frame * 256 - network.lookahead_samples
    assert difference[:first].max() == 0
    assert difference[first : first + 256].max() > 0  # the next frame's window would begin after that


def test_the_context_is_what_is_seen_before_and_after() -> None:
    network = generator(lookahead=2)
    before, after = network.context
    mel = mel_noise(60)
    wav = synthesise(network, mel)
    for shift, same in ((-before - 1, True), (-before, False), (after, False), (after + 1, True)):
        changed = mel.clone()
        changed[..., 30 + shift] += 3.0
        hop = slice(30 * 256, 31 * 256)
        assert torch.equal(synthesise(network, changed)[:, hop], wav[:, hop]) == same, shift


def test_chunks_with_context_are_the_whole_clip() -> None:
    vocoder = ISTFTVocoder(generator())
    mel = mel_noise(90, 2)
    f0 = torch.linspace(90, 200, 90).expand(2, -1) * (torch.arange(90) % 30 > 8)
    at_once = vocoder(mel, f0)
    vocoder.chunk = 17
    torch.testing.assert_close(vocoder(mel, f0), at_once, atol=1e-5, rtol=0)
    vocoder.generator.context = (8, 2)
    assert (vocoder(mel, f0) - at_once).abs().max() > 1e-4  # the context is needed, so the comparison above sees seams


def test_gradients_are_finite_in_silence() -> None:
    network = ISTFTGenerator(MEL, GeneratorConfig(channels=8, blocks=1))
    silence = torch.cat([torch.full((1, 80, 6), math.log(1e-5)), torch.full((1, 1, 6), 150.0), torch.zeros(1, 1, 6)], 1)
    network(silence).square().sum().backward()
    assert all(p.grad.isfinite().all() for p in network.parameters() if p.requires_grad)


def test_more_lookahead_than_there_is_context_is_refused() -> None:
    with pytest.raises(ValueError, match="lookahead must be from 0 to 6 frames, not 7"):
        generator(lookahead=7)
