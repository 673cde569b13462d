"""Reads the choir: short recordings of many voices, which came with the program for every voice to learn from.

Generators that know one source speaker convert others worse. So half of the pseudo-pairs that they learn from are of
the choir, brought to the pitch and the tone of the source speaker, as anybody is when they are converted.
`recipes/choir.py` made it from synthetic speech. O_O-VC (EMNLP 2025) trains a converter on synthetic speech of many
voices, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from voiceconv.audio.files import find_audio, load_audio
from voiceconv.audio.loudness import normalise_loudness
from voiceconv.convert.adaptation import tone_between
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import PitchStatistics, extract_f0, semitones_between
from voiceconv.training.dataset import segment
from voiceconv.training.disguise import alter
from voiceconv.training.progress import say
from voiceconv.training.pseudo_pairs import Recording
from voiceconv.voice.speaker import Speaker
from voiceconv.weights import PRETRAINED

CHOIR = PRETRAINED / "choir"


class Member(NamedTuple):
    """A sentence: its waveform `(T,)`, log-mel `(n_mels, frames)` and F0 in Hz `(frames,)`, 0 where unvoiced, and the
    middle of its speaker's range in Hz."""

    wav: Tensor
    mel: Tensor
    f0: Tensor
    middle_hz: float

    def at_pitch(self, target: PitchStatistics) -> Recording:
        """As the teacher of a speaker with this pitch reads it."""
        return Recording(self.mel, self.f0 * (target.median_hz / self.middle_hz), (self.mel,))


def read_choir(voices: int, mel: MelSpectrogram) -> list[Member]:
    """The sentences of the first voices, all as loud as what is converted."""
    if not voices:
        return []
    say("Reading the recordings of other voices.")
    rate, members = mel.config.sample_rate, []
    for path in find_audio(CHOIR)[:voices]:
        pieces = segment(normalise_loudness(load_audio(path, rate), rate), rate)
        contours = [np.ascontiguousarray(extract_f0(piece, rate, mel.config.hop_length)) for piece in pieces]
        middle = PitchStatistics.from_f0(contours).median_hz
        for piece, f0 in zip(pieces, contours, strict=True):
            wav = torch.from_numpy(piece.copy())
            members.append(Member(wav, mel(wav), torch.from_numpy(f0).float(), middle))
    return members


def choir_planes(
    choir: Sequence[Member],
    source: Speaker,
    target: PitchStatistics,
    targets: Sequence[Tensor],
    mel: MelSpectrogram,
    seed: int,
) -> list[Tensor]:
    """The choir as planes `(2, n_mels, frames)` (float16): each sentence altered, at the pitch of the target and with
    the tone of the source speaker, and its pseudo-target. Both as the networks read and write them."""
    generator, planes = torch.Generator().manual_seed(seed), []
    seconds_per_frame = mel.config.hop_length / mel.config.sample_rate
    for member, wanted in zip(choir, targets, strict=True):
        onward = semitones_between(member.middle_hz, target.median_hz)
        altered = alter(member.wav, member.f0, mel, generator, onward)
        if source.source_tone is not None:
            altered = altered - tone_between(altered, source.source_tone, seconds_per_frame)[:, None]
        planes.append(torch.stack([source.normalise_source(altered), wanted]).half())
    return planes
