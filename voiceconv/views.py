"""What a converter's training reads beside the recordings: each prepared for translation, and altered to be restored.

A translation starts from the source's words at the target's pitch, because moving the pitch is a calculation and needs
no learning. The identity loss starts from the target's own speech with formants, tone and noise changed at random, as
if somebody else spoke it: undoing that teaches the generator to keep the words of any speaker and give them its voice.
Both are normalised by their own mean and variance, so that to the generators they are of one kind.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from voiceconv.dataset import SpeakerData, mel_statistics
from voiceconv.mel import MelSpectrogram
from voiceconv.pitch import PitchStatistics, semitones_between
from voiceconv.source_filter import move
from voiceconv.voice import Speaker

ALTERED_VERSIONS = 3  # of each segment
FORMANT_SEMITONES = 4.0  # either way: a child's vocal tract to a large man's
NOISE_DB = (45.0, 15.0)  # under the speech, in half of the versions
TONE = 0.25  # standard deviation of level and tilt, in those of the bands


def moved_mels(data: SpeakerData, other: PitchStatistics, mel: MelSpectrogram) -> list[Tensor]:
    """The log-mels `(n_mels, frames)` of a speaker's training segments at the pitch of the other speaker."""
    onward = semitones_between(data.pitch.median_hz, other.median_hz)
    return [move(mel, data.wavs[name].float(), pitch=onward) for name in data.train]


def views(
    speaker: Speaker, data: SpeakerData, moved: Sequence[Tensor], mel: MelSpectrogram, generator: torch.Generator
) -> list[Tensor]:
    """Each training segment of `speaker` as planes `(3, n_mels, frames)` (float16), `ALTERED_VERSIONS` times: itself,
    at the pitch of the other speaker (`moved_mels`), and altered. All as the networks read and write them."""
    altered = [alter(data.wavs[name].float(), mel, generator) for name in data.train for _ in range(ALTERED_VERSIONS)]
    mean, std = mel_statistics(altered)
    pictures = []
    for number, name in enumerate(data.train):
        real, source = speaker.normalise(data.mels[name]), speaker.normalise_source(moved[number])
        for version in altered[number * ALTERED_VERSIONS : (number + 1) * ALTERED_VERSIONS]:
            pictures.append(torch.stack([real, source, (version - mean[:, None]) / std[:, None]]).half())
    return pictures


def alter(wav: Tensor, mel: MelSpectrogram, generator: torch.Generator) -> Tensor:
    """Speech `(T,)` -> its log-mel with other formants, in every second case under noise."""
    formants, chance, decibels = torch.rand(3, generator=generator).tolist()
    if chance < 0.5:
        level = wav.square().mean().sqrt() * 10 ** (-(NOISE_DB[0] + decibels * (NOISE_DB[1] - NOISE_DB[0])) / 20)
        wav = wav + level * torch.randn(wav.shape, generator=generator)
    return move(mel, wav, formants=(2 * formants - 1) * FORMANT_SEMITONES)


def change_tone(crop: Tensor, generator: torch.Generator) -> Tensor:
    """Planes `(3, n_mels, frames)` of `views` with the level and the tone of the altered one changed at random."""
    bands = torch.linspace(0, 1, crop.shape[1])[:, None]
    level, *ripples = (TONE * torch.randn(4, generator=generator)).tolist()
    tone = level + sum(ripple * torch.cos(torch.pi * (n + 1) * bands) for n, ripple in enumerate(ripples))
    return torch.cat([crop[:2], crop[2:] + tone]).float()
