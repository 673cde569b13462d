"""Every image recipe from its command line to its report, exact resumption, and mistakes of the user."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path

import pytest
import torch

from generative_core.training.checkpoint import list_checkpoints, load_checkpoint
from recipes.autoencoder_mnist import AutoencoderRecipe, main, pca_error
from recipes.beta_vae import digit_factors
from recipes.debiasing_vae import DebiasingRecipe, balanced_weights, gaps
from recipes.debiasing_vae import main as debiasing
from recipes.gallery import ENTRIES
from recipes.vae_mnist import Acceptance
from voiceconv.errors import UserError

ROOT = Path(__file__).parents[2]
# Those of speech, and those that train nothing.
OTHERS = ("voice_", "vocoder", "phonemes", "speakers", "many_", "choir", "content_", "convert_")
OTHERS += ("translate", "gallery", "make_")
RECIPES = sorted(p.stem for p in (ROOT / "recipes").glob("[!_]*.py") if not p.stem.startswith(OTHERS))


def run(name: str, *words: str) -> int:
    """The recipe as `python -m recipes.NAME` runs it; its exit status."""
    before = sys.argv
    sys.argv = [name, *words]
    try:
        runpy.run_module(f"recipes.{name}", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        return int(end.code or 0)
    finally:
        sys.argv = before
    raise AssertionError(f"{name} did not end with an exit status")


@pytest.mark.slow
@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_smoke_leaves_a_report(name: str, tmp_path: Path) -> None:
    assert run(name, "--smoke", "--run", str(tmp_path / "run"), "--device", "cpu") == 0
    report = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "<svg" in report or "<img" in report  # gan_points moves, which an SVG of ours does not
    assert "<table" in report
    assert (tmp_path / "run" / "picture.png").stat().st_size > 1000
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["command"].startswith(f"python -m recipes.{name} --smoke")
    settings = json.loads((tmp_path / "run" / "config.json").read_text())["settings"]
    assert settings["recipe"] == name
    if entry := next((entry for entry in ENTRIES if entry.recipe == name), None):
        figures = entry.figures(results)  # the gallery finds what it looks for
        assert figures.rows
        assert all(len(row) == len(figures.header) for row in figures.rows)


def small(run: Path, **options: object) -> AutoencoderRecipe:
    return AutoencoderRecipe(run=run, device="cpu", smoke=True, latents=(2,), **options)  # type: ignore[arg-type]


def test_a_smoke_run_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    main(AutoencoderRecipe(device="cpu", smoke=True, latents=(2,)))
    assert list(tmp_path.iterdir()) == []


def test_a_run_stopped_by_its_budget_is_resumed_exactly(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(small(tmp_path / "whole"))
    capsys.readouterr()
    main(small(tmp_path / "stopped", budget="0.001s"))
    assert "--resume" in capsys.readouterr().out
    assert "Not done" in (tmp_path / "stopped" / "report.html").read_text()
    stopped = json.loads((tmp_path / "stopped" / "results.json").read_text())
    assert stopped["unfinished"] == ["latent-2"]
    (tmp_path / "stopped" / "results.json").write_text(json.dumps(stopped | {"seconds": 1000}))
    main(small(tmp_path / "stopped", resume=True))
    states = [
        load_checkpoint(list_checkpoints(tmp_path / name / "latent-2" / "checkpoints")[-1])
        for name in ("whole", "stopped")
    ]
    assert states[0]["step"] == states[1]["step"] == 10
    for key, value in states[0]["model"].items():
        assert torch.equal(value, states[1]["model"][key]), key
    results = [json.loads((tmp_path / name / "results.json").read_text()) for name in ("whole", "stopped")]
    assert results[0]["test_mse"] == results[1]["test_mse"]
    assert results[0]["unfinished"] == results[1]["unfinished"] == []
    assert results[1]["seconds"] >= 1000  # of both parts


def test_a_run_folder_is_not_overwritten_nor_resumed_differently(tmp_path: Path) -> None:
    main(small(tmp_path))
    with pytest.raises(UserError, match=r"already holds a run\. Add --resume"):
        main(small(tmp_path))
    with pytest.raises(UserError, match="other settings for seed"):
        main(small(tmp_path, seed=1, resume=True))


@pytest.mark.filterwarnings("ignore:.*found in sys.modules")
def test_mistakes_end_with_a_sentence_and_status_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words, remedy in (
        (["--budget", "soon"], "like 90s, 60m"),
        (["--data", str(tmp_path / "nowhere")], "is not a folder"),
        (["--download"], "--data FOLDER --download"),
        (["--train.steps", "0"], "--train.steps must be at least 1"),
    ):
        folder = ["--smoke", "--run", str(tmp_path / f"run{len(words[0])}")]
        assert run("autoencoder_mnist", *folder, *words) == 2
        assert remedy in capsys.readouterr().err


def test_debiasing_asks_for_its_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--data"):
        debiasing(DebiasingRecipe(run=tmp_path, device="cpu"))
    with pytest.raises(UserError, match="above 0"):
        debiasing(DebiasingRecipe(run=tmp_path, alphas=(0.0,)))


def test_linear_compression_is_exact_when_the_images_are_flat() -> None:
    plane = torch.randn(60, 2) @ torch.randn(2, 12) + 1
    images = plane.view(60, 1, 3, 4)
    assert pca_error(images[:40], images[40:], 2) == pytest.approx(0, abs=1e-9)
    assert pca_error(images[:40], images[40:], 1) > 0.01


def test_digit_factors_order_by_slant_width_and_ink() -> None:
    line = torch.arange(16.0)
    rows, columns = torch.meshgrid(line, line, indexing="ij")

    def stroke(slant: float, width: float) -> torch.Tensor:
        inside = (columns - 7.5 - slant * (7.5 - rows)).abs() < width
        return (inside & ((rows - 7.5).abs() < 5)).float()

    slants = torch.stack([stroke(slant, 1.6) for slant in (-0.6, -0.4, -0.2, 0.0, 0.2, 0.4, 0.6, 0.8)]).unsqueeze(1)
    # A stroke that leans to the right has its upper rows to the right: row and column fall together.
    assert digit_factors(slants)[:, 0].tolist() == list(range(7, -1, -1))
    widths = torch.stack([stroke(0.0, width) for width in (1, 2, 3, 4, 5, 6, 7, 8)]).unsqueeze(1)
    assert digit_factors(widths)[:, 1].tolist() == digit_factors(widths)[:, 2].tolist() == list(range(8))


def test_weights_give_half_of_a_batch_to_the_positives() -> None:
    positive = torch.tensor([True, False, False, False, True])
    assert balanced_weights(positive).tolist() == pytest.approx([1 / 4, 1 / 6, 1 / 6, 1 / 6, 1 / 4])
    uneven = balanced_weights(positive, torch.tensor([0.9, 0.1], dtype=torch.float64))
    assert uneven.tolist() == pytest.approx([0.45, 1 / 6, 1 / 6, 1 / 6, 0.05])


def test_the_gap_is_between_groups_and_leaves_out_the_negatives() -> None:
    assert gaps(torch.tensor([[0.9, 0.5, 0.0], [0.7, 0.8, 1.0]])).tolist() == pytest.approx([0.4, 0.1])


def test_the_judge_accepts_as_many_real_images_as_it_says() -> None:
    class Confident(torch.nn.Module):
        def probabilities(self, x: torch.Tensor) -> torch.Tensor:
            return torch.stack([x.flatten(1)[:, 0], 1 - x.flatten(1)[:, 0]], dim=1)

    real = torch.linspace(0.5, 1, 101).view(-1, 1, 1, 1)
    acceptance = Acceptance(Confident(), real)  # type: ignore[arg-type]
    assert float(acceptance.bar) == pytest.approx(0.525)
    assert acceptance.accepts(torch.tensor([0.4, 0.5, 0.53, 0.99]).view(-1, 1, 1, 1)).tolist() == [1, 0, 1, 1]
