"""What all tabs share: the loaded voices, the limits, and the folder that the server cleans."""

from __future__ import annotations

import html
import json
import logging
import os
import secrets
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voiceconv.convert.controls import Controls
from voiceconv.convert.converter import VoiceConverter
from voiceconv.convert.file import Progress, ignore_progress, open_recording, save_conversion
from voiceconv.errors import UserError, explain
from voiceconv.studio.speakers import Card, cards
from voiceconv.user_data import home
from voiceconv.vocoder.base import VOCODERS, Vocoder, load_vocoder
from voiceconv.voice.voice import Voice, available_voices

MAX_SEMITONES = 12
NICENESS = 10  # of threads that convert recordings, where live speech has 0
ENDING_SECONDS = 10.0  # at most, for the conversion at hand
MOST_LOADED = 4  # voices kept in memory, of those that visitors asked for
log = logging.getLogger("voiceconv.studio")


@dataclass(frozen=True)
class Limits:
    """What a visitor may ask for; beyond it, a sentence says so."""

    clip_seconds: float = 1200.0
    upload_bytes: int = 256 * 2**20  # of one file: 20 minutes of stereo WAV
    queue: int = 64  # requests that may wait
    batch_files: int = 200
    compared_seconds: float = 30.0
    kept_seconds: int = 3600  # how long uploads and results stay
    disk_bytes: int = 4 * 2**30  # of all uploads and results together
    free_bytes: int = 500 * 2**20  # that must stay free on the disk


def give_way() -> None:
    """Lets live speech, which cannot wait, go before what this thread of the page converts from now on."""
    if sys.platform == "linux" and threading.current_thread() is not threading.main_thread():
        # Elsewhere threads have no priority of their own. There is no way back up, and none is needed.
        this = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, this, max(NICENESS, os.getpriority(os.PRIO_PROCESS, this)))


