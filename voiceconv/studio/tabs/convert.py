"""Convert: record or upload a voice, choose another one, hear and see both."""

from __future__ import annotations

import html
import shutil
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from voiceconv.audio.files import load_audio
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.features.pitch import extract_f0
from voiceconv.features.spectrogram_plot import as_img, draw_spectrogram
from voiceconv.progress_line import clock
from voiceconv.studio.session import MAX_SEMITONES, Conversion, Studio, told_in_words

HEARD_SECONDS = 60.0  # of the start: our classifier needs no more, and a long recording has no room in the memory
DRAWN_SECONDS = 30.0  # pitch and spectrograms of the start of a clip tell enough; of a minute, they take long
CONVERSION: dict[str, Any] = {"concurrency_id": "conversion", "concurrency_limit": 1}
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


class Parts(NamedTuple):
    """The components that do something."""

    source: gr.Audio
    examples: gr.Dataset
    voice: gr.Radio
    pitch: gr.Slider
    button: gr.Button
    result: gr.Audio
    download: gr.DownloadButton
    facts: gr.HTML
    pictures: gr.HTML
    introductions: gr.HTML


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    own = studio.converter
    examples = [(speaker, path) for speaker, paths in own.voice.examples.items() for path in paths]
    parts = lay_out(studio)
    studio.cache = Path(parts.result.GRADIO_CACHE)

    def convert(
        audio: str | None,
        voice: str,
        pitch: float | str | None = "auto",
        progress: gr.Progress = gr.Progress(),  # noqa: B008, Gradio looks for it here
    ) -> tuple[str, Conversion]:
        """Converts a recording of speech to another voice; `pitch` is "auto" or semitones above that voice's own."""
        with told_in_words(audio):
            if audio is None:
                raise UserError("There is nothing to convert yet: record a voice and press Stop, or upload a file.")
            converter, target = studio.find(voice)
            result = studio.new_file(f"{Path(audio).stem}-{target}.wav")
            asked: float | str = "auto" if pitch is None else pitch
            sound, seconds = studio.convert(converter, audio, target, asked, result, told=partial(show_share, progress))
        return str(result), Conversion(audio, str(result), voice, target, sound, seconds)

    def show(conversion: Conversion) -> list[Any]:
        with told_in_words(conversion.source, conversion.result):
            converter, _ = studio.find(conversion.voice)
            facts, pictures = describe(converter, conversion)
        return [gr.update(value=value, visible=True) for value in (conversion.result, facts, pictures)]

    def choose(index: int) -> tuple[str, str, int]:
        speaker, path = examples[index]
        copy = shutil.copy(path, studio.new_file(path.name))
        return str(copy), next(name for name in own.voices if name != speaker), 0

    def present(voice: str) -> str:
        with told_in_words():
            return introductions(studio.find(voice)[0])

    def forget() -> list[Any]:
        return [None, *(gr.update(visible=False) for _ in range(3))]

    finished = gr.State(None)
    told = [parts.download, parts.facts, parts.pictures]
    asked = [parts.source, parts.voice, parts.pitch]
    converting: dict[str, Any] = {"fn": convert, "outputs": [parts.result, finished], "scroll_to_output": True}
    converting |= CONVERSION
    # Programs may write what visitors choose; one that misspells a voice is told the nearest.
    written = [parts.source, gr.Textbox(visible=False), gr.Textbox("auto", visible=False)]
    gr.Button(visible=False).click(**converting, inputs=written, api_name="convert")

    converting |= {"inputs": asked, "api_visibility": "private"}
    parts.button.click(**converting).success(show, finished, told, **PRIVATE)
    by_example = parts.examples.click(choose, parts.examples, asked, **PRIVATE)
    by_example.success(**converting).success(show, finished, told, **PRIVATE)
    new_input = [parts.source.upload, parts.source.start_recording, parts.source.clear]
    gr.on(new_input, forget, None, [parts.result, *told], **PRIVATE)
    parts.voice.change(present, parts.voice, parts.introductions, **PRIVATE)
    gr.on(
        [page.load, tab.select], lambda: gr.update(choices=studio.choices()), None, parts.voice, queue=False, **PRIVATE
    )


def show_share(progress: gr.Progress, done: float, total: float) -> None:
    """How far the conversion of a long recording is."""
    if total:
        progress(done / total, desc=f"{clock(done)} of {clock(total)} converted")
    else:
        progress(None, desc=f"{clock(done)} read")


