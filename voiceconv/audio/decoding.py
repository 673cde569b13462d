"""Decodes recordings of any common format into blocks of samples, and refuses what is damaged or cut off.

Decoders play whatever is there and call it the whole recording. A converted half of a recording is worse than
an error, so whatever a file promises about its length is compared with what it holds.
"""

from __future__ import annotations

import contextlib
import struct
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import av
import numpy as np
import soundfile

from voiceconv.audio.channels import MonoMixer, Samples
from voiceconv.errors import UserError

# More than anyone converts in one file; what a file of a few kilobytes can unpack to ends here.
MAX_DECODED_SECONDS = 4 * 3600.0
SAMPLE_RATES = (4000, 768_000)  # Hz; below the first there is no speech, above the second no recorder

# Only plain sound files: FFmpeg's playlist formats (HLS, concat, DASH) would open other files and addresses.
_PYAV_OPTIONS = {
    "format_whitelist": "aac,aiff,amr,asf,au,caf,flac,matroska,mov,mp3,ogg,w64,wav",
    "protocol_whitelist": "file",
}
# The two that state their true length, here within a tolerance that covers padding and a recorder's own clock.
_CONTAINERS_WITH_LENGTH = {"matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"}
_LENGTH_TOLERANCE = 0.5  # seconds
_BLOCK = 2**20  # values decoded at a time, all channels together
_LARGEST_SAMPLE = 1e9  # float files may exceed [-1, 1], but not by this much
# The magic of a chunked file: the byte order of its lengths, and the name of the chunk that holds the sound.
_CHUNKED = {b"RIFF": ("<", b"data"), b"RIFX": (">", b"data"), b"RF64": ("<", b"data"), b"FORM": (">", b"SSND")}
_STREAM_SIZE_SLACK = 65536
_MOST_CHUNKS = 1000  # before the sound; real files have a handful
_OGG_TAIL = 2 * 65307  # two pages of the greatest size hold at least one whole page header
_XING_HAS_FRAMES, _XING_HAS_BYTES = 1, 2


def mono_blocks(
    path: Path, *, max_seconds: float = MAX_DECODED_SECONDS, warn: Callable[[str], None] | None = None
) -> Iterator[tuple[int, Samples]]:
    """Rate in Hz and mono samples `(frames,)` of `path`, the mean of its channels, block by block.

    Where channels cancel each other (one of a pair wired the wrong way round) it is the loudest of them; `warn` is
    called with words that say so, and without it a warning names the file.

    Raises `UserError`, naming the file, if it is missing, empty, not audio, cut off or damaged as far as that can be
    told, longer than `max_seconds`, or has samples that are not finite or a rate outside `SAMPLE_RATES`.
    """
    _require_file(path)
    _require_whole(path)
    seconds = 0.0
    to_mono = MonoMixer(warn or (lambda words: warnings.warn(f"{path}: {words}", stacklevel=2)))
    for rate, block in _blocks(path):
        if not SAMPLE_RATES[0] <= rate <= SAMPLE_RATES[1]:
            raise UserError(
                f"{path} claims {rate} samples per second; expected {SAMPLE_RATES[0]} to {SAMPLE_RATES[1]}. "
                "It is damaged or not a recording of speech."
            )
        if not (np.abs(block) < _LARGEST_SAMPLE).all():
            raise UserError(
                f"{path} holds samples that are not numbers (NaN or infinite), after {seconds:.2f} s or later. "
                "Export it again."
            )
        seconds += len(block) / rate
        if seconds > max_seconds:
            raise UserError(f"{path} is longer than {max_seconds / 3600:g} hours, the most that is read. Split it.")
        yield from to_mono(rate, block)
    yield from to_mono.rest()


def _require_file(path: Path) -> None:
    """Raises `UserError` unless `path` is a readable file that is not empty."""
    try:
        if path.is_dir():
            raise UserError(f"{path} is a folder. Give one recording.")
        if not path.is_file():
            problem = "is not an ordinary file" if path.exists() else "does not exist"
            raise UserError(f"{path} {problem}. Check the name of the recording.")
        with path.open("rb") as file:
            if not file.read(1):
                raise UserError(f"{path} is empty (0 bytes). Record, copy or download it again.")
        str(path.absolute()).encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{str(path)!a} has a name that is not valid UTF-8. Rename it.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be opened: {error.strerror}. Check its name and permissions.") from error


