"""Reads a folder of recordings into checked, segmented training data, which is kept beside the run."""

from __future__ import annotations

import bisect
import contextlib
import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import librosa
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor

from generative_core.files import write_atomically
from voiceconv.audio.files import find_audio, load_audio
from voiceconv.audio.loudness import SILENCE_PEAK
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.features.pitch import PitchStatistics, extract_f0
from voiceconv.training.progress import say

MAX_SEGMENT_SECONDS = 10.0
MIN_SEGMENT_SECONDS = 0.3
MAX_PAUSE_SECONDS = 0.5  # longer pauses are cut out: hours of silence teach nothing
TRIM_DB = 45.0  # below the loudest frame: what counts as a pause
DEVELOPMENT_SHARE = 0.1
MIN_SPEECH_SECONDS = 20.0


@dataclass(frozen=True)
class SpeakerData:
    """One speaker's segments by name: waveforms `(T,)` (float16), log-mels `(n_mels, frames)`, F0 `(frames,)` in Hz;
    and the split."""

    wavs: dict[str, Tensor]
    mels: dict[str, Tensor]
    f0: dict[str, Tensor]
    train: tuple[str, ...]
    development: tuple[str, ...]
    fingerprint: str = ""
    """Of the recordings that they were taken from."""

    @property
    def pitch(self) -> PitchStatistics:
        return PitchStatistics.from_f0([self.f0[name].numpy() for name in self.train])

    @property
    def held_out_recordings(self) -> list[str]:
        """The recordings, relative to their folder, of which no segment is trained on."""
        trained = {name.rsplit("#", 1)[0] for name in self.train}
        return sorted({name.rsplit("#", 1)[0] for name in self.development} - trained)

    def mel_statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation `(n_mels,)` of the log-mel over the training segments."""
        return mel_statistics([self.mels[name] for name in self.train])


def mel_statistics(mels: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation `(n_mels,)` of all frames in some log-mels `(n_mels, frames)`."""
    frames = torch.cat(list(mels), dim=1)
    return frames.mean(1), frames.std(1).clamp_min(0.1)


