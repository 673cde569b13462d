"""Trains our own vocoder on folders of recordings: waveforms, crops, GAN, previews, vocoder folder, report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import voiceconv
from generative_core.families.waveform_gan import WaveformGAN, WaveformGANConfig
from generative_core.nets import PeriodDiscriminator, ResolutionDiscriminator
from generative_core.training.checkpoint import CheckpointError
from generative_core.training.config import TrainConfig
from generative_core.training.trainer import NonFiniteLoss, Trainer
from voiceconv.audio.files import require_outside
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.features.pitch import semitones_between
from voiceconv.training.dataset import cached, mel_statistics
from voiceconv.training.disguise import disguise
from voiceconv.training.run_folder import record_settings, record_split
from voiceconv.vocoder.base import load_vocoder, vocoder_folder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder.pitch_estimator import PitchEstimator
from voiceconv.vocoder_training.dataset import CropLoader, Speech, prepare_speech
from voiceconv.vocoder_training.losses import ReconstructionLoss
from voiceconv.voice.speaker_info import SpeakerInfo

PERIODS = (2, 3, 5, 7, 11)
RESOLUTIONS = (2048, 1024, 512)
PITCH_RATE = 1e-3
PITCH_SEMITONES = 6.0  # either way


@dataclass(frozen=True)
class Preset:
    """Networks, losses and schedule of a training, all of it written to the run folder."""

    gan: WaveformGANConfig
    generator: dict[str, int]
    period_channels: int
    resolution_channels: int
    mel_scales: dict[int, int]
    lambda_mel: float
    steps: int
    decay_steps: int
    batch_size: int
    frames: int
    pitch_steps: int = 1_500
    warmup_steps: int = 200
    fine_tuning_steps: int = 3_000

    def for_fine_tuning(self) -> Preset:
        """The discriminators help from the start, and the rates fall all the way."""
        gan, steps = dataclasses.replace(self.gan, adversarial_after=0), self.fine_tuning_steps
        return dataclasses.replace(self, gan=gan, steps=steps, decay_steps=steps)


PRESETS: dict[str, Preset] = {
    # Meant for an hour on two cores. A step without the discriminators costs a quarter of one with them, so they wait
    # until the reconstruction has little left to gain.
    "cpu": Preset(
        gan=WaveformGANConfig(adversarial_after=2_000, discriminator_rate=1e-3, bfloat16=True),
        generator={"channels": 256, "blocks": 8, "kernel_size": 7, "lookahead": 0},
        period_channels=8,
        resolution_channels=16,
        mel_scales={2048: 160, 1024: 80, 512: 40, 256: 20},
        lambda_mel=15.0,
        steps=6_000,
        decay_steps=2_500,
        batch_size=4,
        frames=64,
        fine_tuning_steps=6_500,
    ),
    "gpu": Preset(
        gan=WaveformGANConfig(adversarial_after=1_000, bfloat16=True),
        generator={"channels": 384, "blocks": 8, "kernel_size": 7, "lookahead": 0},
        period_channels=32,
        resolution_channels=32,
        mel_scales={2048: 320, 1024: 160, 512: 80, 256: 40, 128: 20},
        lambda_mel=15.0,
        steps=20_000,
        decay_steps=10_000,
        batch_size=32,
        frames=64,
    ),
    # Seconds, to see that everything runs; the result is noise.
    "smoke": Preset(
        gan=WaveformGANConfig(adversarial_after=4),
        generator={"channels": 16, "blocks": 1, "kernel_size": 7, "lookahead": 0},
        period_channels=1,
        resolution_channels=2,
        mel_scales={512: 40},
        lambda_mel=15.0,
        steps=8,
        decay_steps=0,
        batch_size=2,
        frames=16,
        pitch_steps=4,
        warmup_steps=0,
        fine_tuning_steps=4,
    ),
}


def train_vocoder(
    folders: Sequence[Path | str],
    run_dir: Path | str,
    *,
    preset: str = "cpu",
    resume: bool = False,
    budget_seconds: float | None = None,
    start_from: str | None = None,
    mels_from: str | None = None,
    device: str = "auto",
    seed: int = 0,
) -> bool:
    """Trains a vocoder from folders of recordings; the run folder ends with `vocoder/` and `report.html`.

    `start_from`, a shipped vocoder's name or a folder, is fine-tuned: its generator, which must have the preset's size,
    goes on, with discriminators from the first step and fewer steps. `mels_from` names a voice some of whose speakers
    the folders are of: half of the training mels of these are then what its generators make of their own speakers'
    speech, so that the vocoder learns what such mels stand for.

    Stops in good order after `budget_seconds`, Ctrl-C or SIGTERM, with the vocoder as far as it has come; `resume` goes
    on exactly there. Returns whether all steps are done. Raises `UserError` for folders that cannot be trained on and
    for a run folder that holds another run.
    """
    from voiceconv.vocoder_training.preview import VocoderPreview, write_vocoder_report

    started = time.monotonic()
    paths, run_dir = [Path(folder) for folder in folders], Path(run_dir)
    for path in paths:
        require_outside(run_dir, path)
    if preset not in PRESETS:
        raise UserError(f"The preset {preset!r} is not one of {', '.join(PRESETS)}.")
    settings, mel = PRESETS[preset], MelConfig()
    if start_from is not None:
        settings = settings.for_fine_tuning()
    record = {
        "preset": preset,
        "seed": seed,
        "start_from": start_from,
        "mels_from": mels_from,
        **dataclasses.asdict(settings),
    }
    record_settings(run_dir, record, resume=resume)

    speakers = [SpeakerInfo.of_folder(folder) for folder in paths]
    speech = prepare_speech(paths, run_dir / "features", mel, seed=seed)
    split = {"train": speech.train, "development": speech.development, "fingerprints": speech.fingerprints}
    record_split(run_dir, split)
    if mels_from is not None:
        speech = dataclasses.replace(speech, converted=restored_mels(speech, paths, speakers, mels_from, mel, seed))
    model = build_model(settings, mel, seed)
    vocoder = ISTFTVocoder(model.generator, mel, settings.generator)  # type: ignore[arg-type]
    if start_from is not None:
        _start_from(vocoder, start_from)
    else:
        steps, cache = settings.pitch_steps, run_dir / "features" / "pitch.safetensors"
        known = hashlib.sha256(json.dumps([record, split]).encode()).hexdigest()
        weights = cached(cache, known, lambda: train_pitch(speech, mel, steps, seed))
        vocoder.generator.pitch.load_state_dict(weights)

    def current_vocoder() -> ISTFTVocoder:
        vocoder.metadata = {
            "name": run_dir.resolve().name,
            "voiceconv_version": voiceconv.__version__,
            "training": {
                "preset": preset,
                "steps": trainer.step,
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

    config = TrainConfig(
        steps=settings.steps,
        run_dir=run_dir,
        seed=seed,
        device=device,
        decay_steps=settings.decay_steps,
        warmup_steps=settings.warmup_steps,
        budget_seconds=math.inf if budget_seconds is None else budget_seconds - (time.monotonic() - started),
    )
    loader = CropLoader(speech, mel, batch_size=settings.batch_size, frames=settings.frames, seed=seed)
    trainer = Trainer(model, loader, config, [VocoderPreview(current_vocoder, speech)])
    try:
        finished = trainer.fit(resume=resume)
    except (CheckpointError, NonFiniteLoss) as error:
        raise UserError(str(error)) from error
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


def train_pitch(speech: Speech, config: MelConfig, steps: int, seed: int) -> dict[str, Tensor]:
    """The weights of a `PitchEstimator` that has learned the training segments' F0 from their mels.

    It hears them at other pitches as well (pitch and formants moved together), and at other levels.
    """
    mel = MelSpectrogram(config)
    hop, frames = config.hop_length, 96
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PitchEstimator(config.n_mels)
        optimizer = torch.optim.AdamW(network.parameters(), PITCH_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PITCH_RATE, total_steps=max(steps, 2))
        for _ in range(steps):
            wavs, contours = [], []
            for index in torch.randint(len(speech.train), (16,)).tolist():
                name = speech.train[index]
                f0 = speech.f0[name]
                first = int(torch.randint(max(1, len(f0) - frames), ()))
                missing = max(0, frames - (len(f0) - first))
                wav = speech.wav(name)[first * hop : (first + frames) * hop]
                wavs.append(F.pad(wav, (0, frames * hop - len(wav))))
                contours.append(F.pad(f0[first : first + frames], (0, missing)))
            semitones, gain = torch.rand(2).tolist()
            semitones = (2 * semitones - 1) * PITCH_SEMITONES
            heard = mel(torch.stack(wavs) * 10 ** (-gain), semitones)
            loss = network.loss(heard, torch.stack(contours) * 2 ** (semitones / 12))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.state_dict()


@torch.inference_mode()
def restored_mels(
    speech: Speech, folders: Sequence[Path], speakers: Sequence[SpeakerInfo], voice: str, mel: MelConfig, seed: int
) -> dict[str, Tensor]:
    """The training segments' log-mels after the generator of `voice` that speaks as their own speaker, by segment name.

    They are aligned with the real waveforms, and blurred in the ways of that converter: what it makes of their own
    speech, disguised as the other's, or, if it reads speech at any pitch, as it was recorded. Folders of other speakers
    have none; one at least must be of a speaker of the voice, by its name or its `speaker.json`.
    """
    from voiceconv.convert.converter import VoiceConverter

    converter = VoiceConverter.from_pretrained(voice, vocoder="griffin-lim")
    mel.require_same(converter.voice.mel, f"The voice {converter.name}")
    names = {
        folder.resolve().name: info.name
        for folder, info in zip(folders, speakers, strict=True)
        if info.name in converter.voices
    }
    if not names:
        raise UserError(
            f"{converter.name} converts between {' and '.join(converter.voices)}, but the folders are of "
            f"{', '.join(info.name for info in speakers)}. Give those of these two, named after them or with "
            "a speaker.json."
        )
    to_mel, generator, vocoder = MelSpectrogram(mel), torch.Generator().manual_seed(seed), load_vocoder("istft", mel)
    restored = {}
    for folder, speaker in names.items():
        own = [name for name in speech.train if name.split("/", 1)[0] == folder]
        if converter.voice.input == "moved":
            here = converter.voice.index(speaker)
            pitch, other = (converter.voice.speakers[i].pitch.median_hz for i in (here, 1 - here))
            away = semitones_between(pitch, other)
            read = [disguise(speech.wav(name), speech.f0[name], to_mel, generator, vocoder, away)[1] for name in own]
        else:
            read = [to_mel(speech.wav(name)) for name in own]
        mean, std = mel_statistics(read)
        for name, heard in zip(own, read, strict=True):
            x = (heard - mean[:, None]) / std[:, None]
            restored[name] = converter.generate(x.to(converter.device), speaker).cpu()
    return restored


def _start_from(vocoder: ISTFTVocoder, name: str) -> None:
    before = ISTFTVocoder.load(vocoder_folder(name))
    vocoder.mel.require_same(before.mel, f"The vocoder {name}")
    if before.size != vocoder.size:
        raise UserError(
            f"The vocoder {name} has the sizes {before.size}, but the preset's are {vocoder.size}. Choose the "
            "preset that it was trained with."
        )
    vocoder.generator.load_state_dict(before.generator.state_dict())
