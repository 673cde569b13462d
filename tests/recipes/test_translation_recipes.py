"""Translations from training to pictures on the disk: options, resumption, tiles, exported files, the page."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from urllib.request import ProxyHandler, build_opener

import numpy as np
import onnxruntime
import pytest
import torch
from PIL import Image
from torch import Tensor

from generative_core import Pix2Pix
from generative_core.nets import ResNetGenerator, UNetGenerator
from generative_core.training.checkpoint import list_checkpoints, load_checkpoint
from recipes.common.extractor import Extractor, perceptual_distance
from recipes.common.image_run import TrainOptions
from recipes.common.translation import GeneratorDescription, load_generator, save_generator, settle
from recipes.common.translation_scores import (
    ColourChange,
    beats,
)
from recipes.common.translator import Translator, load_translators, pad_to_multiple, translate_in_tiles
from recipes.cyclegan import CycleGANRecipe
from recipes.cyclegan import main as cyclegan
from recipes.pix2pix import Pix2PixRecipe
from recipes.pix2pix import main as pix2pix
from recipes.translate import TranslateConfig, build_page, open_page
from recipes.translate import main as translate
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.errors import UserError

CPU = torch.device("cpu")


def noise(path: Path, size: tuple[int, int] = (50, 36), seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(path)
    return path


def small_run(folder: Path, *, both: bool = True) -> Path:
    """A run's folder with untrained generators."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    description = GeneratorDescription("resnet_6blocks", 3, 3, 2, "instance", False, "resize")
    for direction in ("ab", "ba") if both else ("ab",):
        save_generator(folder / f"generator_{direction}.safetensors", description.build(), description)
    return folder


@pytest.mark.slow
def test_a_stopped_run_is_resumed_exactly_and_translates(tmp_path: Path) -> None:
    options = {"device": "cpu", "smoke": True, "crop_size": 32, "network": "resnet_6blocks", "channels": 4}
    pix2pix(Pix2PixRecipe(run=tmp_path / "whole", **options))  # type: ignore[arg-type]
    pix2pix(Pix2PixRecipe(run=tmp_path / "stopped", budget="0.001s", **options))  # type: ignore[arg-type]
    assert "Not done" in (tmp_path / "stopped" / "report.html").read_text()
    pix2pix(Pix2PixRecipe(run=tmp_path / "stopped", resume=True, **options))  # type: ignore[arg-type]
    states = [
        load_checkpoint(list_checkpoints(tmp_path / name / "pix2pix" / "checkpoints")[-1])
        for name in ("whole", "stopped")
    ]
    assert states[0]["step"] == states[1]["step"] == 10
    for key, value in states[0]["model"].items():
        assert torch.equal(value, states[1]["model"][key]), key
    scores = [json.loads((tmp_path / name / "results.json").read_text())["scores"] for name in ("whole", "stopped")]
    assert scores[0] == scores[1]
    translate(TranslateConfig(tmp_path / "whole", noise(tmp_path / "in.png"), tmp_path / "out.png", device="cpu"))
    assert Image.open(tmp_path / "out.png").size == (50, 36)
    x = torch.rand(1, 3, 32, 32) * 2 - 1
    generator = load_generator(tmp_path / "whole" / "generator_ab.safetensors")
    assert torch.allclose(Pix2Pix.from_pretrained(tmp_path / "whole").translate(x), generator(x), atol=0.01)


@pytest.mark.slow
def test_cut_translates_in_one_direction(tmp_path: Path) -> None:
    cyclegan(CycleGANRecipe(run=tmp_path, device="cpu", smoke=True, crop_size=32, model="fastcut"))
    scores = json.loads((tmp_path / "results.json").read_text())["scores"]
    assert [row["name"] for row in scores["ab"]] == ["input as it is", "change of colours", "FastCUT", "real pictures"]
    assert set(scores) == {"ab"}
    assert [path.name for path in tmp_path.glob("generator_*")] == ["generator_ab.safetensors"]


