"""Computes the statistics of recorded speakers, and tells which folder is of which speaker of a voice."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.evaluation.held_out_clips import Clip, Folder
from voiceconv.evaluation.metrics import without_silence
from voiceconv.features.pitch import PitchStatistics, extract_f0
from voiceconv.voice.speaker import Speaker

Wav = NDArray[np.float32]


@dataclass(frozen=True)
class RecordedSpeaker:
    """The clips of one speaker, and the statistics that the voice holds of them, or those of the clips if it holds
    none."""

    statistics: Speaker
    folder: Folder
    clips: list[Clip]

    @property
    def name(self) -> str:
        return self.statistics.name


def to_mel(converter: VoiceConverter, wav: Wav) -> NDArray[np.float32]:
    """Waveform `(T,)` -> log-mel `(n_mels, frames)` as the voice defines it."""
    return np.asarray(converter.mel(torch.from_numpy(wav).to(converter.device)).cpu(), np.float32)


def statistics_of(name: str, clips: Sequence[Clip], converter: VoiceConverter) -> Speaker:
    """What a voice holds of its own speakers, computed from the clips `(T,)` of another."""
    mels = [to_mel(converter, clip.wav) for clip in clips]
    frames = torch.from_numpy(np.concatenate([without_silence(mel) for mel in mels], axis=1))
    try:
        pitch = PitchStatistics.from_f0([extract_f0(clip.wav, converter.sample_rate) for clip in clips])
    except ValueError:
        raise UserError(f"There is no voice in the clips of {name}: nothing in them has a pitch.") from None
    deviation = frames.std(1).clamp_min(0.1)
    known = converter.voice.speakers[0]
    return dataclasses.replace(known, name=name, pitch=pitch, mel_mean=frames.mean(1), mel_std=deviation)


def speakers_in_order(clips: Sequence[Sequence[Clip]], converter: VoiceConverter) -> list[str]:
    """The names of the voice's two speakers in the order of `clips` (of two folders): each goes to the folder whose
    mel bands and pitch are nearer to its own."""
    found = [statistics_of(str(number), c, converter) for number, c in enumerate(clips)]

    def distance(a: Speaker, b: Speaker) -> float:
        bands = ((a.mel_mean - b.mel_mean) / b.mel_std).square().mean()
        return float(bands) + ((a.pitch.mean - b.pitch.mean) / b.pitch.std) ** 2

    orders = [converter.voice.speakers, converter.voice.speakers[::-1]]
    best = min(orders, key=lambda order: sum(distance(a, b) for a, b in zip(found, order, strict=True)))
    return [speaker.name for speaker in best]
