"""Defines the presets of a vocoder's training: networks, losses and schedule, each a value with a name."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from generative_core.families.waveform_gan import WaveformGANConfig
from voiceconv.vocoder.istft_generator import GeneratorConfig


@dataclass(frozen=True)
class Preset:
    """Networks, losses and schedule of a training, all of it written to the run folder."""

    gan: WaveformGANConfig
    generator: GeneratorConfig
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
        generator=GeneratorConfig(channels=256, blocks=8),
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
        generator=GeneratorConfig(channels=384, blocks=8),
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
        generator=GeneratorConfig(channels=16, blocks=1),
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
