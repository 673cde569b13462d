"""Lists the file formats that are read and written, by extension."""

from __future__ import annotations

# fmt: off
AUDIO_EXTENSIONS = frozenset({
    ".wav", ".wave", ".w64", ".rf64", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".mp2", ".mpga", ".aac", ".amr", ".wma",
    ".m4a", ".m4b", ".m4v", ".mp4", ".mov", ".3gp", ".3g2", ".mka", ".mkv", ".webm",
    ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".sph", ".nist",
})
# What often lies beside recordings and is no recording: texts, notes, pictures.
COMPANIONS = frozenset({
    ".txt", ".csv", ".tsv", ".json", ".jsonl", ".md", ".html", ".pdf", ".lab", ".textgrid", ".srt", ".vtt",
    ".jpg", ".jpeg", ".png", ".webp", ".ini", ".db", ".log", "",
})
# fmt: on
WRITTEN_AS = {".wav": ("WAV", "PCM_16"), ".flac": ("FLAC", "PCM_16"), ".ogg": ("OGG", "VORBIS")}
"""Extension of what is written -> format and encoding, as libsndfile calls them."""
