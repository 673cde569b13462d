"""Trains the small classifier that says which of a voice's two speakers is speaking."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from generative_core.training.data import UnpairedLoader
from voiceconv.training.dataset import MelCrops, SpeakerData
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import build_speaker_classifier

STEPS = 300
FRAMES = 64
BATCH_SIZE = 16  # of each speaker


def train_speaker_classifier(
    speakers: tuple[Speaker, Speaker], data: tuple[SpeakerData, SpeakerData], seed: int
) -> dict[str, Tensor]:
    """Weights of a small classifier of the two speakers' real speech, which scores previews and conversions; no loss
    uses it.

    Levels and tilts of the spectrum vary at random, so that it cannot go by the microphone alone.
    """
    mean = (speakers[0].mel_mean + speakers[1].mel_mean) / 2
    std = (speakers[0].mel_std + speakers[1].mel_std) / 2
    crops_a, crops_b = (
        MelCrops([(d.mels[n][None] - mean[:, None]) / std[:, None] for n in d.train], FRAMES) for d in data
    )
    tilt = torch.linspace(-1, 1, mean.shape[0])[:, None]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        classifier = build_speaker_classifier()

        def vary(crop: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            level, slope = (torch.randn(2, generator=generator) * 0.3).tolist()
            return crop + level + slope * tilt

        loader = UnpairedLoader(crops_a, crops_b, BATCH_SIZE, seed=seed, transform=vary)
        optimizer = torch.optim.AdamW(classifier.parameters(), 1e-3)
        labels = torch.arange(2).repeat_interleave(BATCH_SIZE)
        for _ in range(STEPS):
            batch = next(loader)
            loss = F.cross_entropy(classifier(torch.cat([batch["a"], batch["b"]])), labels, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return classifier.state_dict()
