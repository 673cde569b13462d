"""Makes the choir from a corpus of synthetic speech: a few megabytes of many voices, which every training learns from.

    python -m recipes.choir --corpus runs/many-voices --out voiceconv/pretrained/choir

Each voice becomes one Ogg Opus file of several sentences with pauses between them. Voices of the synthesiser come
first, then blends of them. A voice that people are to speak through has to know more voices than the two that it was
trained for; `voiceconv/training/choir.py` reads them. `--smoke` takes seconds.
"""

from __future__ import annotations

import io
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from generative_core.files import write_atomically
from recipes.common.command import run_recipe
from recipes.common.corpus import Recording, read_corpus
from voiceconv.audio.files import load_audio
from voiceconv.errors import UserError

RATE = 24_000  # Hz: one that Opus knows
PAUSE_SECONDS = 0.7
COMPRESSION = 0.93  # of libsndfile's scale: about 24 kbit/s


@dataclass(frozen=True)
class ChoirConfig:
    """The corpus, and how much of it."""

    corpus: Path
    """The folder that recipes.many_voices wrote."""
    out: Path = Path("runs/choir")
    """The folder to write."""
    voices: int = 150
    """Number of voices."""
    seconds: float = 11.0
    """Speech of each voice."""
    smoke: bool = False
    """Only check that everything runs, within seconds."""


def main(config: ChoirConfig) -> None:
    by_voice: dict[str, list[Recording]] = {}
    for recording in read_corpus(config.corpus):
        by_voice.setdefault(recording.voice, []).append(recording)
    # English first, which most of the corpus is: the fewest words are lost there.
    for recordings in by_voice.values():
        recordings.sort(key=lambda recording: not recording.language.startswith("en"))
    enough = {voice: taken for voice, own in by_voice.items() if (taken := first_seconds(own, config.seconds))}
    blends = sorted(voice for voice in enough if "*" in voice)
    chosen = sorted(enough.keys() - set(blends))
    left = max(0, min(config.voices - len(chosen), len(blends)))
    chosen += [blends[number * len(blends) // left] for number in range(left)]  # from the whole alphabet
    chosen = chosen[: 2 if config.smoke else config.voices]
    if not chosen:
        raise UserError(f"No voice in {config.corpus} has {config.seconds:g} s of speech. Make more, or ask for fewer.")
    config.out.mkdir(parents=True, exist_ok=True)
    for number, voice in enumerate(chosen):
        pause = np.zeros(round(PAUSE_SECONDS * RATE), np.float32)
        parts = [part for each in enough[voice] for part in (load_audio(config.corpus / each.file, RATE), pause)]
        file = io.BytesIO()
        soundfile.write(file, np.concatenate(parts), RATE, format="OGG", subtype="OPUS", compression_level=COMPRESSION)
        write_atomically(config.out / f"{number:03d}.ogg", file.getvalue())
    write_atomically(config.out / "voices.txt", "".join(f"{voice}\n" for voice in chosen).encode())
    print(f"{len(chosen)} voices are in {config.out}.")


def first_seconds(recordings: list[Recording], seconds: float) -> list[Recording]:
    """The first recordings that are so long together; none if all are shorter."""
    total = 0.0
    for number, recording in enumerate(recordings, 1):
        total += sum(recording.durations)
        if total >= seconds:
            return recordings[:number]
    return []


if __name__ == "__main__":
    sys.exit(run_recipe(ChoirConfig, main, __doc__))
