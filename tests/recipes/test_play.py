"""The lecture's ideas in a browser: what is moved, dragged and drawn is answered. The models are tiny and untrained."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest
import torch
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from torch import nn

from generative_core import VAE, Autoencoder, AutoencoderConfig, GANConfig, Pix2Pix, VAEConfig, saved
from generative_core.metrics import energy_distance
from generative_core.nets import MLPDecoder, MLPEncoder, UNetGenerator
from generative_core.saved import FILE, save_model
from recipes.common.gan import convolutional_gan, describe_generator
from recipes.gan_points import iris_points
from recipes.play.game import Game
from recipes.play.page import IDEAS, build_page
from tests.browser import browsing
from tests.serving import WAIT

SHAPE = (1, 8, 8)


def save_tiny_models(folder: Path) -> None:
    """One for every idea, under the shipped ones' names."""
    torch.manual_seed(0)

    def encoder(outputs: int) -> dict[str, object]:
        return {"kind": "MLPEncoder", "shape": SHAPE, "outputs": outputs}

    decoder = {"kind": "MLPDecoder", "shape": SHAPE, "latent": 2}
    autoencoder = Autoencoder(
        AutoencoderConfig(latent=2),
        encoder=MLPEncoder(shape=SHAPE, outputs=2),
        decoder=MLPDecoder(shape=SHAPE, latent=2),
    )
    save_model(folder / "mnist-autoencoder-2d" / FILE, autoencoder, {"encoder": encoder(2), "decoder": decoder})
    vae = VAE(
        VAEConfig(latent=2), encoder=MLPEncoder(shape=SHAPE, outputs=4), decoder=MLPDecoder(shape=SHAPE, latent=2)
    )
    save_model(folder / "mnist-vae-2d" / FILE, vae, {"encoder": encoder(4), "decoder": decoder})
    config = GANConfig(z_dim=4, classes=10)
    gan = convolutional_gan(config, SHAPE, channels=8)
    save_model(folder / "mnist-gan" / FILE, gan, {"generator": describe_generator(config, SHAPE, channels=8)})
    pix2pix = Pix2Pix(generator=lambda: UNetGenerator(channels=2, layers=5), discriminator=nn.Identity)
    unet = {"kind": "UNetGenerator", "channels": 2, "layers": 5}
    save_model(folder / "flat-to-3d" / FILE, pix2pix, {"generator": unet}, {"size": 32})


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    folder = tmp_path_factory.mktemp("weights")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(saved, "SHIPPED", folder)
        patch.setenv("no_proxy", "*")
        save_tiny_models(folder)
        blocks = build_page()
    _, address, _ = blocks.launch(prevent_thread_lock=True, quiet=True)
    try:
        with browsing() as browser, browser.new_context(viewport={"width": 1100, "height": 900}) as context:
            page = context.new_page()
            page.set_default_timeout(WAIT)
            problems: list[str] = []
            page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
            page.on("pageerror", lambda error: problems.append(str(error)))
            page.goto(address)
            yield page
            assert [problem for problem in problems if "manifest" not in problem] == []
    finally:
        blocks.close()


def open_idea(page: Page, title: str) -> Locator:
    page.get_by_role("tab", name=title, exact=True).click()
    return page.get_by_role("tabpanel").filter(visible=True)


def shown(picture: Locator) -> str:
    """The picture's content, once there is one."""
    expect(picture).to_have_attribute("src", re.compile("^data:image/png"), timeout=WAIT)
    return str(picture.get_attribute("src"))


def changed(picture: Locator, before: str) -> str:
    expect(picture).not_to_have_attribute("src", before, timeout=WAIT)
    return shown(picture)


@pytest.mark.slow
@pytest.mark.parametrize("title", ["Autoencoder", "VAE"])
def test_the_place_under_the_pointer_is_decoded(page: Page, title: str) -> None:
    panel = open_idea(page, title)
    picture, words = panel.locator(".seen"), panel.locator("figcaption")
    first = shown(picture)
    panel.locator(".map").hover(position={"x": 2, "y": 2})
    corner = changed(picture, first)
    if title == "VAE":
        low, high = (float(number.replace("−", "-")) for number in words.inner_text().split(", "))
        assert -2.5 <= low < -2.4  # deviations of the prior
        assert 2.4 < high <= 2.5
    before = words.inner_text()
    panel.locator(".map").press("ArrowRight")
    expect(words).not_to_have_text(before, timeout=WAIT)
    changed(picture, corner)


