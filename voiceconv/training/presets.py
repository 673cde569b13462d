"""Defines the presets of a voice's training: networks, losses and schedule, each a value with a name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from generative_core.families.cyclegan import CycleGANConfig, Weight
from generative_core.families.cyclegan_variants import MaskCycleGANConfig, WarmUpCycleGANConfig
from generative_core.nets import PatchDiscriminator, SpectrogramClassifier, SpectrogramDiscriminator
from voiceconv.voice.voice import GeneratorInput


@dataclass(frozen=True)
class ConvNeXtConfig:
    """Size of a `ConvNeXtGenerator`; `lookahead` counts the frames to come that it reads."""

    kind: ClassVar[str] = "convnext"  # as `voice.json` calls it
    channels: int = 256
    blocks: int = 8
    lookahead: int = 2


@dataclass(frozen=True)
class GatedConfig:
    """Size of a `GatedGenerator`, that of MaskCycleGAN-VC."""

    kind: ClassVar[str] = "gated"
    channels: int = 256
    blocks: int = 6


@dataclass(frozen=True)
class SpectrogramDiscriminatorConfig:
    """Size of a `SpectrogramDiscriminator`."""

    channels: int = 32
    layers: int = 2
    band_channels: int = 256

    def build(self) -> nn.Module:
        return SpectrogramDiscriminator(**dataclasses.asdict(self))


@dataclass(frozen=True)
class PatchDiscriminatorConfig:
    """Size of a `PatchDiscriminator` with instance normalisation and kernels of 3 x 3."""

    channels: int = 128
    layers: int = 3

    def build(self) -> nn.Module:
        return PatchDiscriminator(planes=1, kernel_size=3, norm="instance", **dataclasses.asdict(self))


@dataclass(frozen=True)
class SpectrogramClassifierConfig:
    """Size of a `SpectrogramClassifier`."""

    channels: int = 24
    layers: int = 3
    band_channels: int = 192

    def build(self) -> nn.Module:
        return SpectrogramClassifier(**dataclasses.asdict(self))


@dataclass(frozen=True)
class TeacherConfig:
    """Size of the teacher that makes pseudo-targets, and how many steps it learns (`pseudo_pairs.py`)."""

    steps: int
    channels: int = 256
    blocks: int = 6


@dataclass(frozen=True)
class ObjectivesConfig:
    """Weights of what a voice is trained for beside the losses of CycleGAN (`generative_core.objectives`); 0 leaves
    an objective out. `content_tolerance` is in nats."""

    pseudo_target: Weight = 0.0  # become what the teacher made of the recording
    texture: Weight = 0.0  # have the fine details of the target's spectrogram
    content: Weight = 0.0  # contain the phonemes of the source
    content_tolerance: float = 0.0
    second_adversarial: Weight = 0.0  # fool a second pair of discriminators with the cycles
    classifier: Weight = 0.0  # be taken for the target by a classifier of the two speakers
    render_from: int | None = None  # from this step on all these, and the discriminators, see the vocoder's output


@dataclass(frozen=True)
class Preset:
    """Networks, losses and schedule of a training, all of it written to the run folder."""

    cyclegan: CycleGANConfig
    objectives: ObjectivesConfig
    generator: ConvNeXtConfig | GatedConfig
    discriminator: SpectrogramDiscriminatorConfig | PatchDiscriminatorConfig
    input: GeneratorInput
    steps: int
    decay_steps: int  # the learning rates fall to zero over the last so many steps
    batch_size: int
    frames: int = 64  # of a training sample, 12 ms each
    two_sample_test_steps: int = 250  # of the classifiers that score the voice
    classifier: SpectrogramClassifierConfig = SpectrogramClassifierConfig()  # of speakers, for the loss of that name
    teacher: TeacherConfig | None = None  # None: no pseudo-pairs
    choir: int = 0  # voices that came with the program, which the generators learn to convert as well

    def describe_generator(self, bands: int) -> dict[str, Any]:
        """The kind of generator and its arguments for mels of `bands` bands, as `voice.json` holds them."""
        planes = 2 if self.input == "mask" else 1
        size = dataclasses.asdict(self.generator)
        return {"kind": self.generator.kind, "bands": bands, "planes": planes, **size}


def _schedule(details_from: int, early: float, late: float) -> Weight:
    """The weight `early`, and from the step `details_from` on `late`."""
    return (details_from - 1, early), (details_from, late)


def _cyclegan(details_from: int, warm_up_steps: int = 1000) -> WarmUpCycleGANConfig:
    return WarmUpCycleGANConfig(
        # A cycle weight of 10 keeps the source's voice together with its words; the recogniser holds words alone.
        lambda_cycle=_schedule(details_from, 2.0, 0.5),
        lambda_identity=0.0,
        pool_size=0,
        generator_rate=2e-4,
        discriminator_rate=4e-4,
        max_gradient_norm=15.0,
        bfloat16=True,
        # A voice and its words come first, from a teacher's pseudo-targets; then discriminators make it natural.
        warm_up_steps=warm_up_steps,
    )


def _objectives(details_from: int) -> ObjectivesConfig:
    return ObjectivesConfig(
        pseudo_target=_schedule(details_from, 5.0, 0.5),
        # Discriminators that are trained along let fine details be smoothed away, which any other discriminator tells
        # at once. Words suffer from this loss: a voice that has them by then loses fewer.
        texture=_schedule(details_from, 0.0, 2.0),
        # Another voice may make the recogniser less sure: without a tolerance it wants the old voice back, and with
        # larger weights discriminators can no longer prevail against it.
        content=10.0,
        content_tolerance=0.3,
        classifier=1.0,
        # Details are compared in the vocoder's output: the generators need not learn what the vocoder mends.
        render_from=details_from,
    )


# Generators read two frames to come, beside one that the pitch is estimated from (35 ms in all), so that they can
# convert while somebody speaks. Discriminators see a third of a second: enough to know a voice, too little to learn
# which words a speaker's recordings hold.
PRESETS: dict[str, Preset] = {
    "cpu": Preset(
        cyclegan=_cyclegan(details_from=1_500),
        objectives=_objectives(details_from=1_500),
        generator=ConvNeXtConfig(channels=256, blocks=8, lookahead=2),
        input="moved",
        discriminator=SpectrogramDiscriminatorConfig(channels=32, layers=2, band_channels=256),
        classifier=SpectrogramClassifierConfig(channels=24, layers=3, band_channels=192),
        teacher=TeacherConfig(steps=1_500, channels=256, blocks=6),
        choir=150,
        steps=1_900,
        decay_steps=300,
        batch_size=16,
    ),
    # For `--from`: what is left to learn for a voice that is trained already.
    "cpu-from": Preset(
        cyclegan=_cyclegan(details_from=500, warm_up_steps=250),
        objectives=_objectives(details_from=500),
        generator=ConvNeXtConfig(channels=256, blocks=8, lookahead=2),
        input="moved",
        discriminator=SpectrogramDiscriminatorConfig(channels=32, layers=2, band_channels=256),
        classifier=SpectrogramClassifierConfig(channels=24, layers=3, band_channels=192),
        teacher=TeacherConfig(steps=1_000, channels=256, blocks=6),
        choir=150,
        steps=800,
        decay_steps=150,
        batch_size=16,
    ),
    "gpu": Preset(
        cyclegan=_cyclegan(details_from=15_000),
        objectives=_objectives(details_from=15_000),
        generator=ConvNeXtConfig(channels=384, blocks=12, lookahead=2),
        input="moved",
        discriminator=SpectrogramDiscriminatorConfig(channels=48, layers=2, band_channels=384),
        classifier=SpectrogramClassifierConfig(channels=32, layers=3, band_channels=256),
        teacher=TeacherConfig(steps=6_000, channels=384, blocks=12),
        choir=150,
        steps=20_000,
        decay_steps=5_000,
        batch_size=32,
    ),
    # Kaneko et al. 2021 as published (batch 1, identity for the first 10,000 steps, decay after 200,000), with linear
    # gates, linear discriminator outputs, and normalisation that does not depend on the clip's length. In bfloat16, as
    # our own presets: twice the steps in the time that both get.
    "maskcyclegan-vc": Preset(
        cyclegan=MaskCycleGANConfig(
            lambda_cycle=10.0,
            lambda_identity=((9_999, 5.0), (10_000, 0.0)),
            mask_fraction=0.5,
            pool_size=0,
            generator_rate=2e-4,
            discriminator_rate=1e-4,
            bfloat16=True,
        ),
        objectives=ObjectivesConfig(second_adversarial=1.0),
        generator=GatedConfig(channels=256, blocks=6),
        input="mask",
        discriminator=PatchDiscriminatorConfig(channels=128, layers=3),
        steps=500_000,
        decay_steps=300_000,
        batch_size=1,
    ),
    # Seconds, to see that everything runs; the result is no voice.
    "smoke": Preset(
        cyclegan=dataclasses.replace(_cyclegan(details_from=10, warm_up_steps=5), bfloat16=False),
        objectives=_objectives(details_from=10),
        generator=ConvNeXtConfig(channels=16, blocks=1, lookahead=2),
        input="moved",
        discriminator=SpectrogramDiscriminatorConfig(channels=4, layers=2, band_channels=8),
        classifier=SpectrogramClassifierConfig(channels=4, layers=2, band_channels=8),
        teacher=TeacherConfig(steps=3, channels=16, blocks=1),
        choir=1,
        steps=20,
        decay_steps=0,
        batch_size=2,
        two_sample_test_steps=5,
    ),
}
