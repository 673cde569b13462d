"""Trains a content encoder: a phoneme recogniser for any speaker and any recording.

    python -m recipes.content_encoder --corpus runs/many-voices \\
        --data data/allison:en-us data/joe:en-us data/carlo:it

The corpus is that of `recipes.many_voices`: hundreds of synthetic voices with a phoneme for each frame. A network that
is trained on nothing else gets most phonemes of recordings wrong (docs/experiments-many-voices.md). So half of every
batch is recordings: each folder holds some with a `metadata.csv` (`clip|text|...`), and the language follows the colon.
The network aligns them with their texts itself, first after a quarter of the steps, on synthetic speech alone, and
again when it has learned from recordings. Vocal-tract lengths, rooms, microphones, band limits and noise vary in both.
`PhonemeRecogniser.features` is the content.

Should reach: with half an hour of corpus, Joe and Carlo, 1,600 steps (eight minutes on one free core), 36 % phoneme
errors on Joe's held-out clips, 46 % on Carlo's, 42 % on synthetic ones and 69 % on Allison, who is unknown to it; the
default steps were never run. `--init FILE` goes on from an encoder that this recipe wrote. `--smoke` takes seconds.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.training.precision import autocast_where_fast
from recipes.common.channel import Channel
from recipes.common.command import run_recipe
from recipes.common.corpus import BETWEEN_WORDS, frame_labels, read_corpus
from recipes.common.transcribed import SILENCE, Utterance, error_rate, is_quiet, read_folder, realign
from voiceconv.audio.files import load_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.recognisers.phonemes import PhonemeRecogniser

UNKNOWN = -100  # what cross-entropy leaves out: spaces and punctuation that are not silent
FRAMES = 128  # in a crop
HELD_OUT = 25  # one of so many utterances of the corpus
ALIGNED_AT = (0.25, 0.6)  # of all steps
LEAST_RECORDINGS = 8


@dataclass(frozen=True)
class ContentEncoderConfig:
    """The data, the size of the network, the schedule and the file to write."""

    corpus: Path
    """The folder that recipes.many_voices wrote."""
    data: tuple[str, ...] = ()
    """Folders of recordings with their language: FOLDER:LANGUAGE."""
    out: Path = Path("runs/content-encoder/encoder.safetensors")
    """The file to write."""
    init: Path | None = None
    """An encoder to go on from."""
    steps: int = 6000
    """Training steps."""
    batch_size: int = 24
    """Crops in a step."""
    share_of_recordings: float = 0.5
    """Of every batch; the rest is of the corpus."""
    channels: int = 256
    """Channels of the network."""
    blocks: int = 8
    """Blocks of the network."""
    kernel_size: int = 7
    """Frames that a convolution covers."""
    stride: int = 2
    """Frames that the network steps over at a time."""
    rate: float = 1.5e-3
    """The highest learning rate."""
    seed: int = 0
    """Seed of all random numbers."""
    smoke: bool = False
    """Only check that everything runs, within seconds."""


class Clip(NamedTuple):
    """Versions of a log-mel `(n_mels, T)` (float16), and which symbol each frame is, `(T,)`, or `UNKNOWN`."""

    mels: list[Tensor]
    symbols: Tensor


def main(config: ContentEncoderConfig) -> None:
    torch.manual_seed(config.seed)
    steps, channels = (4, 16) if config.smoke else (config.steps, config.channels)
    synthetic, held_out = read_synthetic(config.corpus)
    folders = {text: [single(u) for u in read_folder(text, config.seed, smoke=config.smoke)] for text in config.data}
    recordings = [u for folder in folders.values() for u in folder if not u.held_out and can_be_aligned(u)]
    if config.data and len(recordings) < LEAST_RECORDINGS:
        raise UserError(
            f"{', '.join(config.data)} hold {len(recordings)} usable recordings with their text; "
            f"{LEAST_RECORDINGS} are the least."
        )
    encoder = begin(config, synthetic, [u for folder in folders.values() for u in folder], channels)
    numbers = {symbol: number for number, symbol in enumerate(encoder.phonemes)}
    train = [Clip([mel], numbered(mel, labels, numbers)) for mel, labels in synthetic]
    learn(encoder, train, recordings, steps, config)
    encoder.eval()
    aside = [Utterance([mel.float()], spoken(labels), held_out=True) for mel, labels in held_out]
    print(f"synthetic voices, sentences kept from training: phoneme errors {error_rate(encoder, aside, 0):.1%}")
    for text, folder in folders.items():
        print(f"{text}: phoneme errors {error_rate(encoder, [u for u in folder if u.held_out], 0):.1%}")
    encoder.save(config.out)
    print(f"The encoder is in {config.out}.")


Labelled = tuple[Tensor, list[str]]
"""A log-mel `(n_mels, T)` (float16) and the symbol of each frame."""


def read_synthetic(folder: Path) -> tuple[list[Labelled], list[Labelled]]:
    """The corpus to train on, and the utterances that are kept aside, parallel ones together."""
    mel = MelSpectrogram()
    parts: tuple[list[Labelled], list[Labelled]] = [], []
    for recording in read_corpus(folder):
        picture = mel(torch.from_numpy(load_audio(folder / recording.file, mel.config.sample_rate))).half()
        labels = frame_labels(recording, picture.shape[1], mel.config)
        parts[recording.number % HELD_OUT == 0].append((picture, labels))
    if not parts[0]:
        raise UserError(f"The corpus in {folder} holds no more than one utterance; make a larger one.")
    return parts


def single(utterance: Utterance) -> Utterance:
    """With the symbols of the corpus, one character each: what espeak-ng writes with two is two sounds."""
    text = "".join(utterance.phonemes).replace("ɚ", "əɹ")
    return Utterance(utterance.mels, [symbol for symbol in text if symbol.isalpha()], utterance.held_out)


def can_be_aligned(utterance: Utterance) -> bool:
    return 3 < len(utterance.phonemes) <= utterance.mels[0].shape[1] / 2


def spoken(labels: Sequence[str]) -> list[str]:
    """Labels of frames -> the sequence of phonemes."""
    runs = [label for i, label in enumerate(labels) if i == 0 or label != labels[i - 1]]
    return [label for label in runs if label not in (SILENCE, BETWEEN_WORDS)]


def numbered(mel: Tensor, labels: Sequence[str], numbers: dict[str, int]) -> Tensor:
    """What each frame is `(T,)`; a pause is silence only where it is quiet."""
    pause = torch.tensor([label in (SILENCE, BETWEEN_WORDS) for label in labels])
    symbols = torch.tensor([numbers.get(label, UNKNOWN) for label in labels])
    return torch.where(pause, torch.where(is_quiet(mel.float()), numbers[SILENCE], UNKNOWN), symbols)


def begin(
    config: ContentEncoderConfig, synthetic: Sequence[Labelled], recordings: Sequence[Utterance], channels: int
) -> PhonemeRecogniser:
    """A new encoder for all symbols in the data, or the one to go on from."""
    if config.init is not None:
        return PhonemeRecogniser.load(config.init).requires_grad_(True)
    symbols = {label for _, labels in synthetic for label in labels} | {p for u in recordings for p in u.phonemes}
    phonemes = [SILENCE, *sorted(symbols - {SILENCE, BETWEEN_WORDS})]
    return PhonemeRecogniser(
        phonemes, channels=channels, blocks=config.blocks, kernel_size=config.kernel_size, stride=config.stride
    )


def learn(
    encoder: PhonemeRecogniser,
    synthetic: Sequence[Clip],
    recordings: Sequence[Utterance],
    steps: int,
    config: ContentEncoderConfig,
) -> None:
    """Trains by cross-entropy on frames; an encoder to go on from can align recordings at once."""
    chance, channel = random.Random(config.seed), Channel(MelConfig())
    optimizer = torch.optim.AdamW(encoder.parameters(), config.rate, betas=(0.9, 0.98), weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.rate, total_steps=steps, pct_start=0.08)
    aligned_at = {round(share * steps) for share in ((0.0, *ALIGNED_AT) if config.init else ALIGNED_AT)}
    draw_synthetic, draw_real = crops(synthetic, chance), None
    started = time.monotonic()
    for step in range(steps):
        if recordings and step in aligned_at:
            aligned = align(encoder, recordings)
            print(f"step {step} of {steps}: {len(aligned)} of {len(recordings)} recordings aligned", flush=True)
            draw_real = crops(aligned, chance) if aligned else None
        real = round(config.batch_size * config.share_of_recordings) if draw_real else 0
        batch = [draw_synthetic() for _ in range(config.batch_size - real)]
        batch += [draw_real() for _ in range(real)] if draw_real else []
        x, symbols = (torch.stack(part) for part in zip(*batch, strict=True))
        encoder.train()
        with autocast_where_fast(x.device):
            logits = encoder(channel(x))
        loss = F.cross_entropy(logits.float(), symbols, label_smoothing=0.05, ignore_index=UNKNOWN)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(encoder.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 200 == 0:
            minutes = (time.monotonic() - started) / 60
            print(f"step {step + 1} of {steps}, {minutes:.1f} minutes: loss {loss.item():.3f}", flush=True)


def align(encoder: PhonemeRecogniser, recordings: Sequence[Utterance]) -> list[Clip]:
    """Labels the frames of recordings by the best path of the encoder through their phonemes; leaves out recordings
    with a phoneme that the encoder does not know."""
    encoder.eval()
    numbers = {symbol: number for number, symbol in enumerate(encoder.phonemes)}
    known = [u for u in recordings if set(u.phonemes) <= set(numbers)]
    return [Clip(u.mels, realign(encoder, u, numbers)) for u in known]


def crops(clips: Sequence[Clip], chance: random.Random) -> Callable[[], tuple[Tensor, Tensor]]:
    """Draws `(n_mels, FRAMES)` and the symbols of its frames, from long clips more often than from short ones."""
    lengths = [len(clip.symbols) for clip in clips]

    def draw() -> tuple[Tensor, Tensor]:
        (clip,) = chance.choices(clips, lengths)
        mel, missing = chance.choice(clip.mels), max(0, FRAMES - len(clip.symbols))
        start = chance.randrange(max(1, len(clip.symbols) - FRAMES))
        x = F.pad(mel[:, start : start + FRAMES].float(), (0, missing), value=-11.0)
        return x, F.pad(clip.symbols[start : start + FRAMES], (0, missing), value=UNKNOWN)

    return draw


if __name__ == "__main__":
    sys.exit(run_recipe(ContentEncoderConfig, main, __doc__))
