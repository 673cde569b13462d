"""Diffusion recipes that take each other's runs, and how samples are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from generative_core import DiffusionConfig
from generative_core.training.precision import Precision
from recipes.common.diffusion import diffusion_unet, draw
from recipes.common.extractor import by_way_up
from recipes.common.image_data import Images
from recipes.diffusion_few_steps import FewSteps
from recipes.diffusion_few_steps import main as few_steps
from recipes.diffusion_mnist import DiffusionMNIST
from recipes.diffusion_mnist import main as diffusion_mnist
from recipes.diffusion_restore import Restore
from recipes.diffusion_restore import main as diffusion_restore


def test_drawing_in_bfloat16_gives_nearly_the_same_samples_in_single_precision() -> None:
    torch.manual_seed(0)
    model = diffusion_unet(DiffusionConfig(shape=(1, 8, 8), classes=3), channels=8).eval()
    torch.nn.init.normal_(model.network.leave[-1].weight, std=0.1)  # type: ignore[index, union-attr, arg-type]
    condition = {"y": torch.tensor([0, 1, 2, 3])}
    exact, rounded = (
        draw(model, 4, 0, condition, precision=Precision(bfloat16), steps=3, guidance=2.0) for bfloat16 in (False, True)
    )
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, exact)
    assert torch.allclose(rounded, exact, atol=0.1)


@pytest.mark.slow
def test_a_student_is_judged_by_the_extractor_of_its_teachers_run(tmp_path: Path) -> None:
    diffusion_mnist(DiffusionMNIST(run=tmp_path / "teacher", device="cpu", smoke=True))
    few_steps(FewSteps(run=tmp_path / "student", teacher=tmp_path / "teacher", device="cpu", smoke=True))
    teacher, student = (json.loads((tmp_path / name / "results.json").read_text()) for name in ("teacher", "student"))
    assert student["extractor"] == teacher["extractor"]
    assert student["scores"][-1]["fid"] == teacher["scores"][-1]["FID"]  # of real images
    assert not (tmp_path / "student" / "extractor.safetensors").exists()


@pytest.mark.slow
def test_a_folder_of_one_kind_is_scored_by_an_extractor_that_has_something_to_learn(tmp_path: Path) -> None:
    (tmp_path / "drawings").mkdir()
    for number in range(120):
        grey, red = np.full((32, 32, 3), number, np.uint8), np.zeros((32, 32, 3), np.uint8)
        red[..., 0] = 255
        Image.fromarray(grey if number % 2 else red).save(tmp_path / "drawings" / f"{number}.png")
    diffusion_restore(Restore(data=tmp_path / "drawings", run=tmp_path / "run", device="cpu", smoke=True))
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert "by which way is up" in results["extractor"]
    # Half of the pictures are grey and lose nothing; their PSNR must not hide that the red ones lose their colour.
    assert (results["scores"][0]["task"], results["scores"][0]["name"]) == ("colourise", "damaged")
    assert 6 < results["scores"][0]["psnr"] < 15


def test_images_of_one_class_are_turned_four_ways() -> None:
    x = torch.rand(3, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    images = Images("drawings", x, torch.zeros(3, dtype=torch.long), ("drawings",))
    turned = by_way_up(images)
    assert turned.classes == ("0°", "90°", "180°", "270°")
    assert turned.y.tolist() == 3 * [0] + 3 * [1] + 3 * [2] + 3 * [3]
    assert torch.equal(turned.x[:3], x)
    assert torch.equal(turned.x[3, :, 0, 0], x[0, :, 0, -1])  # counter-clockwise: the right upper corner comes left
    assert torch.equal(turned.x[6], x[0].flip(1, 2))
    several = Images("digits", x, torch.tensor([0, 1, 0]), ("zero", "one"))
    assert by_way_up(several) is several
