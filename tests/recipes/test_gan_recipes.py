"""The parts of the GAN recipes: data, pictures in motion, scores; exact resumption of what they keep; mistakes."""

from __future__ import annotations

import json
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image

from generative_core import GAN, GANConfig
from generative_core.nets import ConvGenerator, ImageDiscriminator
from recipes import augmentation, conditional_gan, gan_points, style_gan
from recipes.common.animation import LAST_FRAME_SECONDS, write_gif, write_mp4
from recipes.common.gan import modes_covered, sample_images
from recipes.common.image_data import Images
from recipes.common.intervals import Interval, interval
from voiceconv.errors import UserError


def test_animations_have_every_frame(tmp_path: Path) -> None:
    frames = [np.full((40, 60, 3), 20 * index, np.uint8) for index in range(8)]
    for index, frame in enumerate(frames):
        frame[:, : 6 * index] = (255, 0, 0)
    write_gif(tmp_path / "a.gif", frames, 10)
    write_mp4(tmp_path / "a.mp4", frames, 10)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 8
        assert gif.size == (60, 40)
        assert gif.info["duration"] == 100
        gif.seek(3)
        assert gif.convert("RGB").getpixel((50, 20)) == pytest.approx((60, 60, 60), abs=12)
        gif.seek(7)
        assert gif.info["duration"] == 1000 * LAST_FRAME_SECONDS
    with av.open(str(tmp_path / "a.mp4")) as video:
        decoded = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert video.streams.video[0].average_rate == 10
    assert len(decoded) == 8 + 10 * LAST_FRAME_SECONDS
    assert decoded[5].shape == (40, 60, 3)
    assert decoded[5][20, 50] == pytest.approx((100, 100, 100), abs=12)


def test_irises_are_rounded_no_more() -> None:
    line, plane = gan_points.iris_points()
    assert line.x.shape == (1200, 1)
    assert plane.x.shape == (1200, 2)
    torch.testing.assert_close(plane.x.mean(0), torch.zeros(2), rtol=0, atol=1e-5)
    torch.testing.assert_close(plane.x.std(0), torch.ones(2))
    assert len(line.x.unique()) > 1150


