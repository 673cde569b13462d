"""What the recipes that translate pictures share: their options and networks, their scores, their saved generators."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from matplotlib.figure import Figure
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.metrics import fid, ssim
from generative_core.nets import (
    PatchDiscriminator,
    PixelDiscriminator,
    ResNetGenerator,
    UNetGenerator,
    Upsampling,
    initialise_normal,
)
from recipes.common.extractor import Extractor, perceptual_distance, train_extractor, turned_four_ways
from recipes.common.image import Run, RunConfig, TrainOptions
from recipes.common.image_data import Images
from recipes.common.pictures import image_grid
from recipes.common.translation_data import Direction, Domains, Mode, Preparation, Reader
from voiceconv.errors import UserError

Network = Literal["unet_128", "unet_256", "resnet_6blocks", "resnet_9blocks"]
MULTIPLES = {"unet_128": 128, "unet_256": 256, "resnet_6blocks": 4, "resnet_9blocks": 4}
ENLARGEMENT = 286 / 256  # of a picture before it is cropped, in the papers
SMOKE_CHANNELS = 4
SMOKE_PICTURES = 12
SCORED = 1000  # at most so many pictures in a score
SCORED_SIZE = 64  # at which the extractor sees them
SHOWN = 8
SMALLEST_PATCHED = 24  # pixels, of which the critic's convolutions leave 2x2 places to normalise


@dataclass(frozen=True)
class TranslationConfig(RunConfig):
    """What every translation of pictures asks; where names are those of the reference implementation, so is what they
    mean."""

    data: Path | None = None
    """Folder with pictures; see above."""
    direction: Direction | None = None
    """ab makes the first domain A, ba the second; unless given, what the task says."""
    preprocess: Mode = "resize_and_crop"
    """What is done to pictures before they are shown."""
    crop_size: int | None = None
    """Side of the square that networks see; unless given, what the task's pictures are made for."""
    load_size: int | None = None
    """Side (or width) to which pictures are scaled first; unless given, 286 for a crop of 256."""
    no_flip: bool = False
    """Do not mirror pictures at random."""
    network: Network | None = None
    """The generator; unless given, what the paper takes for pictures of that size."""
    channels: int = 64
    """Channels of the first layers of all networks; 16 to 32 are for computers without a GPU."""
    norm: Literal["batch", "instance"] = "instance"
    """Normalisation in all networks."""
    upsampling: Upsampling = "transposed"
    """How generators enlarge: by transposed convolutions, or by resizing, which leaves no checkerboard."""
    discriminator: Literal["patch", "pixel"] = "patch"
    """Critics judge patches of 70x70 pixels, or single pixels."""
    adversarial: Literal["lsgan", "non-saturating"] = "lsgan"
    """Least squares, or the original loss (called vanilla elsewhere)."""
    train: TrainOptions = field(default_factory=lambda: TrainOptions(steps=20_000, batch_size=1))


class Setting(NamedTuple):
    """The configuration with what was left open filled in."""

    network: Network
    channels: int
    reader: Reader


def settle(config: TranslationConfig, crop_size: int, network: Network) -> Setting:
    """Fills in the task's crop size and network; raises `UserError` for numbers that cannot be meant."""
    network = config.network or network
    crop = config.crop_size or crop_size
    load = config.load_size or round(crop * ENLARGEMENT)
    if min(crop, load) < 4 or config.channels < 1:
        raise UserError("--crop-size and --load-size must be at least 4 and --channels at least 1.")
    if config.preprocess == "resize_and_crop" and load < crop:
        raise UserError(f"--load-size {load} must not be smaller than --crop-size {crop}.")
    if config.discriminator == "patch" and crop < SMALLEST_PATCHED:
        raise UserError(f"--discriminator patch needs a --crop-size of at least {SMALLEST_PATCHED}, or use pixel.")
    if config.preprocess in ("scale_width", "none") and config.train.batch_size > 1:
        raise UserError(f"--preprocess {config.preprocess} leaves pictures in many sizes: use --train.batch-size 1.")
    preparation = Preparation(config.preprocess, load, crop, not config.no_flip)
    limit = SMOKE_PICTURES if config.smoke else None
    channels = min(config.channels, SMOKE_CHANNELS) if config.smoke else config.channels
    return Setting(network, channels, Reader(preparation, network, MULTIPLES[network], limit))