def _require_whole(path: Path) -> None:
    """Raises `UserError`, with expected and present bytes, if `path` is cut off by its own account.

    WAV and AIFF headers state the size of the sound, the Xing/Info header of an MP3 file its own, and an Ogg page
    its length. Files of other formats, and those whose header leaves the size open, pass.
    """
    with path.open("rb") as file:
        size = path.stat().st_size
        magic = file.read(4)
        file.seek(0)
        if magic in _CHUNKED:
            promised, present = _chunked_sizes(file, size, *_CHUNKED[magic])
        elif magic == b"OggS":
            promised, present = _ogg_sizes(file, size)
        else:
            promised, present = _mp3_sizes(file, size)
    if promised > present:
        raise UserError(
            f"{path} is cut off: its header promises {promised} bytes of sound, but only {present} are there. "
            "Copy, download or export it again."
        )


def _chunked_sizes(file: BinaryIO, size: int, order: str, sound: bytes) -> tuple[int, int]:
    """Bytes of sound that a WAV or AIFF file of `size` bytes promises, and those it has; (0, 0) if unknown."""
    position, wide_length = 12, 0
    for _ in range(_MOST_CHUNKS):
        file.seek(position)
        if position + 8 > size:
            break
        name, length = struct.unpack(f"{order}4sI", file.read(8))
        if name == b"ds64":  # RF64 keeps the lengths that do not fit 32 bits here
            wide_length = int.from_bytes(file.read(16)[8:], "little")
        if name == sound:
            if length == 0xFFFFFFFF and wide_length:
                length = wide_length
            return (0, 0) if _left_open(length) else (length, size - position - 8)
        position += 8 + length + length % 2
    return 0, 0


def _left_open(length: int) -> bool:
    """Programs that write to a pipe cannot go back: they leave 0, or a little under 2 or 4 GiB, as the length."""
    return length <= 2**32 and -length % 2**31 <= _STREAM_SIZE_SLACK


def _ogg_sizes(file: BinaryIO, size: int) -> tuple[int, int]:
    """Length of the last page of an Ogg file by its header, and the bytes it has (RFC 3533, section 6)."""
    file.seek(max(0, size - _OGG_TAIL))
    _, magic, page = file.read().rpartition(b"OggS")
    if not magic:
        return 0, 0
    page = magic + page
    header = 27 + page[26] if len(page) > 26 else 27
    return header + sum(page[27:header]), len(page)


def _mp3_sizes(file: BinaryIO, size: int) -> tuple[int, int]:
    """Bytes of an MP3 file by its Xing/Info header, which lies in the first frame, and those it has."""
    head = file.read(10)
    start = 0
    if len(head) == 10 and head[:3] == b"ID3":
        # The length of an ID3v2 tag has seven bits a byte.
        start = 10 + sum((byte & 127) << shift for byte, shift in zip(head[6:], (21, 14, 7, 0), strict=True))
    file.seek(start)
    frame = file.read(64)
    marker = max(frame.find(b"Xing"), frame.find(b"Info"))
    if not (frame[:1] == b"\xff" and 0 < marker <= len(frame) - 16):
        return 0, 0
    flags, first, second = struct.unpack_from(">III", frame, marker + 4)
    if not flags & _XING_HAS_BYTES:
        return 0, 0
    return (second if flags & _XING_HAS_FRAMES else first), size - start


