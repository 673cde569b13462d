"""Converts a recording of any length into another file, in bounded memory.

What is longer than `LONG_SECONDS` is read into a temporary file, measured there, converted piece by piece with
`VoiceConverter.stream`, and written. The result is that of the whole up to rounding, without seams: loudness and peaks
are those of the whole file, and so are pitch and tone, as found on stretches of speech all over it.
"""

from __future__ import annotations

import math
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from voiceconv.audio.files import (
    audio_writer,
    no_sound,
    require_convertible,
    require_sound,
    resampled_blocks,
    save_audio,
)
from voiceconv.audio.loudness import LOUDNESS, LoudnessMeter, gain_to
from voiceconv.convert.controls import USUAL, Controls
from voiceconv.convert.converter import VoiceConverter, gain_back, soften_peaks
from voiceconv.convert.noise import NoiseRemover
from voiceconv.convert.outputs import WHOLE_SECONDS
from voiceconv.convert.streaming import SILENCE_DB
from voiceconv.errors import UserError

LONG_SECONDS = 60.0  # up to here a recording is converted as a whole
MAX_SECONDS = 12 * 3600.0  # 16-bit WAV ends at 4 GiB: so many hours at 48 kHz
BLOCK_SECONDS = 10.0  # converted at a time
STRETCH_SECONDS = 5.0
STRETCHES = 24  # pieces of the recording that its pitch is taken from

Wav = NDArray[np.float32]
Progress = Callable[[float, float], None]
"""Called now and then with the seconds of sound that are done, and in all (0 while the recording is being read)."""


def ignore_progress(done: float, total: float) -> None:
    """Shows no progress."""


@dataclass
class BufferedRecording:
    """Mono sound at `sample_rate` in `file`, a temporary one, 32 bits a sample; the conversion takes its place.

    `offset` and `scale` make `read` give what `load_audio` does: no offset, and no peak above 1.
    """

    path: Path
    file: IO[bytes]
    sample_rate: int
    samples: int
    offset: float
    scale: float
    peak: float

    @property
    def seconds(self) -> float:
        return self.samples / self.sample_rate

    def read(self, start: int, count: int) -> Wav:
        """`(n,)`, up to `count` samples of the recording from `start` on."""
        return ((self.stored(start, count) - np.float32(self.offset)) * np.float32(self.scale)).astype(np.float32)

    def stored(self, start: int, count: int) -> Wav:
        """What the file holds, be it the recording or already its conversion."""
        self.file.seek(4 * start)
        return np.frombuffer(self.file.read(4 * count), np.float32)

    def store(self, start: int, wav: Wav) -> None:
        self.file.seek(4 * start)
        self.file.write(wav.astype(np.float32).tobytes())

    def starts(self, seconds: float) -> range:
        """Where pieces of so many seconds begin."""
        return range(0, self.samples, round(seconds * self.sample_rate))


def convert_file(
    converter: VoiceConverter,
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    target: str,
    controls: Controls = USUAL,
    *,
    comment: str,
    max_seconds: float = MAX_SECONDS,
    on_progress: Progress = ignore_progress,
) -> float:
    """Converts `source`, any format that is read, into `output`, which appears complete or not at all; the seconds of
    sound in it. `target` as `VoiceConverter.convert` takes it; `comment` goes into the file's tags.

    Raises `UserError` for what cannot be read, converted or written, or is longer than `max_seconds` or, where voice or
    vocoder look at the whole recording, than `WHOLE_SECONDS`.
    """
    with open_recording(
        converter, source, Path(output).parent, max_seconds=max_seconds, on_progress=on_progress
    ) as recording:
        save_conversion(converter, recording, output, target, controls, comment=comment, on_progress=on_progress)
        return recording.seconds


@contextmanager
def open_recording(
    converter: VoiceConverter,
    path: str | os.PathLike[str],
    folder: Path,
    *,
    max_seconds: float = MAX_SECONDS,
    on_progress: Progress = ignore_progress,
    on_warning: Callable[[str], None] | None = None,
) -> Iterator[BufferedRecording]:
    """Reads a file for `save_conversion`; if it is long, `folder` gets a temporary file without a name, which the
    system removes however this ends. What is odd about the recording is a warning, or what `on_warning` is called with.
    Raises `UserError` as `convert_file` does."""
    path, rate = Path(path), converter.sample_rate
    limit, why = max_seconds, "Cut it shorter."
    if max_seconds > WHOLE_SECONDS and (problem := whole_only(converter)):
        limit, why = WHOLE_SECONDS, f"{problem} Or cut it shorter."
    samples, total, low, high = 0, 0.0, math.inf, -math.inf
    with tempfile.SpooledTemporaryFile(round(4 * rate * LONG_SECONDS), dir=str(folder)) as file:
        for block in resampled_blocks(path, rate, max_seconds=math.inf, warn=on_warning):
            samples += len(block)
            if samples > limit * rate:
                raise UserError(f"{path} is longer than {limit:g} s; at most {limit:g} s are allowed. {why}")
            if len(block):
                total += float(block.sum(dtype=np.float64))
                low, high = min(low, float(block.min())), max(high, float(block.max()))
            _write(file, block, path)
            if samples > LONG_SECONDS * rate:
                on_progress(samples / rate, 0.0)
        if not samples:
            raise no_sound(path)
        offset = total / samples
        peak = max(high - offset, offset - low)
        scale = 1 / max(1.0, peak)
        yield BufferedRecording(path, file, rate, samples, offset, scale, peak * scale)


