"""Trains a voice between two folders of recordings: features, judge, CycleGAN, previews, voice folder, report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from pathlib import Path
from typing import Any

import torch

import voiceconv
from generative_core.training.checkpoint import CheckpointError
from generative_core.training.config import TrainConfig
from generative_core.training.data import UnpairedLoader
from generative_core.training.trainer import NonFiniteLoss, Trainer, choose_device
from voiceconv.audio.files import require_outside
from voiceconv.convert.adaptation import speech_frames
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.training.dataset import MelCrops, SpeakerData, cached, mel_statistics, prepare_speaker
from voiceconv.training.disguise import PseudoPairLoader, change_tone, moved_mels, pseudo_targets, training_planes
from voiceconv.training.gan import build_model
from voiceconv.training.presets import PRESETS, Preset
from voiceconv.training.run_folder import record_settings, record_split
from voiceconv.training.speaker_classifier import train_speaker_classifier
from voiceconv.user_data import shortened
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.speaker_info import SpeakerInfo
from voiceconv.voice.voice import Voice

Mels = tuple[list[torch.Tensor], list[torch.Tensor]]
"""Of the training segments of both speakers, each `(n_mels, frames)`."""


def train(
    folder_a: Path | str,
    folder_b: Path | str,
    run_dir: Path | str,
    *,
    preset: str = "cpu",
    resume: bool = False,
    budget_seconds: float | None = None,
    device: str = "auto",
    seed: int = 0,
    start_from: str | Path | None = None,
    info_a: SpeakerInfo | None = None,
    info_b: SpeakerInfo | None = None,
) -> bool:
    """Trains a voice from two folders of recordings; the run folder ends with `voice/` and `report.html`.

    Stops in good order after `budget_seconds`, Ctrl-C or SIGTERM, with the voice as far as it has come; `resume` goes
    on exactly there. `start_from` names a voice whose generators are the starting point: they already know how to keep
    words, so a new pair needs less data and time. Returns whether all steps are done. Raises `UserError` for folders
    that cannot be trained on, for a run folder that holds another run, for a starting point that is missing or of
    another size, and when the training collapses.
    """
    from voiceconv.training.preview import Preview, write_run_report

    started = time.monotonic()
    folder_a, folder_b, run_dir = Path(folder_a), Path(folder_b), Path(run_dir)
    if preset not in PRESETS:
        raise UserError(f"The preset {preset!r} is not one of {', '.join(PRESETS)}.")
    info_a, info_b = info_a or SpeakerInfo.of_folder(folder_a), info_b or SpeakerInfo.of_folder(folder_b)
    for info in (info_a, info_b):
        info.require_name()
    if info_a.name == info_b.name:
        raise UserError(f"Both speakers are called {info_a.name!r}. Name one folder differently.")
    for folder in (folder_a, folder_b):
        require_outside(run_dir, folder)
    settings, mel = PRESETS[preset], MelConfig()
    start = Voice.load(start_from) if start_from else None
    if preset == "cpu-from" and not start:
        raise UserError("The preset 'cpu-from' goes on from a voice: say which with --from, or take the preset 'cpu'.")
    generator = settings.describe_generator(mel.n_mels)
    if start and (_size(start.generator), start.input) != (_size(generator), settings.input):
        raise UserError(
            f"{start.name} cannot be a starting point for the preset {preset!r}: its networks are of another size."
        )
    resolved = {
        "preset": preset,
        "seed": seed,
        "from": str(start_from or ""),
        "speakers": [info_a.name, info_b.name],
        **dataclasses.asdict(settings),
    }
    record_settings(run_dir, resolved, resume=resume)

    data_a = prepare_speaker(folder_a, run_dir / "features" / f"{info_a.name}.safetensors", mel, seed=seed)
    data_b = prepare_speaker(folder_b, run_dir / "features" / f"{info_b.name}.safetensors", mel, seed=seed)
    data = data_a, data_b
    sources = source_mels(settings, data, MelSpectrogram(mel))
    speakers = _speaker(info_a, data_a, sources[0]), _speaker(info_b, data_b, sources[1])
    split = {
        s.name: {"train": d.train, "development": d.development, "fingerprint": d.fingerprint}
        for s, d in zip(speakers, data, strict=True)
    }
    record_split(run_dir, split)
    speaker_classifier = train_speaker_classifier(speakers, data, seed)
    goals = None
    if settings.teacher:
        key = json.dumps([resolved, data_a.fingerprint, data_b.fingerprint])
        made = cached(
            run_dir / "features" / "goals.safetensors",
            hashlib.sha256(key.encode()).hexdigest(),
            lambda: goal_tensors(settings, speakers, data, sources, MelSpectrogram(mel), choose_device(device), seed),
        )
        a, b = ([made[f"{s.name}/{name}"] for name in d.train] for s, d in zip(speakers, data, strict=True))
        goals = a, b
    model = build_model(settings, speakers, mel, seed)
    if start:
        model.generator_ab.load_state_dict(start.generator_ab.state_dict())
        model.generator_ba.load_state_dict(start.generator_ba.state_dict())
    loader = _loader(settings, speakers, data, sources, goals, MelSpectrogram(mel), seed)
    config = TrainConfig(
        steps=settings.steps,
        run_dir=run_dir,
        seed=seed,
        device=device,
        decay_steps=settings.decay_steps,
        budget_seconds=math.inf if budget_seconds is None else budget_seconds - (time.monotonic() - started),
    )

    origin = {"from": _origin(start)} if start else {}

    def current_voice() -> Voice:
        return Voice(
            shortened(f"{info_a.name}-{info_b.name}"),
            speakers,
            mel,
            generator,
            settings.input,
            model.generator_ab,
            model.generator_ba,
            speaker_classifier,
            metadata={
                "voiceconv_version": voiceconv.__version__,
                "training": {"preset": preset, "steps": trainer.step, "seed": seed, **origin},
                "development": {s.name: d.held_out_recordings for s, d in zip(speakers, data, strict=True)},
            },
        )

    preview = Preview(current_voice, data, sources, MelSpectrogram(mel), settings.two_sample_test_steps)
    trainer = Trainer(model, loader, config, [preview])
    try:
        finished = trainer.fit(resume=resume)
    except (CheckpointError, NonFiniteLoss) as error:
        raise UserError(str(error)) from error
    write_run_report(run_dir)
    if trainer.stop_reason:
        raise UserError(f"The run stopped at step {trainer.step}: {trainer.stop_reason}")
    return finished


def _size(generator: dict[str, Any]) -> dict[str, Any]:
    """What the weights depend on: how far to come a network looks is no part of it."""
    return {key: value for key, value in generator.items() if key != "lookahead"}


def source_mels(settings: Preset, data: tuple[SpeakerData, SpeakerData], mel: MelSpectrogram) -> Mels:
    """The log-mels of both speakers' training segments as the generators read them."""
    a, b = data
    if settings.input == "moved":
        return moved_mels(a, b.pitch, mel), moved_mels(b, a.pitch, mel)
    return [a.mels[name] for name in a.train], [b.mels[name] for name in b.train]


