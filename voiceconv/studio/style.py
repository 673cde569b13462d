"""How the page looks: quiet colours, the system's own letters, light and dark, from a phone to a wide screen."""

from __future__ import annotations

from typing import Any

from voiceconv.studio.web import text

CSS = """
.gradio-container { width: 100%; max-width: 1100px !important; margin: 0 auto; }
.html-container { padding: 0 !important; }
#title h1 { font-size: 2rem; font-weight: 700; letter-spacing: -0.02em; margin: 0.4rem 0 0.2rem; }
#title p { font-size: 1.05rem; color: var(--body-text-color-subdued); margin: 0; }
[data-testid="source-select"] { gap: 1.5rem; height: auto !important; padding: 0.4rem; }
[data-testid="source-select"] button { width: auto; height: auto; display: flex; align-items: center; gap: 0.35rem; }
[data-testid="source-select"] button:not(.selected) { color: var(--body-text-color-subdued); }
[data-testid="source-select"] button[aria-label="Upload file"]::after { content: "Upload"; }
[data-testid="source-select"] button[aria-label="Record audio"]::after { content: "Record"; }
[data-testid="source-select"] svg { width: 1.1rem; height: 1.1rem; }
.facts dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.75rem; margin: 0; }
.facts dl > div { padding: 0.7rem 0.9rem; border: 1px solid var(--border-color-primary);
  border-radius: var(--block-radius); background: var(--block-background-fill); }
.facts dt, .facts small { font-size: 0.85rem; font-weight: 400; color: var(--body-text-color-subdued); }
.facts dd { margin: 0; font-size: 1.6rem; font-weight: 650; font-variant-numeric: tabular-nums; }
.facts small { display: block; line-height: 1.35; }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
.pair figure, .pair img, .pair svg { margin: 0; width: 100%; height: auto; }
.pair figcaption { font-weight: 600; }
.words h2 { font-size: 1.05rem; font-weight: 650; margin: 1rem 0 0.2rem; }
.words p, .words li { font-size: 0.92rem; line-height: 1.5; margin: 0.15rem 0; color: var(--body-text-color-subdued); }
.words strong { color: var(--body-text-color); }
.words .consent { padding: 0.7rem 0.9rem; border-left: 4px solid var(--color-accent);
  background: var(--background-fill-secondary); }
.words .wide { overflow-x: auto; }
.words table { border-collapse: collapse; width: 100%; font-size: 0.85rem; font-variant-numeric: tabular-nums; }
.words table, .words tr { border: 0 !important; }
.words th, .words td { text-align: left; padding: 0.3rem 1rem 0.3rem 0; border: 0 !important;
  border-bottom: 1px solid var(--border-color-primary) !important; }
.words article { padding: 0.9rem 1rem; margin-bottom: 0.9rem; border: 1px solid var(--border-color-primary);
  border-radius: var(--block-radius); background: var(--block-background-fill); }
.words article h2 { margin-top: 0; }
.words audio { width: 100%; margin-top: 0.3rem; }
.words progress { width: 100%; height: 0.6rem; accent-color: var(--color-accent); }
.words .good { color: #15803d; } .words .usable { color: #b45309; } .words .poor { color: #b91c1c; }
.dark .words .good { color: #4ade80; } .dark .words .usable { color: #fbbf24; } .dark .words .poor { color: #f87171; }
.curve text { fill: var(--body-text-color-subdued); font-size: 11px; }
.curve .grid { stroke: var(--border-color-primary); }
footer .divider { display: none; }
@media (max-width: 640px) { .tab-container button { padding: 0 0.4rem !important; font-size: 0.85rem !important; } }
@media (max-width: 640px) { .facts dl > div:first-child { grid-column: 1 / -1; } }
"""


def css() -> str:
    """What the page adds to Gradio's own style."""
    return CSS + text("page.css")


def theme() -> Any:
    import gradio as gr

    return gr.themes.Default(
        primary_hue="indigo",
        neutral_hue="slate",
        font=("system-ui", "sans-serif"),
        font_mono=("ui-monospace", "monospace"),
    ).set(
        body_text_color_subdued="*neutral_600",
        block_label_text_color="*neutral_700",
        block_title_text_color="*neutral_700",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
    )
