"""Diffusion recipes that take each other's runs, and how samples are drawn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from generative_core import DiffusionConfig
from generative_core.precision import Precision
from recipes._diffusion import diffusion_unet, draw
from recipes.diffusion_few_steps import FewSteps
from recipes.diffusion_few_steps import main as few_steps
from recipes.diffusion_mnist import DiffusionMNIST
from recipes.diffusion_mnist import main as diffusion_mnist


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
