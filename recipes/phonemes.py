"""Trains the phoneme recogniser that keeps the words in a voice training and counts their errors in evaluation.

    python -m recipes.phonemes --data data/allison:en-us data/joe:en-us data/carlo:it

Each folder holds recordings and a `metadata.csv` (`clip|text|...`). After the colon stands the language as espeak-ng
calls it, which turns the texts into phonemes (extra `phonemes`). The network first learns by CTC (Graves et al. 2006),
which needs no timing. The peaks of its output then assign a phoneme to every frame, and training continues with
cross-entropy on frames, because a loss that compares frames needs phonemes with a duration. After a third of that the
frames are assigned anew by the network itself. Pitch, formants, tone and noise are varied, so that the network responds
to what is said and not to who says it.

Should reach: with the three speakers above (65 minutes), 20 to 28 % phoneme errors on English clips and 15 % on Italian
ones that it was not trained on, in half an hour on one core. `--smoke` takes seconds.
"""

from __future__ import annotations

import csv
import itertools
import math
import random
import re
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.training.precision import autocast_where_fast
from recipes.common.command import run_recipe
from recipes.common.espeak import load_espeak
from voiceconv.audio.files import find_audio, load_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import extract_f0
from voiceconv.features.source_filter import move
from voiceconv.recognisers.phonemes import PhonemeRecogniser, phoneme_errors
from voiceconv.training.dataset import split

SILENCE = "_"
ALTERED_VERSIONS = 3
QUIET = 3.5  # nepers (30 dB) under the loudest frame: taken for silence
LONGEST_SECONDS = 10.0
BATCH_SIZE = 16
# What espeak-ng writes as one and is heard as two.
SPLIT = {"əl": "ə l", "ɔɹ": "ɔ ɹ", "ɑɹ": "ɑ ɹ", "ʊɹ": "ʊ ɹ", "ɛɹ": "ɛ ɹ", "ɪɹ": "ɪ ɹ", "aɪə": "aɪ ə", "aɪɚ": "aɪ ɚ"}
SPLIT |= {"iə": "i ə", "ss": "s", "ɒ": "ɑ", "ʔ": "t"}


@dataclass(frozen=True)
class PhonemesConfig:
    """Which recordings, how long, and where to."""

    data: tuple[str, ...] = ()
    """Folders of recordings with their language: FOLDER:LANGUAGE."""
    out: Path = Path("runs/phonemes/training.safetensors")
    """The file to write."""
    ctc_steps: int = 1500
    """Training steps by CTC, without timing."""
    frame_steps: int = 3500
    """Training steps by cross-entropy on frames."""
    channels: int = 256
    """Channels of the network."""
    blocks: int = 6
    """Blocks of the network."""
    kernel_size: int = 9
    """Frames that a convolution covers."""
    seed: int = 0
    """Seed of all random numbers."""
    smoke: bool = False
    """Only check that everything runs, within seconds."""


@dataclass
class Utterance:
    """Log-mels `(n_mels, T)` of a recording as it is and altered, what is said, and (later) what each frame is."""

    mels: list[Tensor]
    phonemes: list[str]
    held_out: bool
    frames: Tensor | None = None


def main(config: PhonemesConfig) -> None:
    if not config.data:
        raise UserError("Say where the recordings are: --data FOLDER:LANGUAGE, such as data/allison:en-us.")
    torch.manual_seed(config.seed)
    ctc_steps, frame_steps, channels = (
        (3, 3, 16) if config.smoke else (config.ctc_steps, config.frame_steps, config.channels)
    )
    folders = {text: read_folder(text, config.seed, smoke=config.smoke) for text in config.data}
    utterances = [utterance for folder in folders.values() for utterance in folder]
    phonemes = sorted({SILENCE, *(p for u in utterances for p in u.phonemes)})
    train = [u for u in utterances if not u.held_out and u.mels[0].shape[1] >= 2 * len(u.phonemes) > 6]
    if len(train) < 8:
        raise UserError(
            f"{', '.join(config.data)} hold {len(train)} usable recordings with their text; 8 are the least."
        )
    assert phonemes[0] == SILENCE
    network = PhonemeRecogniser(phonemes, channels=channels, blocks=config.blocks, kernel_size=config.kernel_size)
    learn(network, train, ctc_steps, frame_steps, random.Random(config.seed))
    network.eval()
    for text, folder in folders.items():
        errors = [error_rate(network, [u for u in folder if u.held_out], version) for version in (0, 1)]
        print(f"{text}: phoneme errors {errors[0]:.1%}, with pitch and formants altered {errors[1]:.1%}")
    network.save(config.out)
    print(f"The recogniser is in {config.out}.")


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
        utterances.append(Utterance([mel(wav), *altered], phonemes, aside))
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