def lay_out(studio: Studio) -> Parts:
    """Puts the components into the tab that is open."""
    examples = [
        [f"{speaker.capitalize()} {number}"]
        for speaker, paths in studio.converter.voice.examples.items()
        for number in range(1, len(paths) + 1)
    ]
    with gr.Row():
        with gr.Column(min_width=320):
            source = gr.Audio(
                label="Your voice", sources=["microphone", "upload"], type="filepath", buttons=[], elem_id="source"
            )
            samples = gr.Dataset(
                label="Or start with an example",
                components=[gr.Textbox(visible=False)],
                samples=examples,
                type="index",
                elem_id="examples",
                visible=bool(examples),
            )
            voice, pitch = voice_and_pitch(studio, "")
            button = gr.Button("Convert", variant="primary", elem_id="convert")
        with gr.Column(min_width=320):
            result = gr.Audio(label="Converted voice", interactive=False, buttons=[], elem_id="result")
            download = gr.DownloadButton("Download as WAV", visible=False, elem_id="download")
            facts = gr.HTML(visible=False, elem_id="facts", elem_classes="facts")
    pictures = gr.HTML(visible=False, elem_id="pictures")
    introduced = gr.HTML(introductions(studio.converter), elem_id="introductions", elem_classes="words")
    return Parts(source, samples, voice, pitch, button, result, download, facts, pictures, introduced)


def introductions(converter: VoiceConverter) -> str:
    """Who the voices are and under which terms, as HTML."""
    speakers = "".join(f"<li>{introduce(vars(speaker))}</li>" for speaker in converter.voice.speakers)
    return f"<h2>The voices</h2><ul>{speakers}</ul>"


def introduce(speaker: Mapping[str, Any]) -> str:
    """One speaker in a sentence or three, as HTML. What a voice says of itself must not become part of the page."""
    licence, credits = (speaker.get(key) and f"{key.capitalize()}: {speaker[key]}" for key in ("licence", "credits"))
    known = [str(text).rstrip(".") + "." for text in (speaker.get("description"), licence, credits) if text]
    text = html.escape(" ".join(known) or "Whoever trained it left no description.")
    return f"<strong>{html.escape(str(speaker['name']).capitalize())}</strong>: {text}"


def voice_and_pitch(studio: Studio, prefix: str) -> tuple[gr.Radio, gr.Slider]:
    """The two questions that every conversion asks."""
    with gr.Row():
        voice = gr.Radio(
            studio.choices(),
            value=studio.converter.voices[-1],
            label="Speak as",
            min_width=200,
            elem_id=f"{prefix}voice",
        )
        pitch = gr.Slider(
            -MAX_SEMITONES,
            MAX_SEMITONES,
            value=0,
            step=0.5,
            label="Higher or lower (semitones)",
            buttons=[],
            min_width=200,
            elem_id=f"{prefix}pitch",
        )
    return voice, pitch


def describe(converter: VoiceConverter, conversion: Conversion) -> tuple[str, str]:
    """The facts about a conversion and its two spectrograms, both as HTML."""
    rate, mel = converter.sample_rate, converter.voice.mel
    name = conversion.target.capitalize()
    wavs = [load_audio(path, rate, seconds=HEARD_SECONDS) for path in (conversion.source, conversion.result)]
    sure_before, sure_after = (converter.similarity(wav, conversion.target) for wav in wavs)
    wavs = [wav[: int(DRAWN_SECONDS * rate)] for wav in wavs]
    contours = [extract_f0(wav, rate, mel.hop_length) for wav in wavs]
    hz_before, hz_after = (median_pitch(f0) for f0 in contours)
    speaker = next(speaker for speaker in converter.voice.speakers if speaker.name == conversion.target)
    facts = [
        (f"Heard as {name}", f"{sure_after:.0%}", f"by our classifier; the recording {sure_before:.0%}"),
        ("Pitch", hz_after, f"recorded {hz_before}, {name} {speaker.pitch.median_hz:.0f} Hz"),
        ("Took", f"{conversion.seconds:.1f} s", f"for {conversion.sound:.1f} s of sound"),
    ]
    rows = "".join(
        f"<div><dt>{html.escape(term)}</dt><dd>{html.escape(value)}<small>{html.escape(note)}</small></dd></div>"
        for term, value, note in facts
    )
    pictures = "".join(
        f"<figure><figcaption>{html.escape(caption)}</figcaption>"
        f"{as_img(draw_spectrogram(wav, f0, mel), f'Mel-spectrogram and pitch curve: {caption}')}</figure>"
        for caption, wav, f0 in zip(("Your recording", f"As {name}"), wavs, contours, strict=True)
    )
    return f"<dl>{rows}</dl>", f'<div class="pair">{pictures}</div>'


def median_pitch(f0: NDArray[np.floating]) -> str:
    voiced = f0[f0 > 0]
    return f"{np.median(voiced):.0f} Hz" if voiced.size else "no pitch"