@dataclass(frozen=True)
class GeneratorDescription:
    """How to build a generator again; kept in the file with its weights."""

    network: Network
    planes: int
    out_planes: int
    channels: int
    norm: Literal["batch", "instance"]
    dropout: bool
    upsampling: Upsampling

    def build(self) -> ResNetGenerator | UNetGenerator:
        options: dict[str, Any] = {key: value for key, value in asdict(self).items() if key != "network"}
        network: ResNetGenerator | UNetGenerator
        if self.network.startswith("unet"):
            network = UNetGenerator(layers=7 if self.network == "unet_128" else 8, **options)
        else:
            network = ResNetGenerator(blocks=6 if self.network == "resnet_6blocks" else 9, **options)
        return initialise_normal(network)


def describe_generator(
    config: TranslationConfig, setting: Setting, planes: int, out_planes: int, *, dropout: bool = False
) -> GeneratorDescription:
    return GeneratorDescription(
        setting.network, planes, out_planes, setting.channels, config.norm, dropout, config.upsampling
    )


def build_discriminator(config: TranslationConfig, setting: Setting, planes: int) -> nn.Module:
    kind = PatchDiscriminator if config.discriminator == "patch" else PixelDiscriminator
    return initialise_normal(kind(planes=planes, channels=setting.channels, norm=config.norm))


def save_generator(path: Path, generator: nn.Module, description: GeneratorDescription) -> None:
    """Weights and description in one safetensors file."""
    state = {name: value.contiguous().cpu() for name, value in generator.state_dict().items()}
    save_file(state, path, {"generator": json.dumps(asdict(description))})


