"""Voices: who they are and under which terms, how well they do, one to take away, one to bring."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import gradio as gr

from voiceconv.convert.import_voice import import_voice
from voiceconv.errors import UserError
from voiceconv.studio.session import Studio, note, told_in_words
from voiceconv.studio.speakers import about
from voiceconv.studio.tabs.convert import PRIVATE
from voiceconv.user_data import home
from voiceconv.voice.archive import MAX_FILES, SUFFIX, export_voice
from voiceconv.voice.voice import VOICES, Voice, available_voices, find_voice, read_record

MOST_FIGURES = 12


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    cards = gr.HTML(all_cards(studio), elem_id="voices", elem_classes="words")
    with gr.Row():
        with gr.Column(min_width=320):
            chosen = gr.Dropdown(available_voices(), label="A voice to take away", elem_id="voice-chosen")
            make = gr.Button("Make the file", elem_id="voice-export")
            download = gr.DownloadButton("Download", visible=False, elem_id="voice-download")
        with gr.Column(min_width=320):
            file = gr.File(
                label=f"A {SUFFIX} file to add", file_types=[SUFFIX], type="filepath", height=120, elem_id="voice-file"
            )
            name = gr.Textbox(label="Call it (if not as it calls itself)", max_length=64, elem_id="voice-name")
            add = gr.Button("Check and add", elem_id="voice-import")
    gr.HTML(
        f"<p>A {SUFFIX} file holds weights, a description, a model card and a few recordings: data only, at most "
        f"{MAX_FILES} files, nothing of it is run. What does not fit is refused with the reason.</p>",
        elem_classes="words",
    )

    def refresh() -> list[Any]:
        return [all_cards(studio), gr.update(choices=available_voices())]

    def export(voice: str | None) -> Any:
        with told_in_words():
            if not voice:
                raise UserError("Choose the voice first.")
            if voice not in available_voices():
                raise UserError(f"There is no voice {voice!r}.")
            path = studio.new_file(f"{voice}{SUFFIX}")
            export_voice(voice, path)
        note("voice exported")
        return gr.update(value=str(path), visible=True, label=f"Download {voice}{SUFFIX}")

    def bring(path: str | None, name: str) -> list[Any]:
        with told_in_words(path):
            if path is None:
                raise UserError(f"Choose a {SUFFIX} file first.")
            added = import_voice(Path(path), name.strip() or None)
        note("voice imported")
        gr.Info(html.escape(f"{added} is now among the voices."))
        return [None, "", *refresh()]

    make.click(export, chosen, download, concurrency_id="voices", concurrency_limit=1, **PRIVATE)
    chosen.change(lambda: gr.update(visible=False), None, download, queue=False, **PRIVATE)
    add.click(
        bring,
        [file, name],
        [file, name, cards, chosen],
        concurrency_id="voices",
        concurrency_limit=1,
        api_visibility="private",
    )
    gr.on([page.load, tab.select], refresh, None, [cards, chosen], queue=False, **PRIVATE)


def all_cards(studio: Studio) -> str:
    """What each voice says of itself, as HTML; nothing in it is believed to be HTML."""
    cards = [card(studio.converter.voice, "open on this page")]
    for name in available_voices():
        if name == studio.converter.name:
            continue
        shipped = (VOICES / name / "voice.json").is_file()
        try:
            cards.append(
                _record_card(
                    read_record(find_voice(name) / "voice.json"), "came with the program" if shipped else "yours"
                )
            )
        except (OSError, UserError, KeyError, TypeError, AttributeError) as error:
            reason = html.escape(str(error).replace(f"{home()}/", ""))
            cards.append(f"<article><h2>{html.escape(name)}</h2><p>Cannot be used: {reason}</p></article>")
    return "".join(cards)


def card(voice: Voice, origin: str) -> str:
    """The description of a loaded voice as HTML."""
    return _record_card({"name": voice.name, "speakers": [vars(s) for s in voice.speakers], **voice.metadata}, origin)


def _record_card(record: Mapping[str, Any], origin: str) -> str:
    speakers = "".join(f"<li>{introduce(speaker)}</li>" for speaker in record["speakers"])
    training = record.get("training")
    trained = ", ".join(f"{key} {value}" for key, value in training.items()) if isinstance(training, dict) else ""
    trained = f"<p>Training: {html.escape(trained)}</p>" if trained else ""
    return (
        f"<article><h2>{html.escape(str(record['name']))}</h2><p>{html.escape(origin)}</p><ul>{speakers}</ul>"
        f"{trained}{_figures(record.get('measured'))}</article>"
    )


def introduce(speaker: Mapping[str, Any]) -> str:
    """One speaker as HTML. What a voice says of itself must not become part of the page."""
    return f"<strong>{html.escape(str(speaker['name']).capitalize())}</strong>: {html.escape(about(speaker))}"


def _figures(measured: Any) -> str:
    """The measured scores as a table; whatever is not a number in them is left out."""
    if not isinstance(measured, dict):
        return "<p>Not measured yet: <code>voiceconv evaluate</code> does.</p>"
    ways = {str(way): figures for way, figures in measured.items() if isinstance(figures, dict)}
    names = list(dict.fromkeys(str(name) for figures in ways.values() for name in figures))[:MOST_FIGURES]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><th>{html.escape(way)}</th>{''.join(f'<td>{_number(figures.get(name))}</td>' for name in names)}</tr>"
        for way, figures in list(ways.items())[:MOST_FIGURES]
    )
    how = ", ".join(f"{key}: {value}" for key, value in measured.items() if isinstance(value, str))
    how = f"<p>Measured on {html.escape(how)}.</p>" if how else ""
    return f"<div class=wide><table><tr><th></th>{head}</tr>{rows}</table></div>{how}" if rows else ""


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) and math.isfinite(value) else "–"
