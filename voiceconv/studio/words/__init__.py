"""Shows the page in the visitor's language: a file for each language, from English text to its translation.

Another language is another file, called as browsers call it (`fr.json`, `zh-CN.json`). What it lacks stays English. The
browser chooses and replaces, in Gradio's components as in the page's own scripts (`t` in `web/common.js`).
"""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.i18n import I18nData

FOLDER = Path(__file__).parent


def t(text: str) -> Any:
    """A label or the text of a button, which Gradio translates in the browser."""
    return I18nData(text)


def said(text: str, **values: str) -> str:
    """A text as HTML, which `web/common.js` translates in the browser; `{name}` in it stands for `values["name"]`."""
    if not values:
        return f"<span data-said>{html.escape(text, quote=False)}</span>"
    filled = html.escape(text.format(**values), quote=False)
    return f'<span data-said="{html.escape(text)}" data-values="{html.escape(json.dumps(values))}">{filled}</span>'


def languages() -> dict[str, dict[str, str]]:
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}


def translations() -> gr.I18n:
    """What `Blocks.launch` takes."""
    return gr.I18n(**languages())