def test_points_of_a_table(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    rows = [f"row {i},{i},{i % 3},7,{i * i}" for i in range(30)]
    path.write_text("\n".join(["name,a,b,c,d", *rows]) + "\n")
    line, plane = gan_points.csv_points(path)
    assert (line.names, plane.names) == (("a",), ("a", "b"))
    assert line.x[0, 0] == pytest.approx((0 - 14.5) / np.std(range(30), ddof=1))

    for content, message in (
        ("a,b\n1\n", "is not a table"),
        ("", "is not a table"),
        ("a,b\n" + "1,2\n" * 30, "0 columns of numbers that vary"),
        ("a,b\n1,2\n3,4\n", "at least 20 lines"),
        ("a,b\n" + "x,2\nnan,3\n" * 15, "1 columns of numbers"),
    ):
        path.write_text(content)
        with pytest.raises(UserError, match=message):
            gan_points.csv_points(path)


def test_distances_of_points() -> None:
    x = torch.linspace(0, 1, 50)[:, None]
    assert gan_points.distance(x, x + 0.3) == pytest.approx(0.3)
    corners = torch.tensor([[0.0, 0.0], [3.0, 4.0]])
    # 2 E|X - Y| = 2 * (0 + 5) / 2 for the one point against both, E|X - X'| = (0 + 5 + 5 + 0) / 4.
    assert gan_points.distance(corners, corners[:1]) == pytest.approx(5 - 2.5)
    real = torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    assert 0 < gan_points.floor(real) < gan_points.distance(real, real + 0.3) / 3


@pytest.mark.slow
def test_a_resumed_film_is_the_same(tmp_path: Path) -> None:
    def run(name: str, **options: object) -> Path:
        folder = tmp_path / name
        gan_points.main(gan_points.PointsConfig(run=folder, device="cpu", smoke=True, **options))
        return folder

    whole = run("whole")
    run("stopped", budget="0.001s")
    run("stopped", resume=True)
    for model in ("line", "plane"):
        films = [gan_points.read_film(tmp_path / name / model / "frames") for name in ("whole", "stopped")]
        assert films[0].steps == films[1].steps
        assert films[0].distances == films[1].distances
        assert all(np.array_equal(a, b) for a, b in zip(films[0].fakes, films[1].fakes, strict=True))
    assert (whole / "animation.mp4").stat().st_size > 1000
    assert "data:image/gif" in (whole / "report.html").read_text()
    with pytest.raises(UserError, match="nothing to download"):
        run("other", download=True)


def test_modes_count_when_they_are_drawn_in_earnest() -> None:
    real = torch.tensor([0] * 50 + [1] * 40 + [3] * 10)
    fake = torch.tensor([0] * 94 + [1] * 3 + [2] * 1 + [3] * 2)
    # Class 1 has 3 % where 4 % would do, class 3 has 2 % where 1 % would, class 2 is none of the real ones.
    assert modes_covered(fake, real) == 2
    assert modes_covered(real, real) == 3


def small_gan(classes: int = 0) -> GAN:
    return GAN(
        GANConfig(z_dim=4, classes=classes),
        generator=lambda: ConvGenerator(shape=(1, 8, 8), z_dim=4, classes=classes, channels=8),
        discriminator=lambda: ImageDiscriminator(shape=(1, 8, 8), classes=classes, channels=4),
    )


def test_samples_depend_on_their_seed_alone() -> None:
    torch.manual_seed(0)
    model = small_gan()
    state = torch.get_rng_state()
    images = sample_images(model, 3, seed=1)
    assert torch.equal(torch.get_rng_state(), state)
    torch.randn(5)
    assert torch.equal(sample_images(model, 3, seed=1), images)
    assert not torch.equal(sample_images(model, 3, seed=2), images)
    assert 0 <= images.min() < images.max() <= 1


def labelled(*counts: int) -> Images:
    y = torch.cat([torch.full((count,), label) for label, count in enumerate(counts)])
    x = torch.arange(len(y)).float().view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
    return Images("numbers", x, y, tuple(str(label) for label in range(len(counts))))


def test_a_few_of_each_class_are_drawn_by_seed() -> None:
    images = labelled(9, 5, 7)
    few = augmentation.few_of_each(images, 4, seed=0)
    assert few.y.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert len(few.x[:, 0, 0, 0].unique()) == 12
    assert all(images.y[int(x)] == y for x, y in zip(few.x[:, 0, 0, 0], few.y, strict=True))
    assert not torch.equal(few.x, augmentation.few_of_each(images, 4, seed=1).x)
    with pytest.raises(UserError, match="only 5 training images of a class, fewer than 6"):
        augmentation.few_of_each(images, 6, seed=0)


def test_intervals_are_those_of_student() -> None:
    """Three values 1, 2, 3: mean 2, standard error 1/sqrt(3), and 4.303 is the quantile at two degrees of freedom."""
    found = interval([1.0, 2.0, 3.0])
    assert found.mean == 2
    assert found.half == pytest.approx(4.30265 / 3**0.5, rel=1e-4)
    assert interval([0.5]).half is None


def test_the_verdict_says_what_the_intervals_say() -> None:
    gain = "generated over real only"
    gains = {
        10: {gain: Interval(0.1, 0.05)},
        20: {gain: Interval(-0.1, 0.05)},
        50: {gain: Interval(0.01, 0.05)},
        100: {gain: Interval(0.2, None)},
    }
    expected = "a gain with 10; no clear difference with 50, 100; a loss with 20 real images a class."
    assert augmentation.verdict(gains) == f"{gain}: {expected}"


def test_a_classifier_learns_from_generated_images_in_their_way() -> None:
    """The classes are a bright left and a bright right half; the real labels are wrong, the generated ones right."""
    x = torch.zeros(40, 1, 8, 8)
    x[:20, ..., :4], x[20:, ..., 4:] = 1.0, 1.0
    y = torch.arange(40) // 20
    truth = Images("halves", x, y, ("left", "right"))
    wrong = Images("exchanged", x[:2], 1 - y[:2], ("left", "right"))
    test = truth.where(torch.arange(20))
    assert augmentation.accuracy(wrong, augmentation.Way(False, None), test, seed=0, steps=20) == 0
    half = augmentation.accuracy(
        truth.where(torch.arange(20, 40)), augmentation.Way(True, truth), test, seed=0, steps=40
    )
    assert half == 1


def test_real_images_to_compare_with_have_the_classes_asked_for() -> None:
    """The images of class 0 are 0 to 3, of class 1 are 4 and 5, of class 2 are 6 to 8."""
    found = conditional_gan.same_classes(labelled(4, 2, 3), torch.tensor([1, 0, 1, 2, 1, 0]))
    assert found[:, 0, 0, 0].tolist() == [4, 0, 5, 6, 4, 1]


def test_generation_by_class_needs_classes(tmp_path: Path) -> None:
    faces = tmp_path / "faces"
    faces.mkdir()
    for number in range(12):
        Image.new("L", (8, 8), 20 * number).save(faces / f"{number}.png")
    config = conditional_gan.ConditionalRecipe(run=tmp_path / "run", data=faces, device="cpu", smoke=True)
    with pytest.raises(UserError, match="one folder of images for each class"):
        conditional_gan.main(config)


def emoji_folder(folder: Path) -> Path:
    names = [f"person {number}" for number in range(60)]
    table = [
        {"image": f"{n}.png", "name": name, "category": "People & Body", "subcategory": "person", "skin_tone": tone}
        for n, (name, tone) in enumerate(zip(names, [None, "1F3FB"] * 30, strict=True))
    ]
    table.append({**table[0], "name": "hand", "subcategory": "hands"})
    table.append({**table[0], "name": "cat", "category": "Animals"})
    (folder / "noto").mkdir(parents=True)
    (folder / "emoji.json").write_text(json.dumps(table))
    for number in range(60):
        pixels = np.random.default_rng(number).integers(0, 255, (20, 20, 3), np.uint8)
        Image.fromarray(pixels).save(folder / "noto" / f"{number}.png")
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["emoji", "faces"])
def test_portraits_are_drawn_from_emoji_and_from_faces(kind: str, tmp_path: Path) -> None:
    """Of emoji the people alone, one kind for each skin tone; faces without classes are scored by random features."""
    data = emoji_folder(tmp_path / "emoji")
    config = style_gan.StyleRecipe(
        run=tmp_path / "run",
        data=data if kind == "emoji" else data / "noto",
        size=16,
        channels=4,
        device="cpu",
        smoke=True,
    )
    style_gan.main(config)
    results = json.loads((tmp_path / "run" / "results.json").read_text())
    assert results["data"] == ("emoji portraits" if kind == "emoji" else "noto")
    assert ("random features" in results["features"]) == (kind == "faces")
    assert all(np.isfinite(value) for value in [*results["scores"].values(), *results["path_length"].values()])


def test_too_few_images_are_refused_before_the_training(tmp_path: Path) -> None:
    for number in range(20):
        Image.new("RGB", (16, 16), (10 * number, 0, 0)).save(tmp_path / f"{number}.png")
    config = style_gan.StyleRecipe(run=tmp_path / "run", data=tmp_path, size=16, device="cpu", smoke=True)
    with pytest.raises(UserError, match="which makes 4; scores need at least 10"):
        style_gan.main(config)


def test_random_features_are_always_the_same() -> None:
    x = torch.rand(2, 3, 16, 16)
    a, b = style_gan.RandomFeatures(3)(x), style_gan.RandomFeatures(3)(x)
    assert torch.equal(a, b)
    assert a.shape == (2, 64)
    assert not torch.allclose(a[0], a[1])
