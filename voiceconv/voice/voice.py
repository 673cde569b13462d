"""A trained voice as a folder: what it needs to convert travels together, and nothing in it is code.

`voice.json` (who speaks, the mel definition, the networks' sizes, licences, figures), `weights.safetensors` (half
precision) and a model card `README.md`; `examples/<speaker>/` may hold short recordings to try it on.
"""

from __future__ import annotations

import dataclasses
import difflib
import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from generative_core.files import write_atomically
from generative_core.nets import ConvNeXtGenerator, GatedGenerator, PatchClassifier
from voiceconv.errors import UserError
from voiceconv.features.mel import RATE_STEP, MelConfig
from voiceconv.features.pitch import PitchStatistics
from voiceconv.user_data import NAME, NAME_RULE, voices_folder

VOICES = Path(__file__).parents[1] / "pretrained" / "voices"
FORMAT = 2  # since pitch is moved by drawing harmonics anew
MAX_WEIGHTS_BYTES = 200_000_000
MAX_JSON_BYTES = 1_000_000
# What the numbers of a mel definition may be: beyond these, a short recording would fill the memory.
MEL_RANGES = {
    "sample_rate": (8000, 48000),
    "n_fft": (256, 8192),
    "hop_length": (64, 2048),
    "win_length": (256, 8192),
    "n_mels": (8, 512),
    "f_min": (0, 4000),
    "f_max": (2000, 24000),
    "log_floor": (1e-10, 1e-2),
}
PITCH_RANGES = {"log_f0_mean": (math.log(30), math.log(1000)), "log_f0_std": (0.001, 2)}
GeneratorInput = Literal["mel", "mask", "moved"]
"""What a generator reads: the source's mel, that and a mask of ones, or the mel with the target's pitch moved in."""
STATISTICS = ("mel_mean", "mel_std", "source_mean", "source_std", "source_tone")
GENERATORS: dict[str, type[nn.Module]] = {"convnext": ConvNeXtGenerator, "gated": GatedGenerator}