@pytest.mark.slow
def test_domains_without_pairs_are_scored_by_fid_alone(tmp_path: Path) -> None:
    for folder, name in enumerate(("trainA", "trainB", "testA", "testB")):
        for number in range(4 if name != "trainB" else 5):
            noise(tmp_path / "data" / name / f"{name}{number}.png", seed=10 * folder + number)
    cyclegan(CycleGANRecipe(run=tmp_path / "run", data=tmp_path / "data", device="cpu", smoke=True, crop_size=24))
    scores = json.loads((tmp_path / "run" / "results.json").read_text())["scores"]
    assert set(scores) == {"ab", "ba"}
    for rows in scores.values():
        assert [row["name"] for row in rows] == ["input as it is", "change of colours", "CycleGAN", "real pictures"]
        assert all(row["L1"] is None and isinstance(row["FID"], float) for row in rows)


def test_pix2pix_refuses_options_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--averaged does not fit"):
        pix2pix(Pix2PixRecipe(run=tmp_path, averaged=True, norm="batch"))
    with pytest.raises(UserError, match="--input-skip is for U-Nets, and the network is resnet_6blocks"):
        pix2pix(Pix2PixRecipe(run=tmp_path, input_skip=True, network="resnet_6blocks"))


def test_options_that_do_not_fit_together() -> None:
    def settled(**options: object) -> object:
        return settle(Pix2PixRecipe(**options), 256, "unet_256")  # type: ignore[arg-type]

    assert settled().reader.preparation.load_size == 286  # type: ignore[attr-defined]
    with pytest.raises(UserError, match="--load-size 20 must not be smaller"):
        settled(load_size=20)
    with pytest.raises(UserError, match="must be at least 4"):
        settled(crop_size=2)
    with pytest.raises(UserError, match="--crop-size of at least 24, or use pixel"):
        settled(crop_size=20)
    with pytest.raises(UserError, match=r"in many sizes: use --train\.batch-size 1"):
        settled(preprocess="none", train=TrainOptions(10, 2))
    with pytest.raises(UserError, match="looks into a ResNet"):
        cyclegan(CycleGANRecipe(model="cut", network="unet_128", smoke=True))
    assert settled(preprocess="none").network == "unet_256"  # type: ignore[attr-defined]


def test_a_model_that_draws_at_one_size_is_shown_whole_pictures(tmp_path: Path) -> None:
    class Half(ResNetGenerator):
        seen: tuple[int, ...] = ()

        def forward(self, x: Tensor) -> Tensor:
            self.seen = tuple(x.shape)
            return x

    generator = Half(channels=2, blocks=1)
    translator = Translator(generator, 3, None, CPU, size=32)
    assert translator(Image.open(noise(tmp_path / "large.png", (100, 50)))).size == (32, 16)
    assert generator.seen == (1, 3, 16, 32)
    assert translator(Image.open(noise(tmp_path / "small.png", (8, 16)))).size == (16, 32)


def test_a_saved_generator_comes_back_the_same(tmp_path: Path) -> None:
    torch.manual_seed(0)
    description = GeneratorDescription("unet_128", 1, 3, 1, "batch", True, "transposed")
    network = description.build()
    x = torch.rand(2, 1, 128, 128)
    network.train()(x)  # moves the statistics of batch normalisation
    save_generator(tmp_path / "g.safetensors", network, description)
    again = load_generator(tmp_path / "g.safetensors")
    assert isinstance(again, UNetGenerator)
    assert torch.equal(again(x), network.eval()(x))
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"bad\.safetensors is not a generator"):
        load_generator(tmp_path / "bad.safetensors")


