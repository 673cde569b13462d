"""Shows a latent space of two dimensions as a map, and decodes the place under the pointer."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from generative_core import VAE, Autoencoder
from recipes.play.web_component import data_url, on_paper, web_component

TILES = 16  # along a side of the map
REACH = 2.5  # deviations from the mean to an edge of the map


def autoencoder_map() -> None:
    model = Autoencoder.from_pretrained("mnist-autoencoder-2d")
    # It has no prior: the map is of where the codes of the training images lie.
    latent_map(model.decode, model.code_mean, model.code_covariance.diagonal().sqrt())


def vae_map() -> None:
    latent_map(VAE.from_pretrained("mnist-vae-2d").decode, torch.zeros(2), torch.ones(2))


def latent_map(decode: Callable[[Tensor], Tensor], mean: Tensor, deviation: Tensor) -> None:
    """The map from `REACH` deviations below the mean to as many above it, `(2,)` each; up is positive."""

    def code(x: float, y: float) -> Tensor:
        """Of a place, from the upper left corner in widths of the map, `(1, 2)`."""
        return mean + deviation * REACH * torch.tensor([[2 * x - 1, 1 - 2 * y]])

    @torch.no_grad()
    def look(place: Sequence[float]) -> tuple[str, str]:
        x, y = (min(1.0, max(0.0, float(side))) for side in place)
        z = code(x, y)
        return data_url(on_paper(decode(z)[0, 0])), f"{z[0, 0]:.2f}, {z[0, 1]:.2f}".replace("-", "−")

    places = [(index + 0.5) / TILES for index in range(TILES)]
    with torch.no_grad():
        tiles = decode(torch.cat([code(x, y) for y in places for x in places]))
    rows = torch.cat([torch.cat(list(row), dim=2) for row in tiles.unflatten(0, (TILES, TILES))], dim=1)
    web_component("latent_space", look, map=data_url(on_paper(rows[0])))