@dataclass(frozen=True)
class Speaker:
    """One of the two speakers. `mel_mean` and `mel_std` `(n_mels,)` are of the log-mel over the training speech,
    `source_mean` and `source_std` of the same speech as generators read it, with its pitch moved if they do, and
    `source_tone` the mean of that where it is loud."""

    name: str
    pitch: PitchStatistics
    mel_mean: Tensor
    mel_std: Tensor
    source_mean: Tensor
    source_std: Tensor
    source_tone: Tensor | None  # None: nobody else's speech is brought near to it
    description: str = ""
    licence: str = ""
    credits: str = ""

    @property
    def statistics(self) -> dict[str, Tensor]:
        """Those that there are, by name."""
        found = {name: getattr(self, name) for name in STATISTICS}
        return {name: values for name, values in found.items() if values is not None}

    def normalise(self, mel: Tensor) -> Tensor:
        """log-mel `(..., n_mels, T)` -> zero mean and unit variance in every band, as the generators write it."""
        return (mel - self.mel_mean[:, None]) / self.mel_std[:, None]

    def normalise_source(self, mel: Tensor) -> Tensor:
        """The same of a log-mel that is prepared for translation, as the generators read it. Moving the pitch changes
        the tone, and whatever differs in mean and variance between speakers would else be left to them to learn."""
        return (mel - self.source_mean[:, None]) / self.source_std[:, None]

    def denormalise(self, mel: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return mel * self.mel_std[:, None] + self.mel_mean[:, None]


@dataclass
class Voice:
    """Two speakers and the networks between them; `generator_ab` speaks as `speakers[1]`.

    `generator` holds the network's kind and its arguments, `input` what it reads.
    `judge` is a small classifier of log-mels that hears which of the two speaks; it took no part in the training.
    """

    name: str
    speakers: tuple[Speaker, Speaker]
    mel: MelConfig
    generator: dict[str, Any]
    input: GeneratorInput
    generator_ab: nn.Module
    generator_ba: nn.Module
    judge: nn.Module
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
        if speaker in self.names:
            return self.names.index(speaker)
        near = difflib.get_close_matches(speaker, self.names, n=1, cutoff=0.0)
        raise UserError(
            f"{self.name} has no voice {speaker!r}; did you mean {near[0]!r}? It has: {', '.join(self.names)}."
        )

    def save(self, folder: Path) -> None:
        """Writes `voice.json` and `weights.safetensors` (float16); other files in the folder stay.

        Two files cannot be replaced at once. Between the two, `voice.json` fits the weights before and after: the
        folder holds a whole voice whenever the process is killed.
        """
        folder.mkdir(parents=True, exist_ok=True)
        tensors = {
            f"{part}.{name}": tensor.half().cpu().contiguous()
            for part in ("generator_ab", "generator_ba", "judge")
            for name, tensor in getattr(self, part).state_dict().items()
        }
        for letter, speaker in zip("ab", self.speakers, strict=True):
            for statistic, values in speaker.statistics.items():
                tensors[f"{statistic}_{letter}"] = values.float().cpu().contiguous()
        content = save_tensors(tensors)
        record = {
            "format": FORMAT,
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
            "weights_sha256": hashlib.sha256(content).hexdigest(),
            **self.metadata,
        }
        weights = folder / "weights.safetensors"
        if weights.is_file():
            record["replaced_sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
        write_atomically(folder / "voice.json", (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
        write_atomically(weights, content)

    @classmethod
    def load(cls, name_or_folder: str | Path) -> Voice:
        """Reads a shipped voice or one of the user's by name, or any voice folder.

        Raises `UserError` for whatever does not fit: nothing in the folder is believed before it is checked.
        """
        folder = find_voice(name_or_folder)
        record = read_record(folder / "voice.json")
        weights = folder / "weights.safetensors"
        if not weights.is_file() or weights.stat().st_size > MAX_WEIGHTS_BYTES:
            raise UserError(f"{weights} is missing or over {MAX_WEIGHTS_BYTES // 10**6} MB; copy the voice again.")
        content = weights.read_bytes()
        try:
            if int.from_bytes(content[:8], "little") > MAX_JSON_BYTES:
                raise UserError(f"{weights} is not a safetensors file of a voice: its header is too long.")
            if hashlib.sha256(content).hexdigest() not in (record["weights_sha256"], record.get("replaced_sha256")):
                raise UserError(f"{weights} is not the file that voice.json was written for. Copy both again.")
            tensors = {key: value.float() for key, value in load_tensors(content).items()}
            broken = [key for key, value in tensors.items() if not value.isfinite().all()]
            if broken:
                raise UserError(f"{weights} holds values that are not finite, first in {broken[0]}. Train it again.")
            return cls._from_record(record, tensors, folder)
        except UserError:
            raise
        except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{folder} is not a complete voice of this program ({error!s}).") from error

    @classmethod
    def _from_record(cls, record: dict[str, Any], tensors: dict[str, Tensor], folder: Path) -> Voice:
        a, b = (
            Speaker(
                name=_checked_name(entry["name"]),
                pitch=PitchStatistics(*(_within(key, entry[key], limits) for key, limits in PITCH_RANGES.items())),
                **{s: tensors.pop(f"{s}_{letter}") for s in STATISTICS if s != "source_tone"},
                source_tone=tensors.pop(f"source_tone_{letter}", None),
                description=_one_line(entry["description"]),
                licence=_one_line(entry["licence"]),
                credits=_one_line(entry["credits"]),
            )
            for letter, entry in zip("ab", record["speakers"], strict=True)
        )
        mel = _checked_mel(record["mel"])
        _check_speakers((a, b), mel)
        if record["input"] not in get_args(GeneratorInput):
            raise ValueError(f"input {record['input']!r} is not one of {', '.join(get_args(GeneratorInput))}")
        planes = 2 if record["input"] == "mask" else 1
        if (record["generator"].get("bands"), record["generator"].get("planes")) != (mel.n_mels, planes):
            raise ValueError(f"the generators must read {planes} planes of {mel.n_mels} bands")
        if record["generator"].get("blocks", 0) > len(tensors):
            raise ValueError(f"there are no weights for {record['generator']['blocks']} blocks")
        networks = {}
        for part, build in (
            ("generator_ab", lambda: build_generator(record["generator"])),
            ("generator_ba", lambda: build_generator(record["generator"])),
            ("judge", build_judge),
        ):
            prefix = f"{part}."
            weights = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
            with torch.device("meta"):  # sizes only: what the file claims may be more than there is memory for
                _require_shapes(part, build(), weights)
            networks[part] = build()
            networks[part].load_state_dict(weights)
            networks[part].eval().requires_grad_(False)
        known = {"format", "name", "speakers", "mel", "generator", "input", "weights_sha256", "replaced_sha256"}
        metadata = {key: value for key, value in record.items() if key not in known}
        generator = record["generator"]
        if not isinstance(metadata.get("training", {}), dict):
            raise ValueError("training must say by name how the voice was trained")
        require_clip_lists(metadata.get("development", {}))
        name = _checked_name(record["name"])
        return cls(name, (a, b), mel, generator, record["input"], metadata=metadata, folder=folder, **networks)


def available_voices() -> list[str]:
    """The names of the voices that came with the program, then those of the user's own."""
    return [*_voices_in(VOICES), *(name for name in _voices_in(voices_folder()) if name not in _voices_in(VOICES))]


def _voices_in(folder: Path) -> list[str]:
    return sorted(path.parent.name for path in folder.glob("*/voice.json") if NAME.fullmatch(path.parent.name))


def build_generator(description: Mapping[str, Any]) -> nn.Module:
    """`{"kind": "convnext", ...}` -> the network, the other entries being its arguments."""
    arguments = dict(description)
    kind = arguments.pop("kind")
    if kind not in GENERATORS:
        raise UserError(f"The generator kind {kind!r} is not one of {', '.join(GENERATORS)}.")
    if any(not isinstance(value, int) or not 0 < value <= 4096 for value in arguments.values()):
        raise UserError(f"The generator's sizes must be whole numbers from 1 to 4096, got {arguments}.")
    return GENERATORS[kind](**arguments)


def build_judge() -> PatchClassifier:
    """The classifier that says which of two speakers a log-mel `(B, 1, n_mels, frames)` is of."""
    return PatchClassifier(classes=2, planes=1, channels=16, layers=4)


def find_voice(name_or_folder: str | Path) -> Path:
    for known in (VOICES, voices_folder()):
        if str(name_or_folder) in _voices_in(known):
            return known / str(name_or_folder)
    folder = Path(name_or_folder)
    if (folder / "voice.json").is_file():
        return folder
    if (folder / "voice" / "voice.json").is_file():  # a run folder
        return folder / "voice"
    if folder.exists():
        raise UserError(f"{folder} is no voice: it has no voice.json. Give the folder that `voiceconv train` wrote.")
    near = difflib.get_close_matches(str(name_or_folder), available_voices(), n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UserError(
        f"There is no voice {str(name_or_folder)!r}, neither by name ({', '.join(available_voices())}) nor as a folder."
        f"{hint}"
    )


def read_record(path: Path) -> dict[str, Any]:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UserError(f"{path} is over {MAX_JSON_BYTES // 10**6} MB; a voice.json is a page of text.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair could not be shown to anyone
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}). Copy the voice again.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else None
        raise UserError(
            f"{path} has the format {found!r}, this program reads format {FORMAT}. If it is of a newer version, update "
            "voiceconv; if it is of an older one, train it again."
        )
    return record


def _checked_name(value: Any) -> str:
    if not isinstance(value, str) or not NAME.fullmatch(value):
        raise ValueError(f"{value!r} cannot be a name: {NAME_RULE}")
    return value


def _one_line(value: Any) -> str:
    """What is printed in terminals must not steer them."""
    return "".join(letter if letter.isprintable() else " " for letter in str(value))


def require_clip_lists(value: Any) -> None:
    """Raises `ValueError` unless it is a list of recordings' names for each speaker."""
    if not isinstance(value, dict) or not all(
        isinstance(names, list) and all(isinstance(name, str) for name in names) for names in value.values()
    ):
        raise ValueError('recordings must be one list per speaker: {"alice": ["one.wav", ...], "bob": [...]}')


def _checked_mel(values: dict[str, Any]) -> MelConfig:
    mel = MelConfig.from_dict(values)
    for key, limits in MEL_RANGES.items():
        _within(key, values[key], limits)
        if key not in ("f_min", "f_max", "log_floor") and not isinstance(values[key], int):
            raise ValueError(f"{key} must be a whole number, not {values[key]!r}")
    if mel.win_length != mel.n_fft or mel.hop_length > mel.n_fft or not mel.f_min < mel.f_max <= mel.sample_rate / 2:
        raise ValueError(f"the numbers of the mel definition do not go together: {values}")
    if mel.sample_rate % (RATE_STEP // 2):
        # Resampling from a rate without a common divisor, to move a pitch, takes minutes and gigabytes.
        raise ValueError(f"sample_rate must be a multiple of {RATE_STEP // 2} Hz, not {mel.sample_rate}")
    return mel


def _check_speakers(speakers: tuple[Speaker, Speaker], mel: MelConfig) -> None:
    if speakers[0].name == speakers[1].name:
        raise ValueError(f"both speakers are called {speakers[0].name!r}")
    for speaker in speakers:
        for name, values in speaker.statistics.items():
            if values.shape != (mel.n_mels,) or values.abs().max() > 100:
                raise ValueError(f"{name} of {speaker.name} must be {mel.n_mels} numbers of log-mel")
            if name.endswith("std") and values.min() < 1e-3:
                raise ValueError(f"{name} of {speaker.name} must be positive")


def _require_shapes(part: str, network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for key in sorted({*expected, *weights}):
        found = tuple(weights[key].shape) if key in weights else None
        if found != expected.get(key):
            raise ValueError(f"the weights {part}.{key} have the shape {found}, but {expected.get(key)} was expected")


def _within(name: str, value: Any, limits: tuple[float, float]) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool) or not limits[0] <= value <= limits[1]:
        raise ValueError(f"{name} must be a number from {limits[0]:g} to {limits[1]:g}, not {value!r}")
    return float(value)
