"""Builds parts of the page from the files in `web`, and writes pictures as they show them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image
from torch import Tensor

WEB = Path(__file__).parent / "web"


def web_component(name: str, answer: Callable[..., Any], **values: Any) -> gr.HTML:
    """`name.html` with its style and script, which asks `answer` by its name; `values` are filled in."""
    html, css, script = ((WEB / f"{name}.{ending}").read_text(encoding="utf-8") for ending in ("html", "css", "js"))
    return gr.HTML(html_template=html, css_template=css, js_on_load=script, server_functions=[answer], **values)


def data_url(picture: Image.Image) -> str:
    content = io.BytesIO()
    picture.save(content, "PNG")
    return "data:image/png;base64," + base64.b64encode(content.getvalue()).decode()


def on_paper(grey: Tensor) -> Image.Image:
    """`(H, W)` in [0, 1], 0 for white and 1 for black."""
    return Image.fromarray(((1 - grey.clamp(0, 1)) * 255).round().byte().numpy())
