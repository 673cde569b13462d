"""Trains a decoder that speaks in one voice from content, F0 and level, and measures a content encoder by its words.

    python -m recipes.content_decoder --target data/joe:en-us --sources data/allison:en-us \\
        --encoder runs/content-encoder/encoder.safetensors

Of another voice only what is left of it in the content can pass, since the decoder is trained on its target alone. So
the words that it keeps of speakers unknown to the encoder measure that encoder; its accuracy on synthetic voices does
not (docs/experiments-many-voices.md). The content comes from disguised versions of the target's recordings, so that the
decoder does not rely on how the target sounds (NANSY, Choi et al. 2021, arXiv:2110.14513): with `--disguise voice`
pitch and formants are shifted, with `channel` rooms, microphones and noise are added, which brings the voice closer and
costs words.

For each folder of sources the held-out clips are converted to the target. Printed are phoneme errors against the text,
by the scoring recogniser, and the cosine to target and source, by the speaker encoder; the same for copy-synthesis and
for the target's own clips. The clips are written to OUT, for other recognisers.

Should reach: from that encoder with 192 channels, 5 blocks and 700 steps, Allison with 46 % phoneme errors
(copy-synthesis 32 %) and a cosine of .93 to Joe (his own clips .97). `--smoke` takes seconds.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.nets import ConvNeXtBlock1d
from generative_core.training.precision import autocast_where_fast
from recipes.common.channel import Channel
from recipes.common.command import run_recipe
from recipes.common.transcribed import Utterance, read_folder
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.features.pitch import PitchStatistics
from voiceconv.recognisers.phonemes import PhonemeRecogniser, phoneme_errors
from voiceconv.recognisers.speaker_encoder import SpeakerEncoder
from voiceconv.training.dataset import mel_statistics
from voiceconv.vocoder.base import load_vocoder

FRAMES = 64  # in a crop
LOUDEST_SHARE = 0.9  # of a clip's frames: their level is called 0
QUIETEST = -7.0  # nepers under that
LEAST_RECORDINGS = 8


@dataclass(frozen=True)
class ContentDecoderConfig:
    """The target, the encoder, the sources, the schedule and the output folder."""

    target: str
    """Folder of the target's recordings with its language: FOLDER:LANGUAGE."""
    sources: tuple[str, ...] = ()
    """Folders of other speakers, whose held-out clips are converted: FOLDER:LANGUAGE."""
    encoder: Path | None = None
    """A file that recipes.content_encoder or recipes.phonemes wrote; default: the shipped recogniser."""
    disguise: Literal["none", "voice", "channel"] = "voice"
    """How the target's recordings are altered before they are encoded."""
    out: Path = Path("runs/content-decoder")
    """Folder for the clips."""
    clips: int = 20
    """Number of held-out clips of each folder to convert."""
    steps: int = 2000
    """Training steps."""
    batch_size: int = 16
    """Crops in a step."""
    channels: int = 256
    """Channels of the decoder."""
    blocks: int = 6
    """Blocks of the decoder."""
    rate: float = 1.5e-3
    """The highest learning rate."""
    seed: int = 0
    """Seed of all random numbers."""
    smoke: bool = False
    """Only check that everything runs, within seconds."""


class ContentDecoder(nn.Module):
    """Content, pitch, voicing and level `(B, content + 3, T)` -> the log-mel of one speaker `(B, n_mels, T)`."""

    mean: Tensor
    std: Tensor

    def __init__(self, content: int, mean: Tensor, std: Tensor, *, channels: int = 256, blocks: int = 6) -> None:
        super().__init__()
        self.register_buffer("mean", mean)  # of the speaker's log-mels, (n_mels,)
        self.register_buffer("std", std)
        self.enter = nn.Conv1d(content + 3, channels, 7, padding=3)
        self.blocks = nn.Sequential(*(ConvNeXtBlock1d(channels, scale=1 / blocks) for _ in range(blocks)))
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, len(mean))

    def forward(self, x: Tensor) -> Tensor:
        h = self.norm(self.blocks(self.enter(x)).transpose(1, 2))
        return (self.leave(h).float() * self.std + self.mean).transpose(1, 2)


def main(config: ContentDecoderConfig) -> None:
    torch.manual_seed(config.seed)
    steps, channels, clips = (3, 16, 2) if config.smoke else (config.steps, config.channels, config.clips)
    encoder = PhonemeRecogniser.load(config.encoder or "training")
    target = read_folder(config.target, config.seed, smoke=config.smoke)
    train = [utterance for utterance in target if not utterance.held_out]
    if len(train) < LEAST_RECORDINGS:
        raise UserError(
            f"{config.target} holds {len(train)} recordings with their text; {LEAST_RECORDINGS} are the least."
        )
    pitch = pitch_of(target)
    examples = [(disguised(encoder, u, config.disguise), prosody(u, pitch), u.mels[0]) for u in train]
    mean, std = mel_statistics([u.mels[0] for u in train])
    decoder = ContentDecoder(examples[0][0][0].shape[0], mean, std, channels=channels, blocks=config.blocks)
    learn(decoder, examples, steps, config)
    decoder.eval()
    score = Score(target, clips, config.out)
    for text in (config.target, *config.sources):
        speaker = target if text == config.target else read_folder(text, config.seed, smoke=config.smoke)
        own = pitch_of(speaker)
        said = [u for u in speaker if u.held_out][:clips]
        converted = [(decode(decoder, encoder, u, own), moved(u, own, pitch)) for u in said]
        name = Path(text.rpartition(":")[0]).name
        score(f"{name}, copy-synthesis", said, [(u.mels[0], f0_of(u)) for u in said], speaker)
        score(f"{name} in the target's voice", said, converted, speaker)


