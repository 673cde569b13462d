"""Speech in, speech out: convert the voice in a recording into another one, and train such voices.

`VoiceConverter.from_pretrained(name).convert(wav, target=...)` is the door; the README shows it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from voiceconv.numba_cache import ensure_numba_cache

if TYPE_CHECKING:
    from voiceconv.audio.files import load_audio, save_audio
    from voiceconv.convert.converter import VoiceConverter
    from voiceconv.errors import UserError
    from voiceconv.voice.voice import Voice, available_voices

__version__ = "0.2.0"
__all__ = ["UserError", "Voice", "VoiceConverter", "available_voices", "load_audio", "save_audio"]

_HOME = {
    "UserError": "errors",
    "Voice": "voice.voice",
    "VoiceConverter": "convert.converter",
    "available_voices": "voice.voice",
    "load_audio": "audio.files",
    "save_audio": "audio.files",
}

ensure_numba_cache()


def __getattr__(name: str) -> Any:
    """Imports on first use: torch takes seconds, and `voiceconv --help` needs none of it."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
