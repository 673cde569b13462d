"""Trains a voice converter between two speakers of VCTK 0.92 (Yamagishi et al. 2019).

    python -m recipes.voice_vctk --data datasets --download
    python -m recipes.voice_vctk --data datasets --speaker-a p228 --speaker-b p232 --mic-id mic1

110 speakers of many accents read about 400 newspaper sentences each, at 48 kHz. `--data` holds `VCTK-Corpus-0.92` as
torchaudio unpacks it, or is that folder itself; `--download` fetches it if it is missing (11 GB).

Should reach: with some 20 minutes each of one language, the preset `cpu` gives the other
speaker's voice with most words kept in about 75 minutes on one core. Speakers of one accent convert better
(`speaker-info.txt` in the data lists them). `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tyro.conf import OmitArgPrefixes

from recipes.common.command import run_recipe
from recipes.common.voice import Recording, TrainingConfig, smoke_without_data, train_speakers
from voiceconv.errors import UserError
from voiceconv.voice.speaker_info import SpeakerInfo

AUDIO = "wav48_silence_trimmed"
LICENCE = "CC BY 4.0"
CREDITS = "CSTR VCTK Corpus 0.92, University of Edinburgh"


@dataclass(frozen=True)
class VctkConfig:
    """Two speakers of VCTK, heard by one of the two microphones."""

    data: Path | None = None
    """Folder of the data set."""
    download: bool = False
    """Fetch the data set if it is not in the folder (11 GB)."""
    speaker_a: str = "p225"
    """First speaker."""
    speaker_b: str = "p226"
    """Second speaker."""
    mic_id: Literal["mic1", "mic2"] = "mic2"
    """Which of the two microphones; p280 has only mic1."""
    training: OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)


def vctk_recordings(data: Path, speaker: str, mic_id: str) -> list[Recording]:
    """The recordings of one speaker by one microphone, with their texts where there are any."""
    root = next((folder for folder in (data / "VCTK-Corpus-0.92", data) if (folder / AUDIO).is_dir()), None)
    if root is None:
        raise UserError(
            f"VCTK 0.92 is not in {data}: there is no {data / 'VCTK-Corpus-0.92' / AUDIO}. "
            "Fetch it with --download, or name its folder with --data."
        )
    recordings = []
    for path in sorted((root / AUDIO / speaker).glob(f"{speaker}_*_{mic_id}.flac")):
        name = path.stem.removesuffix(f"_{mic_id}")
        text = root / "txt" / speaker / f"{name}.txt"
        recordings.append(Recording(name, path, text.read_text(encoding="utf-8") if text.is_file() else ""))
    if not recordings:
        known = sorted(folder.name for folder in (root / AUDIO).iterdir() if folder.is_dir())
        raise UserError(
            f"There is no recording by {mic_id} of {speaker!r} in {root}; its speakers: {', '.join(known)}."
        )
    return recordings


def main(config: VctkConfig) -> None:
    if config.data is None:
        if config.training.smoke:
            return smoke_without_data(config.training)
        raise UserError("Say where VCTK is, or should be put with --download: --data FOLDER.")
    if config.download and not (config.data / "VCTK-Corpus-0.92").is_dir():
        from torchaudio.datasets import VCTK_092

        config.data.mkdir(parents=True, exist_ok=True)
        VCTK_092(str(config.data), mic_id=config.mic_id, download=True)
    speakers = {
        SpeakerInfo(speaker, f"speaker {speaker} of VCTK", LICENCE, CREDITS): vctk_recordings(
            config.data, speaker, config.mic_id
        )
        for speaker in (config.speaker_a, config.speaker_b)
    }
    return train_speakers(speakers, config.training)


if __name__ == "__main__":
    sys.exit(run_recipe(VctkConfig, main, __doc__))
