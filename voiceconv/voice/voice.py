"""Saves and loads a trained voice: a folder with all that conversion needs, and no code.

`voice.json` (who speaks, the mel definition, the networks' sizes, licences, figures), `weights.safetensors` (half
precision) and a model card `README.md`; `examples/<speaker>/` may hold short recordings to try it on.
"""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from generative_core.nets import ConvNeXtGenerator, GatedGenerator, PatchClassifier
from voiceconv import weights
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.features.pitch import PitchStatistics
from voiceconv.user_data import is_name, normalised, voices_folder
from voiceconv.voice.speaker import STATISTICS, Speaker
from voiceconv.voice.validation import (
    PITCH_RANGES,
    checked_mel,
    checked_name,
    checked_number,
    one_line,
    require_clip_lists,
    require_speakers,
)

VOICES = weights.PRETRAINED / "voices"
RECORD = "voice.json"
FORMAT = 2  # since pitch is moved by drawing harmonics anew
MAX_WEIGHTS_BYTES = 200_000_000
GeneratorInput = Literal["mel", "mask", "moved"]
"""What a generator reads: the source's mel, that and a mask of ones, or the mel with the target's pitch moved in."""
# Attribute of `Voice` -> how its weights are called in the file.
NETWORKS = {"generator_ab": "generator_ab", "generator_ba": "generator_ba", "speaker_classifier": "judge"}
GENERATORS: dict[str, type[nn.Module]] = {"convnext": ConvNeXtGenerator, "gated": GatedGenerator}


