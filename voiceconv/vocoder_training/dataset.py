"""Reads folders of speech to train a vocoder on, and cuts crops of waveforms with their mels out of it."""

from __future__ import annotations

import bisect
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from generative_core.training.data import batch_generator
from voiceconv.audio.loudness import HIGHEST_PEAK
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.features.pitch import extract_f0
from voiceconv.training.dataset import MIN_SPEECH_SECONDS, cached, fingerprint, read_segments, split
from voiceconv.vocoder.pitch_estimator import hold

FULL_SCALE = 32767.0
GAIN_DB = (-9.0, 3.0)  # loudness of the crops against that of the recordings
CONVERTED_SHARE = 0.5  # of the crops that have a converted mel


@dataclass(frozen=True)
class Speech:
    """Segments `(T,)` of 16-bit samples by name, `folder/recording#number`, their F0 `(T // hop_length,)` in Hz, 0
    where unvoiced, and which are trained on.

    `converted` holds, for some segments, another mel `(n_mels, T // hop_length)` that stands for the same sound: what a
    converter makes of it.
    """

    wavs: dict[str, Tensor]
    f0: dict[str, Tensor]
    train: tuple[str, ...]
    development: tuple[str, ...]
    fingerprints: tuple[str, ...] = ()
    """Of the folders' recordings."""
    converted: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def held_out_recordings(self) -> list[str]:
        """The recordings, as `folder/recording`, of which no segment is trained on."""
        trained = {name.rsplit("#", 1)[0] for name in self.train}
        return sorted({name.rsplit("#", 1)[0] for name in self.development} - trained)

    def wav(self, name: str) -> Tensor:
        """One segment as `(T,)` in [-1, 1]."""
        return self.wavs[name].float() / FULL_SCALE


def prepare_speech(folders: Sequence[Path], cache: Path, config: MelConfig, *, seed: int = 0) -> Speech:
    """Reads all recordings under `folders`, or what the folder `cache` keeps of them if nothing changed since.

    A tenth of each folder is set aside for development. Raises `UserError` for folders of the same name, and for one
    with too little speech to be split.
    """
    names = [folder.resolve().name for folder in folders]
    if len(set(names)) < len(names):
        raise UserError(f"Two of the folders have the same name ({', '.join(sorted(names))}). Rename one of them.")
    wavs: dict[str, Tensor] = {}
    f0: dict[str, Tensor] = {}
    train: list[str] = []
    development: list[str] = []
    fingerprints = tuple(fingerprint(folder, config) for folder in folders)
    for name, folder, known in zip(names, folders, fingerprints, strict=True):
        found, contours = _segments(folder, cache / f"{name}.safetensors", known, config)
        own_train, own_development = split(sorted(found), seed)
        wavs |= {f"{name}/{key}": wav for key, wav in found.items()}
        f0 |= {f"{name}/{key}": contour for key, contour in contours.items()}
        train += [f"{name}/{key}" for key in own_train]
        development += [f"{name}/{key}" for key in own_development]
    return Speech(wavs, f0, tuple(train), tuple(development), fingerprints)


def _segments(folder: Path, cache: Path, known: str, config: MelConfig) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    def compute() -> dict[str, Tensor]:
        tensors = {}
        for name, wav in read_segments(folder, config.sample_rate):
            tensors[f"wav/{name}"] = (torch.from_numpy(wav) * FULL_SCALE).round().short()
            tensors[f"f0/{name}"] = torch.from_numpy(extract_f0(wav, config.sample_rate, config.hop_length))
        return tensors

    tensors = cached(cache, known, compute)
    found = {name.removeprefix("wav/"): wav for name, wav in tensors.items() if name.startswith("wav/")}
    seconds = sum(len(wav) for wav in found.values()) / config.sample_rate
    if seconds < MIN_SPEECH_SECONDS or len(found) < 4:
        raise UserError(
            f"{folder} has {seconds:.0f} s of usable speech in {len(found)} pieces; at least "
            f"{MIN_SPEECH_SECONDS:.0f} s in 4 pieces are needed, and an hour in all folders for a good vocoder."
        )
    return found, {name: tensors[f"f0/{name}"] for name in found}


