"""Writes docs/audio: clips that ship with the voices, and the same clips converted (`python docs/examples.py`).

None of these clips was trained on. Each pair takes the first example of a speaker in alphabetical order, so that no
pair is chosen by ear.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from numpy.typing import NDArray

from voiceconv import VoiceConverter, load_audio

AUDIO = Path(__file__).parent / "audio"
PAIRS = (
    ("allison-joe", "allison", "joe"),
    ("allison-joe", "joe", "allison"),
    ("allison-carlo", "carlo", "allison"),
    ("bigfish-smallfish", "bigfish", "smallfish"),
)
"""Voice, speaker of the clip, target."""


def write_mp3(path: Path, wav: NDArray[np.float32], sample_rate: int, comment: str = "") -> None:
    """Writes mono sound `(samples,)` in [-1, 1]."""
    with soundfile.SoundFile(path, "w", sample_rate, channels=1, format="MP3") as file:
        if comment:
            file.comment = comment
        file.write(wav)


def main() -> None:
    """Writes two files for each pair, such as `allison.mp3` and `allison-to-joe.mp3`."""
    AUDIO.mkdir(exist_ok=True)
    for name, source, target in PAIRS:
        converter = VoiceConverter.from_pretrained(name)
        wav = load_audio(converter.voice.examples[source][0], converter.sample_rate)
        converted = converter.convert(wav, target=target)
        write_mp3(AUDIO / f"{source}.mp3", wav, converter.sample_rate)
        write_mp3(AUDIO / f"{source}-to-{target}.mp3", converted, converter.sample_rate, converter.comment(target))


if __name__ == "__main__":
    main()
