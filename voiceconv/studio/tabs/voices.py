"""Builds the Voices tab: who speaks and how well, and voices to share, add, rename and delete."""

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
from voiceconv.studio.speakers import about, marks
from voiceconv.studio.tabs.convert import PRIVATE
from voiceconv.studio.words import said, t
from voiceconv.user_data import LONGEST_NAME, home
from voiceconv.voice.archive import SUFFIX, export_voice
from voiceconv.voice.own_voices import delete_voice, rename_voice
from voiceconv.voice.voice import RECORD, VOICES, Voice, available_voices, find_voice, read_record

MOST_FIGURES = 12
MARKS = ("", "weak", "fair", "good")


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    cards = gr.HTML(all_cards(studio), elem_id="voices", elem_classes="words")
    with gr.Row():
        with gr.Column(min_width=320):
            chosen = gr.Dropdown(available_voices(), label=t("Choose a voice"), elem_id="voice-chosen")
            with gr.Row():
                make = gr.Button(t("Share as a file"), elem_id="voice-export", min_width=120)
                remove = gr.Button(t("Delete"), elem_id="voice-delete", min_width=100)
            with gr.Row(visible=False) as question:
                delete_it = gr.Button(t("Delete for good"), variant="stop", elem_id="voice-delete-it", min_width=120)
                keep_it = gr.Button(t("Keep"), min_width=100)
            download = gr.DownloadButton("Download", visible=False, elem_id="voice-download")
            new_name = gr.Textbox(
                label=t("New name"), max_length=LONGEST_NAME, submit_btn="Rename", elem_id="voice-new-name"
            )
        with gr.Column(min_width=320):
            file = gr.File(
                label=t("Add a voice from a .voice file"),
                file_types=[SUFFIX],
                type="filepath",
                height=120,
                elem_id="voice-file",
            )
            name = gr.Textbox(label=t("Name it here (optional)"), max_length=LONGEST_NAME, elem_id="voice-name")
            add = gr.Button(t("Add this voice"), elem_id="voice-import")
    gr.HTML(
        f"<p>{said('A .voice file holds one voice: its networks, who speaks, under which terms, and a few clips.')} "
        f"{said('It is safe to open, whoever sent it: nothing in it is run.')}</p>",
        elem_classes="words",
    )

    def refresh() -> list[Any]:
        return [all_cards(studio), gr.update(choices=available_voices())]

    def export(voice: str | None) -> Any:
        with told_in_words():
            voice = _required(voice)
            path = studio.new_file(f"{voice}{SUFFIX}")
            export_voice(voice, path)
        note("voice exported")
        return gr.update(value=str(path), visible=True, label=f"Download {voice}{SUFFIX}")

    def call(voice: str | None, new_name: str) -> list[Any]:
        with told_in_words():
            rename_voice(_required(voice), new_name.strip())
        note("voice renamed")
        cards, choices = refresh()
        return [cards, {**choices, "value": new_name.strip()}, ""]

    def ask(voice: str | None) -> Any:
        with told_in_words():
            return gr.update(visible=bool(_required(voice)))

    def delete(voice: str | None) -> list[Any]:
        with told_in_words():
            delete_voice(_required(voice))
        note("voice deleted")
        cards, choices = refresh()
        return [cards, {**choices, "value": None}]

    def bring(path: str | None, name: str) -> list[Any]:
        with told_in_words(path):
            if path is None:
                raise UserError(f"Choose a {SUFFIX} file first.")
            added = import_voice(Path(path), name.strip() or None)
        note("voice imported")
        gr.Info(html.escape(f"{added} is now one of your voices."))
        return [None, "", *refresh()]

    one: dict[str, Any] = {"concurrency_id": "voices", "concurrency_limit": 1}
    make.click(export, chosen, download, **one, **PRIVATE)
    new_name.submit(call, [chosen, new_name], [cards, chosen, new_name], **one, **PRIVATE)
    remove.click(ask, chosen, question, queue=False, **PRIVATE)
    delete_it.click(delete, chosen, [cards, chosen], **one, **PRIVATE)
    hide: dict[str, Any] = {"fn": lambda: [gr.update(visible=False)] * 2, "outputs": [download, question]}
    gr.on([chosen.change, keep_it.click, delete_it.click], **hide, queue=False, **PRIVATE)
    add.click(bring, [file, name], [file, name, cards, chosen], **one, **PRIVATE)
    gr.on([page.load, tab.select], refresh, None, [cards, chosen], queue=False, **PRIVATE)


