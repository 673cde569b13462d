"""Packs a voice into one file to share, and reads such a file without trusting anything in it.

A `.voice` file is a zip archive of what a voice folder holds: `voice.json`, `weights.safetensors`, the model card
`README.md` and `examples/<speaker>/<clip>`. It may come from anyone. Nothing in it is run or unpickled, no name in it
is used as a path before it is known to be one of these, and nothing is read beyond the limits below, whatever the
archive says of its sizes.
"""

from __future__ import annotations

import contextlib
import html
import io
import stat
import struct
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from generative_core.files import write_atomically
from voiceconv.audio.decoding import mono_blocks
from voiceconv.audio.formats import AUDIO_EXTENSIONS
from voiceconv.errors import UserError
from voiceconv.user_data import is_name, normalised
from voiceconv.voice.speaker_info import in_words
from voiceconv.voice.voice import MAX_WEIGHTS_BYTES, RECORD, Voice
from voiceconv.weights import MAX_JSON_BYTES, WEIGHTS

SUFFIX = ".voice"
MAX_FILES = 64
MAX_EXAMPLE_BYTES = 5_000_000
MAX_EXAMPLE_SECONDS = 60.0
MAX_BYTES = 250_000_000  # of the archive, and again of everything in it
MAX_DIRECTORY_BYTES = 65_536  # of the archive's list of contents
CARD = "README.md"
# What every voice has, and the most bytes it may have.
REQUIRED = {RECORD: MAX_JSON_BYTES, WEIGHTS: MAX_WEIGHTS_BYTES, CARD: MAX_JSON_BYTES}
LONGEST_CLIP_NAME = 101
_DATE = (1980, 1, 1, 0, 0, 0)  # the same voice is the same file, whenever it is written


def export_voice(name_or_folder: str | Path, path: Path) -> None:
    """Writes a voice (a name, a voice folder or a run folder) as one file, complete or not at all.

    Raises `UserError` if there is no such voice, if it is damaged, or if the file cannot be written.
    """
    if path.suffix != SUFFIX:
        raise UserError(f"The name of a voice file ends in {SUFFIX}, but {path} does not. Choose such a name.")
    voice = Voice.load(name_or_folder)
    folder = voice.folder
    assert folder is not None
    files = {name: (folder / name).read_bytes() for name in REQUIRED if (folder / name).is_file()}
    files.setdefault(CARD, model_card(voice).encode())
    files |= _examples(voice, MAX_FILES - len(files), MAX_BYTES - sum(map(len, files.values())))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            zipped.writestr(entry, content)
    try:
        write_atomically(path, archive.getvalue())
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}. Choose another place.") from error


def _examples(voice: Voice, most: int, room: int) -> dict[str, bytes]:
    """The recordings to hand on, at most so many and so many bytes: what import would refuse is left out."""
    found: dict[str, bytes] = {}
    taken: set[str] = set()
    for speaker, clips in voice.examples.items():
        for clip in clips:
            name, size = f"examples/{speaker}/{clip.name}", clip.stat().st_size
            if len(found) == most or size > min(room, MAX_EXAMPLE_BYTES):
                continue
            if not _is_example(name) or normalised(name).casefold() in taken:
                continue
            with contextlib.suppress(UserError):
                require_short(clip)
                found[name] = clip.read_bytes()
                taken.add(normalised(name).casefold())
                room -= size
    return found