def _blocks(path: Path) -> Iterator[tuple[int, Samples]]:
    """Rate in Hz and samples `(frames, channels)`, by soundfile where its word can be trusted, by PyAV otherwise."""
    with contextlib.ExitStack() as stack:
        source = None
        if not _starts_like_mp3(path):
            # TypeError: soundfile wants parameters for names in .raw. A relative "-" would be the standard input.
            with contextlib.suppress(soundfile.LibsndfileError, TypeError):
                source = stack.enter_context(soundfile.SoundFile(path.absolute()))
        # libsndfile mistakes the length of MP3, in whatever container, and that of files written to a pipe, whose
        # header leaves it at nothing or at the greatest number.
        if source is not None and not source.subtype.startswith("MPEG") and 0 < source.frames < 2**62:
            yield from _soundfile_blocks(path, source)
        else:
            yield from _pyav_blocks(path)


def _starts_like_mp3(path: Path) -> bool:
    """True for an ID3 tag or a frame header. libsndfile need not see such files: it prints its worries about them."""
    with path.open("rb") as file:
        magic = file.read(3)
    return magic == b"ID3" or magic[:1] == b"\xff"


def _soundfile_blocks(path: Path, source: soundfile.SoundFile) -> Iterator[tuple[int, Samples]]:
    """The samples `(frames, channels)` of an opened file; raises `UserError` if fewer come than it promises."""
    done = 0
    try:
        while done < source.frames:
            block = source.read(max(1, _BLOCK // source.channels), dtype="float32", always_2d=True)
            if not len(block):
                break
            yield source.samplerate, block
            done += len(block)
    except soundfile.LibsndfileError as error:
        raise _damaged(path) from error
    if done < source.frames:
        raise _cut_off(path, source.frames / source.samplerate, done / source.samplerate)


def _pyav_blocks(path: Path) -> Iterator[tuple[int, Samples]]:
    """The samples `(frames, channels)` of the first audio stream, decoded by PyAV."""
    end, opened = 0.0, False
    try:
        # "file:", since FFmpeg takes names such as "concat:..." for addresses.
        with av.open(f"file:{path.absolute()}", "r", metadata_errors="replace", options=_PYAV_OPTIONS) as container:
            if not container.streams.audio:
                raise UserError(f"{path} has no sound in it, only pictures or data. Give a recording with sound.")
            stream = container.streams.audio[0]
            opened = True
            # Of planar frames PyAV counts the channels past the end of their list: a crash for 7.1 and more.
            to_packed = av.AudioResampler(format="flt")
            for packet in container.demux(stream):
                if packet.is_corrupt and container.format.name in _CONTAINERS_WITH_LENGTH:
                    raise _damaged(path)
                for frame in packet.decode():
                    start = end if frame.time is None else frame.time
                    end = start + frame.samples / frame.sample_rate
                    for packed in to_packed.resample(frame):
                        samples = np.asarray(packed.to_ndarray(), np.float32)
                        yield frame.sample_rate, samples.reshape(-1, frame.layout.nb_channels)
            promised = _promised_seconds(container, stream)
    except UserError:
        raise
    except (av.FFmpegError, ValueError, ArithmeticError) as error:
        raise (_damaged(path) if opened else _unreadable(path)) from error
    if promised > end + _LENGTH_TOLERANCE:
        raise _cut_off(path, promised, end)


def _promised_seconds(container: av.container.InputContainer, stream: av.AudioStream) -> float:
    """How long the stream is by the container's own account; 0 where that is unknown or an estimate."""
    if container.format.name not in _CONTAINERS_WITH_LENGTH:
        return 0.0
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    # The container's length is the longest of its streams: with pictures, the sound may rightly end earlier.
    return (container.duration or 0) / av.time_base if len(container.streams) == 1 else 0.0


def _unreadable(path: Path) -> UserError:
    return UserError(
        f"{path} cannot be read as audio. Expected WAV, FLAC, OGG, MP3, M4A/AAC or WebM. "
        "If it is one of these, it is damaged or incomplete: copy or export it again, for example as WAV."
    )


def _damaged(path: Path) -> UserError:
    return UserError(f"{path} is damaged or cut off: it cannot be decoded to its end. Copy or export it again.")


def _cut_off(path: Path, promised: float, present: float) -> UserError:
    return UserError(
        f"{path} is cut off: it promises {promised:.2f} s of sound, but only {present:.2f} s are there. "
        "Copy, download or export it again."
    )
