"""Prepares the recordings of two speakers for training: segments, statistics, pseudo-targets and batches."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from generative_core.training.data import UnpairedLoader
from voiceconv.audio.files import require_outside
from voiceconv.convert.adaptation import speech_frames
from voiceconv.errors import UserError
from voiceconv.features.mel import MelSpectrogram
from voiceconv.training.choir import Member, choir_planes
from voiceconv.training.dataset import MelCrops, SpeakerData, mel_statistics, prepare_speaker
from voiceconv.training.disguise import PseudoPairLoader, moved_mels, pseudo_targets, recording_at, training_planes
from voiceconv.training.presets import Preset
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.speaker_info import SpeakerInfo


@dataclass(frozen=True)
class Side:
    """One of the two speakers of a training."""

    data: SpeakerData
    sources: list[Tensor]
    """The log-mels `(n_mels, frames)` of the training segments as the generators read them."""
    speaker: Speaker


@dataclass(frozen=True)
class Pair:
    """The two speakers of a training."""

    a: Side
    b: Side

    @property
    def data(self) -> tuple[SpeakerData, SpeakerData]:
        return self.a.data, self.b.data

    @property
    def sources(self) -> tuple[list[Tensor], list[Tensor]]:
        return self.a.sources, self.b.sources

    @property
    def speakers(self) -> tuple[Speaker, Speaker]:
        return self.a.speaker, self.b.speaker

    @property
    def split(self) -> dict[str, Any]:
        """By speaker: the segments that are trained on, those that are not, and the fingerprint of the recordings."""
        return {
            side.speaker.name: {
                "train": side.data.train,
                "development": side.data.development,
                "fingerprint": side.data.fingerprint,
            }
            for side in (self.a, self.b)
        }

    @property
    def held_out_recordings(self) -> dict[str, list[str]]:
        """By speaker: the recordings of which no segment is trained on."""
        return {side.speaker.name: side.data.held_out_recordings for side in (self.a, self.b)}


def describe_speakers(
    folders: tuple[Path, Path], given: tuple[SpeakerInfo | None, SpeakerInfo | None], run_dir: Path
) -> tuple[SpeakerInfo, SpeakerInfo]:
    """What is known of both speakers, from their folders unless it is given.

    Raises `UserError` for names that a voice cannot have, and for a run folder among the recordings.
    """
    infos = given[0] or SpeakerInfo.of_folder(folders[0]), given[1] or SpeakerInfo.of_folder(folders[1])
    for info in infos:
        info.require_name()
    if infos[0].name == infos[1].name:
        raise UserError(f"Both speakers are called {infos[0].name!r}. Name one folder differently.")
    for folder in folders:
        require_outside(run_dir, folder)
    return infos


def read_pair(
    folders: tuple[Path, Path],
    infos: tuple[SpeakerInfo, SpeakerInfo],
    cache: Path,
    preset: Preset,
    mel: MelSpectrogram,
    seed: int,
) -> Pair:
    """Reads the recordings of both speakers, or what the folder `cache` keeps of them.

    Raises `UserError` for folders that cannot be trained on.
    """
    a, b = (
        prepare_speaker(folder, cache / f"{info.name}.safetensors", mel.config, seed=seed)
        for folder, info in zip(folders, infos, strict=True)
    )
    return Pair(_side(infos[0], a, b, preset, mel), _side(infos[1], b, a, preset, mel))


def _side(info: SpeakerInfo, data: SpeakerData, other: SpeakerData, preset: Preset, mel: MelSpectrogram) -> Side:
    if preset.input == "moved":
        sources = moved_mels(data, other.pitch, mel)
    else:
        sources = [data.mels[name] for name in data.train]
    tone = torch.cat([speech_frames(source) for source in sources], dim=1).mean(1)
    statistics = *data.mel_statistics(), *mel_statistics(sources), tone
    speaker = Speaker(info.name, data.pitch, *statistics, info.description, info.licence, info.credits)
    return Side(data, sources, speaker)


def target_tensors(
    pair: Pair,
    choir: Sequence[Member],
    preset: Preset,
    mel: MelSpectrogram,
    device: torch.device,
    seed: int,
    kept: Path,
) -> dict[str, Tensor]:
    """The pseudo-targets of all training segments and of the choir as the teachers of the preset make them, named as
    `target_names` says.

    Files that begin with the path `kept` hold how far the teachers have come.
    """
    assert preset.teacher is not None
    learning = {"seed": seed, "device": device, "kept": kept, **dataclasses.asdict(preset.teacher)}
    a, b = (
        [recording_at(side.data, name, to.data.pitch) for name in side.data.train]
        + [member.at_pitch(to.data.pitch) for member in choir]
        for side, to in ((pair.a, pair.b), (pair.b, pair.a))
    )
    targets = pseudo_targets(pair.speakers, pair.data, (a, b), mel, **learning)
    for finished in kept.parent.glob(f"{kept.name}-*"):
        finished.unlink()
    return {
        name: target.contiguous()
        for side, made in zip((pair.a, pair.b), targets, strict=True)
        for name, target in zip(target_names(side, choir), made, strict=True)
    }


def target_names(side: Side, choir: Sequence[Member]) -> list[str]:
    """Of the pseudo-targets of a speaker's training segments, and of the choir in the other speaker's voice."""
    speaker = side.speaker.name
    return [f"{speaker}/{name}" for name in side.data.train] + [f"/choir/{speaker}/{n}" for n in range(len(choir))]


def build_loader(
    pair: Pair,
    choir: Sequence[Member],
    targets: dict[str, Tensor] | None,
    preset: Preset,
    mel: MelSpectrogram,
    seed: int,
) -> UnpairedLoader:
    """Batches of crops of both speakers' training segments, with `target_tensors` and the choir if there are any."""
    if targets is None:
        a, b = ([s.speaker.normalise(s.data.mels[name])[None] for name in s.data.train] for s in (pair.a, pair.b))
        return UnpairedLoader(MelCrops(a, preset.frames), MelCrops(b, preset.frames), preset.batch_size, seed=seed)
    own, others = [], []
    for side, to in ((pair.a, pair.b), (pair.b, pair.a)):
        made = [targets[name] for name in target_names(side, choir)]
        own.append(made[: len(side.data.train)])
        others.append(choir_planes(choir, side.speaker, to.data.pitch, made[len(side.data.train) :], mel, seed))
    a, b = training_planes(pair.speakers, pair.data, pair.sources, (own[0], own[1]), mel, seed)
    crops_a, crops_b, choir_a, choir_b = (MelCrops(planes, preset.frames) for planes in (a, b, *others))
    return PseudoPairLoader(crops_a, crops_b, (choir_a, choir_b), preset.batch_size, seed=seed)