@dataclass
class Voice:
    """Two speakers and the networks between them; `generator_ab` speaks as `speakers[1]`.

    `generator` holds the network's kind and its arguments, `input` what it reads.
    `speaker_classifier` tells from a log-mel which of the two speaks; no network was trained against it.
    """

    name: str
    speakers: tuple[Speaker, Speaker]
    mel: MelConfig
    generator: dict[str, Any]
    input: GeneratorInput
    generator_ab: nn.Module
    generator_ba: nn.Module
    speaker_classifier: nn.Module
    metadata: dict[str, Any] = field(default_factory=dict)
    folder: Path | None = None

    @property
    def names(self) -> tuple[str, str]:
        return self.speakers[0].name, self.speakers[1].name

    @property
    def examples(self) -> dict[str, list[Path]]:
        """Short recordings of each speaker that came with the voice."""
        if self.folder is None:
            return {}
        found = {name: sorted((self.folder / "examples" / name).glob("*.*")) for name in self.names}
        return {name: paths for name, paths in found.items() if paths}

    def index(self, speaker: str) -> int:
        """0 or 1; raises `UserError` that names the nearest for an unknown speaker."""
        speaker = normalised(speaker)
        if speaker in self.names:
            return self.names.index(speaker)
        near = difflib.get_close_matches(speaker, self.names, n=1, cutoff=0.0)
        raise UserError(
            f"{self.name} has no voice {speaker!r}; did you mean {near[0]!r}? It has: {', '.join(self.names)}."
        )

    def save(self, folder: Path) -> None:
        """Writes `voice.json` and `weights.safetensors` (float16), as `weights.save` does; other files stay."""
        tensors = {
            f"{stored}.{name}": tensor.half()
            for part, stored in NETWORKS.items()
            for name, tensor in getattr(self, part).state_dict().items()
        }
        for letter, speaker in zip("ab", self.speakers, strict=True):
            tensors |= {f"{name}_{letter}": values.float() for name, values in speaker.statistics.items()}
        record = {
            "name": self.name,
            "speakers": [
                {
                    "name": s.name,
                    "description": s.description,
                    "licence": s.licence,
                    "credits": s.credits,
                    "log_f0_mean": round(s.pitch.mean, 4),
                    "log_f0_std": round(s.pitch.std, 4),
                }
                for s in self.speakers
            ],
            "mel": dataclasses.asdict(self.mel),
            "generator": self.generator,
            "input": self.input,
            **self.metadata,
        }
        weights.save(folder / RECORD, record, tensors, FORMAT)

    @classmethod
    def load(cls, name_or_folder: str | Path) -> Voice:
        """Reads a shipped voice or one of the user's by name, or any voice folder.

        Raises `UserError` for whatever does not fit: nothing in the folder is believed before it is checked.
        """
        folder = find_voice(name_or_folder)
        record = read_record(folder / RECORD)
        try:
            tensors, _ = weights.read_weights(folder / RECORD, record, MAX_WEIGHTS_BYTES)
            return cls._from_record(record, tensors, folder)
        except UserError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{folder} is not a complete voice of this program ({error!s}).") from error

    @classmethod
    def _from_record(cls, record: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> Voice:
        a, b = (
            Speaker(
                name=checked_name(entry["name"]),
                pitch=PitchStatistics(
                    *(checked_number(key, entry[key], limits) for key, limits in PITCH_RANGES.items())
                ),
                **{s: tensors.pop(f"{s}_{letter}") for s in STATISTICS if s != "source_tone"},
                source_tone=tensors.pop(f"source_tone_{letter}", None),
                description=one_line(entry["description"]),
                licence=one_line(entry["licence"]),
                credits=one_line(entry["credits"]),
            )
            for letter, entry in zip("ab", record["speakers"], strict=True)
        )
        mel = checked_mel(record["mel"])
        require_speakers((a, b), mel)
        if record["input"] not in get_args(GeneratorInput):
            raise ValueError(f"input {record['input']!r} is not one of {', '.join(get_args(GeneratorInput))}")
        planes = 2 if record["input"] == "mask" else 1
        if (record["generator"].get("bands"), record["generator"].get("planes")) != (mel.n_mels, planes):
            raise ValueError(f"the generators must read {planes} planes of {mel.n_mels} bands")
        if record["generator"].get("blocks", 0) > len(tensors):
            raise ValueError(f"there are no weights for {record['generator']['blocks']} blocks")
        networks = {}
        for part, stored in NETWORKS.items():
            build = build_speaker_classifier if stored == "judge" else partial(build_generator, record["generator"])
            prefix = f"{stored}."
            own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            with torch.device("meta"):  # sizes only: what the file claims may be more than there is memory for
                weights.require_shapes(stored, build(), own)
            networks[part] = build()
            networks[part].load_state_dict(own)
            networks[part].eval().requires_grad_(False)
        known = {*weights.FORMAT_KEYS, "name", "speakers", "mel", "generator", "input"}
        metadata = {key: value for key, value in record.items() if key not in known}
        generator = record["generator"]
        if not isinstance(metadata.get("training", {}), dict):
            raise ValueError("training must be an object that names the settings of the training")
        require_clip_lists(metadata.get("development", {}))
        name = checked_name(record["name"])
        return cls(name, (a, b), mel, generator, record["input"], metadata=metadata, folder=folder, **networks)


def available_voices() -> list[str]:
    """The names of the voices that came with the program, then those of the user's own."""
    return list(_voices_in(VOICES) | _voices_in(voices_folder()))


def voice_with(speaker: str, first: str = "allison-joe") -> str:
    """The name of a voice that has this speaker: `first` if it has, otherwise the one that was measured to sound most
    like them. Raises `UserError` that names the nearest if there is none."""
    speaker = normalised(speaker)
    found: dict[str, dict[str, float]] = {}  # speaker -> voice -> similarity
    for name in dict.fromkeys([first, *available_voices()]):
        with suppress(OSError, UserError, KeyError, TypeError, AttributeError):  # a damaged folder
            record = read_record(find_voice(name) / RECORD)
            names = [str(entry["name"]) for entry in record["speakers"]]
            for source, target in (names, names[::-1]):
                found.setdefault(target, {})[name] = _similarity(record.get("measured"), f"{source} to {target}")
    voices = found.get(speaker)
    if voices is None:
        near = difflib.get_close_matches(speaker, found, n=1, cutoff=0.0)
        raise UserError(
            f"No voice has a speaker {speaker!r}; did you mean {near[0]!r}? There are: {', '.join(sorted(found))}."
        )
    return first if first in voices else max(voices, key=lambda name: voices[name])


def _similarity(measured: Any, way: str) -> float:
    figures = measured.get(way) if isinstance(measured, dict) else None
    value = figures.get("similarity to target") if isinstance(figures, dict) else None
    return float(value) if isinstance(value, int | float) else 0.0


def _voices_in(folder: Path) -> dict[str, Path]:
    """Name -> folder of the voices in `folder`, sorted."""
    found = sorted(path.parent for path in folder.glob(f"*/{RECORD}") if is_name(path.parent.name))
    return {normalised(path.name): path for path in found}


def build_generator(description: Mapping[str, Any]) -> nn.Module:
    """`{"kind": "convnext", ...}` -> the network, the other entries being its arguments."""
    arguments = dict(description)
    kind = arguments.pop("kind")
    if kind not in GENERATORS:
        raise UserError(f"The generator kind {kind!r} is not one of {', '.join(GENERATORS)}.")
    if any(not isinstance(value, int) or not 0 < value <= 4096 for value in arguments.values()):
        raise UserError(f"The generator's sizes must be whole numbers from 1 to 4096, got {arguments}.")
    return GENERATORS[kind](**arguments)


def build_speaker_classifier() -> PatchClassifier:
    """An untrained classifier that says which of two speakers a log-mel `(B, 1, n_mels, frames)` is of."""
    return PatchClassifier(classes=2, planes=1, channels=16, layers=4)


def find_voice(name_or_folder: str | Path) -> Path:
    for known in (_voices_in(VOICES), _voices_in(voices_folder())):
        if path := known.get(normalised(str(name_or_folder))):
            return path
    folder = Path(name_or_folder)
    if (folder / RECORD).is_file():
        return folder
    if (folder / "voice" / RECORD).is_file():  # a run folder
        return folder / "voice"
    if folder.exists():
        raise UserError(f"{folder} is no voice: it has no {RECORD}. Give the folder that `voiceconv train` wrote.")
    near = difflib.get_close_matches(str(name_or_folder), available_voices(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UserError(
        f"There is no voice {str(name_or_folder)!r}, neither by name ({', '.join(available_voices())}) nor as a folder."
        f"{hint}"
    )


def read_record(path: Path) -> dict[str, Any]:
    """What the `voice.json` at `path` says, not yet checked; raises `UserError` if it is none of this program's."""
    return weights.read_record(path, FORMAT)
