"""Trains a voice converter between two speakers of CMU ARCTIC (Kominek & Black 2004).

    python -m recipes.voice_cmu_arctic --data datasets --download
    python -m recipes.voice_cmu_arctic --data datasets --speaker-a clb --speaker-b rms

All 18 speakers read the same 1132 sentences, at 16 kHz in a quiet room. Each speaker is given only every other
sentence, the one the even and the other the odd ones: nobody at home has two people read the same text, and what is
learnt without pairs should be measured without them. `--data` holds `ARCTIC/cmu_us_bdl_arctic` and so on, as
torchaudio unpacks them, or those folders themselves; `--download` fetches what is missing (about 120 MB a speaker).

Should reach: about 28 minutes each of clean speech in one language is the easy case; the preset `cpu` gives the other
speaker's voice with most words kept in about eighty minutes on one core. `--smoke` takes seconds.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import OmitArgPrefixes

from recipes.common.command import run_recipe
from recipes.common.voice import Recording, TrainingConfig, smoke_without_data, train_speakers
from voiceconv.errors import UserError
from voiceconv.voice.speaker_info import SpeakerInfo

LICENCE = "free for any use with the copyright notice (see COPYING in the data)"
CREDITS = "CMU ARCTIC, Carnegie Mellon University"
Speaker = Literal[
    "aew", "ahw", "aup", "awb", "axb", "bdl", "clb", "eey", "fem", "gka", "jmk", "ksp", "ljm", "lnh", "rms", "rxr",
    "slp", "slt",
]  # fmt: skip


@dataclass(frozen=True)
class ArcticConfig:
    """Two speakers of CMU ARCTIC."""

    data: Path | None = None
    """Folder of the data set."""
    download: bool = False
    """Fetch the speakers that are not in the folder."""
    speaker_a: Speaker = "bdl"
    """First speaker."""
    speaker_b: Speaker = "slt"
    """Second speaker."""
    training: OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)


def arctic_recordings(data: Path, speaker: str, *, download: bool = False) -> list[Recording]:
    """The recordings of one speaker, in the order of the sentences; raises `UserError` if they are not there."""
    name = f"cmu_us_{speaker}_arctic"
    places = [data / "ARCTIC" / name, data / name]
    if download and not any(place.is_dir() for place in places):
        from torchaudio.datasets import CMUARCTIC

        data.mkdir(parents=True, exist_ok=True)
        CMUARCTIC(data, url=speaker, download=True)
    folder = next((place for place in places if (place / "etc" / "txt.done.data").is_file()), None)
    if folder is None:
        raise UserError(
            f"CMU ARCTIC's speaker {speaker} is not in {data}: there is no {places[0]} with wav/ and "
            "etc/txt.done.data in it. Fetch it with --download, or name its folder with --data."
        )
    texts = (folder / "etc" / "txt.done.data").read_text(encoding="utf-8")
    recordings = [
        Recording(name, folder / "wav" / f"{name}.wav", text)
        for name, text in re.findall(r'\(\s*(\S+)\s+"(.*)"\s*\)', texts)
    ]
    return [recording for recording in recordings if recording.path.is_file()]


def main(config: ArcticConfig) -> None:
    if config.data is None:
        if config.training.smoke:
            return smoke_without_data(config.training)
        raise UserError("Say where CMU ARCTIC is, or should be put with --download: --data FOLDER.")
    speakers = {}
    for speaker, parity in ((config.speaker_a, 0), (config.speaker_b, 1)):
        recordings = arctic_recordings(config.data, speaker, download=config.download)
        info = SpeakerInfo(speaker, f"speaker {speaker} of CMU ARCTIC", LICENCE, CREDITS)
        speakers[info] = [recording for recording in recordings if int(recording.name[-4:]) % 2 == parity]
    return train_speakers(speakers, config.training)


if __name__ == "__main__":
    sys.exit(run_recipe(ArcticConfig, main, __doc__))