def _required(voice: str | None) -> str:
    if not voice:
        raise UserError("Choose a voice first.")
    if voice not in available_voices():
        raise UserError(f"There is no voice {voice!r}.")
    return voice


def all_cards(studio: Studio) -> str:
    """What each voice says of itself, as HTML; nothing in it is believed to be HTML."""
    opened = studio.converter.voice
    shipped: list[str] = []
    yours: list[str] = []
    for name in (opened.name, *(name for name in available_voices() if name != opened.name)):
        told = card(opened) if name == opened.name else _listed(name)
        (shipped if (VOICES / name / RECORD).is_file() else yours).append(told)
    listed = "".join(yours) or f"<p>{said('None yet. Train one, or add one from a file.')}</p>"
    return (
        f"<h2>{said('Came with the program')}</h2><div class=pair>{''.join(shipped)}</div>"
        f"<h2>{said('Your voices')}</h2><div class=pair>{listed}</div>"
    )


def _listed(name: str) -> str:
    try:
        return _record_card(read_record(find_voice(name) / RECORD))
    except (OSError, UserError, KeyError, TypeError, AttributeError) as error:
        reason = html.escape(str(error).replace(f"{home()}/", ""))
        return f"<article><h2>{html.escape(name)}</h2><p>Cannot be used: {reason}</p></article>"


def card(voice: Voice) -> str:
    """The description of a loaded voice as HTML."""
    return _record_card({"name": voice.name, "speakers": [vars(s) for s in voice.speakers], **voice.metadata})


def _record_card(record: Mapping[str, Any]) -> str:
    measured = record.get("measured")
    measured = measured if isinstance(measured, dict) else {}
    a, b = record["speakers"]
    ways = ((target, f"{source['name']} to {target['name']}") for source, target in ((b, a), (a, b)))
    speakers = "".join(
        f"<li>{introduce(target)}<div class=marks>{_marks(measured.get(way))}</div></li>" for target, way in ways
    )
    training = record.get("training")
    trained = ", ".join(f"{key} {value}" for key, value in training.items()) if isinstance(training, dict) else ""
    trained = f"<p>Training: {html.escape(trained)}</p>" if trained else ""
    return (
        f"<article><h2>{html.escape(str(record['name']))}</h2><ul>{speakers}</ul>"
        f"<details><summary>Measurements</summary>{trained}{_figures(measured)}</details></article>"
    )


def _marks(figures: Any) -> str:
    """Plain marks for how a conversion to a speaker was measured."""
    found = marks(figures) if isinstance(figures, dict) else {}
    return " ".join(
        f'<span class="mark mark-{mark}">{name.capitalize()}<i></i><span class=sr>: {MARKS[mark]}. </span></span>'
        for name, mark in found.items()
    )


def introduce(speaker: Mapping[str, Any]) -> str:
    """One speaker as HTML. What a voice says of itself must not become part of the page."""
    return f"<strong>{html.escape(str(speaker['name']).capitalize())}</strong>: {html.escape(about(speaker))}"


def _figures(measured: Mapping[str, Any]) -> str:
    """The measured scores as a table; whatever is not a number in them is left out."""
    ways = {str(way): figures for way, figures in measured.items() if isinstance(figures, dict)}
    names = list(dict.fromkeys(str(name) for figures in ways.values() for name in figures))[:MOST_FIGURES]
    head = "".join(f"<th>{html.escape(name)}</th>" for name in names)
    rows = "".join(
        f"<tr><th>{html.escape(way)}</th>{''.join(f'<td>{_number(figures.get(name))}</td>' for name in names)}</tr>"
        for way, figures in list(ways.items())[:MOST_FIGURES]
    )
    how = ", ".join(f"{key}: {value}" for key, value in measured.items() if isinstance(value, str))
    how = f"<p>Measured on {html.escape(how)}.</p>" if how else ""
    return (
        f"<div class=wide><table><tr><th></th>{head}</tr>{rows}</table></div>{how}"
        if rows
        else "<p>Not measured yet.</p>"
    )


def _number(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) and math.isfinite(value) else "–"
