"""Generates speech of one speaker with a diffusion model of mel-spectrograms.

    python -m recipes.diffusion_voice --data my_recordings --budget 60m

The model that draws digits draws one and a half seconds of log-mel at a time here, without a condition: it babbles in
the speaker's voice. The report has players of samples, beside recordings resynthesised by the same vocoder. It measures
the distance of the samples' frames from those of held-out recordings (maximum mean discrepancy, see
`voiceconv.evaluation.metrics.mmd`), beside the same of real speech and of noise with the speaker's mean and deviation.

Should reach: less than half of the discrepancy of that noise, in a quarter of an hour of one core with
`--train.batch-size 4 --train.steps 2000`. Without --data it needs `--smoke`, which takes seconds on a synthetic hum.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from torch import Tensor

from generative_core import DiffusionConfig, TensorLoader
from recipes.common.command import run_recipe
from recipes.common.diffusion import DiffusionRecipe, diffusion_unet, draw, quick
from recipes.common.image_run import TrainOptions, open_run
from recipes.common.voice import synthetic_speaker
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.evaluation.metrics import mmd
from voiceconv.features.mel import MelConfig
from voiceconv.training.dataset import MelCrops, SpeakerData, prepare_speaker
from voiceconv.vocoder.base import Vocoder, load_vocoder

FRAMES = 128  # one and a half seconds
CROPS = 4000  # stretches to train on, from anywhere in the recordings
SCORED = 40
HEARD = 6


@dataclass(frozen=True)
class DiffusionVoice(DiffusionRecipe):
    """Unconditional diffusion of mel-spectrograms."""

    data: Path | None = None
    """Folder with recordings of one speaker."""
    vocoder: str | None = None
    """Name or folder of the vocoder; the best there is unless given."""
    guidance: float = 1.0
    """Weight of classifier-free guidance, of which there is none without a condition."""
    sampling_steps: int = 30
    """Steps from noise to a sample."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=10_000, batch_size=16))


class Scale:
    """Log-mels `(B, n_mels, T)` to and from samples `(B, 1, n_mels, T)` of the mean 0 and the deviation 0.5 a band."""

    def __init__(self, speaker: SpeakerData) -> None:
        self.mean, self.deviation = (value[:, None] for value in speaker.mel_statistics())

    def encode(self, mels: Tensor) -> Tensor:
        return ((mels - self.mean) / (2 * self.deviation)).unsqueeze(1)

    def decode(self, x: Tensor) -> Tensor:
        return x.cpu().squeeze(1) * 2 * self.deviation + self.mean

    def deviations(self, mels: Tensor) -> list[np.ndarray]:
        """What `mmd` compares."""
        return list(((mels - self.mean) / self.deviation).numpy())


def crops(speaker: SpeakerData, names: tuple[str, ...], count: int, seed: int) -> Tensor:
    """Stretches of these segments, `(count, n_mels, FRAMES)`."""
    stretches = MelCrops([speaker.mels[name].float().unsqueeze(0) for name in names], FRAMES)
    places = torch.randint(len(stretches), (count,), generator=torch.Generator().manual_seed(seed))
    return torch.stack([stretches[int(place)][0] for place in places])


def main(config: DiffusionVoice) -> None:
    if config.data is None and not config.smoke:
        raise UserError("Say where the recordings are: --data FOLDER, of one speaker.")
    with tempfile.TemporaryDirectory() as scratch, open_run(config, "diffusion_voice", trainings=1) as run:
        config = quick(config)
        recordings = config.data or synthetic_speaker(Path(scratch) / "hum", 140.0)
        mel = MelConfig()
        speaker = prepare_speaker(recordings, run.folder / "features.safetensors", mel)
        scale = Scale(speaker)
        setup = DiffusionConfig(shape=(1, mel.n_mels, FRAMES), formulation=config.formulation)
        mels = crops(speaker, speaker.train, run.steps(CROPS), config.seed)
        model = run.train(
            "diffusion",
            lambda: diffusion_unet(setup, channels=config.channels),
            TensorLoader({"x": scale.encode(mels).to(run.device)}, config.train.batch_size, seed=config.seed),
            warmup_steps=100,
            decay_steps=run.steps(config.train.steps) // 3,
            ema_width=config.ema_width,
        )

        count = 4 if config.smoke else SCORED
        fake = scale.decode(draw(model, count, config.seed, steps=config.sampling_steps, sampler=config.sampler))
        held_out = crops(speaker, speaker.development, count, config.seed)
        trained = crops(speaker, speaker.train, count, config.seed + 1)
        noise = scale.decode(torch.randn(fake.unsqueeze(1).shape, generator=torch.Generator().manual_seed(0)) / 2)
        distances = {
            name: float(mmd(scale.deviations(clips), scale.deviations(held_out)).mean())
            for name, clips in (("drawn", fake), ("recordings of the training", trained), ("noise", noise))
        }

        vocoder = load_vocoder("griffin-lim" if config.smoke else config.vocoder, mel, run.device)
        frames, seconds = sum(clip.shape[1] for clip in speaker.mels.values()), mel.hop_length / mel.sample_rate
        report = run.report(
            "Speech from noise",
            f"{recordings.name}: {frames * seconds:.0f} s of speech; {config.formulation}, {FRAMES * seconds:.2f} s at "
            "a time.",
        )
        picture = mel_picture(fake, held_out)
        report.figure(picture, "Drawn, and recordings kept from the training; not selected")
        report.heading("To hear")
        for name, clips, comment in (
            ("drawn", fake, f"drawn by voiceconv, as {recordings.name} may sound"),
            ("recording", held_out, f"{recordings.name}, resynthesised by voiceconv"),
        ):
            clips = clips[: 1 if config.smoke else HEARD].to(run.device)
            for path in sound_files(clips, vocoder, run.folder / "sound", name, comment):
                report.audio(path.read_bytes(), "audio/flac", path.stem)
        header = ["", "MMD of frames"]
        report.table(distances.items(), header)
        report.text(
            f"Discrepancy of {count} clips from as many of recordings kept from the training, 0 for the same "
            f"distribution; {config.sampling_steps} steps of {config.sampler}; vocoder {vocoder.name}."
        )
        run.save(report, {"data": recordings.name, "mmd": distances, "vocoder": vocoder.name}, picture)


@torch.no_grad()
def sound_files(mels: Tensor, vocoder: Vocoder, folder: Path, name: str, comment: str) -> list[Path]:
    """Each of the log-mels `(B, n_mels, T)` as a FLAC file in `folder`."""
    folder.mkdir(exist_ok=True)
    paths = []
    for index, wav in enumerate(vocoder(mels).cpu().numpy()):
        paths.append(folder / f"{name}-{index + 1}.flac")
        save_audio(paths[-1], wav, vocoder.mel.sample_rate, comment=comment)
    return paths


def mel_picture(fake: Tensor, real: Tensor) -> Figure:
    """Log-mels, low bands at the bottom, four of each kind."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    low, high = float(real.min()), float(real.max())
    for row, (name, mels) in enumerate((("drawn", fake), ("recorded", real))):
        for column, mel in enumerate(mels[:4]):
            axes = figure.add_subplot(2, 4, 4 * row + column + 1)
            axes.imshow(mel.numpy(), origin="lower", aspect="auto", cmap="magma", vmin=low, vmax=high)
            axes.set_xticks([])
            axes.set_yticks([])
            if column == 0:
                axes.set_ylabel(name)
    return figure


if __name__ == "__main__":
    sys.exit(run_recipe(DiffusionVoice, main, __doc__))
