"""Plays what a finished training made: recordings kept from it, what they become, and the voice they should have."""

from __future__ import annotations

import html
import shutil
from pathlib import Path
from urllib.parse import quote

from voiceconv.convert.controls import USUAL
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.studio.session import Studio, told_in_words
from voiceconv.studio.speakers import example_clips
from voiceconv.studio.words import said
from voiceconv.voice.voice import available_voices


def result_html(studio: Studio, name: str) -> str:
    """Each way of the voice `name` to hear, as HTML; nothing where it has no clips of its speakers, or is gone."""
    if name not in available_voices():
        return ""
    with told_in_words():
        converter = studio.load(name)
        clips = {speaker: example_clips(converter.voice.folder, speaker) for speaker in converter.voice.names}
        if not all(clips.values()):
            return ""
        one, other = converter.voice.names
        ways = "".join(
            _way(studio, converter, source, target, clips[source][0], clips[target][0])
            for source, target in ((one, other), (other, one))
        )
    return f'<h2>{said("What came of it")}</h2><div class="pair">{ways}</div>'


def _way(studio: Studio, converter: VoiceConverter, source: str, target: str, own: Path, goal: Path) -> str:
    """The recording of `source`, its conversion, and the recording of `target` as players."""
    converted = studio.new_file(f"{source}-{target}.flac")
    told = ""
    try:
        studio.convert(converter, own, target, USUAL, converted)
    except UserError as error:
        told = f"<p class=poor>{html.escape(str(error))}</p>"
    title = f"{source.capitalize()} → {target.capitalize()}"
    players = [
        _player(studio, title, "The recording", own),
        told or _player(studio, title, "Converted", converted),
        _player(studio, title, "The voice it should have", goal),
    ]
    return f"<article><h2>{html.escape(title)}</h2>{''.join(players)}</article>"


def _player(studio: Studio, title: str, label: str, path: Path) -> str:
    if studio.cache not in path.parents:  # the page serves nothing else
        path = Path(shutil.copy(path, studio.new_file(path.name)))
    address = f"gradio_api/file={quote(str(path))}"
    name = html.escape(f"{title}: {label}")
    return f'<p>{said(label)}</p><audio controls preload="metadata" aria-label="{name}" src="{address}"></audio>'