@pytest.mark.slow
def test_the_game_is_played_step_by_step_and_begun_again(page: Page) -> None:
    panel = open_idea(page, "The game")
    picture = panel.locator("img").first
    expect(picture).to_be_visible(timeout=WAIT)
    before = str(picture.get_attribute("src"))
    for name in ("1 step", "10 steps", "From the beginning"):
        panel.get_by_role("button", name=name, exact=True).click()
        expect(picture).not_to_have_attribute("src", before, timeout=WAIT)
        before = str(picture.get_attribute("src"))


def test_the_game_brings_points_to_the_real_ones() -> None:
    game = Game(iris_points()[1])
    apart = []
    for steps in (0, 300):
        game.train(steps)
        apart.append(energy_distance(game.points.x, game.model.sample(500)))
    assert game.step == 300
    assert apart[1] < apart[0] / 2


@pytest.mark.slow
def test_ten_digits_follow_the_noise(page: Page) -> None:
    panel = open_idea(page, "GAN")
    picture = panel.locator("img").first
    expect(picture).to_be_visible(timeout=WAIT)
    first = str(picture.get_attribute("src"))
    panel.get_by_role("slider").press("End")
    expect(picture).not_to_have_attribute("src", first, timeout=WAIT)
    end = str(picture.get_attribute("src"))
    panel.get_by_role("button", name="Two other noises").click()
    expect(picture).not_to_have_attribute("src", end, timeout=WAIT)


@pytest.mark.slow
def test_a_drawing_is_translated_while_one_draws(page: Page, tmp_path: Path) -> None:
    panel = open_idea(page, "pix2pix")
    result, canvas = panel.locator(".result"), panel.locator("canvas")
    house = shown(result)
    panel.get_by_role("button", name="Clear").click()
    empty = changed(result, house)
    panel.get_by_role("button", name="red").click()
    box = canvas.bounding_box()
    assert box
    page.mouse.move(box["x"] + 40, box["y"] + 40)
    page.mouse.down()
    page.mouse.move(box["x"] + 200, box["y"] + 200)
    line = changed(result, empty)
    page.mouse.up()
    content = base64.b64decode(line.split(",")[1])
    assert Image.open(io.BytesIO(content)).size == (384, 384)
    Image.new("RGB", (300, 150), "blue").save(tmp_path / "flag.png")
    panel.locator("input[type=file]").set_input_files(tmp_path / "flag.png")
    changed(result, line)


@pytest.mark.slow
@pytest.mark.parametrize(("title", "part"), [("VAE", ".map"), ("pix2pix", "canvas"), ("pix2pix", ".result")])
def test_it_fits_a_phone(page: Page, title: str, part: str) -> None:
    phone = page.context.new_page()  # its own: a window that was narrow does not show all tabs again at once
    phone.set_default_timeout(WAIT)
    phone.goto(page.url)
    panel = open_idea(phone, title)
    expect(panel.locator(part)).to_be_visible()
    phone.set_viewport_size({"width": 390, "height": 844})
    box = panel.locator(part).bounding_box()
    phone.close()
    assert box
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= 390


@pytest.mark.slow
def test_every_idea_shows_the_lines_that_do_it(page: Page) -> None:
    for idea in IDEAS:
        panel = open_idea(page, idea.title)
        expect(panel.get_by_role("button", name="The lines that do it: generative_core/")).to_be_visible()


def test_the_page_leaves_out_what_has_no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "SHIPPED", tmp_path)
    tabs = [block for block in build_page().blocks.values() if isinstance(block, gr.Tab)]
    assert [tab.label for tab in tabs] == ["The game"]  # which needs none


def test_every_idea_is_said_in_three_sentences() -> None:
    assert [idea.text.count(". ") for idea in IDEAS] == [2] * len(IDEAS)
