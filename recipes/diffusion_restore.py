"""Restores damaged pictures with a diffusion model: colours, holes, and four times the resolution.

    python -m recipes.diffusion_restore --data openmoji/color --size 64

One network does all three: it is given the damaged picture and a plane that marks the known pixels, and learns to draw
the whole picture. If the data are grey, colourising is left out. The report shows several restorations of the same
picture, since there is more than one right answer. It gives PSNR, SSIM and FID (with our own extractor) on held-out
pictures, beside those of the damaged pictures and of the mean restoration. `--tasks` chooses some of the three.

Should reach: a better FID than the damaged pictures in every task, and a mean of restorations nearer to the original
than they are. Without --data it takes the digits of scikit-learn. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from matplotlib.figure import Figure
from torch import Tensor
from torch.nn import functional as F

from generative_core import DiffusionConfig, TensorLoader
from generative_core.metrics import fid, psnr, ssim
from generative_core.training.data import batch_generator
from recipes.common.command import run_recipe
from recipes.common.diffusion import DiffusionRecipe, diffusion_unet, draw, quick
from recipes.common.extractor import by_way_up, train_extractor
from recipes.common.gan import check_images, to_images, to_model
from recipes.common.image_figures import image_grid
from recipes.common.image_run import TrainOptions, open_run
from voiceconv.errors import UserError

Task = Literal["colourise", "inpaint", "upscale"]
HOLE = 0.5  # side of a hole, as a share of the picture's
FACTOR = 4
SMALLEST_SSIM = 11  # the side of its window
SCORED = 500
SHOWN = 6
VARIANTS = 4


@dataclass(frozen=True)
class Restore(DiffusionRecipe):
    """Diffusion conditioned on a damaged picture."""

    size: int = 32
    """Height and width of the pictures."""
    tasks: tuple[Task, ...] = ("colourise", "inpaint", "upscale")
    """Kinds of damage to restore."""
    guidance: float = 1.0
    """Weight of classifier-free guidance; 1 is none."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=8000, batch_size=64))


