"""Plans which recording becomes which file, and changes them one by one, whatever fails."""

from __future__ import annotations

import sys
import time
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from voiceconv.audio.formats import WRITTEN_AS
from voiceconv.errors import UserError, explain

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

WHOLE_SECONDS = 900.0  # the most that is changed as a whole, in memory
OUTPUT_EXTENSIONS = tuple(WRITTEN_AS)


def plan_outputs(source: Path, output: Path) -> list[tuple[Path, Path]]:
    """Which file becomes which, as `(input, output)` pairs; raises `UserError` before any work is done.

    A file goes to the file `output`, or into it if that is a folder (anything without an extension). A folder's tree
    is mirrored: what is .wav, .flac or .ogg stays that, the rest becomes .wav (`take.mp3.wav` beside a take.wav).
    """
    if not source.exists():
        raise UserError(f"There is no file or folder {source}. Check the spelling and the folder you are in.")
    pairs = _plan_folder(source, output) if source.is_dir() else [(source, _plan_file(source, output))]
    for _, target in pairs:
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(f"The folder {target.parent} cannot be made: {error.strerror}. Choose another.") from error
    return pairs


def _plan_file(source: Path, output: Path) -> Path:
    target = output / f"{source.stem}.wav" if output.is_dir() or not output.suffix else output
    if target.suffix.lower() not in OUTPUT_EXTENSIONS:
        raise UserError(f"The output {output} should end in {', '.join(OUTPUT_EXTENSIONS)}, or be a folder.")
    if target.resolve() == source.resolve():
        raise UserError(f"The result would overwrite the recording {source}. Give the output another name.")
    if target != output and target.exists() and target.parent.resolve() == source.parent.resolve():
        raise UserError(
            f"The result would overwrite {target}, which lies beside {source.name}. Name a file, not {output}."
        )
    return target


def _plan_folder(source: Path, output: Path) -> list[tuple[Path, Path]]:
    from voiceconv.audio.files import find_audio

    if output.is_file():
        raise UserError(f"{source} is a folder, so the output must be one too, but {output} is a file.")
    if output.resolve() == source.resolve():
        raise UserError(f"The results would overwrite the recordings in {source}. Name another folder for them.")
    # What an earlier run left in an output folder inside the input folder is not to be converted again.
    found = [path for path in find_audio(source) if output.resolve() not in path.resolve().parents]
    if not found:
        raise UserError(f"All recordings in {source} are in {output}, where the results go. Name another folder.")
    names = result_names([PurePosixPath(path.relative_to(source)) for path in found])
    return [(path, output / name) for path, name in zip(found, names, strict=True)]


def result_names(recordings: Sequence[PurePosixPath]) -> list[PurePosixPath]:
    """The names of the results of recordings, both relative to their folders: no two alike on any file system."""
    names: dict[PurePosixPath, PurePosixPath] = {}
    taken: set[str] = set()
    # Those that keep their name come first, so that a.wav is a.wav, and a.mp3 beside it becomes a.mp3.wav.
    for path in sorted(recordings, key=lambda path: path.suffix.lower() not in OUTPUT_EXTENSIONS):
        name = path if path.suffix.lower() in OUTPUT_EXTENSIONS else path.with_suffix(".wav")
        while _alike(name) in taken:
            name = path.with_name(f"{path.name if name == path.with_suffix('.wav') else name.name}.wav")
        taken.add(_alike(name))
        names[path] = name
    return [names[path] for path in recordings]


def _alike(name: PurePosixPath) -> str:
    """The same for names that some file system takes for one: by case, or by how accents are written."""
    return unicodedata.normalize("NFC", str(name)).casefold()


def change_files(
    pairs: Sequence[tuple[Path, Path]],
    sample_rate: int,
    change: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    comment: str,
) -> int:
    """Loads, changes and saves each file with `comment` in its tags; the exit status.

    `change` maps `(T,)` in [-1, 1] at `sample_rate` to the same. A file that fails leaves no output and does not stop
    the others; those that failed are listed on standard error at the end.
    """
    from voiceconv.audio.files import load_audio, require_convertible, save_audio

    failures = []
    for source, target in pairs:
        started = time.perf_counter()
        try:
            wav = load_audio(source, sample_rate, loudness=None)
            require_convertible(wav, sample_rate, max_seconds=WHOLE_SECONDS)
            save_audio(target, change(wav), sample_rate, comment=comment)
        except Exception as error:
            if (reason := explain(error)) is None:
                raise
            failures.append(reason if str(source) in reason else f"{source}: {reason}")
        else:
            taken = time.perf_counter() - started
            print(f"{source} -> {target} ({len(wav) / sample_rate:.1f} s in {taken:.1f} s)", flush=True)
    if failures and len(pairs) > 1:
        print(f"{len(failures)} of {len(pairs)} recordings failed, the others are done:", file=sys.stderr)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 2 if failures else 0
