"""Builds the Compare tab: one clip in every voice."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr

from voiceconv.audio.files import load_audio
from voiceconv.convert.controls import USUAL
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.features.pitch import extract_f0
from voiceconv.studio.session import Studio, told_in_words
from voiceconv.studio.tabs.convert import PRIVATE, median_pitch
from voiceconv.studio.web import text
from voiceconv.studio.words import said, t


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    gr.HTML(f"<p>{said('Hear one short clip in every voice.')}</p>", elem_classes="words")
    source = gr.Audio(
        label=t("The clip"), sources=["microphone", "upload"], type="filepath", buttons=[], elem_id="compare-source"
    )
    with gr.Accordion(t("Advanced"), open=False):
        every = gr.Checkbox(label=t("Through every vocoder that is installed"), elem_id="compare-vocoders")
    with gr.Row():
        start = gr.Button(t("Compare"), variant="primary", elem_id="compare")
        stop = gr.Button(t("Stop"), visible=False, elem_id="compare-stop")
    # A click on "Use this voice" in what the server wrote.
    results = gr.HTML(elem_id="comparison", elem_classes="words", js_on_load=text("use.js"))

    def compare(audio: str | None, every: bool) -> Iterator[list[Any]]:
        for so_far in compare_all(studio, audio, every_vocoder=every):
            yield [so_far, gr.update(visible=True)]

    def end() -> Any:
        return gr.update(visible=False)

    running = start.click(
        compare, [source, every], [results, stop], concurrency_id="batch", concurrency_limit=1, **PRIVATE
    )
    running.then(end, None, stop, queue=False, **PRIVATE)
    stop.click(end, None, stop, cancels=[running], queue=False, **PRIVATE)


def compare_all(studio: Studio, audio: str | None, *, every_vocoder: bool = False) -> Iterator[str]:
    """The results so far, as HTML, after each of them: the recording, and a row for each speaker."""
    with told_in_words(audio):
        if audio is None:
            raise UserError("There is nothing to compare yet: record a voice and press Stop, or upload a file.")
        done = [f"<article><h2>{said('Your recording')}</h2>{_player('Your recording', Path(audio))}</article>"]
        for card in studio.cards():
            yield _page(done, f"{card.name} …")
            try:
                converter, target = studio.find(card.value)
                vocoders = studio.vocoders(converter.voice) if every_vocoder else [converter.vocoder.name]
                players = [_result(studio, converter, target, vocoder, audio, card.name) for vocoder in vocoders]
            except UserError as error:
                players = [f"<p>{html.escape(str(error))}</p>"]
            done.append(
                f"<article><h2>{html.escape(card.name)} <small>{html.escape(card.who)}</small></h2>{''.join(players)}"
                f'<button type="button" data-use="{html.escape(card.value)}">{said("Use this voice")}</button>'
                "</article>"
            )
        yield _page(done, "")


def _result(studio: Studio, own: VoiceConverter, target: str, vocoder: str, audio: str, name: str) -> str:
    converter = studio.load(own.name, vocoder)
    result = studio.new_file(f"{target}-{vocoder}.flac")
    studio.convert(converter, audio, target, USUAL, result, max_seconds=studio.limits.compared_seconds)
    wav = load_audio(result, converter.sample_rate)
    sure = converter.similarity(wav, target)
    pitch = median_pitch(extract_f0(wav, converter.sample_rate, converter.voice.mel.hop_length))
    through = "" if vocoder == own.vocoder.name else f"Through {vocoder}: "
    told = f"{through}{sure:.0%} like {name}, by our own measure; {pitch}"
    return f"<p>{html.escape(told)}</p>{_player(f'{name} {through}', result)}"


def _player(title: str, path: Path) -> str:
    return f'<audio controls preload="metadata" aria-label="{html.escape(title)}" src="{_address(path)}"></audio>'


def _address(path: Path) -> str:
    return f"gradio_api/file={quote(str(path))}"


def _page(done: list[str], next_one: str) -> str:
    waiting = f'<p role="status">{html.escape(next_one)}</p>' if next_one else ""
    return f'<div class="pair">{"".join(done)}</div>{waiting}'
