"""Trains a voice that converts between the speakers of two folders of recordings."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from torch import nn

import voiceconv
from generative_core.families.cyclegan import CycleGAN
from generative_core.training.trainer import choose_device
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.training.choir import read_choir
from voiceconv.training.gan import build_model, require_consistent
from voiceconv.training.pair import Pair, build_loader, describe_speakers, read_pair, target_tensors
from voiceconv.training.presets import PRESETS, Preset
from voiceconv.training.run_folder import RunFolder, find_preset
from voiceconv.training.speaker_classifier import train_speaker_classifier
from voiceconv.user_data import shortened
from voiceconv.voice.speaker_info import SpeakerInfo
from voiceconv.voice.voice import Voice, build_speaker_classifier


def train(
    folder_a: Path | str,
    folder_b: Path | str,
    run_dir: Path | str,
    *,
    preset: str = "cpu",
    settings: Preset | None = None,
    resume: bool = False,
    budget_seconds: float | None = None,
    device: str = "auto",
    seed: int = 0,
    start_from: str | Path | None = None,
    info_a: SpeakerInfo | None = None,
    info_b: SpeakerInfo | None = None,
) -> bool:
    """Trains a voice from two folders of recordings; the run folder ends with `voice/` and `report.html`.

    `settings` are those of the preset, some of them changed. Stops in good order after `budget_seconds`, Ctrl-C or
    SIGTERM, with the voice as far as it has come; `resume` goes on exactly there. `start_from` names a voice whose
    generators are the starting point: they already know how to keep words, so a new pair needs less data and time.

    Returns whether all steps are done. Raises `UserError` for folders that cannot be trained on, for a run folder that
    holds another run, for a starting point that is missing or of another size, and when the training collapses.
    """
    from voiceconv.training.preview import Preview, write_voice_report

    folders, run_dir = (Path(folder_a), Path(folder_b)), Path(run_dir)
    settings = settings or find_preset(PRESETS, preset)
    require_consistent(settings)
    infos = describe_speakers(folders, (info_a, info_b), run_dir)
    start = starting_point(start_from, preset, settings)
    about = {"preset": preset, "seed": seed, "from": str(start_from or ""), "speakers": [info.name for info in infos]}
    run = RunFolder(run_dir, {**about, **dataclasses.asdict(settings)}, resume=resume, budget_seconds=budget_seconds)

    mel = MelSpectrogram()
    pair = read_pair(folders, infos, run.features, settings, mel, seed)
    run.record_split(pair.split)
    classifier = build_speaker_classifier().eval().requires_grad_(False)
    classifier.load_state_dict(
        run.prepared("speaker classifier", lambda: train_speaker_classifier(pair.speakers, pair.data, seed))
    )
    choir = read_choir(settings.choir if settings.teacher else 0, mel)
    targets = None
    if settings.teacher:
        targets = run.prepared(
            "targets",
            lambda: target_tensors(pair, choir, settings, mel, choose_device(device), seed, run.kept("teacher")),
        )
    model = build_model(settings, pair.speakers, mel.config, seed)
    if start:
        model.generator_ab.load_state_dict(start.generator_ab.state_dict())
        model.generator_ba.load_state_dict(start.generator_ba.state_dict())

    training = {"preset": preset, "seed": seed, **({"from": describe_origin(start)} if start else {})}

    def current_voice(step: int) -> Voice:
        return build_voice(pair, model, classifier, settings, mel.config, {**training, "steps": step})

    trainer = run.trainer(
        model,
        build_loader(pair, choir, targets, settings, mel, seed),
        Preview(current_voice, pair, MelSpectrogram(), settings.two_sample_test_steps),
        steps=settings.steps,
        decay_steps=settings.decay_steps,
        device=device,
        seed=seed,
    )
    finished = trainer.fit(resume=resume)
    write_voice_report(run_dir)
    if trainer.stop_reason:
        raise UserError(f"The run stopped at step {trainer.step}: {trainer.stop_reason}")
    return finished


def build_voice(
    pair: Pair, model: CycleGAN, classifier: nn.Module, preset: Preset, mel: MelConfig, training: dict[str, Any]
) -> Voice:
    """The voice that a model of the pair makes; `training` says where it comes from."""
    return Voice(
        shortened("-".join(speaker.name for speaker in pair.speakers)),
        pair.speakers,
        mel,
        preset.describe_generator(mel.n_mels),
        preset.input,
        model.generator_ab,
        model.generator_ba,
        classifier,
        metadata={
            "voiceconv_version": voiceconv.__version__,
            "training": training,
            "development": pair.held_out_recordings,
        },
    )


def starting_point(name: str | Path | None, preset: str, settings: Preset) -> Voice | None:
    """The voice that a training begins with, if any.

    Raises `UserError` if its networks are of another size, and if the preset needs one and there is none.
    """
    if not name:
        if preset == "cpu-from":
            raise UserError(
                "The preset 'cpu-from' goes on from a voice: say which with --from, or take the preset 'cpu'."
            )
        return None
    start = Voice.load(name)
    wanted = settings.describe_generator(MelConfig().n_mels)
    if (_size(start.generator), start.input) != (_size(wanted), settings.input):
        raise UserError(
            f"{start.name} cannot be a starting point for the preset {preset!r}: its networks are of another size."
        )
    return start


def _size(generator: dict[str, Any]) -> dict[str, Any]:
    """What the weights depend on: how many frames ahead a network looks is no part of it."""
    return {key: value for key, value in generator.items() if key != "lookahead"}


def describe_origin(start: Voice) -> str:
    """The voice that a training began with, and the licences of its speech, which bind what is made of it as well."""
    licences = dict.fromkeys(speaker.licence for speaker in start.speakers if speaker.licence)
    terms = f" ({'; '.join(licences)})" if licences else ""
    before = start.metadata.get("training", {}).get("from")
    return f"{start.name}{terms}" + (f", from {before}" if before else "")
