"""Compare: one clip through all voices and vocoders."""

from __future__ import annotations

import html
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import gradio as gr

from voiceconv.audio.files import load_audio
from voiceconv.errors import UserError
from voiceconv.features.pitch import extract_f0
from voiceconv.studio.session import Studio, told_in_words
from voiceconv.studio.tabs.convert import PRIVATE, median_pitch
from voiceconv.voice.voice import available_voices


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    seconds = studio.limits.compared_seconds
    gr.HTML(
        f"<p>One clip of up to {seconds:g} seconds, by every voice through every vocoder.</p>", elem_classes="words"
    )
    source = gr.Audio(
        label="The clip", sources=["microphone", "upload"], type="filepath", buttons=[], elem_id="compare-source"
    )
    with gr.Row():
        start = gr.Button("Compare", variant="primary", elem_id="compare")
        stop = gr.Button("Stop", elem_id="compare-stop")
    results = gr.HTML(elem_id="comparison", elem_classes="words")

    def compare(audio: str | None) -> Iterator[str]:
        yield from compare_all(studio, audio)

    running = start.click(compare, source, results, concurrency_id="batch", concurrency_limit=1, **PRIVATE)
    stop.click(None, None, None, cancels=[running], queue=False, **PRIVATE)


def compare_all(studio: Studio, audio: str | None) -> Iterator[str]:
    """The results so far, as HTML, after each of them."""
    with told_in_words(audio):
        if audio is None:
            raise UserError("There is nothing to compare yet: record a voice and press Stop, or upload a file.")
        own = studio.converter.name
        names = [own, *(name for name in available_voices() if name != own)]
        done: list[str] = []
        for name in names:
            try:
                converter = studio.load(name)
                vocoders = studio.vocoders(converter.voice)
            except UserError as error:
                done.append(f"<article><h2>{html.escape(name)}</h2><p>{html.escape(str(error))}</p></article>")
                continue
            for target in converter.voices:
                for vocoder in vocoders:
                    yield _page(done, f"{target.capitalize()} through {vocoder} …")
                    done.append(_result(studio, name, target, vocoder, audio))
        yield _page(done, "")


def _result(studio: Studio, name: str, target: str, vocoder: str, audio: str) -> str:
    converter = studio.load(name, vocoder)
    result = studio.new_file(f"{target}-{vocoder}.flac")
    _, seconds = studio.convert(converter, audio, target, "auto", result, max_seconds=studio.limits.compared_seconds)
    wav = load_audio(result, converter.sample_rate)
    sure = converter.similarity(wav, target)
    pitch = median_pitch(extract_f0(wav, converter.sample_rate, converter.voice.mel.hop_length))
    speaker, how = html.escape(target.capitalize()), html.escape(f"{name}, {vocoder}")
    return (
        f"<article><h2>{speaker} <small>{how}</small></h2>"
        f"<p>heard as {speaker} {sure:.0%}; pitch {pitch}; took {seconds:.1f} s</p>"
        f'<audio controls preload="metadata" aria-label="{speaker}, {how}" src="{_address(result)}"></audio></article>'
    )


def _address(path: Path) -> str:
    return f"/gradio_api/file={quote(str(path))}"


def _page(done: list[str], next_one: str) -> str:
    waiting = f'<p role="status">{html.escape(next_one)}</p>' if next_one else ""
    return f'<div class="pair">{"".join(done)}</div>{waiting}'
