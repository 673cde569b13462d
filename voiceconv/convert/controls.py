"""Says how a conversion is to differ from the usual: pitch, strength, melody, formants, and noise removed before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from numbers import Real
from typing import Any, Literal

from voiceconv.errors import UserError

Pitch = float | Literal["auto"]

MAX_SEMITONES = 24.0
MAX_FORMANT_SEMITONES = 6.0


@dataclass(frozen=True)
class Controls:
    """What one may ask of a conversion beside its target. Voices are measured with the defaults.

    Raises `UserError` for what is out of range.
    """

    pitch: Pitch = "auto"
    """Semitones above the pitch that is found for the target; "auto" is 0."""
    strength: float = 1.0
    """From 0, the speaker's own voice, to 1, that of the target."""
    melody: float = 1.0
    """How far the pitch moves from its middle: 1 as far as the speaker's does, 0 not at all."""
    formants: float = 0.0
    """Semitones by which the resonances of the throat are moved in the result: a smaller throat is above 0."""
    denoise: bool = False
    """Whether steady background noise is removed before the conversion."""

    def __post_init__(self) -> None:
        if self.pitch != "auto":
            _require(_number(self.pitch), -MAX_SEMITONES, MAX_SEMITONES, "pitch must be 'auto' or semitones")
        _require(self.strength, 0.0, 1.0, "strength must be a number")
        _require(self.melody, 0.0, 1.0, "melody must be a number")
        _require(self.formants, -MAX_FORMANT_SEMITONES, MAX_FORMANT_SEMITONES, "formants must be semitones")

    @property
    def semitones(self) -> float:
        """What is added to the pitch that is found."""
        return 0.0 if self.pitch == "auto" else float(self.pitch)

    @classmethod
    def read(cls, values: Mapping[str, Any]) -> Controls:
        """Those of `values` that are controls; numbers may be written as text."""
        known = {field.name: values[field.name] for field in fields(cls) if values.get(field.name) is not None}
        return cls(**{name: value if name == "denoise" else _number(value) for name, value in known.items()})


def _number(value: Any) -> Any:
    """The number that a text stands for, or the text."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return value


def _require(value: Any, low: float, high: float, expected: str) -> None:
    if not isinstance(value, Real) or not low <= float(value) <= high:
        raise UserError(f"The {expected} from {low:g} to {high:g}, not {value!r}.")


USUAL = Controls()
