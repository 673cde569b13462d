"""Builds the page: one tab for each idea, in the lecture's order."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from generative_core import GAN, VAE, Autoencoder
from generative_core.nets import ConvGenerator, UNetGenerator
from generative_core.saved import shipped_models
from recipes.play import drawing, game, latent_space, noise

ROOT = Path(__file__).parents[2]


class Idea(NamedTuple):
    """One tab: what it says, in three sentences, what is played with, and the lines that do it."""

    title: str
    text: str
    build: Callable[[], None]
    code: Callable[..., Any]
    models: tuple[str, ...]


IDEAS = (
    Idea(
        "Autoencoder",
        "An autoencoder has pressed every digit into two numbers, so that all digits lie on a map. Move the pointer "
        "over the map, or use the arrow keys on it, to see what the decoder draws there. The digits lie wherever the "
        "training put them, here up to 15 from zero, so nobody knows beforehand where to look for one.",
        latent_space.autoencoder_map,
        Autoencoder.training_step,
        ("mnist-autoencoder-2d",),
    ),
    Idea(
        "VAE",
        "A variational autoencoder has to spread its digits like a standard normal distribution, so one knows where to "
        "look: near zero, in all directions. Move the pointer as before, and see how neighbours are alike and one "
        "digit turns into the next. The price is a slightly larger error, since a digit is a region and not a point.",
        latent_space.vae_map,
        VAE.elbo,
        ("mnist-vae-2d",),
    ),
    Idea(
        "The game",
        "A generator has to put its points (orange) where the real ones (green) are, and is told only what a "
        "discriminator takes for real (blue). Let both learn for some steps, and see how the points move towards the "
        "blue, and how the blue moves away from where they are. When the points are spread like the real ones, the "
        "discriminator cannot tell any more: the plane turns to one even blue.",
        game.points_in_a_plane,
        GAN.training_step,
        (),
    ),
    Idea(
        "GAN",
        "A GAN's generator turns noise into a digit of the class that it is given. All ten are drawn from the same "
        "noise, which decides their slant and thickness. Move the slider to go from one noise to another: there is no "
        "jump anywhere on the way.",
        noise.digits,
        ConvGenerator.forward,
        ("mnist-gan",),
    ),
    Idea(
        "pix2pix",
        "pix2pix has seen pairs of flat and three-dimensional emoji, and gives a flat drawing light and shadow. Draw "
        "with the brush, or open a flat picture on white, and see what becomes of it while you draw. It was "
        "trained on whole emoji of 128x128 pixels, so bold shapes in bright colours work best.",
        drawing.flat_to_3d,
        UNetGenerator.forward,
        ("flat-to-3d",),
    ),
)


def build_page() -> gr.Blocks:
    """The page with the ideas whose weights are there."""
    shipped = set(shipped_models())
    with gr.Blocks(title="The lecture, to play with", analytics_enabled=False) as page:
        gr.Markdown("# The lecture, to play with")
        for idea in IDEAS:
            if shipped.issuperset(idea.models):
                with gr.Tab(idea.title):
                    gr.Markdown(idea.text)
                    idea.build()
                    _show_lines(idea.code)
    return page


def _show_lines(code: Callable[..., Any]) -> None:
    lines, first = inspect.getsourcelines(code)
    path = Path(inspect.getfile(code)).relative_to(ROOT).as_posix()
    with gr.Accordion(f"The lines that do it: {path}, {first} to {first + len(lines) - 1}", open=False):
        gr.Code(inspect.cleandoc("".join(lines)), language="python", interactive=False, show_label=False)