def learn(
    network: PhonemeRecogniser, train: list[Utterance], ctc_steps: int, frame_steps: int, chance: random.Random
) -> None:
    """First by CTC, then on frames; silence is the blank of the first."""
    numbers = {phoneme: number for number, phoneme in enumerate(network.phonemes)}
    steps, aligned_anew = ctc_steps + frame_steps, ctc_steps + frame_steps // 3
    optimizer = torch.optim.AdamW(network.parameters(), 1e-3, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps, pct_start=0.08)
    started = time.monotonic()
    for step in range(steps):
        if step in (ctc_steps, aligned_anew):
            network.eval()
            for utterance in train:
                utterance.frames = (align if step == ctc_steps else realign)(network, utterance, numbers)
        batch = draw(train, chance)
        mels = [chance.choice(utterance.mels) for utterance in batch]
        longest = max(mel.shape[1] for mel in mels)
        x = torch.stack([F.pad(mel, (0, longest - mel.shape[1]), value=-11.0) for mel in mels])
        network.train()
        with autocast_where_fast(x.device):
            logits = network(vary(x))
        logits = logits.float()
        if step < ctc_steps:
            targets = [torch.tensor([numbers[p] for p in utterance.phonemes]) for utterance in batch]
            lengths = torch.tensor([mel.shape[1] for mel in mels]), torch.tensor([len(t) for t in targets])
            log_p = logits.log_softmax(1).permute(2, 0, 1)
            losses = F.ctc_loss(log_p, torch.cat(targets), *lengths, reduction="none", zero_infinity=True)
            loss = (losses / lengths[1]).mean()
        else:
            labels = [F.pad(u.frames, (0, longest - len(u.frames)), value=-100) for u in batch if u.frames is not None]
            loss = F.cross_entropy(logits, torch.stack(labels), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 200 == 0:
            minutes = (time.monotonic() - started) / 60
            print(f"step {step + 1} of {steps}, {minutes:.1f} minutes: loss {loss.item():.3f}", flush=True)


def draw(train: list[Utterance], chance: random.Random) -> list[Utterance]:
    """A batch of recordings of about the same length."""
    length = chance.choice(train).mels[0].shape[1]
    some = chance.sample(train, min(8 * BATCH_SIZE, len(train)))
    return sorted(some, key=lambda u: abs(u.mels[0].shape[1] - length))[:BATCH_SIZE]


def vary(x: Tensor) -> Tensor:
    """Log-mels `(B, n_mels, T)` with level, tone and background noise changed, and bands and stretches blotted out."""
    batch, bands, frames = x.shape
    band, frame = torch.arange(bands)[None, :, None], torch.arange(frames)[None, None, :]
    height = band / (bands - 1)
    tone = 0.5 * torch.randn(batch, 1, 1) + 0.5 * torch.randn(batch, 1, 1) * (2 * height - 1)
    for ripples in range(1, 5):
        tone = tone + 0.25 * torch.randn(batch, 1, 1) * torch.cos(
            math.pi * (ripples * height + 2 * torch.rand(batch, 1, 1))
        )
    noise = torch.empty(batch, 1, 1).uniform_(-11, -4.5) + 0.5 * torch.randn(batch, bands, 1)
    x = torch.logaddexp(x + tone, noise + 0.5 * torch.randn(batch, bands, frames))
    for _ in range(2):
        for axis, size, most, blot in (
            (band, bands, 12, x.mean(1, keepdim=True)),
            (frame, frames, 10, torch.tensor(-8.0)),
        ):
            width = torch.randint(most, (batch, 1, 1))
            start = (torch.rand(batch, 1, 1) * (size - width)).long()
            x = torch.where((axis >= start) & (axis < start + width), blot, x)
    return x


@torch.no_grad()
def align(network: PhonemeRecogniser, utterance: Utterance, numbers: dict[str, int]) -> Tensor:
    """What each frame `(T,)` is: the phoneme of the nearest CTC spike, or silence where it is quiet."""
    mel = utterance.mels[0]
    log_p = network(mel[None]).log_softmax(1).transpose(1, 2).contiguous()
    targets = torch.tensor([[numbers[p] for p in utterance.phonemes]])
    path = torchaudio.functional.forced_align(log_p, targets, blank=0)[0][0].tolist()
    spikes = [(t, p) for t, p in enumerate(path) if p and (t == 0 or path[t - 1] != p)]
    frames: NDArray[np.int64] = np.zeros(mel.shape[1], np.int64)
    borders = [0, *((a + b + 1) // 2 for (a, _), (b, _) in itertools.pairwise(spikes)), len(frames)]
    for (_, phoneme), (start, end) in zip(spikes, itertools.pairwise(borders), strict=True):
        frames[start:end] = phoneme
    level = mel.exp().square().sum(0).log() / 2
    frames[(level < level.max() - QUIET).numpy()] = 0
    return torch.from_numpy(frames)


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


if __name__ == "__main__":
    sys.exit(run_recipe(PhonemesConfig, main, __doc__))
