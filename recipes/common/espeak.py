"""Opens espeak-ng, which turns texts into phonemes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from voiceconv.errors import UserError

if TYPE_CHECKING:
    from phonemizer.backend import EspeakBackend


def load_espeak(language: str, **options: Any) -> EspeakBackend:
    """Reads texts of a language, as espeak-ng calls it; raises `UserError` where it is unknown or not installed."""
    try:
        import espeakng_loader
        from phonemizer.backend import EspeakBackend
        from phonemizer.backend.espeak.wrapper import EspeakWrapper
    except ImportError as error:
        raise UserError(f"Turning text into phonemes needs the extra: pip install '.[phonemes]' ({error})") from error
    EspeakWrapper.set_library(espeakng_loader.get_library_path())
    EspeakWrapper.set_data_path(espeakng_loader.get_data_path())
    try:
        return EspeakBackend(language, language_switch="remove-flags", **options)
    except RuntimeError as error:
        raise UserError(f"espeak-ng has no language {language!r}; English is en-us, Italian it.") from error
