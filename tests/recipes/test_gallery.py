"""The gallery's page: figures and pictures of the runs that are done, and the names of those that are not."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from PIL import Image

from recipes.autoencoder_mnist import AutoencoderRecipe
from recipes.autoencoder_mnist import main as autoencoder
from recipes.common.gallery_tables import (
    debiasing_vae,
    diffusion_emoji,
    diffusion_few_steps,
    diffusion_restore,
    pix2pix,
)
from recipes.gallery import ENTRIES, WIDEST, WIDEST_MOVING, GalleryConfig, command, description, main, train
from voiceconv.errors import UserError

POINTS = {
    "command": "python -m recipes.gan_points --run /secret/place",
    "seconds": 47,
    "machine": "2 threads of the CPU",
    "unfinished": ["plane"],
    "on the axis, Wasserstein": {"first": 0.9, "last": 0.05, "averaged": 0.03, "floor": 0.03},
    "in the plane, energy": {"first": 0.8, "last": 0.0075, "averaged": 0.002, "floor": 0.0015},
}


def points_run(folder: Path, **changed: object) -> None:
    """A run that moves: ten frames, the last of which rests."""
    folder.mkdir(parents=True)
    (folder / "results.json").write_text(json.dumps(POINTS | changed))
    frames = [Image.new("RGB", (960, 540), (20 * number, 0, 0)) for number in range(10)]
    frames[0].save(
        folder / "animation.gif", save_all=True, append_images=frames[1:], duration=[80] * 9 + [2000], loop=0
    )


def test_the_page_shows_what_is_done_and_names_what_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, docs = tmp_path / "runs", tmp_path / "docs"
    monkeypatch.setattr("sys.argv", ["autoencoder_mnist.py", "--data", str(tmp_path), "--run", str(runs)])
    points_run(runs / "gan_points")
    autoencoder(AutoencoderRecipe(run=runs / "autoencoder_mnist", device="cpu", smoke=True))
    (runs / "vae_mnist").mkdir()
    (runs / "vae_mnist" / "config.json").write_text("{}")  # begun, not finished
    main(GalleryConfig(runs=runs, docs=docs, pages_only=True))
    page = (docs / "README.md").read_text(encoding="utf-8")

    mse = json.loads((runs / "autoencoder_mnist" / "results.json").read_text())["test_mse"]
    assert f"| 32 | {mse['32']:.3g} |" in page
    assert "| in the plane, energy | 0.8 | 0.0075 | 0.002 | 0.0015 |" in page
    assert "- reached: on the axis, Wasserstein" in page
    assert "- **not reached**: in the plane, energy" in page  # five times the floor
    assert "`python -m recipes.autoencoder_mnist --data MNIST`" in page
    assert "`python -m recipes.gan_points`: 47 s on 2 threads of the CPU." in page
    assert "Not trained to the end, for want of time: plane." in page
    assert str(tmp_path) not in page
    assert "secret" not in page

    (named,) = re.findall(r"\*\*Not run to its end yet:\*\* (.*)\.", page)
    assert named.split(", ") == [e.name for e in ENTRIES if e.name not in ("gan_points", "autoencoder_mnist")]
    shown = re.findall(r"!\[\w+\]\((.+?)\)", page)
    assert sorted(shown) == ["autoencoder_mnist.webp", "gan_points.webp"]
    with Image.open(docs / "gan_points.webp") as moving:
        assert (moving.size, getattr(moving, "n_frames", 1)) == ((WIDEST_MOVING, 360), 4)
        moving.seek(3)
        assert moving.convert("RGB").getpixel((0, 0))[0] > 170  # the last frame is there  # type: ignore[index]
    with Image.open(docs / "autoencoder_mnist.webp") as still:
        assert still.width <= WIDEST


def test_the_page_keeps_what_it_says_of_runs_that_are_gone(tmp_path: Path) -> None:
    runs, docs = tmp_path / "runs", tmp_path / "docs"
    points_run(runs / "gan_points", unfinished=[])
    main(GalleryConfig(runs=runs, docs=docs, pages_only=True))
    page = (docs / "README.md").read_text(encoding="utf-8")
    main(GalleryConfig(runs=tmp_path / "elsewhere", docs=docs, pages_only=True))
    assert (docs / "README.md").read_text(encoding="utf-8") == page
    assert "47 s on 2 threads" in page

    points_run(runs / "again" / "gan_points", unfinished=[], seconds=48)
    main(GalleryConfig(runs=runs / "again", docs=docs, pages_only=True))
    assert (docs / "README.md").read_text(encoding="utf-8") == page.replace("47 s", "48 s")


def test_a_finished_run_is_left_alone_and_missing_data_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points_run(tmp_path / "gan_points", unfinished=[])
    before = sorted(tmp_path.rglob("*"))
    (entry,) = (entry for entry in ENTRIES if entry.name == "gan_points")
    train(entry, tmp_path / "gan_points", None)
    assert "already there" in capsys.readouterr().out
    assert sorted(tmp_path.rglob("*")) == before
    with pytest.raises(
        UserError, match=r"--earth FOLDER, --emoji FOLDER, --emoji-3d FOLDER, --openmoji FOLDER, --speech.*--pages-only"
    ):
        main(GalleryConfig(mnist=tmp_path, runs=tmp_path, docs=tmp_path))


@pytest.mark.parametrize("recipe", sorted({entry.recipe for entry in ENTRIES}))
def test_docstrings_give_title_and_target(recipe: str) -> None:
    title, target = description(recipe)
    assert title
    assert "\n" not in title
    assert re.match(r"(Must|Should) (reach|tell): \w", target)
    assert target.endswith((".", ")."))


def test_the_gap_of_each_way_is_compared_with_the_standard_one_seed_by_seed() -> None:
    standard, better = [[0.9, 0.5, 0.1], [0.9, 0.6, 0.1]], [[0.8, 0.7, 0.1], [0.9, 0.8, 0.1]]
    figures = debiasing_vae({"groups": ["light", "dark"], "recognised": {"standard": standard, "DB-VAE": better}})
    assert [row[3] for row in figures.rows] == [pytest.approx(0.35), pytest.approx(0.1)]
    # Smaller by .3 and by .2: the mean is .25, its error .05, and Student's t of one degree of freedom 12.7.
    assert [row[4] for row in figures.rows] == ["-", "+0.250 ± 0.635"]
    assert figures.rows[1][6] == pytest.approx((0.8 + 0.9) / 2)
    assert list(figures.targets.values()) == [False]
    twice = {"groups": ["light", "dark"], "recognised": {"standard": 4 * standard, "DB-VAE": 4 * better}}
    assert list(debiasing_vae(twice).targets.values()) == [True]


def test_a_translation_is_held_against_both_baselines_score_by_score() -> None:
    names = ("name", "L1", "SSIM", "FID")
    table = [("input", 0.1, 0.9, 9.0), ("change of colours", 0.2, 0.8, 5.0), ("pix2pix", 0.05, 0.85, 4.0)]
    scores = [dict(zip(names, row, strict=True)) for row in (*table, ("real pictures", None, None, 3.0))]
    figures = pix2pix({"scores": scores})
    assert figures.rows[2] == ("pix2pix", 0.05, 0.85, 4.0)
    assert list(figures.targets.values()) == [True, False, True]  # the input as it is has the higher SSIM


def test_few_steps_of_the_student_are_held_against_most_of_the_teacher() -> None:
    table = [("teacher", 1, 90.0), ("teacher", 20, 4.0), ("student", 1, 9.0), ("student", 4, 6.1)]
    table.append(("real images", None, 3.0))  # type: ignore[arg-type]
    scores = [dict(zip(("name", "steps", "fid"), row, strict=True)) for row in table]
    target = "FID in 4 steps within 1.5 times the teacher's in 20"
    assert diffusion_few_steps({"scores": scores}).targets == {target: False}
    scores[3]["fid"] = 5.9
    assert diffusion_few_steps({"scores": scores}).targets == {target: True}


def test_restorations_are_held_against_the_damaged_pictures_task_by_task() -> None:
    header = ("task", "name", "psnr", "ssim", "fid")
    table = [("inpaint", "damaged", 10.0, 0.5, 90.0), ("inpaint", "restored", 9.0, 0.6, 40.0)]
    table += [("inpaint", "mean of 4 restorations", 9.5, 0.6, 95.0)]
    figures = diffusion_restore({"scores": [dict(zip(header, row, strict=True)) for row in table]})
    assert figures.targets == {"inpaint, better FID than damaged": True, "inpaint, mean nearer than damaged": False}


def test_half_of_the_known_names_are_asked_of_each_style() -> None:
    header = ("group", "style", "drawn", "own name among 100, drawn", "real drawings")
    table = [("names of the training", "noto", 300, 0.5, 1.0), ("names of the training", "twemoji", 300, 0.49, 1.0)]
    table += [("names kept from it", "noto", 300, 0.1, 1.0)]
    figures = diffusion_emoji({"scores": [dict(zip(header, row, strict=True)) for row in table]})
    assert figures.targets == {"half of the known names, noto": True, "half of the known names, twemoji": False}


def test_the_command_names_folders_and_keeps_what_decides_the_result() -> None:
    (entry,) = (entry for entry in ENTRIES if entry.name == "diffusion_few_steps")
    words = "--data '/a place/mnist' --teacher /b/runs/diffusion_mnist --budget 9m --run /b/runs/few --resume"
    results = {"command": f"python -m recipes.diffusion_few_steps {words}"}
    shown = "python -m recipes.diffusion_few_steps --data MNIST --teacher RUNS/diffusion_mnist --budget 9m"
    assert command(entry, results) == shown
