"""Finds, reads and writes recordings: any common format becomes mono float32 at one sample rate and loudness."""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import ArrayLike, NDArray

from generative_core.files import open_atomically
from voiceconv.audio.decoding import MAX_DECODED_SECONDS, mono_blocks
from voiceconv.audio.formats import AUDIO_EXTENSIONS, COMPANIONS, WRITTEN_AS
from voiceconv.audio.loudness import LOUDNESS, SILENCE_PEAK, normalise_loudness
from voiceconv.errors import UserError

MIN_SECONDS = 0.2
NAMED = 5  # files that a warning names; it counts the others
_BLOCK = 2**20  # samples encoded at a time; libsndfile has crashed on minutes of Vorbis at once

Wav = NDArray[np.float32]


def load_audio(
    path: str | os.PathLike[str], sample_rate: int, *, loudness: float | None = LOUDNESS, seconds: float = math.inf
) -> Wav:
    """Reads a recording of any common format, or its first `seconds`, as mono `(T,)` float32 at `sample_rate` Hz.

    The channels are averaged, the offset (DC) is removed, and the level is brought to `loudness` LUFS as
    `normalise_loudness` does; with None the level stays, and only a peak above 1 is scaled down to 1.
    Raises `UserError`, naming the file, for what cannot be read: missing, empty, not audio, cut off, damaged,
    with NaN or infinite samples, without sound, or longer than four hours (`decoding.mono_blocks`).
    """
    pieces, samples = [np.zeros(0, np.float32)], 0
    for block in resampled_blocks(Path(path), sample_rate):
        pieces.append(block)
        samples += len(block)
        if samples >= seconds * sample_rate:
            break
    wav = np.concatenate(pieces)[: int(min(samples, seconds * sample_rate))]
    if not len(wav):
        raise no_sound(path)
    wav -= wav.mean(dtype=np.float64)
    wav /= max(1.0, np.abs(wav).max())
    return wav if loudness is None else normalise_loudness(wav, sample_rate, loudness)


def resampled_blocks(
    path: Path,
    sample_rate: int,
    *,
    max_seconds: float = MAX_DECODED_SECONDS,
    warn: Callable[[str], None] | None = None,
) -> Iterator[Wav]:
    """The mono samples of `path` as they are, at `sample_rate` Hz, block by block and without seams.

    `warn`, and the errors that this raises, are those of `decoding.mono_blocks`.
    """
    resampler: soxr.ResampleStream | None = None
    for rate, block in mono_blocks(path, max_seconds=max_seconds, warn=warn):
        if resampler is None:
            resampler = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="VHQ")
        yield resampler.resample_chunk(block)
    if resampler is not None:
        yield resampler.resample_chunk(np.zeros(0, np.float32), last=True)


def no_sound(path: str | os.PathLike[str]) -> UserError:
    return UserError(f"{path} has no sound in it: 0 samples. Record or export it again.")


def resample(wav: Wav, rate_from: int, rate_to: int) -> Wav:
    """`(T,)` at `rate_from` Hz -> `(round(T * rate_to / rate_from),)` at `rate_to` Hz, by soxr's best filter."""
    return soxr.resample(np.asarray(wav, np.float32), rate_from, rate_to, quality="VHQ")


def require_convertible(wav: Wav, sample_rate: int, *, max_seconds: float) -> None:
    """Raises `UserError` unless `(T,)` can hold speech: finite, 0.2 s to `max_seconds` long, not silent."""
    if wav.ndim != 1:
        raise UserError(
            f"Expected one channel of samples, shape (T,), but got shape {wav.shape}. Average the channels."
        )
    require_numbers(wav)
    seconds = len(wav) / sample_rate
    if seconds < MIN_SECONDS:
        raise UserError(f"The recording is {seconds:.2f} s long, at least {MIN_SECONDS} s are needed. Record more.")
    if seconds > max_seconds:
        raise UserError(
            f"The recording is {seconds:.1f} s long, at most {max_seconds:g} s are allowed. Cut it shorter."
        )
    require_sound(float(np.abs(wav).max()))


def require_numbers(wav: NDArray[np.floating]) -> None:
    """Raises `UserError` if a sample of a recording is NaN or infinite."""
    if not np.isfinite(wav).all():
        raise UserError(
            "The recording holds samples that are not numbers (NaN or infinite). Record or export it again."
        )


def require_sound(peak: float) -> None:
    """Raises `UserError` if a recording whose highest sample is `peak` counts as silent."""
    if peak < SILENCE_PEAK:
        raise UserError(
            "The recording is silent: nothing in it is louder than -60 dBFS. "
            "Check that the right microphone is chosen and not muted."
        )


