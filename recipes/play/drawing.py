"""Gives a flat drawing light and shadow while one draws."""

from __future__ import annotations

import base64
import io

import torch
from PIL import Image

from recipes.common.translator import shipped_translator
from recipes.play.web_component import data_url, web_component

SIDE = 384  # pixels of the canvas
LONGEST = 2_000_000  # characters of a drawing as it comes from the page


def flat_to_3d() -> None:
    """A canvas with a house under the sun to begin with, and beside it what the generator makes of it."""
    translator = shipped_translator("flat-to-3d", None, torch.device("cpu"))

    def translate(drawings: list[str]) -> str:
        (drawing,) = drawings
        if len(drawing) > LONGEST:
            raise ValueError("the drawing is larger than the canvas")
        content = base64.b64decode(drawing.removeprefix("data:image/png;base64,"), validate=True)
        with Image.open(io.BytesIO(content), formats=("PNG",)) as picture:
            if picture.size != (SIDE, SIDE):
                raise ValueError("the drawing is not as large as the canvas")
            return data_url(translator(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC))

    web_component("drawing", translate)
