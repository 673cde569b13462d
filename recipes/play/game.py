"""Plays the game of a GAN step by step: points are moved to where a discriminator takes them for real."""

from __future__ import annotations

import gradio as gr
import torch
from matplotlib.figure import Figure
from PIL import Image

from generative_core import TensorLoader
from recipes.common.animation import rasterise
from recipes.gan_points import SHOWN, Points, draw_plane, grid, iris_points, points_gan

BATCH = 128


class Game:
    """A generator and a discriminator at the beginning of their training, and the training."""

    def __init__(self, points: Points) -> None:
        self.points = points
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = points_gan(2)
        self.optimizers = self.model.configure_optimizers()
        self.loader = TensorLoader({"x": points.x}, BATCH, seed=0)
        self.step = 0

    def train(self, steps: int) -> None:
        for _ in range(steps):
            self.model.training_step(next(self.loader), self.optimizers, self.step)
            self.step += 1

    @torch.no_grad()
    def picture(self) -> Image.Image:
        """Real and generated points, and behind them what the discriminator takes for real."""
        noise = torch.randn(SHOWN, 2, generator=torch.Generator().manual_seed(0))
        fake = self.model.decode(noise).numpy()
        probability = self.model.discriminator(grid(2)).sigmoid()[:, 0].numpy()
        figure = Figure(figsize=(6.4, 4.8), dpi=100, layout="constrained")
        draw_plane(figure.add_subplot(), self.points, fake, probability)
        figure.suptitle(f"step {self.step}", fontsize=11)
        return Image.fromarray(rasterise(figure))


def points_in_a_plane() -> None:
    points = iris_points()[1]
    game = gr.State(None)  # of this visitor; begun at the first step

    def play(game: Game | None, steps: int) -> tuple[Game, Image.Image]:
        game = game or Game(points)
        game.train(steps)
        return game, game.picture()

    with gr.Row():
        buttons = {steps: gr.Button(f"{steps} step{'s' * (steps > 1)}") for steps in (1, 10, 100)}
        again = gr.Button("From the beginning")
    picture = gr.Image(
        Game(points).picture(),
        label="Real irises (green), generated ones (orange)",
        type="pil",
        format="png",
        interactive=False,
    )
    for steps, button in buttons.items():
        number = gr.Number(steps, visible=False)
        button.click(play, [game, number], [game, picture], show_progress="hidden", api_visibility="private")
    again.click(
        lambda: (None, Game(points).picture()), None, [game, picture], show_progress="hidden", api_visibility="private"
    )