def f0_of(utterance: Utterance) -> Tensor:
    assert utterance.f0 is not None  # folders are read with it
    return utterance.f0


def pitch_of(utterances: Sequence[Utterance]) -> PitchStatistics:
    return PitchStatistics.from_f0([f0_of(u).numpy() for u in utterances])


def prosody(utterance: Utterance, pitch: PitchStatistics) -> Tensor:
    """Pitch in deviations of the speaker's, 0 where unvoiced; whether it is voiced; level: `(3, T)`."""
    f0, mel = f0_of(utterance), utterance.mels[0]
    height = torch.where(f0 > 0, (f0.clamp_min(1.0).log() - pitch.mean) / pitch.std, 0.0).clamp(-3, 3)
    level = torch.logsumexp(2 * mel, 0) / 2
    level = (level - level.quantile(LOUDEST_SHARE)).clamp_min(QUIETEST) / 2 + 1
    return torch.stack([height, (f0 > 0).float(), level])


def moved(utterance: Utterance, own: PitchStatistics, target: PitchStatistics) -> Tensor:
    """F0 in Hz `(T,)` with the mean and the deviation of the target's logarithm."""
    f0 = f0_of(utterance)
    log_f0 = (f0.clamp_min(1.0).log() - own.mean) / own.std * target.std + target.mean
    return torch.where(f0 > 0, log_f0.exp(), 0.0)


@torch.no_grad()
def disguised(encoder: PhonemeRecogniser, utterance: Utterance, disguise: str) -> list[Tensor]:
    """The content `(content, T)` (float16) of a recording and of its altered versions."""
    versions = utterance.mels[:1] if disguise == "none" else utterance.mels
    if disguise == "channel":
        channel = Channel(MelConfig())
        versions = [versions[0], *(channel(version[None])[0] for version in versions)]
    return [encoder.features(version[None])[0].half() for version in versions]


def learn(
    decoder: ContentDecoder,
    examples: Sequence[tuple[list[Tensor], Tensor, Tensor]],
    steps: int,
    config: ContentDecoderConfig,
) -> None:
    """Trains by L1 on recordings: versions of their content `(content, T)`, prosody `(3, T)`, log-mel `(n_mels, T)`."""
    chance, lengths = random.Random(config.seed), [mel.shape[1] for _, _, mel in examples]
    optimizer = torch.optim.AdamW(decoder.parameters(), config.rate, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.rate, total_steps=steps, pct_start=0.1)
    started = time.monotonic()
    for step in range(steps):
        batch = []
        for versions, rows, mel in chance.choices(examples, lengths, k=config.batch_size):
            start = chance.randrange(max(1, mel.shape[1] - FRAMES))
            example = torch.cat([chance.choice(versions).float(), rows, mel])[:, start : start + FRAMES]
            batch.append(F.pad(example, (0, FRAMES - example.shape[1]), mode="replicate"))
        x, goal = torch.stack(batch).split([len(batch[0]) - len(decoder.mean), len(decoder.mean)], dim=1)
        with autocast_where_fast(x.device):
            made = decoder(x)
        loss = ((made - goal) / decoder.std[:, None]).abs().mean()
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(decoder.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        if (step + 1) % 200 == 0:
            minutes = (time.monotonic() - started) / 60
            print(f"step {step + 1} of {steps}, {minutes:.1f} minutes: loss {loss.item():.3f}", flush=True)


@torch.no_grad()
def decode(decoder: ContentDecoder, encoder: PhonemeRecogniser, utterance: Utterance, own: PitchStatistics) -> Tensor:
    """Converts a recording to the target, a log-mel `(n_mels, T)`."""
    content = encoder.features(utterance.mels[0][None])[0]
    return decoder(torch.cat([content, prosody(utterance, own)])[None])[0]


class Score:
    """Prints how well words are kept and how near the voice is, and writes the clips."""

    def __init__(self, target: Sequence[Utterance], clips: int, out: Path) -> None:
        self.mel, self.out, self.clips = MelSpectrogram(), out, clips
        self.vocoder = load_vocoder(None, self.mel.config)
        self.recogniser, self.encoder = PhonemeRecogniser.load("scoring"), SpeakerEncoder.load()
        self.target = self.centroid(target)

    def centroid(self, speaker: Sequence[Utterance]) -> Tensor:
        return self.encoder.centroid([u.mels[0] for u in speaker if u.held_out][: self.clips])

    @torch.no_grad()
    def __call__(
        self,
        name: str,
        utterances: Sequence[Utterance],
        spoken: Sequence[tuple[Tensor, Tensor]],
        source: Sequence[Utterance],
    ) -> None:
        """`spoken` has a log-mel `(n_mels, T)` and an F0 in Hz `(T,)` for each of the utterances."""
        errors, embeddings = 0, []
        (self.out / name).mkdir(parents=True, exist_ok=True)
        for number, (utterance, (mel, f0)) in enumerate(zip(utterances, spoken, strict=True)):
            wav = self.vocoder(mel[None], f0[None])[0]
            save_audio(self.out / name / f"{number:03d}.flac", wav.numpy(), self.mel.config.sample_rate)
            heard = self.mel(wav)
            errors += phoneme_errors(utterance.phonemes, self.recogniser.transcribe(heard))
            embeddings.append(self.encoder.of_clip(heard))
        told, own = torch.stack(embeddings), self.centroid(source)
        share = errors / max(1, sum(len(u.phonemes) for u in utterances))
        to_target, to_source = ((told @ voice).mean().item() for voice in (self.target, own))
        print(
            f"{name}: phoneme errors {share:.1%}, cosine to the target {to_target:.3f}, to the source {to_source:.3f}"
        )


if __name__ == "__main__":
    sys.exit(run_recipe(ContentDecoderConfig, main, __doc__))
