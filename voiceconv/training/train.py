"""Trains a voice between two folders of recordings: features, judge, CycleGAN, previews, voice folder, report."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

import voiceconv
from generative_core.families.cyclegan import CycleGAN, CycleGANConfig, Weight
from generative_core.nets import PatchClassifier, PatchDiscriminator, SpectrogramClassifier, SpectrogramDiscriminator
from generative_core.training.checkpoint import CheckpointError
from generative_core.training.data import UnpairedLoader
from generative_core.training.trainer import NonFiniteLoss, TrainConfig, Trainer, choose_device
from voiceconv.audio.files import require_outside
from voiceconv.convert.adaptation import speech_frames
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.recognisers.phonemes import PhonemeRecogniser
from voiceconv.training.dataset import MelCrops, SpeakerData, cached, mel_statistics, prepare_speaker
from voiceconv.training.disguise import change_tone, conversion_goals, moved_mels, views
from voiceconv.training.rendering import HeardPhonemes, HeardSpeech
from voiceconv.training.run_folder import record_settings, record_split
from voiceconv.user_data import LONGEST_NAME
from voiceconv.vocoder.base import load_vocoder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.speaker_info import SpeakerInfo
from voiceconv.voice.voice import GeneratorInput, Voice, build_generator, build_speaker_classifier

JUDGE_STEPS = 300
Mels = tuple[list[torch.Tensor], list[torch.Tensor]]
"""Of the training segments of both speakers, each `(n_mels, frames)`."""
DISCRIMINATORS: dict[str, type[nn.Module]] = {"patch": PatchDiscriminator, "spectrogram": SpectrogramDiscriminator}
CLASSIFIERS: dict[str, type[nn.Module]] = {"patch": PatchClassifier, "spectrogram": SpectrogramClassifier}


@dataclass(frozen=True)
class Preset:
    """Networks, losses and schedule of a training, all of it written to the run folder."""

    cyclegan: CycleGANConfig
    generator: dict[str, Any]
    input: GeneratorInput
    discriminator: dict[str, Any]
    steps: int
    decay_steps: int
    batch_size: int
    frames: int = 64
    confusion_steps: int = 250  # of the classifiers that score the voice
    classifier: dict[str, Any] = dataclasses.field(default_factory=dict)
    restorer: dict[str, int] = dataclasses.field(default_factory=dict)  # and for how many steps it learns


def _converter(details_from: int, goal_steps: int = 1000) -> CycleGANConfig:
    """The losses of the converter: first a voice, then its words, and from the step `details_from` on its details."""

    def then(words: float, details: float) -> Weight:
        return (details_from - 1, words), (details_from, details)

    return CycleGANConfig(
        views=True,
        # A voice and its words come first, from what restorers make of the recordings; then critics make it natural.
        goal_steps=goal_steps,
        generator_rate=2e-4,
        discriminator_rate=4e-4,
        # A cycle weight of 10 keeps the source's voice together with its words; the recogniser holds words alone.
        lambda_cycle=then(2.0, 0.5),
        lambda_identity=0.0,
        lambda_goal=then(5.0, 0.5),
        lambda_classifier=1.0,
        # Critics that are trained along let fine details be smoothed away, which any other critic hears at once. At a
        # cost in words: a voice that has them by then loses fewer.
        lambda_texture=then(0.0, 2.0),
        # Details are judged as the vocoder speaks them: what it mends need not be learned, what it spoils shows.
        render_from=details_from,
        # Another voice may make the recogniser less sure: without a tolerance it wants the old voice back, and with
        # larger weights critics can no longer prevail against it.
        lambda_content=10.0,
        content_tolerance=0.3,
        max_gradient_norm=15.0,
        pool_size=0,
        bfloat16=True,
    )


# Of the frames to come the generators see two, beside one that the pitch is heard in (35 ms in all), so that they can
# convert while somebody speaks. Critics see a third of a second: enough for a voice, too little for which words a
# speaker's recordings hold.
PRESETS: dict[str, Preset] = {
    "cpu": Preset(
        cyclegan=_converter(details_from=1_500),
        generator={"kind": "convnext", "bands": 80, "planes": 1, "channels": 256, "blocks": 8, "lookahead": 2},
        input="moved",
        discriminator={"kind": "spectrogram", "channels": 32, "layers": 2, "band_channels": 256},
        classifier={"kind": "spectrogram", "channels": 24, "layers": 3, "band_channels": 192},
        restorer={"steps": 1_500, "channels": 256, "blocks": 8},
        steps=1_900,
        decay_steps=300,
        batch_size=16,
    ),
    # For `--from`: what a voice needs that speaks already.
    "cpu-from": Preset(
        cyclegan=_converter(details_from=500, goal_steps=250),
        generator={"kind": "convnext", "bands": 80, "planes": 1, "channels": 256, "blocks": 8, "lookahead": 2},
        input="moved",
        discriminator={"kind": "spectrogram", "channels": 32, "layers": 2, "band_channels": 256},
        classifier={"kind": "spectrogram", "channels": 24, "layers": 3, "band_channels": 192},
        restorer={"steps": 800, "channels": 256, "blocks": 8},
        steps=800,
        decay_steps=150,
        batch_size=16,
    ),
    "gpu": Preset(
        cyclegan=_converter(details_from=15_000),
        generator={"kind": "convnext", "bands": 80, "planes": 1, "channels": 384, "blocks": 12, "lookahead": 2},
        input="moved",
        discriminator={"kind": "spectrogram", "channels": 48, "layers": 2, "band_channels": 384},
        classifier={"kind": "spectrogram", "channels": 32, "layers": 3, "band_channels": 256},
        restorer={"steps": 6_000, "channels": 384, "blocks": 12},
        steps=20_000,
        decay_steps=5_000,
        batch_size=32,
    ),
    # Kaneko et al. 2021 as published (batch 1, identity for the first 10,000 steps, decay after 200,000), with linear
    # gates, linear discriminator outputs, and normalisation that does not depend on the clip's length. In bfloat16, as
    # our own presets: twice the steps in the time that both get.
    "maskcyclegan-vc": Preset(
        cyclegan=CycleGANConfig(
            lambda_cycle=10.0,
            lambda_identity=((9_999, 5.0), (10_000, 0.0)),
            lambda_second_adversarial=1.0,
            mask_fraction=0.5,
            pool_size=0,
            generator_rate=2e-4,
            discriminator_rate=1e-4,
            bfloat16=True,
        ),
        generator={"kind": "gated", "bands": 80, "planes": 2, "channels": 256, "blocks": 6},
        input="mask",
        discriminator={
            "kind": "patch",
            "planes": 1,
            "channels": 128,
            "layers": 3,
            "kernel_size": 3,
            "norm": "instance",
        },
        steps=500_000,
        decay_steps=300_000,
        batch_size=1,
    ),
    # Seconds, to see that everything runs; the result is no voice.
    "smoke": Preset(
        cyclegan=dataclasses.replace(_converter(details_from=10), goal_steps=5, bfloat16=False),
        generator={"kind": "convnext", "bands": 80, "planes": 1, "channels": 16, "blocks": 1, "lookahead": 2},
        input="moved",
        discriminator={"kind": "spectrogram", "channels": 4, "layers": 2, "band_channels": 8},
        classifier={"kind": "spectrogram", "channels": 4, "layers": 2, "band_channels": 8},
        restorer={"steps": 3, "channels": 16, "blocks": 1},
        steps=20,
        decay_steps=0,
        batch_size=2,
        confusion_steps=5,
    ),
}


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
    if start and (_size(start.generator), start.input) != (_size(settings.generator), settings.input):
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
    judge = train_judge(speakers, data, seed)
    goals = None
    if settings.restorer:
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
            f"{info_a.name}-{info_b.name}"[:LONGEST_NAME],
            speakers,
            mel,
            settings.generator,
            settings.input,
            model.generator_ab,
            model.generator_ba,
            judge,
            metadata={
                "voiceconv_version": voiceconv.__version__,
                "training": {"preset": preset, "steps": trainer.step, "seed": seed, **origin},
                "development": {s.name: d.held_out_recordings for s, d in zip(speakers, data, strict=True)},
            },
        )

    preview = Preview(current_voice, data, sources, MelSpectrogram(mel), settings.confusion_steps)
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
    """What the generators learn from first, `conversion_goals` by speaker and segment."""
    goals = conversion_goals(speakers, data, sources, mel, seed=seed, device=device, **settings.restorer)
    return {
        f"{speaker.name}/{name}": goal.contiguous()
        for speaker, d, made in zip(speakers, data, goals, strict=True)
        for name, goal in zip(d.train, made, strict=True)
    }


def build_model(settings: Preset, speakers: tuple[Speaker, Speaker], mel: MelConfig, seed: int) -> CycleGAN:
    """The CycleGAN of a preset for these speakers, the same for the same seed."""
    recognisers = None
    if settings.cyclegan.lambda_content:
        recogniser = PhonemeRecogniser.load()
        recognisers = HeardPhonemes(recogniser, speakers[0]), HeardPhonemes(recogniser, speakers[1])
    renderers = None
    if settings.cyclegan.render_from is not None:
        vocoder = load_vocoder("istft", mel)
        assert isinstance(vocoder, ISTFTVocoder)
        renderers = HeardSpeech(vocoder, speakers[0]), HeardSpeech(vocoder, speakers[1])
    torch.manual_seed(seed)
    return CycleGAN(
        settings.cyclegan,
        generator=lambda: build_generator(settings.generator),
        discriminator=lambda: build_critic(DISCRIMINATORS, settings.discriminator),
        classifier=(lambda: build_critic(CLASSIFIERS, settings.classifier)) if settings.classifier else None,
        recognisers=recognisers,
        renderers=renderers,
    )


def build_critic(kinds: dict[str, type[nn.Module]], description: dict[str, Any]) -> nn.Module:
    """`{"kind": ..., ...}` -> the network of that kind, the other entries being its arguments."""
    arguments = dict(description)
    return kinds[arguments.pop("kind")](**arguments)


def train_judge(speakers: tuple[Speaker, Speaker], data: tuple[SpeakerData, SpeakerData], seed: int) -> nn.Module:
    """A small classifier of the two speakers' real speech, for choosing and showing; never part of a loss.

    Levels and tilts of the spectrum vary at random, so that it does not listen to the microphone alone.
    """
    mean = (speakers[0].mel_mean + speakers[1].mel_mean) / 2
    std = (speakers[0].mel_std + speakers[1].mel_std) / 2
    crops_a, crops_b = (MelCrops([(d.mels[n][None] - mean[:, None]) / std[:, None] for n in d.train], 64) for d in data)
    tilt = torch.linspace(-1, 1, mean.shape[0])[:, None]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        judge = build_speaker_classifier()

        def vary(crop: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
            level, slope = (torch.randn(2, generator=generator) * 0.3).tolist()
            return crop + level + slope * tilt

        loader = UnpairedLoader(crops_a, crops_b, 16, seed=seed, transform=vary)
        optimizer = torch.optim.AdamW(judge.parameters(), 1e-3)
        labels = torch.arange(2).repeat_interleave(16)
        for _ in range(JUDGE_STEPS):
            batch = next(loader)
            loss = F.cross_entropy(judge(torch.cat([batch["a"], batch["b"]])), labels, label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return judge.eval().requires_grad_(False)


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
        pictures = views(speakers, data, sources, goals, mel, seed)
    else:
        a, b = ([s.normalise(d.mels[n])[None] for n in d.train] for s, d in zip(speakers, data, strict=True))
        pictures = a, b
    crops_a, crops_b = (MelCrops(of_one, settings.frames) for of_one in pictures)
    transform = change_tone if goals is not None else None
    return UnpairedLoader(crops_a, crops_b, settings.batch_size, seed=seed, transform=transform)


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
