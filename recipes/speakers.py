"""Trains the speaker encoder that scores how close a conversion is to the target's voice.

    python -m recipes.speakers --data data/allison data/joe data/carlo data/june
    python -m recipes.speakers --corpus runs/many-voices --steps 4000

Each folder holds the recordings of one speaker, a corpus of `recipes.many_voices` those of hundreds. A network learns
to distinguish them from a second and a half of speech, by cross-entropy on cosines (Wang et al. 2018, without the
margin). With pitch and formants shifted, the speaker of a folder also counts as fourteen others: a few voices could be
distinguished by anything, but variations of one voice only by what makes a voice. A tenth of the corpus' speakers is
held out and gives the equal error rate on unknown voices. Level, tone and noise are varied, so that the network does
not learn the microphone.

Should reach: two thirds of the windows of held-out clips assigned to the right one of 60 speakers, with the four above
in about eight minutes on two cores. `--smoke` takes seconds.
"""

from __future__ import annotations

import itertools
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from recipes.common.command import run_recipe
from recipes.common.corpus import read_corpus
from voiceconv.audio.files import load_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import extract_f0
from voiceconv.features.source_filter import move
from voiceconv.recognisers.speaker_encoder import WINDOW, SpeakerEncoder
from voiceconv.training.dataset import read_segments, split

FORMANTS = (-3.0, -1.5, 0.0, 1.5, 3.0)  # semitones
PITCHES = (-4.0, 0.0, 4.0)
ALTERATIONS = list(itertools.product(FORMANTS, PITCHES))
LONGEST_SECONDS = 4.0  # of each recording: more recordings say more than longer ones
LEAST_CLIPS = 3  # of a speaker in a corpus
SCALE = 20.0  # of cosines, to make logits of them


@dataclass(frozen=True)
class SpeakersConfig:
    """Which recordings, how long, and where to."""

    data: tuple[Path, ...] = ()
    """Folders of recordings, one for each speaker."""
    corpus: Path | None = None
    """The folder that recipes.many_voices wrote."""
    out: Path = Path("runs/speakers/speakers.safetensors")
    """The file to write."""
    clips: int = 50
    """Number of recordings of each speaker."""
    steps: int = 900
    """Training steps."""
    batch_size: int = 48
    """Clips in a training step."""
    seed: int = 0
    """Seed of all random numbers."""
    smoke: bool = False
    """Only check that everything runs, within seconds."""


class Clip(NamedTuple):
    """A log-mel `(n_mels, frames)` (float16) and the number of the speaker it is to be taken for."""

    mel: Tensor
    speaker: int


def main(config: SpeakersConfig) -> None:
    if len(config.data) < 2 and config.corpus is None:
        raise UserError("Say where the recordings of at least two speakers are: --data FOLDER FOLDER ... or --corpus.")
    clips, steps = (3, 3) if config.smoke else (config.clips, config.steps)
    torch.manual_seed(config.seed)
    chance = random.Random(config.seed)
    train: list[Clip] = []
    held_out: list[Clip] = []
    for number, folder in enumerate(config.data):
        own, aside = read_speaker(folder, number, clips, chance)
        train += own
        held_out += aside
    speakers, unheard = len(config.data) * len(ALTERATIONS), list[Clip]()
    if config.corpus is not None:
        own, aside, unheard = read_voices(config.corpus, speakers, clips, chance)
        train += own
        held_out += aside
    encoder = SpeakerEncoder()
    middles = nn.Parameter(torch.randn(1 + max(clip.speaker for clip in train), encoder.leave.out_features))
    learn(encoder, middles, train, steps, config.batch_size, chance)
    right = [tell(encoder, middles, clip.mel) == clip.speaker for clip in held_out]
    share = sum(right) / len(right)
    print(f"{len(right)} held-out clips: {share:.0%} taken for the right one of {len(middles)} speakers")
    if unheard:
        embeddings = torch.stack([encoder.of_clip(clip.mel) for clip in unheard])
        rate = equal_error_rate(embeddings, torch.tensor([clip.speaker for clip in unheard]))
        number = len({clip.speaker for clip in unheard})
        print(f"{len(unheard)} clips of {number} speakers kept aside: equal error rate {rate:.1%}")
    encoder.save(config.out)
    print(f"The encoder is in {config.out}.")


