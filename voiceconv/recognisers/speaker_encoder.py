"""Encodes who speaks in a log-mel as a point on a sphere, near the others of that voice, with a network of our own.

It scores a training (`training/preview.py`) and takes no part in any loss. `recipes/speakers.py` trained it to tell a
few speakers apart, each also with pitch and formants altered as if they were others. It is not the encoder that the
evaluation measures with.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.files import write_atomically
from voiceconv.features.mel import standardise
from voiceconv.weights import PRETRAINED

WEIGHTS = PRETRAINED / "recognisers" / "speakers.safetensors"
WINDOW = 128  # frames that are embedded at a time


class SpeakerEncoder(nn.Module):
    """log-mel `(B, n_mels, T)` -> `(B, 96)` of unit length: mean and deviation over time of what convolutions find."""

    def __init__(self, *, bands: int = 80, channels: int = 192, dimensions: int = 96) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(bands, channels, 5),
            nn.GELU(),
            nn.Conv1d(channels, channels, 5, stride=2),
            nn.GELU(),
            nn.Conv1d(channels, channels, 5, stride=2),
            nn.GELU(),
            nn.Conv1d(channels, channels, 3),
            nn.GELU(),
        )
        self.leave = nn.Linear(2 * channels, dimensions)

    def forward(self, mel: Tensor) -> Tensor:
        h = self.layers(standardise(mel))
        return F.normalize(self.leave(torch.cat([h.mean(2), h.std(2)], dim=1)), dim=1)

    @torch.no_grad()
    def of_clip(self, mel: Tensor) -> Tensor:
        """One log-mel `(n_mels, frames)` -> `(96,)` of unit length, the mean of half-overlapping windows."""
        mel = mel.float().repeat(1, -(-WINDOW // mel.shape[1])) if mel.shape[1] < WINDOW else mel.float()
        return F.normalize(self(mel.unfold(1, WINDOW, WINDOW // 2).transpose(0, 1)).mean(0), dim=0)

    def centroid(self, mels: Sequence[Tensor]) -> Tensor:
        """`(96,)`, the middle of the voice in some log-mels `(n_mels, frames)`."""
        return F.normalize(torch.stack([self.of_clip(mel) for mel in mels]).mean(0), dim=0)

    def save(self, path: Path) -> None:
        """One safetensors file in half precision."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save_tensors({key: v.half().contiguous() for key, v in self.state_dict().items()}))

    @classmethod
    def load(cls, path: Path = WEIGHTS) -> SpeakerEncoder:
        """The one that came with the program, or a file that `save` wrote; frozen."""
        network = cls()
        network.load_state_dict({key: value.float() for key, value in load_file(path).items()})
        return network.eval().requires_grad_(False)
