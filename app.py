"""The page: record or upload a voice, choose another one, hear yourself with it.

`python app.py` opens it on http://127.0.0.1:7860; `build_app(converter)` gives the Gradio Blocks to put elsewhere.
Everything stays on this machine: no telemetry, no fonts or scripts from other hosts, recordings deleted on exit.
Gradio, torch and matplotlib are imported where they are used, so that `import app` and `app.py --help` are instant.
"""

from __future__ import annotations

import argparse
import html
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from voiceconv import __version__
from voiceconv.errors import UserError
from voiceconv.terminal import Parser, explain, run_in_terminal

if TYPE_CHECKING:
    import gradio as gr
    import numpy as np
    from numpy.typing import NDArray

    from voiceconv.converter import Pitch, VoiceConverter

MAX_SECONDS = 300.0
MAX_SEMITONES = 12
MAX_UPLOAD = "64mb"
DRAWN_SECONDS = 30.0  # pitch and spectrograms of the start of a clip tell enough; of five minutes, they take long
KEEP_FILES_SECONDS = 3600
log = logging.getLogger("voiceconv.app")

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
#facts dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: 0.75rem; margin: 0; }
#facts dl > div { padding: 0.7rem 0.9rem; border: 1px solid var(--border-color-primary);
  border-radius: var(--block-radius); background: var(--block-background-fill); }
#facts dt, #facts small { font-size: 0.85rem; font-weight: 400; color: var(--body-text-color-subdued); }
#facts dd { margin: 0; font-size: 1.6rem; font-weight: 650; font-variant-numeric: tabular-nums; }
#facts small { display: block; line-height: 1.35; }
#pictures .pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); gap: 1rem; }
#pictures figure, #pictures img { margin: 0; width: 100%; height: auto; }
#pictures figcaption { font-weight: 600; }
#about h2 { font-size: 1.05rem; font-weight: 650; margin: 1rem 0 0.2rem; }
#about p, #about li { font-size: 0.92rem; line-height: 1.5; margin: 0.15rem 0; color: var(--body-text-color-subdued); }
#about strong { color: var(--body-text-color); }
#about .consent { padding: 0.7rem 0.9rem; border-left: 4px solid var(--color-accent);
  background: var(--background-fill-secondary); }
