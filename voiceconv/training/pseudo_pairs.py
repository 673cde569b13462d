"""Builds pseudo-parallel pairs: a teacher trained on the target speaker alone re-synthesises the source's recordings.

The teacher reads what is said, the pitch and the level, and no spectrum: so nothing of another voice can pass, and it
says whatever it hears in its speaker's voice. Given the other speaker's recordings, it makes pairs, frame by frame,
from recordings of which no two say the same. It may read whole recordings and be slow; the generators that learn from
its pairs need not.

What a recogniser hears still tells who speaks. Before the teacher reads it, it is moved towards the nearest frames of
the speaker's own recordings, as in kNN-VC (Baas et al. 2023, arXiv:2305.18975). Re-synthesis from a recogniser's output
is that of phonetic posteriorgrams (Sun et al. 2016), learning from one's own conversions back-translation (Sennrich et
al. 2016, arXiv:1511.06709), pairs for a small converter by a slow one those of LLVC (Sadov et al. 2023,
arXiv:2311.00873).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.nets import ConvNeXtBlock1d
from generative_core.training.precision import autocast_where_fast
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.source_filter import glides, log_harmonics
from voiceconv.recognisers.content import ContentEncoder
from voiceconv.training.dataset import MelCrops
from voiceconv.training.kept_progress import KeptProgress
from voiceconv.training.progress import count_steps

FRAMES = 64
BATCH_SIZE = 16
RATE = 1.5e-3
MAX_GRADIENT_NORM = 5.0
NEIGHBOURS = 4  # of the speaker's own frames, whose mean a frame is moved towards: kNN-VC's number
NEARER = 0.75  # of the way: all of it costs words (docs/experiments-many-voices.md)
MOST_FRAMES = 50_000  # of the speaker's own that are searched
BLOCK = 2048  # frames searched for at once
LEVEL_RANGE = 7.0  # nepers under the loud frames of a recording, from where on all is silence


class Recording(NamedTuple):
    """A log-mel `(n_mels, T)`, its F0 at the pitch of the teacher's speaker in Hz `(T,)`, 0 where unvoiced, and the
    log-mels `(n_mels, T)` that its content is heard in: itself, or the same words as if others said them."""

    mel: Tensor
    f0: Tensor
    heard: tuple[Tensor, ...]


class Teacher(nn.Module):
    """Content `(B, size, T)` and `prosody` `(B, n_mels + 2, T)` -> the mel of one speaker `(B, n_mels, T)`, normalised
    for that speaker."""

    def __init__(self, size: int, *, bands: int = 80, channels: int = 256, blocks: int = 6) -> None:
        super().__init__()
        self.enter = nn.Conv1d(size + bands + 2, channels, 7, padding=3)
        self.blocks = nn.Sequential(
            *(ConvNeXtBlock1d(channels, kernel_size=7, scale=1 / blocks) for _ in range(blocks))
        )
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, bands)

    def forward(self, content: Tensor, prosody: Tensor) -> Tensor:
        h = self.blocks(self.enter(torch.cat([content, prosody], dim=1)))
        return self.leave(self.norm(h.transpose(1, 2))).transpose(1, 2)


def prosody(recording: Recording, mel: MelSpectrogram) -> Tensor:
    """`(n_mels + 2, T)`: the harmonics of the pitch as a mel shows them, whether there is one, and the level."""
    voiced = recording.f0 > 0
    harmonics = mel.from_magnitude(log_harmonics(mel, recording.f0.clamp_min(60.0), glides(recording.f0)).exp())
    level = torch.logsumexp(2 * recording.mel, dim=0) / 2
    level = (level - level.quantile(0.9)).clamp_min(-LEVEL_RANGE) / 2 + 1
    # About zero mean and unit variance, as the content.
    return torch.cat([torch.where(voiced, (harmonics - 2.5) / 2, 0.0), voiced[None].float(), level[None]])


class OwnContent:
    """Moves content towards that of a speaker's own recordings."""

    def __init__(self, contents: Sequence[Tensor], device: torch.device) -> None:
        """`contents` `(size, T)` of the speaker's recordings."""
        frames = torch.cat(list(contents), dim=1).T.to(device)
        self.mean, self.std = frames.mean(0), frames.std(0).clamp_min(1e-4)
        self.frames = frames[:: -(-len(frames) // MOST_FRAMES)]
        self.directions = self._direction(self.frames)

    def __call__(self, content: Tensor) -> Tensor:
        """`(size, T)` -> `(size, T)`"""
        nearest = torch.cat([self._nearest(block) for block in content.T.split(BLOCK)])
        return torch.lerp(content, nearest.T, NEARER)

    def _nearest(self, content: Tensor) -> Tensor:
        with autocast_where_fast(content.device):
            cosines = self._direction(content) @ self.directions.T
        found = cosines.topk(min(NEIGHBOURS, len(self.frames)), dim=1).indices
        return self.frames[found].mean(1)

    def _direction(self, content: Tensor) -> Tensor:
        return F.normalize((content - self.mean) / self.std, dim=1)


def teacher_outputs(
    own: Sequence[Recording],
    normalise: Callable[[Tensor], Tensor],
    others: Sequence[Recording],
    mel: MelSpectrogram,
    *,
    steps: int,
    seed: int,
    device: torch.device,
    kept: Path | None = None,
    **size: int,
) -> list[Tensor]:
    """What other speakers' recordings would be in a speaker's voice: mels `(n_mels, T)`, normalised.

    `own` are the speaker's recordings and `normalise(mel)` makes the mels of them that the generators write. The
    teacher learns for `steps`; the file `kept` holds how far it has come, and it goes on from there.
    """
    encoder = ContentEncoder().to(device)
    bands = mel.config.n_mels

    @torch.no_grad()
    def content(heard: Tensor) -> Tensor:
        with autocast_where_fast(device):
            said = encoder(heard.float().to(device)[None])[0]
        return said.float().cpu()

    pictures, spoken = list[Tensor](), list[Tensor]()
    for recording in own:
        versions = [content(heard) for heard in recording.heard]
        target, melody = normalise(recording.mel), prosody(recording, mel)
        pictures += [torch.cat([target, said, melody])[None].half() for said in versions]
        spoken.append(versions[0])
    rows = bands, encoder.size, bands + 2
    crops, chance = MelCrops(pictures, FRAMES), torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        teacher = Teacher(encoder.size, bands=bands, **size).to(device)
        optimizer = torch.optim.AdamW(teacher.parameters(), RATE, (0.9, 0.98))
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.1)
        progress = KeptProgress(kept, {"teacher": teacher, "optimizer": optimizer, "schedule": schedule}, chance)
        for step in count_steps(steps, "Preparing pairs", start=progress.load()):
            progress.keep(step)
            chosen = torch.randint(len(crops), (BATCH_SIZE,), generator=chance)
            batch = torch.stack([crops[int(i)][0].float() for i in chosen])
            target, said, melody = batch.to(device).split(rows, dim=1)
            with autocast_where_fast(device):
                made = teacher(said, melody)
            loss = F.l1_loss(made.float(), target)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(teacher.parameters(), MAX_GRADIENT_NORM)
            optimizer.step()
            schedule.step()
    nearer = OwnContent(spoken, device)

    @torch.no_grad()
    def answer(recording: Recording) -> Tensor:
        said = nearer(content(recording.heard[0]).to(device))
        return teacher(said[None], prosody(recording, mel).to(device)[None])[0].cpu()

    return [answer(recording) for recording in others]