def whole_only(converter: VoiceConverter) -> str | None:
    """Why voice or vocoder cannot convert piece by piece, or None if they can."""
    try:
        converter.stream(converter.voices[0])
    except UserError as error:
        return str(error)
    return None


def save_conversion(
    converter: VoiceConverter,
    recording: BufferedRecording,
    output: str | os.PathLike[str],
    target: str,
    controls: Controls = USUAL,
    *,
    comment: str,
    on_progress: Progress = ignore_progress,
) -> None:
    """`convert_file` for a recording that has been read; afterwards it is no more."""
    rate = converter.sample_rate
    if recording.seconds <= LONG_SECONDS or whole_only(converter):
        wav = recording.read(0, recording.samples)
        with _named(recording.path):
            require_convertible(wav, rate, max_seconds=math.inf)
        save_audio(output, converter.convert_with(wav, target, controls), rate, comment=comment)
        return
    with _named(recording.path):
        require_sound(recording.peak)
    gain = _convert_in_pieces(converter, recording, target, controls, on_progress)
    with audio_writer(output, rate, comment=comment) as write:
        for start in recording.starts(BLOCK_SECONDS):
            write(soften_peaks(recording.stored(start, round(BLOCK_SECONDS * rate)) * gain))


def _convert_in_pieces(
    converter: VoiceConverter, recording: BufferedRecording, target: str, controls: Controls, on_progress: Progress
) -> np.float32:
    """Puts the conversion into the recording's place, and returns the factor that it still has to be multiplied by."""
    rate = converter.sample_rate
    level, stretches = _measure(recording)
    if controls.denoise:
        _remove_noise(recording, stretches, on_progress)
        level, stretches = _measure(recording)
    gain = gain_to(LOUDNESS, level, recording.peak)
    adaptation = converter.adapt(stretches * gain, target, controls)
    stream = converter.stream(target, adaptation, silence_db=SILENCE_DB + 20 * math.log10(gain))
    meter, peak, done = LoudnessMeter(rate), 0.0, 0

    def keep(spoken: Wav) -> None:
        nonlocal peak, done
        recording.store(done, spoken)  # never further than what has been read
        meter.push(spoken)
        peak, done = max(peak, float(np.abs(spoken).max(initial=0.0))), done + len(spoken)

    on_progress(0.0, recording.seconds)
    for start in recording.starts(BLOCK_SECONDS):
        keep(stream.push(recording.read(start, round(BLOCK_SECONDS * rate)) * gain))
        on_progress(done / rate, recording.seconds)
    keep(stream.flush())
    on_progress(done / rate, recording.seconds)
    return gain_back(level, meter.loudness(), peak)


def _remove_noise(recording: BufferedRecording, stretches: Wav, on_progress: Progress) -> None:
    """Puts what is left without the noise into the recording's place."""
    remover, peak, done = NoiseRemover(stretches), 0.0, 0

    def keep(wav: Wav) -> None:
        nonlocal peak, done
        recording.store(done, wav)  # never further than what has been read
        peak, done = max(peak, float(np.abs(wav).max(initial=0.0))), done + len(wav)

    for start in recording.starts(BLOCK_SECONDS):
        keep(remover.push(recording.read(start, round(BLOCK_SECONDS * recording.sample_rate))))
        on_progress(done / recording.sample_rate, 0.0)
    keep(remover.flush())
    recording.offset, recording.scale, recording.peak = 0.0, 1.0, peak


def _measure(recording: BufferedRecording) -> tuple[float, Wav]:
    """The loudness in LUFS, and up to `STRETCHES` stretches, one after the other, from all over what is not pauses."""
    meter, powers = LoudnessMeter(recording.sample_rate), []
    count, starts = round(STRETCH_SECONDS * recording.sample_rate), recording.starts(STRETCH_SECONDS)
    for start in starts:
        stretch = recording.read(start, count)
        meter.push(stretch)
        powers.append(float(np.square(stretch, dtype=np.float64).mean()))
    spoken = np.flatnonzero(np.array(powers) >= 0.1 * np.mean(powers))  # as the relative gate of BS.1770
    chosen = spoken[np.unique(np.linspace(0, len(spoken) - 1, STRETCHES).round().astype(int))]
    return meter.loudness(), np.concatenate([recording.read(starts[number], count) for number in chosen])


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Puts the name of the file before what is wrong with its sound."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _write(file: IO[bytes], block: Wav, path: Path) -> None:
    try:
        file.write(block.tobytes())
    except OSError as error:
        raise UserError(
            f"{path} is long, and converting it needs a temporary file beside the result: {error.strerror}. "
            "Free 4 bytes for each sample there, or choose another folder."
        ) from error
