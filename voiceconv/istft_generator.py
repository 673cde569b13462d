"""The network of our own vocoder: from a log-mel to amplitudes and phases, and from these to sound in one inverse STFT.

All learning happens at the rate of the mel's frames, as in Vocos (Siuzdak 2023, arXiv:2306.00814), which is what makes
it fast on a CPU. The amplitudes start from the mel itself, spread back over the frequencies with the pseudo-inverse of
the mel filters as in FreeV (Lv et al. 2024, arXiv:2406.08196), so the network has only their fine structure to learn.

Nothing is normalised over time, and of the frames to come only `lookahead` are used: a part of a clip sounds the same
whatever follows later, which live conversion needs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.nets import ConvNeXtBlock1d, share_lookahead
from voiceconv.mel import MelConfig, MelSpectrogram

MAX_AMPLITUDE = 1e3  # of one frequency of one frame; a full-scale tone has n_fft / 4 = 256


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
        frames = torch.fft.irfft(spectrum) * self.window
        weights = self.window.square().expand(1, *frames.shape[1:])
        return self._overlap_add(frames) / self._overlap_add(weights)

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """`(B, frames, n_fft)` -> `(B, frames * hop_length)`, cut off at both ends where frames are missing."""
        batch, count, n_fft = frames.shape
        overlap = n_fft // self.hop_length
        parts = frames.reshape(batch, count, overlap, self.hop_length)
        # Part k of frame i belongs into hop i + k.
        added = sum(F.pad(parts[:, :, k], (0, 0, k, overlap - 1 - k)) for k in range(overlap))
        assert isinstance(added, Tensor)
        return added.flatten(1)[:, self.margin : self.margin + count * self.hop_length]


class ISTFTGenerator(nn.Module):
    """log-mel `(B, n_mels, frames)` -> waveform `(B, frames * hop_length)`.

    `channels` and `blocks` are the size of the ConvNeXt trunk. Sample `t` depends on no frame that begins
    (`frame * hop_length`) later than sample `t + lookahead_samples`, and on none before `context` frames earlier.
    """

    inverse_filters: Tensor

    def __init__(
        self, mel: MelConfig, *, channels: int = 256, blocks: int = 8, kernel_size: int = 7, lookahead: int = 4
    ) -> None:
        super().__init__()
        layers = blocks + 1
        ahead = share_lookahead(layers, kernel_size, lookahead)
        self.padding = (kernel_size - 1 - ahead[0], ahead[0])
        self.enter = nn.Conv1d(mel.n_mels, channels, kernel_size)
        self.blocks = nn.Sequential(
            *(
                ConvNeXtBlock1d(channels, kernel_size=kernel_size, scale=1 / blocks, lookahead=frames)
                for frames in ahead[1:]
            )
        )
        self.norm = nn.LayerNorm(channels)
        self.amplitude = nn.Linear(channels, mel.n_fft // 2 + 1)
        self.phase = nn.Linear(channels, mel.n_fft // 2 + 1)
        nn.init.zeros_(self.amplitude.weight)  # the prior as it is, to start with
        nn.init.zeros_(self.amplitude.bias)
        self.inverse = InverseSTFT(mel)
        self.register_buffer("inverse_filters", torch.linalg.pinv(MelSpectrogram(mel).filters), persistent=False)
        self.log_floor = math.log(mel.log_floor)
        overlap = mel.n_fft // mel.hop_length // 2  # frames that reach into a hop from either side
        self.context = (kernel_size - 1) * layers - lookahead + overlap, lookahead + overlap
        self.lookahead_samples = lookahead * mel.hop_length + self.inverse.margin

    def forward(self, mel: Tensor) -> Tensor:
        h = self.trunk(mel)
        with torch.autocast(mel.device.type, enabled=False):  # phases and sums of waves want single precision
            return self.inverse(self.spectrum(mel.float(), h.float()))

    def trunk(self, mel: Tensor) -> Tensor:
        """log-mel -> what amplitudes and phases are read from, `(B, frames, channels)`."""
        h = self.enter(F.pad((mel + 5) / 2, self.padding))  # log-mels of speech are about -5 +- 2
        return self.norm(self.blocks(h).transpose(1, 2))

    def spectrum(self, mel: Tensor, h: Tensor) -> Tensor:
        """log-mel and the trunk's output `(B, frames, channels)` -> complex `(B, frames, n_fft // 2 + 1)`."""
        amplitude = (self.log_prior(mel) + self.amplitude(h)).clamp_max(math.log(MAX_AMPLITUDE)).exp()
        return torch.polar(amplitude, self.phase(h))

    def log_prior(self, mel: Tensor) -> Tensor:
        """The log of FreeV's first guess of the amplitudes, `|mel . pinv(filters)|`, `(B, frames, n_fft // 2 + 1)`;
        where there are no mel bands, above f_max, it is the floor."""
        return (mel.exp().transpose(1, 2) @ self.inverse_filters).abs().log().clamp_min(self.log_floor)