def read_speaker(folder: Path, number: int, clips: int, chance: random.Random) -> tuple[list[Clip], list[Clip]]:
    """Clips to train on and held-out ones, each in half of the alterations."""
    mel = MelSpectrogram()
    rate, shortest = mel.config.sample_rate, WINDOW * mel.config.hop_length
    segments = {name: wav for name, wav in read_segments(folder, mel.config.sample_rate) if len(wav) > shortest}
    if len(segments) < 4:
        raise UserError(f"{folder} holds {len(segments)} pieces of speech of at least 1.5 s; 4 are the least.")
    train, aside = split(sorted(segments), 0)
    altered: tuple[list[Clip], list[Clip]] = [], []
    for kind, names in zip(altered, (train, aside), strict=True):
        for position, name in enumerate(chance.sample(names, min(clips, len(names)))):
            samples = segments[name][: round(LONGEST_SECONDS * rate)]
            wav, f0 = torch.from_numpy(samples), torch.from_numpy(extract_f0(samples, rate, mel.config.hop_length))
            for which, (formants, pitch) in enumerate(ALTERATIONS):
                if (position + which) % 2 == 0:
                    speaker = number * len(ALTERATIONS) + which
                    kind.append(Clip(move(mel, wav, f0, pitch=pitch, formants=formants).half(), speaker))
    return altered


def read_voices(
    corpus: Path, first: int, clips: int, chance: random.Random
) -> tuple[list[Clip], list[Clip], list[Clip]]:
    """Of a corpus clips to train on, one held-out clip of each speaker, numbered from `first` on, and all clips of the
    speakers who are kept aside."""
    mel = MelSpectrogram()
    shortest = WINDOW * mel.config.hop_length / mel.config.sample_rate
    files: dict[str, list[str]] = {}
    for recording in read_corpus(corpus):
        if sum(recording.durations) > shortest + 0.1:
            files.setdefault(recording.voice, []).append(recording.file)
    voices = [voice for voice, own in files.items() if len(own) >= LEAST_CLIPS]
    if len(voices) < 4:
        raise UserError(f"{corpus} holds {len(voices)} voices with {LEAST_CLIPS} recordings of 1.5 s; 4 are the least.")
    chance.shuffle(voices)
    unheard = max(2, len(voices) // 10)
    parts: tuple[list[Clip], list[Clip], list[Clip]] = [], [], []
    for number, voice in enumerate(voices):
        for position, file in enumerate(files[voice][:clips]):
            wav = torch.from_numpy(load_audio(corpus / file, mel.config.sample_rate))
            clip = Clip(mel(wav[: round(LONGEST_SECONDS * mel.config.sample_rate)]).half(), first + number)
            if number >= len(voices) - unheard:
                parts[2].append(clip)
            else:
                parts[position == 0].append(clip)
    return parts


def equal_error_rate(embeddings: Tensor, speakers: Tensor) -> float:
    """Of all pairs among clips `(clips, dimensions)`, told by their cosine to be one speaker or two: the share of
    errors at the threshold where both kinds are as frequent."""
    one, other = torch.triu_indices(len(speakers), len(speakers), 1)
    cosines = (embeddings[one] * embeddings[other]).sum(1)
    same = (speakers[one] == speakers[other])[cosines.argsort()]
    missed = same.cumsum(0) / same.sum()  # pairs of one speaker up to each threshold
    accepted = 1 - (~same).cumsum(0) / (~same).sum()  # pairs of two beyond it
    at = (missed - accepted).abs().argmin()
    return float((missed[at] + accepted[at]) / 2)


def learn(
    encoder: SpeakerEncoder, middles: Tensor, train: list[Clip], steps: int, batch_size: int, chance: random.Random
) -> None:
    """Draws every clip's embedding to the middle of its speaker's, `middles` `(speakers, 96)`."""
    optimizer = torch.optim.AdamW([*encoder.parameters(), middles], 1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=steps)
    started = time.monotonic()
    for step in range(steps):
        clips = chance.choices(train, k=batch_size)
        starts = [chance.randrange(clip.mel.shape[1] - WINDOW + 1) for clip in clips]
        x = torch.stack([clip.mel[:, start : start + WINDOW] for clip, start in zip(clips, starts, strict=True)])
        logits = SCALE * encoder(vary(x.float())) @ F.normalize(middles, dim=1).T
        loss = F.cross_entropy(logits, torch.tensor([clip.speaker for clip in clips]), label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 150 == 0:
            minutes = (time.monotonic() - started) / 60
            print(f"step {step + 1} of {steps}, {minutes:.1f} minutes: loss {loss.item():.3f}", flush=True)


def vary(x: Tensor) -> Tensor:
    """Log-mels `(B, n_mels, T)` with level and tone changed and hiss under them."""
    batch, bands, _ = x.shape
    height = torch.linspace(0, 1, bands)[None, :, None]
    x = x + 0.4 * torch.randn(batch, 1, 1)
    for ripples in (1, 2):
        x = x + 0.25 * torch.randn(batch, 1, 1) * torch.cos(torch.pi * ripples * height)
    return torch.logaddexp(x, torch.empty(batch, 1, 1).uniform_(-11, -6))


def tell(encoder: SpeakerEncoder, middles: Tensor, mel: Tensor) -> int:
    """The speaker whose middle is nearest to a clip."""
    return int((F.normalize(middles, dim=1) @ encoder.of_clip(mel)).argmax())


if __name__ == "__main__":
    sys.exit(run_recipe(SpeakersConfig, main, __doc__))
