"""Defines the network of our own vocoder: a source of harmonics and noise, filtered per frame, and one inverse STFT.

All learning happens at the rate of the mel's frames, as in Vocos (Siuzdak 2023, arXiv:2306.00814), which is what makes
it fast on a CPU. Phases, which are what is hard to learn from a mel, come from a source at a given pitch, as in the
neural source-filter models (Wang et al. 2019, arXiv:1904.12088) and HiFTNet (Li et al. 2023, arXiv:2309.09493). The
filters start from the mel itself, spread back over the frequencies with the pseudo-inverse of the mel filters as in
FreeV (Lv et al. 2024, arXiv:2406.08196). Untrained, this is a classical vocoder; what is learned is what it lacks. And
a pitch that is given is spoken: a mel-spectrogram of 80 bands does not tell that of a low voice.

Frames that are filtered one by one do not agree where they overlap, and their sum is not what any of them said. So
there is a second pass: each frame is read again from its neighbourhood, which makes neighbours agree, and its bands are
brought to where the network wants them, as in an iteration of Griffin and Lim (1984) that knows the mel alone.

Nothing is normalised over time, and of the frames to come only `lookahead + NEXT` are used: a part of a clip sounds the
same whatever follows later, which live conversion needs.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.nets import ConvNeXtBlock1d
from voiceconv.features.mel import MelConfig, MelSpectrogram, magnitude_of, standardise
from voiceconv.vocoder.pitch_estimator import UNKNOWN_HZ, PitchEstimator, phases

MAX_GAIN = 1e3  # of one frequency of one frame; sources have unit power, a full-scale tone n_fft / 4 = 256
MAX_CORRECTION = 1.0  # nepers that the second pass raises or lowers a band
NEXT = 1  # frames to come that the second pass knows; with all three that overlap it gains little more
LEAST_WEIGHT = 1e-3  # of a sample that is at the end of all windows that reach it


class InverseSTFT(nn.Module):
    """Spectra `(B, frames, n_fft // 2 + 1)`, framed as in `MelSpectrogram`, -> waveform `(B, frames * hop_length)`.

    Frame `i` is centred on sample `i * hop_length + hop_length // 2`. Frames are windowed again, added where they
    overlap and divided by the windows' sum: the exact inverse where they come from a waveform, the nearest one where
    they do not.
    """

    window: Tensor

    def __init__(self, config: MelConfig) -> None:
        super().__init__()
        if config.n_fft % config.hop_length or (config.n_fft - config.hop_length) % 2:
            raise ValueError(f"n_fft {config.n_fft} must be a multiple of an even hop_length, not {config.hop_length}")
        self.hop_length = config.hop_length
        self.margin = (config.n_fft - config.hop_length) // 2
        self.register_buffer("window", torch.hann_window(config.n_fft), persistent=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        wav, weights = self.overlap_add(spectrum)
        clip = slice(self.margin, self.margin + spectrum.shape[1] * self.hop_length)
        return wav[:, clip] / weights[:, clip]

    def overlap_add(self, spectrum: Tensor) -> tuple[Tensor, Tensor]:
        """Spectra -> the sum of their windowed frames and that of the windows, each `(B or 1, (frames - 1) * hop_length
        + n_fft)`; the first `margin` samples lie before the clip."""
        frames = self.frames(spectrum)
        return self._add(frames), self._add(self.window.square().expand(1, *frames.shape[1:]))

    def frames(self, spectrum: Tensor) -> Tensor:
        """`(B, frames, n_fft // 2 + 1)` -> `(B, frames, n_fft)`, windowed again."""
        return torch.fft.irfft(spectrum) * self.window

    def neighbourhoods(self, frames: Tensor, known: Tensor) -> Tensor:
        """Of `n` frames, the `overlap - 1` before and the `NEXT` after them, `(B, overlap - 1 + n + NEXT, n_fft)`, ->
        the waveform where each of the `n` lies, as far as these say, `(B, n, n_fft)`. `known` `(overlap - 1 + n +
        NEXT,)` is 0 for frames that there are not, whose samples are zeros, and 1 for others."""
        n_fft, hop = len(self.window), self.hop_length
        before = n_fft // hop - 1
        n = frames.shape[1] - before - NEXT
        windows = known[None, :, None] * self.window.square()

        def added(x: Tensor) -> Tensor:
            parts = []
            for k in range(-before, NEXT + 1):  # frame i + k begins k hops after frame i
                part = x[:, before + k : before + k + n]
                parts.append(F.pad(part[..., -k * hop :], (0, -k * hop)) if k < 0 else F.pad(part, (k * hop, -k * hop)))
            return functools.reduce(torch.add, parts)

        return added(frames) / added(windows).clamp_min(LEAST_WEIGHT)

    def _add(self, frames: Tensor) -> Tensor:
        overlap = frames.shape[2] // self.hop_length
        parts = frames.reshape(*frames.shape[:2], overlap, self.hop_length)
        # Part k of frame i belongs into hop i + k.
        added = sum(F.pad(parts[:, :, k], (0, 0, k, overlap - 1 - k)) for k in range(overlap))
        assert isinstance(added, Tensor)
        return added.flatten(1)


@dataclass(frozen=True)
class GeneratorConfig:
    """Size of an `ISTFTGenerator`."""

    channels: int = 256
    blocks: int = 8
    kernel_size: int = 7
    lookahead: int = 0
    """Frames to come that it reads."""


class ISTFTGenerator(nn.Module):
    """log-mel, F0 in Hz and voicing as one `(B, n_mels + 2, frames)` -> waveform `(B, frames * hop_length)`.

    F0 is never 0: where nothing is voiced it holds the last value, and voicing is 0 instead of 1. `channels` and
    `blocks` are the size of the ConvNeXt trunk, which looks `lookahead` frames ahead. Sample `t` depends on no frame
    that begins (`frame * hop_length`) later than sample `t + lookahead_samples`, and on none before `context` frames
    earlier, but for the phase of the source.
    `pitch` is a network of its own, for mels that come without an F0.
    """

    inverse_filters: Tensor
    shares: Tensor
    window: Tensor

    def __init__(self, mel: MelConfig, size: GeneratorConfig) -> None:
        super().__init__()
        channels, blocks, kernel_size, lookahead = size.channels, size.blocks, size.kernel_size, size.lookahead
        if not 0 <= lookahead < kernel_size:
            raise ValueError(f"lookahead must be from 0 to {kernel_size - 1} frames, not {lookahead}")
        self.mel, self.size = mel, size
        self.padding = (kernel_size - 1 - lookahead, lookahead)
        self.enter = nn.Conv1d(mel.n_mels, channels, kernel_size)
        self.enter_pitch = nn.Conv1d(2, channels, 1)
        self.blocks = nn.Sequential(
            *(ConvNeXtBlock1d(channels, kernel_size=kernel_size, scale=1 / blocks, lookahead=0) for _ in range(blocks))
        )
        self.norm = nn.LayerNorm(channels)
        bins = mel.n_fft // 2 + 1
        self.harmonics = nn.Linear(channels, bins)
        self.rotation = nn.Linear(channels, bins)
        self.noise = nn.Linear(channels, bins)
        self.correction = nn.Linear(channels, mel.n_mels)
        for layer in (self.harmonics, self.rotation, self.noise, self.correction):  # the mel as it is, to start with
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.pitch = PitchEstimator(mel.n_mels).requires_grad_(False)
        self.inverse = InverseSTFT(mel)
        self.to_mel = MelSpectrogram(mel)
        filters = self.to_mel.filters
        self.register_buffer("inverse_filters", torch.linalg.pinv(filters), persistent=False)
        # How much each band has to say about a frequency: above and below all bands, nothing.
        self.register_buffer("shares", (filters / filters.sum(1, keepdim=True).clamp_min(1e-8)).T, persistent=False)
        self.register_buffer("window", torch.hann_window(mel.n_fft), persistent=False)
        self.known_bins = int(mel.f_max * mel.n_fft / mel.sample_rate * 0.98)
        self.log_floor = math.log(mel.log_floor)
        overlap = mel.n_fft // mel.hop_length
        self.before = overlap - 1  # frames that the second pass looks back
        # Half of those that overlap reach into a hop from either side.
        past, future = self.before + overlap // 2, NEXT + overlap // 2
        self.context = (kernel_size - 1) * (blocks + 1) - lookahead + past, lookahead + future
        self.lookahead_samples = (lookahead + NEXT) * mel.hop_length + self.inverse.margin

    def forward(self, condition: Tensor) -> Tensor:
        """With fresh noise, and a source whose phase is 0 in the first frame."""
        mel, f0, voiced = condition.split([self.mel.n_mels, 1, 1], dim=1)
        f0, voiced = f0[:, 0].float(), voiced[:, 0]
        phase = phases(f0, voiced, self.mel.hop_length, self.mel.sample_rate).float()
        noise = torch.randn(mel.shape[0], self.noise_length(mel.shape[2]), device=mel.device)
        return self.synthesise(mel, f0, voiced, phase, noise)

    def noise_length(self, frames: int) -> int:
        """Samples of white noise that `frames` frames need."""
        return (frames - 1) * self.mel.hop_length + self.mel.n_fft

    def synthesise(self, mel: Tensor, f0: Tensor, voiced: Tensor, phase: Tensor, noise: Tensor) -> Tensor:
        """log-mel `(B, n_mels, frames)`, F0 in Hz, voicing and the source's phase in radians at the middle of each
        frame, all `(B, frames)`, white noise `(B, noise_length(frames))` -> waveform `(B, frames * hop_length)`."""
        spectrum, wanted = self.first_pass(self.trunk(mel, f0, voiced), mel, f0, voiced, phase, noise)
        frames = F.pad(self.inverse.frames(spectrum), (0, 0, self.before, NEXT))
        known = F.pad(frames.new_ones(mel.shape[2]), (self.before, NEXT))
        return self.inverse(self.second_pass(frames, known, wanted))

    def trunk(self, mel: Tensor, f0: Tensor, voiced: Tensor) -> Tensor:
        """-> what the filters are read from, `(B, channels, frames)`."""
        entered = self.enter(F.pad(standardise(mel), self.padding))
        return self.blocks(entered + self.enter_pitch(self.pitch_features(f0, voiced)))

    def first_pass(
        self, h: Tensor, mel: Tensor, f0: Tensor, voiced: Tensor, phase: Tensor, noise: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The trunk's output and what it was made of -> the filtered sources, complex `(B, frames, n_fft // 2 + 1)`,
        and the log-mel that the second pass is to give them, `(B, n_mels, frames)`."""
        h = self.norm(h.transpose(1, 2))
        with torch.autocast(mel.device.type, enabled=False):  # phases and sums of waves want single precision
            h, mel = h.float(), mel.float()
            prior, limit = self.log_prior(mel), math.log(MAX_GAIN)
            harmonics = torch.polar((prior + self.harmonics(h)).clamp_max(limit).exp(), self.rotation(h))
            breath = (prior + self.noise(h)).clamp_max(limit).exp()
            spectrum = harmonics * self.harmonic_source(f0, voiced, phase) + breath * self.noise_source(noise)
            return spectrum, mel + self.correction(h).transpose(1, 2)

    def second_pass(self, frames: Tensor, known: Tensor, wanted: Tensor) -> Tensor:
        """Frames of the first pass as `InverseSTFT.neighbourhoods` takes them, and the log-mels `(B, n_mels, n)` that
        they should have -> complex `(B, n, n_fft // 2 + 1)`."""
        with torch.autocast(frames.device.type, enabled=False):
            spectrum = torch.fft.rfft(self.inverse.neighbourhoods(frames, known) * self.window)
            missing = wanted - self.to_mel.from_magnitude(magnitude_of(spectrum))
            missing = missing.clamp(-MAX_CORRECTION, MAX_CORRECTION)
            return spectrum * (missing.transpose(1, 2) @ self.shares).exp()

    @staticmethod
    def pitch_features(f0: Tensor, voiced: Tensor) -> Tensor:
        """F0 in Hz and voicing `(B, frames)` -> `(B, 2, frames)`."""
        return torch.stack([(f0 / UNKNOWN_HZ).log2(), voiced], dim=1)

    def log_prior(self, mel: Tensor) -> Tensor:
        """The log of FreeV's first guess of the amplitudes, `|mel . pinv(filters)|`, `(B, frames, n_fft // 2 + 1)`;
        above the mel bands it stays where they end."""
        guess = (mel.exp().transpose(1, 2) @ self.inverse_filters).abs()
        guess = guess.clamp_min(math.exp(self.log_floor)).log()  # so that an empty bin has a gradient
        known = guess[..., : self.known_bins]
        return torch.cat([known, known[..., -8:].mean(-1, keepdim=True).expand_as(guess[..., self.known_bins :])], -1)

    def harmonic_source(self, f0: Tensor, voiced: Tensor, phase: Tensor) -> Tensor:
        """Spectra `(B, frames, n_fft // 2 + 1)`, of unit mean power, of a pulse train: all harmonics up to half the
        sample rate, equally strong; nothing where unvoiced. Each frame is stationary, at its own F0 and phase."""
        rate, n_fft = self.mel.sample_rate, self.mel.n_fft
        time = (torch.arange(n_fft, device=f0.device) - n_fft / 2) / rate
        cycles = phase[..., None] / (2 * math.pi) + f0[..., None] * time
        angle = 2 * math.pi * (cycles - cycles.round())
        count = (rate / 2 / f0).floor()[..., None]
        # The sum of cos(k * angle) for k from 1 to count, in closed form.
        half = (angle / 2).sin()
        pulses = (count * angle / 2).sin() * ((count + 1) * angle / 2).cos() / torch.where(half.abs() < 1e-5, 1.0, half)
        pulses = torch.where(half.abs() < 1e-5, count, pulses)
        # A harmonic of amplitude a has the energy 1.5 * (a * n_fft / 4)^2 under a Hann window.
        amplitude = voiced * (f0 * n_fft / (1.5 * rate)).sqrt() / (n_fft / 4)
        return torch.fft.rfft(pulses * self.window * amplitude[..., None])

    def noise_source(self, noise: Tensor) -> Tensor:
        """White noise `(B, noise_length(frames))` -> the phases of its spectra, with amplitudes of 1: how noise rises
        and falls is in the mel, so it is the filter that sets it."""
        spectrum = torch.fft.rfft(noise.unfold(-1, self.mel.n_fft, self.mel.hop_length) * self.window)
        return spectrum / spectrum.abs().clamp_min(1e-6)