def read_archive(path: Path) -> dict[str, bytes]:
    """Name -> content of the files in a `.voice` file; raises `UserError` for whatever does not belong into one."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(f"{path.name} is refused: it is over {MAX_BYTES // 10**6} MB. Voices are smaller.")
        _require_short_directory(path)
        with zipfile.ZipFile(path) as archive:
            _require_known_names(archive.infolist())
            files: dict[str, bytes] = {}
            room = MAX_BYTES
            for entry in archive.infolist():
                content = _read_entry(archive, entry, min(room, REQUIRED.get(entry.filename, MAX_EXAMPLE_BYTES)))
                room -= len(content)
                files[normalised(entry.filename)] = content
    except UserError as error:
        raise error if path.name in str(error) else UserError(f"{path.name} is refused: {error}") from error
    # RuntimeError is an encrypted file, NotImplementedError a compression or version that zipfile does not know.
    except (zipfile.BadZipFile, zlib.error, RuntimeError, EOFError, struct.error, ValueError) as error:
        raise UserError(
            f"{path.name} is refused: it is not a {SUFFIX} file, or it is damaged ({error}). Copy or download it again."
        ) from error
    except OSError as error:
        raise UserError(f"{path.name} cannot be read: {error.strerror or error}. Copy or download it again.") from error
    missing = [name for name in REQUIRED if name not in files]
    if missing:
        raise UserError(f"{path.name} is refused: it has no {missing[0]}. It is not a voice file.")
    return files


def model_card(voice: Voice) -> str:
    """A page on a voice that has none: who speaks, under which terms, and how it was trained."""
    lines = [f"# {voice.name}", "", f"Converts between {voice.names[0]} and {voice.names[1]}, in both directions.", ""]
    for speaker in voice.speakers:
        known = in_words(speaker.description, speaker.licence, speaker.credits)
        lines.append(f"- {speaker.name}: {known or 'no description'}")
    training = voice.metadata.get("training", {})
    lines += ["", "Training: " + ", ".join(f"{key} {value}" for key, value in training.items())] if training else []
    lines += ["", "Use it only with the consent of the people whose voices these are.", ""]
    return "\n".join(html.escape(line, quote=False) for line in lines)


def _require_short_directory(path: Path) -> None:
    """Raises `UserError` if the list of contents is long: reading it would take memory before anything is checked."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 22 - 65535))
        tail = file.read()
    end = tail.rfind(b"PK\5\6")
    if end < 0 or len(tail) < end + 22:
        raise zipfile.BadZipFile("no list of contents at its end")
    count, size = struct.unpack_from("<HI", tail, end + 10)
    if count > MAX_FILES or size > MAX_DIRECTORY_BYTES or b"PK\6\7" in tail[max(0, end - 20) : end]:
        raise UserError(f"it lists {count} files or more; a voice has at most {MAX_FILES}.")


def _require_known_names(entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        # What zipfile made of the name; `orig_filename` is what the archive says.
        name = entry.orig_filename
        kind = stat.S_IFMT(entry.external_attr >> 16)
        if kind == stat.S_IFLNK:
            raise UserError(f"{name!r} in it is a symbolic link; a voice has only files.")
        if kind not in (0, stat.S_IFREG):
            raise UserError(f"{name!r} in it is not an ordinary file.")
        same = normalised(name).casefold()
        if same in seen:
            raise UserError(f"{name!r} is in it twice.")
        seen.add(same)
        if name not in REQUIRED and not _is_example(name):
            raise UserError(
                f"{name!r} in it does not belong in a voice: only {', '.join(REQUIRED)} and recordings as "
                "examples/SPEAKER/CLIP do."
            )
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise UserError(f"{name!r} in it uses a compression that voices do not. Export the voice again.")


def _is_example(name: str) -> bool:
    parts = name.split("/")
    return (
        len(parts) == 3
        and parts[0] == "examples"
        and is_name(parts[1])
        and is_name(parts[2], longest=LONGEST_CLIP_NAME, punctuation=" .()-")
        and PurePosixPath(name).suffix.lower() in AUDIO_EXTENSIONS
    )


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, limit: int) -> bytes:
    """The content of one file, of which no more than `limit` bytes are unpacked, whatever its header promises."""
    with archive.open(entry) as file:
        content = file.read(limit + 1) if entry.file_size <= limit else b"\0" * (limit + 1)
        if len(content) > limit:
            raise UserError(
                f"{entry.filename!r} in it unpacks to more than {limit:,} bytes, the most a voice may have."
            )
        file.read(1)  # the end of the file, where its checksum is compared
    return content


def require_short(clip: Path) -> None:
    seconds = 0.0
    for rate, block in mono_blocks(clip):
        seconds += len(block) / rate
        if seconds > MAX_EXAMPLE_SECONDS:
            raise UserError(f"the example {clip.name} is longer than {MAX_EXAMPLE_SECONDS:.0f} s.")
