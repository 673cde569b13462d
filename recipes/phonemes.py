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

import itertools
import random
import sys
import time
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
from recipes.common.transcribed import SILENCE, Utterance, error_rate, is_quiet, read_folder, realign, vary
from voiceconv.errors import UserError
from voiceconv.recognisers.phonemes import PhonemeRecogniser

BATCH_SIZE = 16


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
    frames[is_quiet(mel).numpy()] = 0
    return torch.from_numpy(frames)


if __name__ == "__main__":
    sys.exit(run_recipe(PhonemesConfig, main, __doc__))