def goal_tensors(
    settings: Preset,
    speakers: tuple[Speaker, Speaker],
    data: tuple[SpeakerData, SpeakerData],
    sources: Mels,
    mel: MelSpectrogram,
    device: torch.device,
    seed: int,
) -> dict[str, torch.Tensor]:
    """What the generators learn from first, `pseudo_targets` by speaker and segment."""
    assert settings.teacher is not None
    goals = pseudo_targets(
        speakers, data, sources, mel, seed=seed, device=device, **dataclasses.asdict(settings.teacher)
    )
    return {
        f"{speaker.name}/{name}": goal.contiguous()
        for speaker, d, made in zip(speakers, data, goals, strict=True)
        for name, goal in zip(d.train, made, strict=True)
    }


def _loader(
    settings: Preset,
    speakers: tuple[Speaker, Speaker],
    data: tuple[SpeakerData, SpeakerData],
    sources: Mels,
    goals: Mels | None,
    mel: MelSpectrogram,
    seed: int,
) -> UnpairedLoader:
    """Crops of both speakers' training segments, with their views if there are goals."""
    if goals is not None:
        pictures = training_planes(speakers, data, sources, goals, mel, seed)
    else:
        a, b = ([s.normalise(d.mels[n])[None] for n in d.train] for s, d in zip(speakers, data, strict=True))
        pictures = a, b
    crops_a, crops_b = (MelCrops(of_one, settings.frames) for of_one in pictures)
    if goals is None:
        return UnpairedLoader(crops_a, crops_b, settings.batch_size, seed=seed)
    return PseudoPairLoader(crops_a, crops_b, settings.batch_size, seed=seed, transform=change_tone)


def _speaker(info: SpeakerInfo, data: SpeakerData, source: list[torch.Tensor]) -> Speaker:
    tone = torch.cat([speech_frames(mel) for mel in source], dim=1).mean(1)
    statistics = *data.mel_statistics(), *mel_statistics(source), tone
    return Speaker(info.name, data.pitch, *statistics, info.description, info.licence, info.credits)


def _origin(start: Voice) -> str:
    """The voice that a training began with and the licences of its speech, which bind what is made of it, too."""
    licences = dict.fromkeys(speaker.licence for speaker in start.speakers if speaker.licence)
    terms = f" ({'; '.join(licences)})" if licences else ""
    before = start.metadata.get("training", {}).get("from")
    return f"{start.name}{terms}" + (f", from {before}" if before else "")