def colourise(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The luminance (ITU-R BT.601) in all three planes; no pixel is known as it is."""
    weights = torch.tensor([0.299, 0.587, 0.114], device=x.device).view(1, 3, 1, 1)
    return (x * weights).sum(1, keepdim=True).expand_as(x), torch.zeros_like(x[:, :1])


def inpaint(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """A hole of half of the height and width anywhere, grey; what is around it is known."""
    batch, _, height, width = x.shape
    tall, wide = round(HOLE * height), round(HOLE * width)
    top, left = (
        torch.randint(side - hole + 1, (batch, 1, 1, 1), generator=generator).to(x.device)
        for side, hole in ((height, tall), (width, wide))
    )
    row = torch.arange(height, device=x.device).view(1, 1, -1, 1)
    column = torch.arange(width, device=x.device).view(1, 1, 1, -1)
    hole = (row >= top) & (row < top + tall) & (column >= left) & (column < left + wide)
    return x.masked_fill(hole, 0.5), (~hole).to(x)


def upscale(x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """The mean of every 4x4 pixels, brought back to the size by cubic interpolation; no pixel is known as it is."""
    small = F.avg_pool2d(x, FACTOR)
    large = F.interpolate(small, x.shape[2:], mode="bicubic", align_corners=False).clamp(0, 1)
    return large, torch.zeros_like(x[:, :1])


DAMAGES: dict[str, Callable[[Tensor, torch.Generator], tuple[Tensor, Tensor]]] = {
    "colourise": colourise,
    "inpaint": inpaint,
    "upscale": upscale,
}


def damage(task: str, x: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures `(B, C, H, W)` in [0, 1] -> what the network is given, `(B, C + 1, H, W)`: the damaged ones in [-1, 1]
    and which pixels are known."""
    picture, known = DAMAGES[task](x, generator)
    return torch.cat([to_model(picture), known], dim=1)


class DamagingLoader(TensorLoader):
    """Batches of pictures `x`, in [-1, 1], with a damaged version of each, `image`; the tasks take turns in a batch."""

    def __init__(self, x: Tensor, tasks: tuple[str, ...], batch_size: int, *, seed: int = 0) -> None:
        super().__init__({"x": x}, batch_size, seed=seed)
        self.tasks = tasks

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        return self

    def __next__(self) -> dict[str, Tensor]:
        generator = batch_generator(self.seed + 1, self.position)
        x = super().__next__()["x"]
        image = torch.cat(
            [damage(self.tasks[i % len(self.tasks)], x[i : i + 1], generator) for i in range(self.batch_size)]
        )
        return {"x": to_model(x), "image": image}


def main(config: Restore) -> None:
    if not config.tasks:
        raise UserError(f"--tasks needs at least one of {', '.join(DAMAGES)}.")
    with open_run(config, "diffusion_restore", trainings=1) as run:
        config = quick(config)
        train, test = run.images(size=config.size if config.data else None)
        check_images(train, test, by_class=False)
        planes = train.shape[0]
        tasks = tuple(task for task in config.tasks if task != "colourise" or planes == 3)
        if not tasks:
            raise UserError(f"{train.name} is grey and cannot teach colourising. Choose other --tasks or data.")
        extractor = train_extractor(by_way_up(train), by_way_up(test), run.folder, steps=run.steps(800))
        setup = DiffusionConfig(shape=train.shape, formulation=config.formulation, image_planes=planes + 1)
        model = run.train(
            "diffusion",
            lambda: diffusion_unet(setup, channels=config.channels),
            DamagingLoader(train.x, tasks, config.train.batch_size, seed=config.seed),
            warmup_steps=100,
            decay_steps=run.steps(config.train.steps) // 3,
            ema_width=config.ema_width,
        )

        real = test.x[: 20 if config.smoke else SCORED]
        floor = fid(real, train.x[: len(real)], extractor)
        options: dict[str, Any] = {
            "steps": config.sampling_steps,
            "sampler": config.sampler,
            "guidance": config.guidance,
        }
        rows: list[list[object]] = []
        pictures: list[tuple[str, Tensor]] = []
        for task in tasks:
            given = damage(task, real, torch.Generator().manual_seed(config.seed))
            versions = torch.stack(
                [
                    to_images(draw(model, len(real), config.seed + i, {"image": given}, **options))
                    for i in range(VARIANTS)
                ]
            )
            damaged = to_images(given[:, :planes])
            for name, restored in (
                ("damaged", damaged),
                ("restored", versions[0]),
                (f"mean of {VARIANTS} restorations", versions.mean(0)),
            ):
                similar = ssim(restored, real) if min(real.shape[2:]) >= SMALLEST_SSIM else None
                # Of all pictures as one: that of a grey one, which has no colours to lose, knows no bounds.
                noise = psnr(restored.flatten(0, 1)[None], real.flatten(0, 1)[None])
                rows.append([task, name, noise, similar, fid(real, restored, extractor)])
            pictures.append((task, torch.cat([real[None], damaged[None], versions])[:, :SHOWN]))

        report = run.report(
            "Restored pictures",
            f"{train.name}: {len(train)} pictures to train on, {len(test)} to test on; one network for "
            f"{', '.join(tasks)}.",
        )
        picture = restored_picture(pictures)
        report.figure(
            picture, f"Original, damaged, and {VARIANTS} restorations of each, of pictures kept from the training"
        )
        report.table(rows, ["task", "", "PSNR, dB", "SSIM", "FID"])
        report.text(
            f"{len(real)} pictures, {config.sampling_steps} steps of {config.sampler}. Features: {extractor.name}. "
            f"FID of training against test pictures is {floor:.3g}."
        )
        header = ("task", "name", "psnr", "ssim", "fid")
        results = {"data": train.name, "extractor": extractor.name, "floor": floor}
        run.save(report, {**results, "scores": [dict(zip(header, row, strict=True)) for row in rows]}, picture)


def restored_picture(pictures: list[tuple[str, Tensor]]) -> Figure:
    """The tasks side by side, a picture a row."""
    images = torch.cat([versions.transpose(0, 1) for _, versions in pictures], dim=1)
    columns = [
        name for task, versions in pictures for name in (task, "", *(str(i + 1) for i in range(len(versions) - 2)))
    ]
    return image_grid(images, columns=columns)


if __name__ == "__main__":
    sys.exit(run_recipe(Restore, main, __doc__))
