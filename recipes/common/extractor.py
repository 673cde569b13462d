"""Trains a small classifier that labels generated images, and whose features FID and KID compare."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.training.data import TensorLoader
from recipes.common.image_data import Images

FEATURES = 64
STEPS = 800
MIXUP = 0.3  # share of the batches in which images are blended, so that what is between two classes is doubted


class Extractor(nn.Module):
    """Images `(B, C, H, W)` in [0, 1] of the kind it was trained on -> features `(B, 64)`.

    `name` says what tables have to say of it: its kind, its data and its accuracy on the test images.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.name = "untrained"
        self.layers = nn.Sequential(
            nn.Conv2d(channels, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(2),
            nn.Flatten(),
            nn.Linear(256, FEATURES),
            nn.ReLU(),
        )
        self.head = nn.Linear(FEATURES, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)

    @torch.no_grad()
    def probabilities(self, x: Tensor) -> Tensor:
        """`(B, classes)`, each row adding up to one."""
        return torch.cat([self.head(self(batch)).softmax(1) for batch in x.split(500)])


@torch.no_grad()
def perceptual_distance(extractor: Extractor, x: Tensor, y: Tensor) -> float:
    """How differently the extractor sees two sets of images `(B, C, H, W)`, in [0, 2] for each of its layers of maps:
    squared distances of the channels at each place, scaled to length one, as in LPIPS (Zhang et al. 2018,
    arXiv:1801.03924) without its learned weights. Summed over layers, the mean over places and images."""
    total = 0.0
    for layer in extractor.layers:
        x, y = layer(x), layer(y)
        if isinstance(layer, nn.ReLU) and x.ndim == 4:
            total += float((F.normalize(x) - F.normalize(y)).square().sum(1).mean())
    return total


def turned_four_ways(x: Tensor) -> tuple[Tensor, Tensor]:
    """Square images `(N, C, H, H)` turned by 0, 90, 180 and 270 degrees one set after the other, and by how many times
    90 each is, `(4 N,)`: what an extractor can learn from images without labels (Gidaris et al. 2018,
    arXiv:1803.07728)."""
    return torch.cat([x.rot90(turn, (2, 3)) for turn in range(4)]), torch.arange(4).repeat_interleave(len(x))


def by_way_up(images: Images) -> Images:
    """Images of one class become four classes, by which of four ways is up; others are left alone."""
    if len(images.classes) > 1:
        return images
    x, ways = turned_four_ways(images.x)
    classes = tuple(f"{90 * turn}°" for turn in range(4))
    return Images(f"{images.name}, by which way is up", x, ways.to(x.device), classes)


def train_extractor(train: Images, test: Images, folder: Path, *, seed: int = 0, steps: int = STEPS) -> Extractor:
    """An extractor for these images, trained in seconds, or as the run folder already holds it.

    A part of the batches is blended in pairs (mixup, Zhang et al. 2018, arXiv:1710.09412): without it a classifier is
    as sure of nonsense as of a digit.
    """
    torch.manual_seed(seed)
    extractor = Extractor(train.shape[0], len(train.classes)).to(train.x.device)
    path = folder / "extractor.safetensors"
    if path.is_file():
        extractor.load_state_dict(load_file(path))
    else:
        optimizer = torch.optim.Adam(extractor.parameters(), 2e-3)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
        loader = TensorLoader({"x": train.x, "y": train.y}, 128, seed=seed)
        for _ in range(steps):
            x, y = (batch := next(loader))["x"], batch["y"]
            share = float(torch.rand(())) if torch.rand(()) < MIXUP else 1.0
            logits = extractor.head(extractor(share * x + (1 - share) * x.roll(1, 0)))
            loss = share * F.cross_entropy(logits, y) + (1 - share) * F.cross_entropy(logits, y.roll(1, 0))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        save_file(extractor.state_dict(), path)
    extractor.eval().requires_grad_(False)
    right = (extractor.probabilities(test.x).argmax(1) == test.y).double().mean()
    extractor.name = f"own CNN of {FEATURES} features trained on {train.name}, {right:.1%} right on its test images"
    return extractor