def load_generator(path: Path) -> ResNetGenerator | UNetGenerator:
    """What `save_generator` wrote, in evaluation mode; raises `UserError` if it is something else."""
    try:
        with safe_open(path, "pt") as file:
            description = json.loads(file.metadata()["generator"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - it is not a dict
        generator = GeneratorDescription(**description).build()
        generator.load_state_dict(state)
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(f"{path} is not a generator that a recipe has saved: {error}") from error
    return generator.eval()


def to_unit(x: Tensor) -> Tensor:
    """[-1, 1] -> [0, 1]."""
    return ((x + 1) / 2).clamp(0, 1)


def in_colour(x: Tensor) -> Tensor:
    """`(..., 1 or 3, H, W)` -> three planes."""
    return x.expand(*x.shape[:-3], 3, -1, -1)


def held_out(domains: Domains, setting: Setting) -> tuple[list[Tensor], list[Tensor]]:
    """The test's pictures of A and of B, each `(C, H, W)` in [-1, 1], at most 1000 of each, spread evenly."""
    prepared = setting.reader.preparation.for_testing()
    sides = []
    for side in (domains.test_a, domains.test_b):
        chosen = torch.linspace(0, len(side) - 1, min(SCORED, len(side))).long().tolist()
        sides.append([prepared.shown([side[i]], None)[0] for i in chosen])
    return sides[0], sides[1]


@torch.no_grad()
def translate_all(
    translate: Callable[[Tensor], Tensor], pictures: Sequence[Tensor], device: torch.device
) -> list[Tensor]:
    """Each of many `(C, H, W)` by itself, so that sizes may differ and batches have no say; onto the CPU."""
    return [translate(x[None].to(device))[0].cpu() for x in pictures]


class ColourChange:
    """The translation that only makes colours like those of B on average: each channel's mean and deviation over the
    pictures of A to train on become those of B."""

    def __init__(self, a: Sequence[Tensor], b: Sequence[Tensor]) -> None:
        self.a, self.b = (self._statistics(side) for side in (a, b))

    def __call__(self, x: Tensor) -> Tensor:
        """`(..., C, H, W)` in [-1, 1]."""
        (mean_a, deviation_a), (mean_b, deviation_b) = self.a, self.b
        return ((in_colour(x) - mean_a) / deviation_a * deviation_b + mean_b).clamp(-1, 1)

    @staticmethod
    def _statistics(pictures: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """`(3, 1, 1)` each, from bytes; all pictures count alike."""
        values = [in_colour(x.float() / 127.5 - 1).flatten(1) for x in pictures]
        mean = torch.stack([v.mean(1) for v in values]).mean(0)
        square = torch.stack([v.square().mean(1) for v in values]).mean(0)
        return mean.view(3, 1, 1), (square - mean.square()).clamp(min=1e-6).sqrt().view(3, 1, 1)


SCORE_HEADER = ["", "L1", "SSIM", "perceptual distance", "FID"]


def beats(row: list[Any], baselines: Sequence[list[Any]]) -> bool:
    """Whether a row of scores is better than others in every score that there is: of all four only SSIM is better the
    higher it is."""
    signs = (1, -1, 1, 1)
    return all(
        sign * mine < sign * other
        for baseline in baselines
        for sign, mine, other in zip(signs, row[1:], baseline[1:], strict=True)
        if mine is not None
    )


class Judge:
    """Scores translations against the test's pictures of the other domain: L1 and SSIM at full size in [0, 1],
    perceptual distance and FID by an extractor of our own at 64x64, which has learned on the pictures to train on to
    tell A from B and which of four ways is up, so that no labels are needed."""

    def __init__(self, run: Run, domains: Domains) -> None:
        train, test = (
            _which_way_up(f"{domains.name}, by domain and which way is up", *sides, run)
            for sides in ((domains.train_a, domains.train_b), (domains.test_a, domains.test_b))
        )
        steps = run.steps(800)
        self.extractor: Extractor = train_extractor(train, test, run.folder, seed=run.config.seed, steps=steps)
        self.device = run.device

    def row(self, name: str, fakes: Sequence[Tensor], reals: Sequence[Tensor], *, paired: bool) -> list[Any]:
        """A row of the table for pictures `(C, H, W)` in [-1, 1]."""
        fakes, reals = ([in_colour(to_unit(x)) for x in side] for side in (fakes, reals))
        small = [self._small(side) for side in (fakes, reals)]
        distances: list[float | None] = [None, None, None]
        if paired:
            pairs = list(zip(fakes, reals, strict=True))
            l1 = sum(float((x - y).abs().mean()) for x, y in pairs) / len(pairs)
            similarity = sum(ssim(x[None], y[None]) for x, y in pairs) / len(pairs)
            distances = [l1, similarity, perceptual_distance(self.extractor, *small)]
        return [name, *distances, fid(small[1], small[0], self.extractor)]

    def floor_row(self, trained_on: Sequence[Tensor], reals: Sequence[Tensor]) -> list[Any]:
        """What FID says of real pictures: those trained on, in bytes, against the test's."""
        floor = self._small([_bytes_to_unit(x) for x in trained_on[: len(reals)]])
        return ["real pictures", None, None, None, fid(self._small([to_unit(x) for x in reals]), floor, self.extractor)]

    def _small(self, pictures: Sequence[Tensor]) -> Tensor:
        return torch.cat([_at_scored_size(in_colour(x)) for x in pictures]).to(self.device)


def _bytes_to_unit(x: Tensor) -> Tensor:
    return x.float() / 255


def _at_scored_size(x: Tensor) -> Tensor:
    size = (SCORED_SIZE, SCORED_SIZE)
    return F.interpolate(x[None], size, mode="bilinear", antialias=True, align_corners=False).clamp(0, 1)


def _which_way_up(name: str, a: Sequence[Tensor], b: Sequence[Tensor], run: Run) -> Images:
    """Pictures of both domains turned four ways; the class is the domain and the way."""
    x, y = [], []
    for domain, side in enumerate((a, b)):
        small = torch.cat([_at_scored_size(in_colour(_bytes_to_unit(picture))) for picture in side[:SCORED]])
        turned, ways = turned_four_ways(small)
        x.append(turned)
        y.append(4 * domain + ways)
    classes = tuple(f"{domain}, {90 * turn}°" for domain in "AB" for turn in range(4))
    return Images(name, torch.cat(x), torch.cat(y), classes).to(run.device)


def gallery(rows: Mapping[str, Sequence[Tensor]], setting: Setting, inch: float = 1.1) -> Figure:
    """Pictures `(C, H, W)` in [-1, 1] side by side under each other, each row with its name; squares of one size."""
    size = min(setting.reader.preparation.crop_size, 256)
    lines = []
    for pictures in rows.values():
        chosen = torch.linspace(0, len(pictures) - 1, min(SHOWN, len(pictures))).long().tolist()
        shown = [F.interpolate(in_colour(to_unit(pictures[i]))[None], (size, size), mode="area")[0] for i in chosen]
        lines.append(torch.stack(shown))
    return image_grid(torch.stack(lines), rows=list(rows), inch=inch)
