"""Builds the Convert tab: choose a voice, speak, upload or take an example, and hear it.

What a visitor sees is plain HTML, CSS and JavaScript in `voiceconv/studio/web/`; the functions here answer it.
"""

from __future__ import annotations

import html
import queue
import shutil
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from voiceconv.audio.files import load_audio
from voiceconv.convert.controls import USUAL, Controls
from voiceconv.convert.converter import VoiceConverter
from voiceconv.convert.file import Progress, ignore_progress
from voiceconv.errors import UserError
from voiceconv.features.pitch import extract_f0
from voiceconv.features.spectrogram_plot import as_img, draw_spectrogram
from voiceconv.studio.curves import waveform
from voiceconv.studio.download import save_as
from voiceconv.studio.session import MAX_SEMITONES, Studio, told_in_words
from voiceconv.studio.web import REFRESH, script, text
from voiceconv.studio.words import t

HEARD_SECONDS = 60.0  # of the start: our classifier needs no more, and a long recording has no room in the memory
DRAWN_SECONDS = 30.0  # pitch and spectrograms of the start of a clip tell enough; of a minute, they take long
CONVERSION: dict[str, Any] = {"concurrency_id": "conversion", "concurrency_limit": 1}
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    gr.HTML(text("convert.html"), js_on_load=script("convert.js"), apply_default_css=False, elem_id="convert")
    result = gr.Audio(visible=False)
    studio.cache = Path(result.GRADIO_CACHE)

    def convert(
        audio: str | None,
        voice: str,
        pitch: float | str | None = "auto",
        strength: float | None = 1.0,
        melody: float | None = 1.0,
        formants: float | None = 0.0,
        denoise: bool | None = False,
    ) -> str:
        """Converts a recording of speech to another voice; the rest are the arguments of `VoiceConverter.convert`."""
        asked = {"pitch": pitch, "strength": strength, "melody": melody, "formants": formants, "denoise": denoise}
        with told_in_words(audio):
            return str(_convert(studio, audio, voice, Controls.read(asked))["path"])

    def convert_with_progress(audio: str | None, voice: str, asked: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """How many seconds of how many are done, again and again, and at the end the result and its seconds."""
        with told_in_words(audio):
            controls = Controls.read(asked)
            yield from _with_progress(lambda on_progress: _convert(studio, audio, voice, controls, on_progress))

    def voices() -> dict[str, Any]:
        return {
            "cards": [{**asdict(card), "clips": len(card.clips)} for card in studio.cards()],
            "chosen": studio.converter.voices[-1],
            "longest": studio.limits.clip_seconds,
        }

    def clip(voice: str, number: int) -> dict[str, str]:
        """A recording of a speaker that came with the voice."""
        with told_in_words():
            for card in studio.cards():
                if card.value == voice and 0 <= number < len(card.clips):
                    path = card.clips[int(number)]
                    return {"path": str(shutil.copy(path, studio.new_file(path.name)))}
            raise UserError(f"There is no recording {number} of {voice}.")

    def details(source: str | None, result: str | None, voice: str) -> dict[str, str]:
        with told_in_words(source, result):
            converter, target = studio.find(voice)
            return {"html": describe(converter, target, _still_there(source), _still_there(result))}

    def download(result: str | None, format_: str) -> dict[str, str]:
        with told_in_words(result):
            path = _still_there(result)
            return {"path": str(save_as(path, format_, studio.new_file(path.stem)))}

    # Programs may write what visitors choose; one that misspells a voice is told the nearest.
    voice, pitch = (gr.Textbox(value, visible=False) for value in (studio.converter.voices[-1], "auto"))
    start = gr.Button(visible=False)
    recording = gr.Audio(type="filepath", visible=False)
    numbers = [gr.Number(value, visible=False) for value in (USUAL.strength, USUAL.melody, USUAL.formants)]
    denoise = gr.Checkbox(USUAL.denoise, visible=False)
    start.click(convert, [recording, voice, pitch, *numbers, denoise], result, api_name="convert", **CONVERSION)
    words = gr.Textbox(visible=False)
    file, another = (gr.File(type="filepath", visible=False) for _ in range(2))
    number, asked, answer = gr.Number(visible=False), gr.JSON(visible=False), gr.JSON(visible=False)
    for function, inputs, options in (
        (convert_with_progress, [file, words, asked], CONVERSION),
        (voices, [], {"queue": False}),
        (clip, [words, number], {}),
        (details, [file, another, words], {}),
        (download, [file, words], {}),
    ):
        # Called by the page's script, by name.
        button = gr.Button(visible=False)
        button.click(function, inputs, answer, api_name=function.__name__, api_visibility="undocumented", **options)
    tab.select(None, None, None, js=REFRESH)


def _still_there(path: str | None) -> Path:
    if path is None or not Path(path).is_file():
        raise UserError("This is no longer on the server. Convert the recording again.")
    return Path(path)


def _convert(
    studio: Studio, audio: str | None, voice: str, controls: Controls, on_progress: Progress = ignore_progress
) -> dict[str, Any]:
    """The path of the result, the seconds of sound in it, and what was noticed about the recording."""
    if audio is None:
        raise UserError("There is nothing to convert yet: record a voice or upload a file.")
    converter, target = studio.find(voice)
    result = studio.new_file(f"{Path(audio).stem}-{target}.wav")
    notes: list[str] = []
    seconds, _ = studio.convert(
        converter, audio, target, controls, result, on_progress=on_progress, on_warning=notes.append
    )
    return {"path": str(result), "seconds": seconds, "notes": notes}


class _AbandonedError(Exception):
    """Whoever asked has left."""


def _with_progress(work: Callable[[Progress], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Runs `work` in a thread of its own; yields what it tells of its progress, and at the end its result."""
    steps: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
    left = threading.Event()

    def on_progress(done: float, total: float) -> None:
        if left.is_set():
            raise _AbandonedError
        steps.put({"done": done, "total": total})

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(work, on_progress)
        future.add_done_callback(lambda _: steps.put(None))
        try:
            while (step := steps.get()) is not None:
                yield step
        finally:
            left.set()
        yield future.result()


def voice_and_controls(studio: Studio, prefix: str) -> tuple[gr.Radio, list[Any]]:
    """The questions that every conversion asks: the voice, and in the order of `Controls` what to change."""
    voice = gr.Radio(
        studio.choices(),
        value=studio.converter.voices[-1],
        label=t("Speak as"),
        min_width=200,
        elem_id=f"{prefix}voice",
    )
    sliders = (
        ("pitch", "Pitch: lower or higher (semitones)", -MAX_SEMITONES, MAX_SEMITONES, 0, 0.5),
        ("strength", "Strength: 0 your own voice, 1 the other one", 0, 1, USUAL.strength, 0.05),
        ("melody", "Melody: 0 on one note, 1 as you spoke", 0, 1, USUAL.melody, 0.05),
        ("formants", "Formants: a larger or smaller throat (semitones)", -4, 4, USUAL.formants, 0.5),
    )
    with gr.Accordion(t("Adjust"), open=False):
        controls: list[Any] = []
        for name, label, low, high, default, step in sliders:
            slider = gr.Slider(
                low, high, value=default, step=step, label=t(label), buttons=[], elem_id=f"{prefix}{name}"
            )
            controls.append(slider)
        controls.append(gr.Checkbox(USUAL.denoise, label=t("Remove background noise"), elem_id=f"{prefix}denoise"))
    return voice, controls


def describe(converter: VoiceConverter, target: str, source: Path, result: Path) -> str:
    """What a conversion did to a recording, measured and drawn, as HTML."""
    rate, mel = converter.sample_rate, converter.voice.mel
    name = target.capitalize()
    wavs = [load_audio(path, rate, seconds=HEARD_SECONDS) for path in (source, result)]
    sure_before, sure_after = (converter.similarity(wav, target) for wav in wavs)
    wavs = [wav[: int(DRAWN_SECONDS * rate)] for wav in wavs]
    contours = [extract_f0(wav, rate, mel.hop_length) for wav in wavs]
    hz_before, hz_after = (median_pitch(f0) for f0 in contours)
    speaker = next(speaker for speaker in converter.voice.speakers if speaker.name == target)
    facts = [
        (f"Sounds like {name}", f"{sure_after:.0%}", f"by our own measure; before, {sure_before:.0%}"),
        ("Pitch", hz_after, f"before, {hz_before}; {name} usually speaks at {speaker.pitch.median_hz:.0f} Hz"),
    ]
    rows = "".join(
        f"<div><dt>{html.escape(term)}</dt><dd>{html.escape(value)}<small>{html.escape(note)}</small></dd></div>"
        for term, value, note in facts
    )
    pictures = "".join(
        f"<figure><figcaption>{html.escape(caption)}</figcaption>{waveform(wav, f'Waveform: {caption}')}"
        f"{as_img(draw_spectrogram(wav, f0, mel), f'Mel-spectrogram and pitch curve: {caption}')}</figure>"
        for caption, wav, f0 in zip(("You", name), wavs, contours, strict=True)
    )
    return f'<div class="facts"><dl>{rows}</dl></div><div class="pair">{pictures}</div>'


def median_pitch(f0: NDArray[np.floating]) -> str:
    voiced = f0[f0 > 0]
    return f"{np.median(voiced):.0f} Hz" if voiced.size else "no pitch"