class CropLoader:
    """Endless batches of `condition` `(B, n_mels + 2, frames)` (log-mel, F0 in Hz held where unvoiced, voicing) and
    `waveform` `(B, frames * hop_length)`, cut out of the training segments at any sample and at varying loudness. A
    batch depends on the seed and its number alone."""

    def __init__(self, speech: Speech, config: MelConfig, *, batch_size: int, frames: int, seed: int = 0) -> None:
        self.speech, self.batch_size, self.seed = speech, batch_size, seed
        self.mel, self.hop_length, self.frames = MelSpectrogram(config), config.hop_length, frames
        self.margin = (config.n_fft - config.hop_length) // 2
        self.silence = self.mel.from_frames(torch.zeros(1, config.n_fft))  # (n_mels, 1)
        # Every stretch is as likely as any other; a segment shorter than a crop is followed by silence.
        self.ends = list(accumulate(max(1, len(speech.wavs[name]) - self.length) for name in speech.train))
        self.pitch = {name: torch.stack([hold(f0), (f0 > 0).float()]) for name, f0 in speech.f0.items()}
        self.position = 0

    @property
    def length(self) -> int:
        """Samples of a crop."""
        return self.frames * self.hop_length

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self

    def __next__(self) -> dict[str, Tensor]:
        generator = batch_generator(self.seed, self.position)
        self.position += 1
        pairs = [self._draw(generator) for _ in range(self.batch_size)]
        return {
            "condition": torch.stack([mel for mel, _ in pairs]),
            "waveform": torch.stack([wav for _, wav in pairs]),
        }

    def state_dict(self) -> dict[str, int]:
        return {"seed": self.seed, "position": self.position}

    def load_state_dict(self, state: dict[str, int]) -> None:
        self.seed, self.position = state["seed"], state["position"]

    def _draw(self, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        index = int(torch.randint(self.ends[-1], (), generator=generator))
        clip = bisect.bisect_right(self.ends, index)
        name, start = self.speech.train[clip], index - (self.ends[clip - 1] if clip else 0)
        share, level = torch.rand(2, generator=generator).tolist()
        if name in self.speech.converted and share < CONVERTED_SHARE:
            return self._converted_crop(name, start // self.hop_length)
        return self._crop(name, start, GAIN_DB[0] + level * (GAIN_DB[1] - GAIN_DB[0]))

    def _crop(self, name: str, start: int, gain_db: float) -> tuple[Tensor, Tensor]:
        """The crop that begins at a sample; its mel is that of the segment, not of the crop alone."""
        wav = self._stretch(name, start - self.margin, start + self.length + self.margin)
        wav = wav * min(10 ** (gain_db / 20), HIGHEST_PEAK / max(float(wav.abs().max()), 1e-9))
        mel = self.mel.from_frames(wav.unfold(0, 2 * self.margin + self.hop_length, self.hop_length))
        return self._with_pitch(mel, name, round(start / self.hop_length)), wav[self.margin : self.margin + self.length]

    def _converted_crop(self, name: str, first: int) -> tuple[Tensor, Tensor]:
        mel = self.speech.converted[name][:, first : first + self.frames]
        missing = self.frames - mel.shape[1]
        start = first * self.hop_length
        wav = self._stretch(name, start, start + mel.shape[1] * self.hop_length)
        mel = torch.cat([mel, self.silence.expand(-1, missing)], 1)
        return self._with_pitch(mel, name, first), F.pad(wav, (0, missing * self.hop_length))

    def _with_pitch(self, mel: Tensor, name: str, first: int) -> Tensor:
        """`(n_mels, frames)` -> `(n_mels + 2, frames)`; after the end of the segment its pitch is held, unvoiced."""
        contour = self.pitch[name]
        index = torch.arange(first, first + self.frames)
        held, voiced = contour[:, index.clamp_max(contour.shape[1] - 1)]
        return torch.cat([mel, held[None], (voiced * (index < contour.shape[1]))[None]])

    def _stretch(self, name: str, start: int, end: int) -> Tensor:
        """Samples `start` to `end` of a segment, with zeros for those outside of it."""
        wav = self.speech.wavs[name]
        return F.pad(
            wav[max(start, 0) : end].float() / FULL_SCALE, (max(-start, 0), max(end - max(len(wav), start), 0))
        )
