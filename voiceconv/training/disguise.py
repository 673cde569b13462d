"""Prepares the samples a voice is trained on: each recording at the target's pitch, altered, and its pseudo-target.

Moving the source's pitch to the target's leaves only the voice to be learned. The pseudo-target is what a teacher
(`pseudo_pairs.py`) makes of the recording in the other speaker's voice. Generators learn to reach it from altered
versions, with other formants, tone and noise, as in NANSY (Choi et al. 2021, arXiv:2110.14513), so that they do not
depend on one source speaker. The teacher also hears disguised recordings of its speaker: these are altered and then
spoken by a vocoder at another pitch, as if by somebody else.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from generative_core.training.data import Samples, UnpairedLoader
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import PitchStatistics, semitones_between
from voiceconv.features.source_filter import move
from voiceconv.training.dataset import SpeakerData
from voiceconv.training.pseudo_pairs import Recording, teacher_outputs
from voiceconv.vocoder.base import Vocoder, load_vocoder
from voiceconv.voice.speaker import Speaker

ALTERED_VERSIONS = 3  # of each segment
FORMANT_SEMITONES = 4.0  # either way: a child's vocal tract to a large man's
AWAY_SEMITONES = 2.0  # that a disguised pitch is off the other speaker's, either way
NOISE_DB = (45.0, 15.0)  # under the speech, in half of the versions
OTHERS_SHARE = 0.5  # of the pairs in a batch
TONE = 0.25  # standard deviation of level and tilt, in those of the bands


def moved_mels(data: SpeakerData, other: PitchStatistics, mel: MelSpectrogram) -> list[Tensor]:
    """The log-mels `(n_mels, frames)` of a speaker's training segments at the pitch of the other speaker."""
    onward = semitones_between(data.pitch.median_hz, other.median_hz)
    return [move(mel, data.wavs[name].float(), data.f0[name], pitch=onward) for name in data.train]


def recording_at(data: SpeakerData, name: str, other: PitchStatistics) -> Recording:
    """A speaker's segment as the teacher of another speaker with this pitch reads it."""
    return Recording(data.mels[name], data.f0[name] * (other.median_hz / data.pitch.median_hz), (data.mels[name],))


def training_planes(
    speakers: tuple[Speaker, Speaker],
    data: tuple[SpeakerData, SpeakerData],
    moved: tuple[Sequence[Tensor], Sequence[Tensor]],
    targets: tuple[Sequence[Tensor], Sequence[Tensor]],
    mel: MelSpectrogram,
    seed: int,
) -> tuple[list[Tensor], list[Tensor]]:
    """Each training segment of both speakers as planes `(4, n_mels, frames)` (float16), `ALTERED_VERSIONS` times:
    itself, at the pitch of the other speaker (`moved_mels`), that altered, and its pseudo-target (`pseudo_targets`).
    All as the networks read and write them."""
    pictures: tuple[list[Tensor], list[Tensor]] = [], []
    for one, (speaker, d) in enumerate(zip(speakers, data, strict=True)):
        generator = torch.Generator().manual_seed(seed)
        onward = semitones_between(d.pitch.median_hz, data[1 - one].pitch.median_hz)
        for name, source, target in zip(d.train, moved[one], targets[one], strict=True):
            real, plain = speaker.normalise(d.mels[name]), speaker.normalise_source(source)
            for _ in range(ALTERED_VERSIONS):
                altered = speaker.normalise_source(alter(d.wavs[name].float(), d.f0[name], mel, generator, onward))
                pictures[one].append(torch.stack([real, plain, altered, target]).half())
    return pictures


def pseudo_targets(
    speakers: tuple[Speaker, Speaker],
    data: tuple[SpeakerData, SpeakerData],
    others: tuple[Sequence[Recording], Sequence[Recording]],
    mel: MelSpectrogram,
    *,
    steps: int,
    seed: int,
    device: torch.device,
    kept: Path | None = None,
    **size: int,
) -> tuple[list[Tensor], list[Tensor]]:
    """`others` as the other speaker would say them, normalised for that speaker: the first of the two as the second
    speaker would, whose pitch they have, and the second as the first speaker would.

    Files that begin with the path `kept` hold how far the teachers have come.
    """
    vocoder, targets = load_vocoder("istft", mel.config), []
    for one in (0, 1):
        own, target = data[one], data[1 - one]
        generator = torch.Generator().manual_seed(seed)
        onward = semitones_between(own.pitch.median_hz, target.pitch.median_hz)
        recordings = []
        for name in target.train:
            wav, f0, spoken = target.wavs[name].float(), target.f0[name], target.mels[name]
            disguised = [disguise(wav, f0, mel, generator, vocoder, -onward)[0] for _ in range(ALTERED_VERSIONS - 1)]
            recordings.append(Recording(spoken, f0, (spoken, *disguised)))
        targets.append(
            teacher_outputs(
                recordings,
                speakers[1 - one].normalise,
                others[one],
                mel,
                steps=steps,
                seed=seed,
                device=device,
                kept=kept and kept.with_name(f"{kept.name}-{one}.pt"),
                **size,
            )
        )
    return targets[0], targets[1]