def test_pictures_keep_size_and_place_and_folders_their_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = small_run(tmp_path / "run")
    source = noise(tmp_path / "in" / "a.jpg").parent
    noise(source / "inner" / "b.png", (33, 41))
    (source / "notes.txt").write_text("no picture")
    with pytest.warns(UserWarning, match=r"left out: notes\.txt"):
        translate(TranslateConfig(run, source, tmp_path / "out", device="cpu"))
    written = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*")}
    assert written == {"a.png", "inner/b.png"}
    assert Image.open(tmp_path / "out" / "inner" / "b.png").size == (33, 41)
    translate(TranslateConfig(run, source / "inner" / "b.png", tmp_path / "b.png", direction="ba", device="cpu"))
    assert (tmp_path / "b.png").read_bytes() != (tmp_path / "out" / "inner" / "b.png").read_bytes()


def test_every_picture_has_a_result_of_its_own(tmp_path: Path) -> None:
    source = noise(tmp_path / "in" / "a.jpg").parent
    for name in ("a.png", "a.jpg.png", "A.PNG", "b.ppm"):
        noise(source / name)
    run = small_run(tmp_path / "run")
    for _ in range(2):  # the second time results are there already
        translate(TranslateConfig(run, source, tmp_path / "out", device="cpu"))
        written = sorted(path.name for path in (tmp_path / "out").iterdir())
        assert len({name.casefold() for name in written}) == 5
        assert {"a.jpg.png", "a.jpg.png.png", "b.png"} <= set(written)


def test_pictures_are_never_overwritten(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    source = noise(tmp_path / "in" / "a.png").parent
    noise(source / "b.png")
    before = {path: path.read_bytes() for path in source.iterdir()}
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "b.png").hardlink_to(source / "b.png")
    (tmp_path / "link.png").symlink_to(source / "a.png")
    for given, out, message in (
        (source, source, "would lie among the pictures"),
        (source, source / "." / ".." / "in", "would lie among the pictures"),
        (source, tmp_path / "out", r"would overwrite the picture .*b\.png"),
        (source, source / "a.png", "the output must be one too"),
        (source / "a.png", source / "a.png", "would overwrite the picture"),
        (source / "a.png", source, "would overwrite the picture"),
        (source / "a.png", tmp_path / "link.png", "would overwrite the picture"),
    ):
        with pytest.raises(UserError, match=message):
            translate(TranslateConfig(run, given, out, device="cpu"))
    assert {path: path.read_bytes() for path in source.iterdir()} == before


