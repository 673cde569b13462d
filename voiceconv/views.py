"""What a converter's training reads beside the recordings: each prepared for translation, and altered to be restored.

A translation starts from the source's words at the target's pitch, because moving the pitch is a calculation and needs
no learning. The identity loss starts from the target's own speech with formants, tone and noise changed at random, as
if somebody else spoke it: undoing that teaches the generator to keep the words of any speaker and give them its voice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from voiceconv.dataset import SpeakerData
from voiceconv.mel import MelSpectrogram
from voiceconv.pitch import semitones_between
from voiceconv.source_filter import move
from voiceconv.voice import Speaker

ALTERED_VERSIONS = 3  # of each segment
FORMANT_SEMITONES = 4.0  # either way: a child's vocal tract to a large man's
NOISE_DB = (45.0, 15.0)  # under the speech, in half of the versions
TONE = 0.25  # standard deviation of level and tilt, in those of the bands


def views(
    speaker: Speaker, other: Speaker, data: SpeakerData, mel: MelSpectrogram, generator: torch.Generator
) -> list[Tensor]:
    """Each training segment of `speaker` as planes `(3, n_mels, frames)` (float16), `ALTERED_VERSIONS` times: itself,
    at the pitch of `other`, and altered. All in the normalisation that the networks read them in."""
    onward = semitones_between(speaker.pitch.median_hz, other.pitch.median_hz)
    pictures = []
    for name in data.train:
        wav = data.wavs[name].float()
        real, moved = speaker.normalise(data.mels[name]), speaker.normalise(move(mel, wav, pitch=onward))
        for _ in range(ALTERED_VERSIONS):
            formants, chance, decibels = torch.rand(3, generator=generator).tolist()
            noisy = wav
            if chance < 0.5:
                level = wav.square().mean().sqrt() * 10 ** (
                    -(NOISE_DB[0] + decibels * (NOISE_DB[1] - NOISE_DB[0])) / 20
                )
                noisy = wav + level * torch.randn(wav.shape, generator=generator)
            altered = move(mel, noisy, formants=(2 * formants - 1) * FORMANT_SEMITONES)
            pictures.append(torch.stack([real, moved, other.normalise(altered)]).half())
    return pictures


def change_tone(crop: Tensor, generator: torch.Generator) -> Tensor:
    """Planes `(3, n_mels, frames)` of `views` with the level and the tone of the altered one changed at random."""
    bands = torch.linspace(0, 1, crop.shape[1])[:, None]
    level, *ripples = (TONE * torch.randn(4, generator=generator)).tolist()
    tone = level + sum(ripple * torch.cos(torch.pi * (n + 1) * bands) for n, ripple in enumerate(ripples))
    return torch.cat([crop[:2], crop[2:] + tone]).float()
