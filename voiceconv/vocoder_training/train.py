"""Trains our own vocoder on folders of recordings."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

import voiceconv
from generative_core.families.waveform_gan import WaveformGAN
from generative_core.nets import PeriodDiscriminator, ResolutionDiscriminator
from voiceconv.audio.files import require_outside
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.training.run_folder import RunFolder, find_preset
from voiceconv.vocoder.base import vocoder_folder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder_training.dataset import CropLoader, prepare_speech
from voiceconv.vocoder_training.losses import ReconstructionLoss
from voiceconv.vocoder_training.preparation import converted_mels, train_pitch
from voiceconv.vocoder_training.presets import PRESETS, Preset
from voiceconv.voice.speaker_info import SpeakerInfo

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = (2048, 1024, 512)


def train_vocoder(
    folders: Sequence[Path | str],
    run_dir: Path | str,
    *,
    preset: str = "cpu",
    settings: Preset | None = None,
    resume: bool = False,
    budget_seconds: float | None = None,
    start_from: str | None = None,
    mels_from: str | None = None,
    device: str = "auto",
    seed: int = 0,
) -> bool:
    """Trains a vocoder from folders of recordings; the run folder ends with `vocoder/` and `report.html`.

    `settings` are those of the preset, some of them changed. `start_from`, a shipped vocoder's name or a folder, is
    fine-tuned: its generator, which must have the preset's size, goes on, with discriminators from the first step and
    fewer steps. `mels_from` names a voice some of whose speakers the folders are of: half of the training mels of these
    are then what its generators make of their own speakers' speech, so that the vocoder learns what such mels stand
    for.

    Stops in good order after `budget_seconds`, Ctrl-C or SIGTERM, with the vocoder as far as it has come; `resume` goes
    on exactly there. Returns whether all steps are done. Raises `UserError` for folders that cannot be trained on and
    for a run folder that holds another run.
    """
    from voiceconv.vocoder_training.preview import VocoderPreview, write_vocoder_report

    paths, run_dir = [Path(folder) for folder in folders], Path(run_dir)
    for path in paths:
        require_outside(run_dir, path)
    settings, mel = settings or find_preset(PRESETS, preset), MelConfig()
    if start_from is not None:
        settings = settings.for_fine_tuning()
    about = {"preset": preset, "seed": seed, "start_from": start_from, "mels_from": mels_from}
    run = RunFolder(run_dir, {**about, **dataclasses.asdict(settings)}, resume=resume, budget_seconds=budget_seconds)

    speakers = [SpeakerInfo.of_folder(folder) for folder in paths]
    speech = prepare_speech(paths, run.features, mel, seed=seed)
    run.record_split({"train": speech.train, "development": speech.development, "fingerprints": speech.fingerprints})
    if mels_from is not None:
        speech = dataclasses.replace(speech, converted=converted_mels(speech, paths, speakers, mels_from, mel, seed))
    model = build_model(settings, mel, seed)
    vocoder = ISTFTVocoder(model.generator)  # type: ignore[arg-type]
    if start_from is not None:
        load_starting_point(vocoder, start_from)
    else:
        pitch = run.prepared("pitch", lambda: train_pitch(speech, mel, settings.pitch_steps, seed))
        vocoder.generator.pitch.load_state_dict(pitch)

    def current_vocoder(step: int) -> ISTFTVocoder:
        vocoder.metadata = {
            "name": run_dir.resolve().name,
            "voiceconv_version": voiceconv.__version__,
            "training": {
                "preset": preset,
                "steps": step,
                "seed": seed,
                "start_from": start_from and Path(start_from).name,  # its name, not where it lay
                "mels_from": mels_from and Path(mels_from).name,
            },
            "speech": [dataclasses.asdict(info) for info in speakers],
            "licence": "; ".join(dict.fromkeys(info.licence for info in speakers if info.licence)),
            "credits": "; ".join(dict.fromkeys(info.credits for info in speakers if info.credits)),
            "development": speech.held_out_recordings,
        }
        return vocoder

    trainer = run.trainer(
        model,
        CropLoader(speech, mel, batch_size=settings.batch_size, frames=settings.frames, seed=seed),
        VocoderPreview(current_vocoder, speech),
        steps=settings.steps,
        decay_steps=settings.decay_steps,
        warmup_steps=settings.warmup_steps,
        device=device,
        seed=seed,
    )
    finished = trainer.fit(resume=resume)
    write_vocoder_report(run_dir)
    return finished


def build_model(settings: Preset, mel: MelConfig, seed: int) -> WaveformGAN:
    """The networks and losses of a preset, the same for the same seed."""
    torch.manual_seed(seed)
    discriminators: list[nn.Module] = [PeriodDiscriminator(p, channels=settings.period_channels) for p in PERIODS]
    discriminators += [ResolutionDiscriminator(n, channels=settings.resolution_channels) for n in RESOLUTIONS]
    return WaveformGAN(
        settings.gan,
        generator=ISTFTVocoder.build(mel, settings.generator).generator,
        discriminators=discriminators,
        reconstruction=ReconstructionLoss(
            mel.sample_rate,
            settings.mel_scales,
            lambda_mel=settings.lambda_mel,
        ),
    )


def load_starting_point(vocoder: ISTFTVocoder, name: str) -> None:
    """Gives a vocoder the weights of another one. Raises `UserError` if that has other networks or mels."""
    before = ISTFTVocoder.load(vocoder_folder(name))
    vocoder.mel.require_same(before.mel, f"The vocoder {name}")
    theirs, ours = before.generator.size, vocoder.generator.size
    if theirs != ours:
        raise UserError(
            f"The vocoder {name} has the sizes {dataclasses.asdict(theirs)}, but the preset's are "
            f"{dataclasses.asdict(ours)}. Choose the preset that it was trained with."
        )
    vocoder.generator.load_state_dict(before.generator.state_dict())
