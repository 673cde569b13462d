"""Builds pseudo-parallel pairs: a teacher trained on the target speaker alone re-synthesises the source's recordings.

The teacher learns to turn disguised speech of its speaker back into the recordings. It reads the mel-spectrogram, its
pitch moved back, and the output of a phoneme recogniser. It knows no other voice; the recogniser, trained on many,
tells it what is said by speakers whom it does not know. Given the other speaker's recordings, it says them in its own
voice, frame by frame: pairs, from recordings of which no two say the same. It may read whole recordings and be slow;
the generators that learn from its pairs need not. Re-synthesis from a recogniser's output is that of phonetic
posteriorgrams (Sun et al. 2016), learning from one's own conversions back-translation (Sennrich et al. 2016,
arXiv:1511.06709), pairs for a small converter by a slow one those of LLVC (Sadov et al. 2023, arXiv:2311.00873).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.nets import ConvNeXtGenerator
from generative_core.training.precision import autocast_where_fast
from voiceconv.recognisers.phonemes import PhonemeRecogniser
from voiceconv.training.dataset import MelCrops, mel_statistics
from voiceconv.training.kept_progress import KeptProgress
from voiceconv.training.progress import count_steps

FRAMES = 64
BATCH_SIZE = 16
RATE = 1.5e-3
MAX_GRADIENT_NORM = 5.0
Pair = tuple[Tensor, Tensor]
"""Log-mels `(n_mels, T)` of speech as it is spoken, and with its pitch moved to that of the teacher's speaker."""


class Teacher(nn.Module):
    """Mel `(B, bands, T)` and a recogniser's output `(B, classes, T)`, each of zero mean and unit variance in every
    row, -> the mel of one speaker `(B, bands, T)`, normalised for that speaker."""

    def __init__(self, classes: int, *, bands: int = 80, channels: int = 256, blocks: int = 8) -> None:
        super().__init__()
        self.project = nn.Conv1d(classes, bands, 1)
        self.generator = ConvNeXtGenerator(bands=bands, planes=2, channels=channels, blocks=blocks)

    def forward(self, mel: Tensor, recognised: Tensor) -> Tensor:
        return self.generator(torch.stack([mel, self.project(recognised)], dim=1))[:, 0]


def teacher_outputs(
    real: Sequence[Tensor],
    disguised: Sequence[Pair],
    others: Sequence[Pair],
    *,
    steps: int,
    seed: int,
    device: torch.device,
    change: Callable[[Tensor, torch.Generator], Tensor],
    kept: Path | None = None,
    **size: int,
) -> list[Tensor]:
    """What another speaker's recordings would be in a speaker's voice: mels `(n_mels, T)`, normalised as `real` is.

    `real` are the speaker's normalised mels, `disguised` log-mels of the same as if others said them, and the same with
    their pitch moved back to the speaker's; `others` are log-mels of the other speaker's recordings, and the same with
    their pitch moved to the speaker's. `change(mel, generator)` varies the tone of a crop of a disguised mel. The
    teacher learns for `steps`; the file `kept` holds how far it has come, and it goes on from there.
    """
    recogniser = PhonemeRecogniser.load("training").to(device)

    @torch.no_grad()
    def readable(pairs: Sequence[Pair]) -> Iterable[tuple[Tensor, Tensor]]:
        recognised = [recogniser.features(spoken.float().to(device)[None])[0].cpu() for spoken, _ in pairs]
        return zip(standardised([moved for _, moved in pairs]), standardised(recognised), strict=True)

    bands = real[0].shape[0]
    pictures = [
        torch.cat([target, mel, recognised])[None].half()
        for target, (mel, recognised) in zip(real, readable(disguised), strict=True)
    ]

    def vary(crop: Tensor, generator: torch.Generator) -> Tensor:
        target, mel, recognised = crop[0].float().split(rows)
        return torch.cat([target, change(mel, generator), recognised])

    crops, chance = MelCrops(pictures, FRAMES), torch.Generator().manual_seed(seed)
    rows = bands, bands, pictures[0].shape[1] - 2 * bands
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        teacher = Teacher(rows[2], bands=bands, **size).to(device)
        optimizer = torch.optim.AdamW(teacher.parameters(), RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
        progress = KeptProgress(kept, {"teacher": teacher, "optimizer": optimizer, "schedule": schedule}, chance)
        for step in count_steps(steps, "Preparing pairs", start=progress.load()):
            progress.keep(step)
            chosen = torch.randint(len(crops), (BATCH_SIZE,), generator=chance)
            batch = torch.stack([vary(crops[int(i)], chance) for i in chosen])
            target, mel, recognised = batch.to(device).split(rows, dim=1)
            with autocast_where_fast(device):
                made = teacher(mel, recognised)
            loss = F.l1_loss(made.float(), target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(teacher.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()
            schedule.step()
    with torch.no_grad():
        return [
            teacher(mel.to(device)[None], recognised.to(device)[None])[0].cpu() for mel, recognised in readable(others)
        ]


def standardised(pictures: Sequence[Tensor]) -> list[Tensor]:
    """Pictures `(rows, T)` with zero mean and unit variance in every row, over all of them."""
    mean, std = mel_statistics(pictures)
    return [(picture - mean[:, None]) / std[:, None] for picture in pictures]