def disguise(
    wav: Tensor, f0: Tensor, mel: MelSpectrogram, generator: torch.Generator, vocoder: Vocoder, away: float
) -> tuple[Tensor, Tensor]:
    """Speech `(T,)` of an F0 in Hz `(T // hop_length,)` spoken by a vocoder as if by somebody whose pitch is about
    `away` semitones higher and whose formants are others, half of the time under noise: the log-mel of that, and the
    same with its pitch moved back. So what is lost where a pitch is moved is lost there, too."""
    distance = float(torch.rand((), generator=generator))
    away += (2 * distance - 1) * AWAY_SEMITONES
    moved = f0 * 2 ** (away / 12)
    spoken = vocoder(alter(wav, f0, mel, generator, away)[None], moved[None])[0]
    return mel(spoken), move(mel, spoken, moved, pitch=-away)


def alter(wav: Tensor, f0: Tensor, mel: MelSpectrogram, generator: torch.Generator, pitch: float = 0.0) -> Tensor:
    """Speech `(T,)` of an F0 in Hz `(T // hop_length,)` -> its log-mel with other formants, in every second case under
    noise, and with its pitch moved."""
    formants, chance, decibels = torch.rand(3, generator=generator).tolist()
    if chance < 0.5:
        level = wav.square().mean().sqrt() * 10 ** (-(NOISE_DB[0] + decibels * (NOISE_DB[1] - NOISE_DB[0])) / 20)
        wav = wav + level * torch.randn(wav.shape, generator=generator)
    return move(mel, wav, f0, pitch=pitch, formants=(2 * formants - 1) * FORMANT_SEMITONES)


class PseudoPairLoader(UnpairedLoader):
    """Crops of `training_planes`, each plane under the name that a CycleGAN reads it by: `a`, `source_a`, `altered_a`,
    `target_a` and the same of `b`, all `(B, 1, n_mels, frames)`. `others` holds crops of planes `(2, n_mels, frames)`
    for each domain: altered recordings of other speakers and their pseudo-targets, which become half of the pairs."""

    def __init__(self, a: Samples, b: Samples, others: tuple[Samples, Samples], batch_size: int, *, seed: int) -> None:
        super().__init__(a, b, batch_size, seed=seed, transform=change_tone)
        self.others = dict(zip(self.domains, others, strict=True))

    def draw(self, generator: torch.Generator) -> dict[str, Tensor]:
        batch: dict[str, Tensor] = {}
        for domain, samples in super().draw(generator).items():
            names = domain, f"source_{domain}", f"altered_{domain}", f"target_{domain}"
            batch.update(zip(names, samples.split(1, dim=1), strict=True))
            others = self.others[domain]
            if len(others):
                number = round(OTHERS_SHARE * self.batch_size)
                for row, chosen in enumerate(torch.randint(len(others), (number,), generator=generator)):
                    altered, target = others[int(chosen)].float()
                    batch[f"altered_{domain}"][row, 0] = add_tone(altered, generator)
                    batch[f"target_{domain}"][row, 0] = target
        return batch


def change_tone(crop: Tensor, generator: torch.Generator) -> Tensor:
    """Planes `(4, n_mels, frames)` of `training_planes`, the altered one with its level and tone changed at random."""
    real, source, altered, target = crop.float()
    return torch.stack([real, source, add_tone(altered, generator), target])


def add_tone(x: Tensor, generator: torch.Generator) -> Tensor:
    """A normalised mel `(n_mels, frames)` with its level and its tone changed at random."""
    bands = torch.linspace(0, 1, x.shape[0])[:, None]
    level, *ripples = (TONE * torch.randn(4, generator=generator)).tolist()
    return x + level + sum(ripple * torch.cos(torch.pi * (n + 1) * bands) for n, ripple in enumerate(ripples))
