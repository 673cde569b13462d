"""Checks what a voice's record says before it is believed: names, numbers, the mel definition and the speakers.

What is wrong raises `ValueError`, which `Voice.load` reports with the name of the folder.
"""

from __future__ import annotations

import math
from typing import Any

from voiceconv.features.mel import RATE_STEP, MelConfig
from voiceconv.user_data import NAME_RULE, is_name, normalised
from voiceconv.voice.speaker import Speaker

# What the numbers of a mel definition may be: beyond these, a short recording would fill the memory.
MEL_RANGES = {
    "sample_rate": (8000, 48000),
    "n_fft": (256, 8192),
    "hop_length": (64, 2048),
    "win_length": (256, 8192),
    "n_mels": (8, 512),
    "f_min": (0, 4000),
    "f_max": (2000, 24000),
    "log_floor": (1e-10, 1e-2),
}
PITCH_RANGES = {"log_f0_mean": (math.log(30), math.log(1000)), "log_f0_std": (0.001, 2)}


def checked_name(value: Any) -> str:
    if not isinstance(value, str) or not is_name(normalised(value)):
        raise ValueError(f"{value!r} cannot be a name: {NAME_RULE}")
    return normalised(value)


def one_line(value: Any) -> str:
    """What is printed in terminals must not steer them."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def require_clip_lists(value: Any) -> None:
    """Raises `ValueError` unless it is a list of recordings' names for each speaker."""
    if not isinstance(value, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in value.values()
    ):
        raise ValueError('recordings must be one list per speaker: {"alice": ["one.wav", ...], "bob": [...]}')


def checked_mel(values: dict[str, Any]) -> MelConfig:
    mel = MelConfig.from_dict(values)
    for key, limits in MEL_RANGES.items():
        checked_number(key, values[key], limits)
        if key not in ("f_min", "f_max", "log_floor") and not isinstance(values[key], int):
            raise ValueError(f"{key} must be a whole number, not {values[key]!r}")
    if mel.win_length != mel.n_fft or mel.hop_length > mel.n_fft or not mel.f_min < mel.f_max <= mel.sample_rate / 2:
        raise ValueError(f"the numbers of the mel definition do not go together: {values}")
    if mel.sample_rate % (RATE_STEP // 2):
        # Resampling from a rate without a common divisor, to move a pitch, takes minutes and gigabytes.
        raise ValueError(f"sample_rate must be a multiple of {RATE_STEP // 2} Hz, not {mel.sample_rate}")
    return mel


def require_speakers(speakers: tuple[Speaker, Speaker], mel: MelConfig) -> None:
    if speakers[0].name == speakers[1].name:
        raise ValueError(f"both speakers are called {speakers[0].name!r}")
    for speaker in speakers:
        for name, values in speaker.statistics.items():
            if values.shape != (mel.n_mels,) or values.abs().max() > 100:
                raise ValueError(f"{name} of {speaker.name} must be {mel.n_mels} numbers of log-mel")
            if name.endswith("std") and values.min() < 1e-3:
                raise ValueError(f"{name} of {speaker.name} must be positive")


def checked_number(name: str, value: Any, limits: tuple[float, float]) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not limits[0] <= value <= limits[1]:
        raise ValueError(f"{name} must be a number from {limits[0]:g} to {limits[1]:g}, not {value!r}")
    return float(value)
