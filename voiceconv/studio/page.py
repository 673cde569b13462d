"""The page: its title, its tabs, and what everybody should know who uses it."""

from __future__ import annotations

from typing import Any

import gradio as gr

from voiceconv.studio.session import Limits, Studio
from voiceconv.studio.style import css, theme
from voiceconv.studio.tabs import batch as batch_tab
from voiceconv.studio.tabs import compare as compare_tab
from voiceconv.studio.tabs import convert as convert_tab
from voiceconv.studio.tabs import live as live_tab
from voiceconv.studio.tabs import train as train_tab
from voiceconv.studio.tabs import voices as voices_tab
from voiceconv.studio.words import said, t, translations

MOST_SESSIONS = 200  # whose page Gradio remembers, 0.3 MB each; it would keep 10,000
# Each is a module whose `build(studio, page, tab)` fills the tab that is open. Another tab is a module and a line here.
TABS = {
    "Convert": convert_tab,
    "Live": live_tab,
    "Batch": batch_tab,
    "Train": train_tab,
    "Voices": voices_tab,
    "Compare": compare_tab,
}


def build_app(studio: Studio) -> gr.Blocks:
    """The page, which opens with one voice; `launch(**launch_options(limits))` serves it in its own clothes."""
    limits = studio.limits
    with gr.Blocks(title="Voice conversion", analytics_enabled=False) as page:
        gr.HTML(title(), elem_id="title")
        with gr.Tabs():
            for name, module in TABS.items():
                with gr.Tab(t(name), id=name.lower()) as tab:
                    module.build(studio, page, tab)
        gr.HTML(about(limits), elem_classes="words")
    return page.queue(max_size=limits.queue, default_concurrency_limit=1)


def title() -> str:
    hint = said("Choose who you want to be, say something, and hear it.")
    return f"<h1>{said('Speak with another voice')}</h1><p>{hint}</p>"


def about(limits: Limits) -> str:
    """Consent, and what becomes of recordings, as HTML."""
    minutes, megabytes = f"{limits.clip_seconds / 60:.3g}", limits.upload_bytes // 2**20
    return (
        f"<p class=consent><strong>{said('Only with consent.')}</strong> "
        f"{said('Convert your own voice, or that of someone who agreed.')} "
        f"{said('The result is synthetic speech: say so when you share it.')} "
        f"{said('The downloaded file carries a note that it is.')}</p>"
        f"<h2>{said('Your recordings')}</h2>"
        f"<p>{said('They stay on the computer that runs this page, and go nowhere else.')} "
        f"{said('They are deleted after an hour and when the program ends.')} "
        f"{said('Those you train on are kept with the training.')} "
        f"{said('Longest recording')}: {minutes} min, {megabytes} MB.</p>"
    )


def launch_options(limits: Limits) -> dict[str, Any]:
    """What `Blocks.launch` needs for the page to look right and to stay private."""
    return {
        "theme": theme(),
        "css": css(),
        "i18n": translations(),
        "share": False,
        "run_history": False,
        "state_session_capacity": MOST_SESSIONS,
        "enable_monitoring": False,
        "footer_links": ["api"],
        "max_file_size": limits.upload_bytes,
        "ssr_mode": False,
        "quiet": True,
    }
