"""Hears what is said in a log-mel, whoever says it, as features of two phoneme recognisers.

One was trained on recordings of few speakers, the other (`recipes/content_encoder.py`) on hundreds of synthetic voices
and the same recordings. Both are the recognisers' last layer before the phonemes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from voiceconv.recognisers.phonemes import PhonemeRecogniser


class ContentEncoder(nn.Module):
    """log-mel `(B, n_mels, T)` -> content `(B, size, T)`. The networks are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.many_voices, self.recordings = PhonemeRecogniser.load("content"), PhonemeRecogniser.load("training")
        self.size = self.many_voices.size["channels"] + self.recordings.size["channels"]

    def forward(self, mel: Tensor) -> Tensor:
        return torch.cat([self.many_voices.features(mel), self.recordings.features(mel)], dim=1)