@dataclass
class Studio:
    """The voices of a server and what its tabs may do with them; `converter` is the voice it was started with."""

    converter: VoiceConverter
    limits: Limits = field(default_factory=Limits)
    cache: Path = Path()
    """Where uploads and results lie; set when the page is built, since Gradio decides."""

    def __post_init__(self) -> None:
        self.at_work = threading.Lock()  # one conversion at a time: torch uses all cores for one
        self._ending = threading.Event()
        self._loading = threading.RLock()
        self._loaded: OrderedDict[tuple[str, int, str], VoiceConverter] = OrderedDict()
        self._vocoders: dict[tuple[str, str], Vocoder] = {}

    def cards(self) -> list[Card]:
        """Every speaker one may become."""
        return cards(self.converter.voice)

    def choices(self) -> list[tuple[str, str]]:
        """Label and value of every speaker one may become; the values are what `find` takes."""
        return [(card.name, card.value) for card in self.cards()]

    def find(self, choice: str) -> tuple[VoiceConverter, str]:
        """ "joe" or "voice/joe" -> the converter and its speaker; raises `UserError` that names the nearest.

        A name alone may also be that of a speaker in another voice.
        """
        voice, _, speaker = str(choice).rpartition("/")
        if not voice and speaker not in self.converter.voices:
            found = (card.value for card in self.cards() if card.value.endswith(f"/{speaker}"))
            voice = next(found, "").rpartition("/")[0]
        converter = self.load(voice) if voice and voice != self.converter.name else self.converter
        converter.voice.index(speaker)
        return converter, speaker

    def load(self, voice: str | Path, vocoder: str | None = None) -> VoiceConverter:
        """The converter of one of the known voices, or of a run folder (`Path`), through `vocoder` or the server's own.

        A voice that is still being trained is read anew when it got better.
        """
        if isinstance(voice, str) and voice not in (*available_voices(), self.converter.name):
            raise UserError(f"There is no voice {voice!r}. There are: {', '.join(available_voices())}.")
        vocoder = vocoder or self.converter.vocoder.name
        if voice == self.converter.name and vocoder == self.converter.vocoder.name:
            return self.converter
        folder = self.converter.voice.folder if voice == self.converter.name else voice
        assert folder is not None
        loaded = _load(folder)
        assert loaded.folder is not None
        key = (str(loaded.folder), (loaded.folder / "voice.json").stat().st_mtime_ns, vocoder)
        with self._loading:
            if key not in self._loaded:
                self._loaded[key] = VoiceConverter(loaded, self.vocoder(vocoder, loaded), self.converter.device)
                while len(self._loaded) > MOST_LOADED:
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end(key)
            return self._loaded[key]

    def vocoder(self, name: str, voice: Voice) -> Vocoder:
        if name == self.converter.vocoder.name and voice.mel == self.converter.vocoder.mel:
            return self.converter.vocoder
        key = (name, repr(voice.mel))
        with self._loading:
            if key not in self._vocoders:
                self._vocoders[key] = load_vocoder(name, voice.mel, self.converter.device)
            return self._vocoders[key]

    def vocoders(self, voice: Voice) -> list[str]:
        """Those that are installed and speak this voice's mel-spectrograms, the server's own first."""
        own = self.converter.vocoder.name
        names = [own, *(name for name in VOCODERS if name != own)]
        found = []
        for name in names:
            try:
                self.vocoder(name, voice)
            except UserError:
                continue
            found.append(name)
        return found

    def convert(
        self,
        converter: VoiceConverter,
        source: str | Path,
        target: str,
        controls: Controls,
        result: Path,
        *,
        max_seconds: float | None = None,
        on_progress: Progress = ignore_progress,
        on_warning: Callable[[str], None] | None = None,
    ) -> tuple[float, float]:
        """Converts the audio file `source` into `result`; the seconds of sound in it, and those that it took.

        `on_warning` is called with what is odd about the recording. Raises `UserError` for what cannot be converted.
        """

        def go_on(done: float, total: float) -> None:
            if self._ending.is_set():
                raise UserError("The server is ending.")
            on_progress(done, total)

        comment = f"Synthetic speech: {converter.comment(target)}"
        longest = max_seconds or self.limits.clip_seconds
        with open_recording(
            converter, source, result.parent, max_seconds=longest, on_progress=go_on, on_warning=on_warning
        ) as recording:
            asked = time.perf_counter()
            with self.at_work:
                give_way()
                start = time.perf_counter()
                save_conversion(converter, recording, result, target, controls, comment=comment, on_progress=go_on)
                seconds = time.perf_counter() - start
        note(
            "converted",
            voice=converter.name,
            target=target,
            sound=recording.seconds,
            seconds=seconds,
            waited=start - asked,
        )
        return recording.seconds, seconds

    def end(self) -> None:
        """Ends the conversion at hand: Python would end its thread by force, also inside compiled code."""
        self._ending.set()
        self.at_work.acquire(timeout=ENDING_SECONDS)

    def uploaded(self, names: str) -> list[str]:
        """The files of a JSON list of paths; nothing but what visitors uploaded is among them."""
        inside = self.cache.resolve()
        try:
            paths = [Path(name).resolve() for name in json.loads(names)]
        except (ValueError, TypeError, RecursionError):
            return []
        return [str(path) for path in paths if inside in path.parents and path.is_file()]

    def new_file(self, name: str) -> Path:
        """In a folder of its own that nobody can guess, among what the server serves and cleans."""
        folder = self.cache / secrets.token_hex(16)
        folder.mkdir(parents=True)
        return folder / name


def _load(folder: str | Path) -> Voice:
    """Once more after a moment: the voice of a training may be just being replaced."""
    try:
        return Voice.load(folder)
    except UserError:
        time.sleep(0.3)
        return Voice.load(folder)


def note(event: str, **values: Any) -> None:
    """A line for the server's log; numbers are rounded, and there is nothing in it that a visitor named or said."""
    log.info(event, extra={"values": {k: round(v, 3) if isinstance(v, float) else v for k, v in values.items()}})


class JsonLines(logging.Formatter):
    """One JSON object a line: time, level, what happened, and its values."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record.created)),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, "values", {}),
        }
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


@contextmanager
def told_in_words(*paths: str | None) -> Iterator[None]:
    """Turns every exception into a sentence for the page, which gets the names of `paths` but not their folders."""
    import gradio as gr

    try:
        yield
    except gr.Error:
        raise
    except Exception as error:
        message = explain(error)
        if message is None:
            log.exception("a request failed")
            message = "Something failed here, and not because of your recording. The program's log says what."
        for path in filter(None, paths):
            message = message.replace(path, Path(path).name)
        message = message.replace(f"{home()}/", "")
        # The page reads the message as HTML.
        message = html.escape(message, quote=False)
        raise gr.Error(message, duration=None, print_exception=False) from None