footer .divider { display: none; }
@media (max-width: 640px) { #facts dl > div:first-child { grid-column: 1 / -1; } }
"""


class Conversion(NamedTuple):
    """One finished conversion, as the page needs it to describe it."""

    source: str
    result: str
    target: str
    seconds: float


class Page(NamedTuple):
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


def convert_file(
    converter: VoiceConverter, source: str, target: str, pitch: float | str, result: Path, max_seconds: float
) -> Conversion:
    """Converts the audio file `source` into the WAV file `result`; raises `UserError` for what cannot be converted."""
    from voiceconv.audio import load_audio, require_convertible, save_audio

    wav = load_audio(source, converter.sample_rate, loudness=None)
    require_convertible(wav, converter.sample_rate, max_seconds=max_seconds)
    start = time.perf_counter()
    converted = converter.convert(wav, target, pitch=cast("Pitch", pitch))  # it refuses what is not one
    seconds = time.perf_counter() - start
    comment = f"Synthetic speech: converted by voiceconv {__version__}, voice {converter.name}/{target}"
    save_audio(result, converted, converter.sample_rate, comment=comment)
    return Conversion(source, str(result), target, seconds)


def describe(converter: VoiceConverter, conversion: Conversion) -> tuple[str, str]:
    """The facts about a conversion and its two spectrograms, both as HTML."""
    from voiceconv.audio import load_audio
    from voiceconv.pictures import as_img, draw_spectrogram
    from voiceconv.pitch import extract_f0

    rate, mel = converter.sample_rate, converter.voice.mel
    name = conversion.target.capitalize()
    wavs = [load_audio(path, rate) for path in (conversion.source, conversion.result)]
    length = len(wavs[0]) / rate
    sure_before, sure_after = (converter.similarity(wav, conversion.target) for wav in wavs)
    wavs = [wav[: int(DRAWN_SECONDS * rate)] for wav in wavs]
    contours = [extract_f0(wav, rate, mel.hop_length) for wav in wavs]
    hz_before, hz_after = (median_pitch(f0) for f0 in contours)
    speaker = next(speaker for speaker in converter.voice.speakers if speaker.name == conversion.target)
    facts = [
        (f"Heard as {name}", f"{sure_after:.0%}", f"by our classifier; the recording {sure_before:.0%}"),
        ("Pitch", hz_after, f"recorded {hz_before}, {name} {speaker.pitch.median_hz:.0f} Hz"),
        ("Took", f"{conversion.seconds:.1f} s", f"for {length:.1f} s of sound"),
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
    import numpy as np

    voiced = f0[f0 > 0]
    return f"{np.median(voiced):.0f} Hz" if voiced.size else "no pitch"


@contextmanager
def told_in_words(*paths: str | None) -> Iterator[None]:
    """Turns every exception into a sentence for the page, which gets the names of `paths` but not their folders."""
    import gradio as gr

    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None:
            log.exception("a conversion failed")
            message = "Something failed here, and not because of your recording. The program's log says what."
        for path in filter(None, paths):
            message = message.replace(path, Path(path).name)
        # The page reads the message as HTML.
        message = html.escape(message, quote=False)
        raise gr.Error(message, duration=None, print_exception=False) from None


def build_app(converter: VoiceConverter, *, max_seconds: float = MAX_SECONDS) -> gr.Blocks:
    """The page for one voice model; `launch(**launch_options())` serves it in its own clothes."""
    import gradio as gr

    examples = [(speaker, path) for speaker, paths in converter.voice.examples.items() for path in paths]

    def new_file(name: str) -> Path:
        """In the folder that Gradio serves and cleans."""
        folder = Path(page.result.GRADIO_CACHE) / secrets.token_hex(16)
        folder.mkdir(parents=True)
        return folder / name

    def convert(audio: str | None, voice: str, pitch: float | str | None = "auto") -> tuple[str, Conversion]:
        """Converts a recording of speech to another voice; `pitch` is "auto" or semitones above that voice's own."""
        with told_in_words(audio):
            if audio is None:
                raise UserError("There is nothing to convert yet: record a voice and press Stop, or upload a file.")
            path = new_file(f"{Path(audio).stem}-{voice}.wav")
            conversion = convert_file(converter, audio, voice, "auto" if pitch is None else pitch, path, max_seconds)
        return conversion.result, conversion

    def show(conversion: Conversion) -> list[Any]:
        with told_in_words(conversion.source, conversion.result):
            facts, pictures = describe(converter, conversion)
        return [gr.update(value=value, visible=True) for value in (conversion.result, facts, pictures)]

    def choose(index: int) -> tuple[str, str, int]:
        speaker, path = examples[index]
        copy = shutil.copy(path, new_file(path.name))
        return str(copy), next(name for name in converter.voices if name != speaker), 0

    def forget() -> list[Any]:
        return [None, *(gr.update(visible=False) for _ in range(3))]

    private: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
    with gr.Blocks(title="Voice conversion", analytics_enabled=False, delete_cache=(600, KEEP_FILES_SECONDS)) as app:
        page = lay_out(converter, max_seconds)
        finished = gr.State(None)
        told = [page.download, page.facts, page.pictures]
        asked = [page.source, page.voice, page.pitch]
        converting: dict[str, Any] = {"fn": convert, "outputs": [page.result, finished], "scroll_to_output": True}
        # Programs may write what visitors choose; one that misspells a voice is told the nearest.
        written = [page.source, gr.Textbox(visible=False), gr.Textbox("auto", visible=False)]
        gr.Button(visible=False).click(**converting, inputs=written, api_name="convert")

        converting |= {"inputs": asked, "api_visibility": "private"}
        page.button.click(**converting).success(show, finished, told, **private)
        by_example = page.examples.click(choose, page.examples, asked, **private)
        by_example.success(**converting).success(show, finished, told, **private)
        new_input = [page.source.upload, page.source.start_recording, page.source.clear]
        gr.on(new_input, forget, None, [page.result, *told], **private)
    return app.queue(max_size=20, default_concurrency_limit=1)


def lay_out(converter: VoiceConverter, max_seconds: float) -> Page:
    """Puts the components into the Blocks that is open."""
    import gradio as gr

    names = [(name.capitalize(), name) for name in converter.voices]
    examples = [
        [f"{speaker.capitalize()} {number}"]
        for speaker, paths in converter.voice.examples.items()
        for number in range(1, len(paths) + 1)
    ]
    heard = html.escape(" or ".join(label for label, _ in names))
    gr.HTML(f"<h1>Speak with another voice</h1><p>Say something and hear it as {heard}.</p>", elem_id="title")
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
            with gr.Row():
                voice = gr.Radio(names, value=converter.voices[-1], label="Speak as", min_width=200, elem_id="voice")
                pitch = gr.Slider(
                    -MAX_SEMITONES,
                    MAX_SEMITONES,
                    value=0,
                    step=0.5,
                    label="Higher or lower (semitones)",
                    buttons=[],
                    min_width=200,
                    elem_id="pitch",
                )
            button = gr.Button("Convert", variant="primary", elem_id="convert")
        with gr.Column(min_width=320):
            result = gr.Audio(label="Converted voice", interactive=False, buttons=[], elem_id="result")
            download = gr.DownloadButton("Download as WAV", visible=False, elem_id="download")
            facts = gr.HTML(visible=False, elem_id="facts")
    pictures = gr.HTML(visible=False, elem_id="pictures")
    gr.HTML(about(converter, max_seconds), elem_id="about")
    return Page(source, samples, voice, pitch, button, result, download, facts, pictures)


def about(converter: VoiceConverter, max_seconds: float) -> str:
    """Consent, the voices and what they were trained on, as HTML."""
    voices = ""
    for speaker in converter.voice.speakers:
        licence, credits = (
            speaker.licence and f"Licence: {speaker.licence}",
            speaker.credits and f"Credits: {speaker.credits}",
        )
        known = [text.rstrip(".") + "." for text in (speaker.description, licence, credits) if text]
        text = html.escape(" ".join(known) or "Whoever trained it left no description.")
        voices += f"<li><strong>{html.escape(speaker.name.capitalize())}</strong>: {text}</li>"
    return (
        "<p class=consent><strong>Only with consent.</strong> Convert your own voice, or that of someone who agreed. "
        "The result is synthetic speech: say so when you share it. The downloaded file carries a note that it is.</p>"
        f"<h2>The voices</h2><ul>{voices}</ul>"
        f"<h2>Your recordings</h2><p>Up to {max_seconds / 60:g} minutes each. They are converted on the computer that "
        "runs this page, sent nowhere else, and deleted after an hour or when the program ends.</p>"
    )


def launch_options() -> dict[str, Any]:
    """What `Blocks.launch` needs for the page to look right and to stay private."""
    import gradio as gr

    theme = gr.themes.Default(
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
    return {
        "theme": theme,
        "css": CSS,
        "share": False,
        "run_history": False,
        "footer_links": ["api"],
        "max_file_size": MAX_UPLOAD,
        "ssr_mode": False,
        "quiet": True,
    }


def main(argv: Sequence[str] | None = None) -> int:
    """Serves the page until Ctrl-C; the exit status."""
    parser = Parser(prog="app.py", description="Open the page that records, converts and plays.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=7860, help="port to listen on (default: %(default)s)")
    parser.add_argument("--model", default="allison-joe", help="a shipped voice or a folder (default: %(default)s)")
    parser.add_argument("--vocoder", help="istft, hifigan, griffin-lim or a folder (default: the best there is)")
    parser.add_argument(
        "--max-seconds", type=float, default=MAX_SECONDS, help="longest recording (default: %(default)g)"
    )
    options = parser.parse_args(argv)
    return run_in_terminal(lambda: serve(options))


def serve(options: argparse.Namespace) -> int:
    """Loads the voice and serves the page; uploads and results live in a folder of their own, deleted at the end."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with tempfile.TemporaryDirectory(prefix="voiceconv-") as folder:
        # Gradio reads these when it is imported.
        os.environ |= {"GRADIO_TEMP_DIR": folder, "GRADIO_ANALYTICS_ENABLED": "False", "HF_HUB_OFFLINE": "1"}
        from voiceconv.converter import VoiceConverter

        converter = VoiceConverter.from_pretrained(options.model, vocoder=options.vocoder)
        app = build_app(converter, max_seconds=options.max_seconds)
        app.launch(server_name=options.host, server_port=options.port, prevent_thread_lock=True, **launch_options())
        print(f"The page is open on {app.local_url} (Ctrl-C ends it)", flush=True)
        app.block_thread()
    return 0


if __name__ == "__main__":
    sys.exit(main())