def test_results_inside_the_folder_are_not_translated_again(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run")
    source = noise(tmp_path / "in" / "a.png").parent
    for _ in range(2):
        translate(TranslateConfig(run, source, source / "out", device="cpu"))
    assert [path.relative_to(source).as_posix() for path in source.rglob("*.png")] == ["a.png", "out/a.png"]
    with pytest.raises(UserError, match=r"All pictures in .* where the results go"):
        translate(TranslateConfig(run, source / "out", source, device="cpu"))


def test_pictures_that_fail_do_not_stop_the_others(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = small_run(tmp_path / "run")
    source = noise(tmp_path / "in" / "c.png").parent
    (source / "a.png").write_bytes(b"")
    (source / "b.png").write_bytes(b"no picture")
    command = partial(translate, TranslateConfig(run, source, tmp_path / "out", device="cpu"))
    assert run_in_terminal(lambda: command() or 0) == 2
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["c.png"]
    first, *named = capsys.readouterr().err.splitlines()
    assert first == "2 of 3 pictures failed, the others are done:"
    assert [line.split("/")[-1][:5] for line in named] == ["a.png", "b.png"]


def test_photographs_are_translated_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.open(noise(tmp_path / "in.png")).save(tmp_path / "in.jpg", exif=exif)
    (tmp_path / "out").mkdir()
    translate(TranslateConfig(small_run(tmp_path / "run"), tmp_path / "in.jpg", tmp_path / "out", device="cpu"))
    assert Image.open(tmp_path / "out" / "in.png").size == (36, 50)


def test_a_generator_of_the_reference_implementation_translates(tmp_path: Path) -> None:
    ours = ResNetGenerator(channels=2, blocks=6)
    state = {
        k.replace("layers.", "model.", 1).replace("layers.", "conv_block."): v for k, v in ours.state_dict().items()
    }
    torch.save(state, tmp_path / "latest_net_G_A.pth")
    path = noise(tmp_path / "in.png", (24, 20))
    translate(TranslateConfig(tmp_path / "latest_net_G_A.pth", path, tmp_path / "out.png", device="cpu"))
    x = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        expected = ((ours.eval()(x)[0] + 1) / 2 * 255).round().byte().permute(1, 2, 0).numpy()
    assert np.abs(np.array(Image.open(tmp_path / "out.png")).astype(int) - expected).max() <= 1


def test_what_cannot_be_translated_is_said(tmp_path: Path) -> None:
    run = small_run(tmp_path / "run", both=False)
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.pth").write_text("no weights")
    for config, message in (
        (TranslateConfig(run), "RUN IN OUT"),
        (TranslateConfig(run, direction="ba"), "only translates A to B"),
        (TranslateConfig(tmp_path / "empty"), r"holds no generator_ab\.safetensors"),
        (TranslateConfig(tmp_path / "text.pth"), "not a file of weights"),
        (TranslateConfig(run, noise(tmp_path / "in.png"), tmp_path / "out.xyz"), "should end in one of"),
        (TranslateConfig(run, tile=2), "--tile 2 is too small"),
        (TranslateConfig(run, run / "nowhere.png", tmp_path / "out.png"), r"There is no picture .*nowhere\.png"),
    ):
        with pytest.raises(UserError, match=message):
            translate(config)


def test_tiles_change_nothing_that_looks_at_single_pixels() -> None:
    x = torch.rand(1, 3, 70, 45)
    assert torch.allclose(translate_in_tiles(lambda t: t.square(), x, 32), x.square(), atol=1e-5)
    seen: list[tuple[int, ...]] = []

    def watched(t: torch.Tensor) -> torch.Tensor:
        seen.append(tuple(t.shape[2:]))
        return t

    translate_in_tiles(watched, x, 80)
    assert seen == [(70, 45)]


def test_no_seams_where_every_tile_comes_out_in_a_shade_of_its_own() -> None:
    shades = iter(torch.linspace(-1, 1, 25)[torch.randperm(25, generator=torch.Generator().manual_seed(0))])
    y = translate_in_tiles(lambda t: torch.zeros_like(t) + next(shades), torch.zeros(1, 1, 96, 96), 32)
    steps = torch.cat([y.diff(dim=2).flatten(), y.diff(dim=3).flatten()])
    assert float(y.max() - y.min()) > 1
    assert float(steps.abs().max()) < 0.2  # abutting tiles would jump by up to 2


def test_padding_repeats_the_edge() -> None:
    x = torch.arange(6.0).view(1, 1, 2, 3)
    assert pad_to_multiple(x, 4, 2)[0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [3, 4, 5], [3, 4, 5]]  # in tiles of 2
    assert pad_to_multiple(x, 4, 4)[0, 0].tolist() == [[0, 1, 2, 2], [3, 4, 5, 5], [3, 4, 5, 5], [3, 4, 5, 5]]


@pytest.mark.parametrize("size", [(9, 7), (1, 1), (1, 70), (65, 2)])
def test_pictures_of_any_size_are_translated(size: tuple[int, int]) -> None:
    grey = Translator(ResNetGenerator(planes=1, channels=2, blocks=1), 1, 64, CPU)
    assert grey(Image.new("RGB", size, (255, 0, 0))).size == size
    halved = Translator(UNetGenerator(channels=1, layers=5), 3, None, CPU)
    assert halved(Image.new("RGB", size, (255, 0, 0))).size == size


@pytest.mark.slow
@pytest.mark.parametrize("network", [ResNetGenerator(channels=2, blocks=1), UNetGenerator(channels=1, layers=5)])
def test_onnx_files_take_any_size_and_give_the_same_picture(network: torch.nn.Module, tmp_path: Path) -> None:
    from generative_core.export import export_onnx

    multiple = int(network.multiple)  # type: ignore[arg-type]
    assert export_onnx(network, tmp_path / "g.onnx", planes=3, multiple=multiple) < 1e-4
    session = onnxruntime.InferenceSession(tmp_path / "g.onnx")
    x = torch.rand(1, 3, 7 * multiple, 3 * multiple) * 2 - 1
    (y,) = session.run(None, {"input": x.numpy()})
    assert torch.allclose(torch.from_numpy(y), network.eval()(x), atol=1e-5)


@pytest.mark.slow
def test_the_page_translates_both_ways(tmp_path: Path) -> None:
    import gradio as gr

    class Flat(Translator):
        def __init__(self, shade: int) -> None:
            self.shade = shade

        def __call__(self, picture: Image.Image) -> Image.Image:
            return Image.new("RGB", picture.size, (self.shade,) * 3)

    page = build_page({"ab": Flat(10), "ba": Flat(20)})
    (function,) = [f.fn for f in page.fns.values() if f.api_name == "translate"]
    assert function is not None
    picture = str(noise(tmp_path / "in.png"))
    assert [function(picture, name).getpixel((0, 0))[0] for name in ("A to B", "B to A")] == [10, 20]
    with pytest.raises(gr.Error, match="upload a picture"):
        function(None, "A to B")
    (tmp_path / "in.png").write_bytes(b"no picture")
    with pytest.raises(gr.Error, match="cannot be read as a picture"):
        function(picture, "A to B")


@pytest.mark.slow
@pytest.mark.parametrize("proxy", ["http://127.0.0.1:9", "socks5://127.0.0.1:9"])
def test_the_page_opens_behind_a_proxy(proxy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, proxy)
    monkeypatch.setenv("no_proxy", "")
    page = open_page(load_translators(small_run(tmp_path), None, CPU), block=False)
    try:
        with build_opener(ProxyHandler({})).open(page.local_url, timeout=60) as answer:
            assert b"Translate pictures" in answer.read()
    finally:
        page.close(verbose=False)


def test_a_change_of_colours_matches_mean_and_deviation() -> None:
    a = [torch.randint(0, 100, (3, 8, 8), dtype=torch.uint8) for _ in range(3)]
    b = [(x.float() * 0.5 + 100).byte() for x in a]
    change = ColourChange(a, b)
    fakes = [change(x.float() / 127.5 - 1) for x in a]
    for fake, real in zip(fakes, b, strict=True):
        assert torch.allclose(fake, real.float() / 127.5 - 1, atol=0.02)
    grey = ColourChange([x[:1] for x in a], b)
    assert grey(a[0][:1].float() / 127.5 - 1).shape == (3, 8, 8)


def test_a_row_beats_others_in_every_score_it_has() -> None:
    best, other = [0.1, 0.9, 0.4, 3.0], ["b", 0.2, 0.8, 0.5, 4.0]
    assert beats(["a", *best], [other])
    for score, worse in enumerate((0.3, 0.7, 0.6, 5.0)):
        assert not beats(["a", *best[:score], worse, *best[score + 1 :]], [other])
    assert not beats(["a", *best], [other, ["c", *best]])
    assert beats(["a", None, None, None, 3.0], [["b", None, None, None, 4.0]])


def test_perceptual_distance_is_zero_for_the_same_and_grows() -> None:
    torch.manual_seed(0)
    extractor = Extractor(3, 4)
    x = torch.rand(4, 3, 32, 32)
    near, far = (perceptual_distance(extractor, x, (1 - t) * x + t * torch.rand_like(x)) for t in (0.1, 0.9))
    assert perceptual_distance(extractor, x, x) == 0
    assert 0 < near < far