class MelCrops:
    """Every stretch of `frames` frames in some pictures `(planes, n_mels, T)`, as a sequence of the same planes.

    Shorter clips are repeated end to end until they are long enough.
    """

    def __init__(self, mels: list[Tensor], frames: int) -> None:
        self.frames = frames
        self.mels = [mel if mel.shape[2] >= frames else mel.repeat(1, 1, -(-frames // mel.shape[2])) for mel in mels]
        self.ends = np.cumsum([mel.shape[2] - frames + 1 for mel in self.mels]).tolist()

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, index: int) -> Tensor:
        clip = bisect.bisect_right(self.ends, index)
        start = index - (self.ends[clip - 1] if clip else 0)
        return self.mels[clip][:, :, start : start + self.frames]


def prepare_speaker(folder: Path, cache: Path, config: MelConfig, *, seed: int = 0) -> SpeakerData:
    """Reads all recordings under `folder`, or the features kept at `cache` if nothing changed since.

    Recordings that cannot be used are named in a warning and left out. Raises `UserError` when too little is left.
    """
    known = fingerprint(folder, config)

    def compute() -> dict[str, Tensor]:
        say(f"Reading the recordings in {folder}.")
        return _compute_features(folder, config)

    tensors = cached(cache, known, compute)
    mels = {name.removeprefix("mel/"): value for name, value in tensors.items() if name.startswith("mel/")}
    f0 = {name: tensors[f"f0/{name}"] for name in mels}
    wavs = {name: tensors[f"wav/{name}"] for name in mels}
    seconds = sum(mel.shape[1] for mel in mels.values()) * config.hop_length / config.sample_rate
    if seconds < MIN_SPEECH_SECONDS or len(mels) < 4:
        raise UserError(
            f"{folder} has {seconds:.0f} s of usable speech in {len(mels)} pieces; at least "
            f"{MIN_SPEECH_SECONDS:.0f} s in 4 pieces are needed to train at all, and 5 minutes or more for "
            "a good voice. `voiceconv inspect` says more."
        )
    train, development = split(sorted(mels), seed)
    if not any((f0[name] > 0).any() for name in train):
        raise UserError(
            f"In {folder} nothing has a pitch: these are whispers, or no speech. Record somebody who speaks aloud."
        )
    return SpeakerData(wavs, mels, f0, train, development, known)


def split(segments: list[str], seed: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sets a tenth aside for development: whole recordings if there are enough of them, otherwise segments."""
    recordings = sorted({name.rsplit("#", 1)[0] for name in segments})
    units = recordings if len(recordings) >= 10 else segments
    order = np.random.default_rng(seed).permutation(len(units))
    aside = {units[i] for i in order[: max(2, round(len(units) * DEVELOPMENT_SHARE))]}
    development = tuple(s for s in segments if s in aside or s.rsplit("#", 1)[0] in aside)
    return tuple(s for s in segments if s not in development), development


def segment(wav: NDArray[np.float32], sample_rate: int) -> list[NDArray[np.float32]]:
    """Speech `(T,)` without long pauses, in pieces of at most `MAX_SEGMENT_SECONDS`."""
    if not (np.abs(wav) > SILENCE_PEAK).any():
        return []
    margin = round(MAX_PAUSE_SECONDS / 4 * sample_rate)
    pieces: list[list[int]] = []
    for start, end in librosa.effects.split(wav, top_db=TRIM_DB, frame_length=1024, hop_length=256):
        start, end = max(0, int(start) - margin), min(len(wav), int(end) + margin)
        if pieces and start < pieces[-1][1]:
            start = pieces[-1][1] = (start + pieces[-1][1]) // 2  # the middle of a short pause
        fits = pieces and end - pieces[-1][0] <= MAX_SEGMENT_SECONDS * sample_rate
        if fits and start - pieces[-1][1] <= (MAX_PAUSE_SECONDS / 2) * sample_rate:
            pieces[-1][1] = end
        else:
            pieces.append([start, end])
    segments = []
    for start, end in pieces:
        parts = int(np.ceil((end - start) / (MAX_SEGMENT_SECONDS * sample_rate)))
        segments += np.array_split(wav[start:end], max(1, parts))
    return [piece for piece in segments if len(piece) >= MIN_SEGMENT_SECONDS * sample_rate]


def read_segments(folder: Path, sample_rate: int) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The segments `(T,)` of all recordings under `folder`, each with its name: the recording's path and a number.

    Recordings that cannot be used are named in a warning and left out.
    """
    for path in find_audio(folder):
        try:
            wav = load_audio(path, sample_rate)
        except UserError as error:
            warnings.warn(f"left out: {error}", stacklevel=2)
            continue
        for number, piece in enumerate(segment(wav, sample_rate)):
            yield f"{path.relative_to(folder).as_posix()}#{number}", piece


def cached(cache: Path, key: str, compute: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
    """The tensors kept at `cache` if they are whole and of the same `key`, otherwise what `compute` gives, kept from
    then on."""
    with contextlib.suppress(OSError, SafetensorError), safe_open(cache, "pt") as file:  # none yet, or it is cut off
        known = (file.metadata() or {}).get("key", "")
        if known.startswith(key):
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is no dict
            if known in (key, _sealed(key, tensors)):  # the key alone in the files of earlier versions
                return tensors
    tensors = compute()
    cache.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(cache, save_tensors(tensors, {"key": _sealed(key, tensors)}))
    return tensors


def _sealed(key: str, tensors: dict[str, Tensor]) -> str:
    """The key and a digest of the tensors, by which damage is found."""
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {list(tensor.shape)}".encode())
        digest.update(tensor.cpu().contiguous().numpy().tobytes())
    return f"{key} {digest.hexdigest()}"


def _compute_features(folder: Path, config: MelConfig) -> dict[str, Tensor]:
    mel = MelSpectrogram(config)
    tensors: dict[str, Tensor] = {}
    for name, piece in read_segments(folder, config.sample_rate):
        tensors[f"wav/{name}"] = torch.from_numpy(piece.copy()).half()
        tensors[f"mel/{name}"] = mel(tensors[f"wav/{name}"].float()).contiguous()
        f0 = extract_f0(piece, config.sample_rate, config.hop_length)
        tensors[f"f0/{name}"] = torch.from_numpy(np.ascontiguousarray(f0, np.float32))
    return tensors


def fingerprint(folder: Path, config: MelConfig) -> str:
    """Changes with any recording's name or content, with the mel definition and with how segments are made."""
    files = []
    for path in find_audio(folder):
        with contextlib.suppress(OSError):  # what cannot be read is left out of the features, too
            files.append((path.relative_to(folder).as_posix(), _digest(path)))
    rules = (MAX_SEGMENT_SECONDS, MIN_SEGMENT_SECONDS, MAX_PAUSE_SECONDS, TRIM_DB, "wav mel f0, disjoint")
    return hashlib.sha256(json.dumps([files, asdict(config), rules]).encode()).hexdigest()


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()
