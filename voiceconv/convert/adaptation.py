"""Adapts speech of an unknown speaker to the source speaker that a voice was trained on, in pitch and in tone.

The tone is the mean spectrum of a voice and its microphone, taken where somebody speaks. Bringing it nearer to that of
the voice's own source speaker is cepstral mean normalisation (Atal 1974) in part: a part only, because a few seconds
hold some sounds more often than others, and these are what is said.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from voiceconv.convert.controls import USUAL, Controls
from voiceconv.features.mel import MelSpectrogram, cosine_series
from voiceconv.features.source_filter import move_formants

LOUD = 3.0  # nepers (26 dB) under a clip's loudest frame: what counts as speech
TERMS = 12  # of the cosine series over the bands: the tone, without any harmonics
SHARE = 0.6  # of the difference that is taken off; all of it costs words
HALF_BELIEVED_SECONDS = 0.5  # of speech


@dataclass(frozen=True)
class Adaptation:
    """How many semitones a speaker's pitch is moved, and what is then subtracted from their log-mels `(n_mels,)`; and
    what was asked for beyond that, for which `middle_hz` is the middle of the speaker's range."""

    shift: float
    tone: Tensor | None = None
    middle_hz: float = 0.0
    controls: Controls = USUAL

    @property
    def contour(self) -> Callable[[Tensor], Tensor] | None:
        """What makes of an F0 in Hz, 0 where unvoiced, the one that is spoken, unless that is `shift` alone."""
        return None if self.controls.melody == 1 else self._flattened

    def _flattened(self, f0: Tensor) -> Tensor:
        flat = self.middle_hz * (f0 / self.middle_hz) ** self.controls.melody
        return torch.where(f0 > 0, flat * 2 ** (self.shift / 12), 0.0)

    def pitch_of(self, f0: Tensor) -> Tensor:
        """F0 in Hz, 0 where unvoiced, -> the one that is spoken."""
        return f0 * 2 ** (self.shift / 12) if self.controls.melody == 1 else self._flattened(f0)

    def finish(self, mel: MelSpectrogram, moved: Tensor, converted: Tensor) -> Tensor:
        """log-mels `(n_mels, T)` of speech with its pitch moved, and of its conversion, -> what is spoken."""
        if self.controls.strength != 1:
            converted = torch.lerp(moved.to(converted), converted, self.controls.strength)
        return move_formants(mel, converted, self.controls.formants) if self.controls.formants else converted

    def apply(self, moved: Tensor) -> Tensor:
        """log-mel `(n_mels, T)` with its pitch moved -> as the networks know it from training."""
        return moved if self.tone is None else moved - self.tone[:, None]


def speech_frames(mel: Tensor) -> Tensor:
    """The frames of a clip's log-mel `(n_mels, T)` that are loud enough to be speech."""
    level = mel.mean(0)
    return mel[:, level > level.max() - LOUD]


def tone_between(mel: Tensor, usual: Tensor, seconds_per_frame: float) -> Tensor:
    """What is to be taken off log-mels like `mel` `(n_mels, T)` so that their mean comes nearer to `usual` `(n_mels,)`,
    the mean of `speech_frames` of the speaker that networks know."""
    spoken = speech_frames(mel)
    seconds = spoken.shape[1] * seconds_per_frame
    share = SHARE * seconds / (seconds + HALF_BELIEVED_SECONDS)
    return share * cosine_series(spoken.mean(1) - usual.to(mel), TERMS)
