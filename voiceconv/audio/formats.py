"""Lists the file formats that are read and written, by extension."""

from __future__ import annotations

# fmt: off
AUDIO_EXTENSIONS = frozenset({
    ".wav", ".wave", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".m4a", ".mp4", ".aac", ".webm", ".mka",
    ".aif", ".aiff", ".caf", ".amr", ".3gp", ".wma",
})
# fmt: on
WRITTEN_AS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
"""Extension of what is written -> format and encoding, as libsndfile calls them."""