def save_audio(path: str | os.PathLike[str], wav: ArrayLike, sample_rate: int, *, comment: str | None = None) -> None:
    """Writes mono `(T,)` as 16-bit WAV or FLAC or as Ogg Vorbis, by the extension; what exceeds [-1, 1] is clipped.

    `comment` (where the sound comes from) is stored in the file's tags. The file appears complete or not at all.
    Raises `UserError` for an unknown extension, a wrong shape, NaN or infinite samples, and what the system refuses.
    """
    samples = np.asarray(wav, np.float32)
    if samples.ndim != 1 or not len(samples):
        raise UserError(f"{path} cannot be written: expected samples of shape (T,), T > 0, but got {samples.shape}.")
    with audio_writer(path, sample_rate, comment=comment) as write:
        write(samples)


def written_as(path: Path) -> tuple[str, str]:
    """Format and kind of samples, as libsndfile calls them, by the extension; raises `UserError` for an unknown one."""
    extension = path.suffix.lower()
    if extension not in WRITTEN_AS:
        raise UserError(
            f"{path} cannot be written: its name ends in {extension or 'no extension'}, "
            f"but must end in one of {', '.join(WRITTEN_AS)}."
        )
    return WRITTEN_AS[extension]


@contextmanager
def audio_writer(
    path: str | os.PathLike[str], sample_rate: int, *, comment: str | None = None
) -> Iterator[Callable[[Wav], None]]:
    """`save_audio` for sound that comes piece by piece: a function to call with each piece `(n,)`."""
    path = Path(path)
    format_, subtype = written_as(path)
    try:
        with open_atomically(path) as file:
            sink = _Sink(file)
            with soundfile.SoundFile(sink, "w", sample_rate, 1, subtype, format=format_) as sound:
                if comment is not None:
                    sound.comment = comment

                def write(samples: Wav) -> None:
                    if not np.isfinite(samples).all():
                        raise UserError(
                            f"{path} was not written: the sound holds samples that are not numbers (NaN or infinite)."
                        )
                    for start in range(0, len(samples), _BLOCK):
                        sound.write(samples[start : start + _BLOCK].clip(-1.0, 1.0))
                        sink.require_written()

                yield write
            sink.require_written()
    except soundfile.LibsndfileError as error:
        raise UserError(f"{path} cannot be written as {format_} at {sample_rate} Hz: {error}. Use .wav.") from error
    except OSError as error:
        raise UserError(
            f"{path} could not be written: {error.strerror or error}. "
            "Check that the folder exists, that you may write there and that there is space, or choose another."
        ) from error


class _Sink:
    """A file for libsndfile, which says nothing when a write fails: the first failure is kept, to be raised later."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: bytes) -> int:
        self._try(lambda: self.file.write(data))
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> None:
        self._try(lambda: self.file.seek(offset, whence))

    def tell(self) -> int:
        return self.file.tell()

    def require_written(self) -> None:
        if self.error is not None:
            raise self.error

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            self.error = self.error or error


def require_outside(results: Path, recordings: Path) -> None:
    """Raises `UserError` if a folder of results lies among recordings: what is in it would be taken for some."""
    if results.resolve().is_relative_to(recordings.resolve()):
        raise UserError(f"{results} lies in {recordings}, among the recordings. Choose a folder elsewhere.")


def find_audio(folder: str | os.PathLike[str]) -> list[Path]:
    """All recordings in `folder` and below, sorted, by extension (`AUDIO_EXTENSIONS`, upper or lower case).

    Hidden files and folders are left out; linked folders are entered, each folder only once. A warning counts and names
    the other files that are left out, but for those that often lie beside recordings (`COMPANIONS`).
    Raises `UserError` if `folder` is missing, is no folder, or holds no recordings.
    """
    folder = Path(folder)
    if not folder.is_dir():
        problem = "is a file, not a folder" if folder.exists() else "does not exist"
        raise UserError(f"{folder} {problem}. Give a folder of recordings.")
    seen: set[str] = set()
    found: list[Path] = []
    others: list[Path] = []
    for root, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(root)
        folders[:] = [] if real in seen else sorted(name for name in folders if not name.startswith("."))
        paths = [] if real in seen else [Path(root, name) for name in files if not name.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in AUDIO_EXTENSIONS]
        others += [path for path in paths if path.suffix.lower() not in AUDIO_EXTENSIONS | COMPANIONS]
        seen.add(real)
    if others:
        names = [str(path.relative_to(folder)) for path in sorted(others)]
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        warnings.warn(
            f"{len(names)} left out of {folder}, whose names do not end like those of recordings: "
            f"{', '.join(names[:NAMED])}{more}",
            stacklevel=2,
        )
    if not found:
        raise UserError(
            f"{folder} has no recordings in it. Expected files named {', '.join(sorted(AUDIO_EXTENSIONS))}."
        )
    return sorted(found)
