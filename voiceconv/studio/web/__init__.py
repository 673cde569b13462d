"""Reads the page's own HTML, CSS and JavaScript, which lie beside this file."""

from __future__ import annotations

from pathlib import Path

SHARED = ("common.js", "recorder.js", "cards.js", "adjust.js", "player.js")
# Tells the scripts that voices may have come or gone.
REFRESH = "() => { window.dispatchEvent(new Event('voiceconv-voices')); }"


def text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")


def script(name: str) -> str:
    """The script of a tab after those that all tabs share, as Gradio runs it: as the body of a function."""
    return "\n".join(map(text, (*SHARED, name)))
