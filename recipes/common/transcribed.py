"""Reads recordings with their text as phonemes, aligns the two with a recogniser, and counts its errors."""

from __future__ import annotations

import csv
import itertools
import math
import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from recipes.common.espeak import load_espeak
from voiceconv.audio.files import find_audio, load_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import extract_f0
from voiceconv.features.source_filter import move
from voiceconv.recognisers.phonemes import PhonemeRecogniser, phoneme_errors
from voiceconv.training.dataset import split

SILENCE = "_"
QUIET = 3.5  # nepers (30 dB) under the loudest frame: taken for silence
ALTERED_VERSIONS = 3
LONGEST_SECONDS = 10.0
# What espeak-ng writes as one and is heard as two.
SPLIT = {"əl": "ə l", "ɔɹ": "ɔ ɹ", "ɑɹ": "ɑ ɹ", "ʊɹ": "ʊ ɹ", "ɛɹ": "ɛ ɹ", "ɪɹ": "ɪ ɹ", "aɪə": "aɪ ə", "aɪɚ": "aɪ ɚ"}
SPLIT |= {"iə": "i ə", "ss": "s", "ɒ": "ɑ", "ʔ": "t"}


@dataclass
class Utterance:
    """Log-mels `(n_mels, T)` of a recording as it is and altered, what is said, its F0 `(T,)` in Hz, and (later) what
    each frame is."""

    mels: list[Tensor]
    phonemes: list[str]
    held_out: bool
    f0: Tensor | None = None
    frames: Tensor | None = None


def read_folder(text: str, seed: int, *, smoke: bool) -> list[Utterance]:
    """The recordings of `FOLDER:LANGUAGE` that have a text, with a tenth of them marked as held out."""
    name, _, language = text.rpartition(":")
    folder = Path(name)
    metadata = folder / "metadata.csv"
    if not name or not metadata.is_file():
        raise UserError(f"{text!r} should be FOLDER:LANGUAGE with a metadata.csv (clip|text) in the folder.")
    with metadata.open(encoding="utf-8", newline="") as file:
        texts = {row[0]: row[1] for row in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE) if len(row) > 1}
    paths = [path for path in find_audio(folder) if path.stem in texts][: 24 if smoke else None]
    if not paths:
        raise UserError(f"None of the recordings in {folder} is in its metadata.csv.")
    _, held_out = split(sorted(f"{path.relative_to(folder).as_posix()}#0" for path in paths), 0)
    said = to_phonemes([texts[path.stem] for path in paths], language)
    mel, vary = MelSpectrogram(), random.Random(seed)
    utterances = []
    for path, phonemes in zip(paths, said, strict=True):
        samples = load_audio(path, mel.config.sample_rate)
        wav = torch.from_numpy(samples)
        if len(wav) > LONGEST_SECONDS * mel.config.sample_rate or len(wav) < mel.config.n_fft:
            continue
        f0 = torch.from_numpy(extract_f0(samples, mel.config.sample_rate, mel.config.hop_length))
        altered = [move(mel, wav, f0, vary.uniform(-10, 10), vary.uniform(-4, 4)) for _ in range(ALTERED_VERSIONS)]
        aside = f"{path.relative_to(folder).as_posix()}#0" in held_out
        utterances.append(Utterance([mel(wav), *altered], phonemes, aside, f0))
    return utterances


def to_phonemes(texts: Sequence[str], language: str) -> list[list[str]]:
    """Texts -> their phonemes in IPA without stress and length, by espeak-ng."""
    backend = load_espeak(language)
    from phonemizer.separator import Separator

    separator = Separator(phone=" ", word="|")
    said = []
    for text in texts:  # one by one: empty results would be left out of a list
        spoken = " ".join(backend.phonemize([text], separator=separator, strip=True)).replace("|", " ")
        symbols = [re.sub(r"[\Wːˈˌ_]", "", symbol) for symbol in spoken.split()]
        said.append([part for symbol in symbols if symbol for part in SPLIT.get(symbol, symbol).split()])
    return said


def is_quiet(mel: Tensor) -> Tensor:
    """Which frames of a log-mel `(n_mels, T)` are silent, `(T,)`."""
    level = mel.exp().square().sum(0).log() / 2
    return level < level.max() - QUIET


def vary(x: Tensor) -> Tensor:
    """Log-mels `(B, n_mels, T)` with level, tone and background noise changed, and bands and stretches blotted out."""
    batch, bands, frames = x.shape
    height = torch.arange(bands)[None, :, None] / (bands - 1)
    tone = 0.5 * torch.randn(batch, 1, 1) + 0.5 * torch.randn(batch, 1, 1) * (2 * height - 1)
    for ripples in range(1, 5):
        tone = tone + 0.25 * torch.randn(batch, 1, 1) * torch.cos(
            math.pi * (ripples * height + 2 * torch.rand(batch, 1, 1))
        )
    noise = torch.empty(batch, 1, 1).uniform_(-11, -4.5) + 0.5 * torch.randn(batch, bands, 1)
    return blot(torch.logaddexp(x + tone, noise + 0.5 * torch.randn(batch, bands, frames)))


def blot(x: Tensor) -> Tensor:
    """Log-mels `(B, n_mels, T)` with two bands and two stretches of each covered (SpecAugment, Park et al. 2019)."""
    batch, bands, frames = x.shape
    band, frame = torch.arange(bands)[None, :, None], torch.arange(frames)[None, None, :]
    for _ in range(2):
        for axis, size, most, cover in (
            (band, bands, 12, x.mean(1, keepdim=True)),
            (frame, frames, 10, torch.tensor(-8.0)),
        ):
            width = torch.randint(most, (batch, 1, 1))
            start = (torch.rand(batch, 1, 1) * (size - width)).long()
            x = torch.where((axis >= start) & (axis < start + width), cover, x)
    return x


@torch.no_grad()
def realign(network: PhonemeRecogniser, utterance: Utterance, numbers: dict[str, int]) -> Tensor:
    """What each frame `(T,)` is, to a network that knows frames: the likeliest path through the phonemes, each at least
    a frame long, with silence between them where it is heard."""
    log_p = network(utterance.mels[0][None])[0].log_softmax(0).T.numpy()
    states = np.array([0, *itertools.chain.from_iterable((numbers[p], 0) for p in utterance.phonemes)])
    heard = log_p[:, states]
    frames, number = heard.shape
    phonemes = np.arange(number) % 2 == 1  # reached from the one before, too, without the silence between
    total = np.full(number, -np.inf)
    total[:2] = heard[0, :2]
    came = np.zeros((frames, number), np.int64)  # how many states before
    for t in range(1, frames):
        before = np.stack([total, np.roll(total, 1), np.roll(total, 2)])
        before[1, :1] = before[2, :2] = before[2, ~phonemes] = -np.inf
        came[t] = before.argmax(0)
        total = before.max(0) + heard[t]
    path = [number - 2 if total[-2] > total[-1] else number - 1]
    for t in range(frames - 1, 0, -1):
        path.append(path[-1] - int(came[t, path[-1]]))
    return torch.from_numpy(states[path[::-1]])


def error_rate(network: PhonemeRecogniser, utterances: list[Utterance], version: int) -> float:
    """Phoneme errors over all phonemes of some recordings, as they are (0) or altered (1, ...)."""
    errors = sum(phoneme_errors(u.phonemes, network.transcribe(u.mels[version])) for u in utterances)
    return errors / max(1, sum(len(u.phonemes) for u in utterances))
