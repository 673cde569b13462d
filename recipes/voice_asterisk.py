"""Trains a voice converter on the Asterisk telephone prompts.

    sudo apt install asterisk-core-sounds-en-g722 asterisk-core-sounds-en
    python -m recipes.voice_asterisk --speaker-a allison --speaker-b my_recordings/joe

The prompts are clean studio speech at 16 kHz in G.722, 20 to 24 minutes a speaker, that Debian and Ubuntu install as
packages: Allison (US English), Carlo (Italian, package names with `it`) and June (Canadian French, `fr`). `--data`
names another place with their folders; the second package of each language has the texts.
The prompts of Allison and June are under CC BY-SA 3.0, Carlo's under CC BY 3.0; so is what is trained on them.

Should reach: with another English speaker of 20 minutes and the preset `cpu`, in about 75 minutes on one core,
Allison's voice or theirs, with most words intelligible. Allison to Carlo or June is the hard case: between two
languages the networks learn the other language's sounds with the voice, and words suffer. `--smoke` takes seconds.
"""

from __future__ import annotations

import gzip
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from tyro.conf import OmitArgPrefixes

from recipes.common.command import run_recipe
from recipes.common.voice import Recording, TrainingConfig, run_folder, smoke_without_data, train_speakers
from voiceconv.audio.files import find_audio, save_audio
from voiceconv.errors import UserError
from voiceconv.voice.speaker_info import SpeakerInfo

SAMPLE_RATE = 16000
SOUNDS = Path("/usr/share/asterisk/sounds")
TEXTS = Path("/usr/share/doc")


class Prompts(NamedTuple):
    """A speaker's folder, the language of the package, and whose speech it is."""

    folder: str
    language: str
    info: SpeakerInfo


CREDITS = "Asterisk core sounds, voiced by {}"
SPEAKERS = {
    "allison": Prompts(
        "en_US_f_Allison",
        "en",
        SpeakerInfo("allison", "female, US English", "CC BY-SA 3.0", CREDITS.format("Allison Smith")),
    ),
    "carlo": Prompts(
        "it_IT_m_Carlo", "it", SpeakerInfo("carlo", "male, Italian", "CC BY 3.0", CREDITS.format("Carlo Flora"))
    ),
    "june": Prompts(
        "fr_CA_f_June",
        "fr",
        SpeakerInfo("june", "female, Canadian French", "CC BY-SA 3.0", CREDITS.format("June Wallack")),
    ),
}


@dataclass(frozen=True)
class AsteriskConfig:
    """Two speakers: allison, carlo or june, or a folder of recordings."""

    speaker_a: str = "allison"
    """First speaker: allison, carlo, june, or a folder of recordings."""
    speaker_b: str = "june"
    """Second speaker, likewise."""
    data: Path = SOUNDS
    """Folder that holds en_US_f_Allison and so on."""
    texts: Path = TEXTS
    """Folder that holds asterisk-core-sounds-en/core-sounds-en.txt.gz and so on; the texts are not needed."""
    training: OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)


def prompt_texts(path: Path) -> dict[str, str]:
    """The lines `name: what is said` of a core-sounds-XX.txt.gz; none if it is not installed."""
    if not path.is_file():
        return {}
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        pairs = (line.split(":", 1) for line in lines if ":" in line and not line.startswith(";"))
        return {name.strip(): text.strip() for name, text in pairs}


def spoken(text: str) -> str:
    """The text without its notes: 'IAX (note: does not say "2")' -> 'IAX'."""
    return re.sub(r"\s*[(\[].*?[)\]]", "", text)


def is_speech(name: str, text: str) -> bool:
    """False for tones, beeps, silences and monkeys: their texts are in brackets, and their names tell where none is."""
    if text.startswith(("[", "(")):
        return False
    return not any(noise in name for noise in ("silence/", "beep", "2tone", "monkeys"))


def decode_g722(path: Path) -> NDArray[np.float32]:
    """Raw G.722, which has no header that would tell what it is -> `(T,)` in [-1, 1] at 16 kHz."""
    import av

    with av.open(str(path), format="g722") as container:
        blocks = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    return np.concatenate(blocks).astype(np.float32) / 32768.0


def asterisk_recordings(prompts: Prompts, data: Path, texts: Path, decoded: Path) -> list[Recording]:
    """The spoken prompts of one speaker, decoded into `decoded`; raises `UserError` if they are not installed."""
    folder, package = data / prompts.folder, f"asterisk-core-sounds-{prompts.language}"
    files = sorted(folder.rglob("*.g722"))
    if not files:
        raise UserError(
            f"There are no .g722 prompts in {folder}. Install them (Debian, Ubuntu: "
            f"apt install {package}-g722 {package}) or name the folder that holds theirs with --data."
        )
    said = prompt_texts(texts / package / f"core-sounds-{prompts.language}.txt.gz")
    recordings = []
    decoded.mkdir(parents=True, exist_ok=True)
    for path in files:
        name = path.relative_to(folder).with_suffix("").as_posix()
        if is_speech(name, said.get(name, "")):
            wav = decoded / f"{name.replace('/', '-')}.wav"
            if not wav.is_file():
                save_audio(wav, decode_g722(path), SAMPLE_RATE)
            recordings.append(Recording(wav.stem, wav, spoken(said.get(name, ""))))
    return recordings


def find_speaker(speaker: str, config: AsteriskConfig, decoded: Path) -> tuple[SpeakerInfo, list[Recording]]:
    """The prompts of allison, carlo or june, or else the recordings in the folder `speaker`."""
    if speaker in SPEAKERS:
        prompts = SPEAKERS[speaker]
        return prompts.info, asterisk_recordings(prompts, config.data, config.texts, decoded / speaker)
    folder = Path(speaker)
    if not folder.is_dir():
        raise UserError(f"{speaker!r} is neither one of {', '.join(SPEAKERS)} nor a folder of recordings.")
    recordings = [Recording(f"{index:05d}-{path.stem}", path) for index, path in enumerate(find_audio(folder))]
    return SpeakerInfo.of_folder(folder), recordings


def main(config: AsteriskConfig) -> None:
    if config.training.smoke and not config.data.is_dir():
        return smoke_without_data(config.training)
    speakers = (config.speaker_a, config.speaker_b)
    decoded = run_folder((Path(speaker).name for speaker in speakers), config.training) / "prompts"
    return train_speakers(dict(find_speaker(speaker, config, decoded) for speaker in speakers), config.training)


if __name__ == "__main__":
    sys.exit(run_recipe(AsteriskConfig, main, __doc__))
