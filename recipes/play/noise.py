"""Draws ten digits from one noise, on the way from one noise to another."""

from __future__ import annotations

import gradio as gr
import torch
from PIL import Image

from generative_core import GAN
from recipes.common.gan import to_images
from recipes.play.web_component import on_paper

SCALE = 4  # pixels of the page for one of the picture


def digits() -> None:
    model = GAN.from_pretrained("mnist-gan")

    @torch.no_grad()
    def draw(place: float, seed: int) -> Image.Image:
        generator = torch.Generator().manual_seed(int(seed))
        ends = torch.randn(2, model.config.z_dim, generator=generator)
        z = torch.lerp(ends[0], ends[1], min(1.0, max(0.0, float(place))))
        pictures = to_images(model.decode(z.expand(model.config.classes, -1), torch.arange(model.config.classes)))
        rows = torch.cat([torch.cat(list(row[:, 0]), dim=1) for row in pictures.unflatten(0, (2, -1))])
        picture = on_paper(rows)
        return picture.resize((picture.width * SCALE, picture.height * SCALE), Image.Resampling.NEAREST)

    seed = gr.State(0)
    place = gr.Slider(0, 1, 0, step=0.02, label="From one noise to another")
    picture = gr.Image(draw(0, 0), label="All ten digits, from this noise", type="pil", format="png", interactive=False)
    place.input(draw, [place, seed], picture, trigger_mode="always_last", show_progress="hidden", api_name="digits")
    gr.Button("Two other noises").click(lambda seed: seed + 1, seed, seed, api_visibility="private").then(
        draw, [place, seed], picture, show_progress="hidden", api_visibility="private"
    )
