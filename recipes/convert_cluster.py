"""Converts a corpus of recordings on a Ray cluster.

Does on many machines what `voiceconv convert FOLDER OUT` does on one. The same function converts each recording, and
the results have the same tree. `manifest.jsonl` records what was made from what, so that a second run converts only
what is missing. `--source` and `--out` are folders that all machines see, or addresses that pyarrow knows (s3://,
gs://). Needs the extra `cluster`.

Should reach: a worker that dies is replaced, what it had at hand is converted again, and no result is missing, twice or
half written. It takes as long as the work of one machine divided by their number. `--smoke` takes half a minute.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, cast

from recipes.common.command import run_recipe
from voiceconv.audio.formats import AUDIO_EXTENSIONS
from voiceconv.convert.controls import Controls
from voiceconv.convert.folder import MANIFEST, Request, convert_recording
from voiceconv.convert.outputs import result_names
from voiceconv.errors import UserError

MANIFEST_EVERY = 100  # recordings; what a crash of the driver forgets is converted again
Row = dict[str, Any]


@dataclass(frozen=True)
class ClusterConfig:
    """What to convert into what, and by how many."""

    source: str = ""
    """Folder or address of the recordings."""
    out: str = ""
    """Folder or address for the results."""
    to: str = ""
    """Speaker to convert to; default: the second of the model."""
    model: str = "allison-joe"
    """Name of a voice, or a folder that all machines see."""
    pitch: float | None = None
    """Semitones above the voice's own pitch."""
    vocoder: str | None = None
    """Name or folder of the vocoder; default: the best one there is."""
    workers: int = 2
    """Number of processes on all machines together."""
    address: str | None = None
    """Address of the Ray cluster, or auto; default: a cluster on this machine alone."""
    smoke: bool = False
    """Convert four recordings that are made on the spot."""


class Storage:
    """A folder, or a place in object storage, as files by relative name."""

    def __init__(self, address: str) -> None:
        from pyarrow import fs

        self.address = address
        self.files, self.root = fs.FileSystem.from_uri(address if "://" in address else str(Path(address).resolve()))

    def list(self) -> dict[str, Row]:
        """Relative name -> size and time of every recording."""
        from pyarrow import fs

        found = self.files.get_file_info(fs.FileSelector(self.root, recursive=True, allow_not_found=True))
        return {
            info.path[len(self.root) :].lstrip("/"): {"bytes": info.size, "mtime_ns": info.mtime_ns}
            for info in found
            if info.type == fs.FileType.File
            and PurePosixPath(info.path).suffix.lower() in AUDIO_EXTENSIONS
            and not PurePosixPath(info.path).name.startswith(".")
        }

    def read(self, name: str) -> bytes | None:
        """The content of a file, None if there is none."""
        try:
            with self.files.open_input_stream(f"{self.root}/{name}") as stream:
                return bytes(stream.read())
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Puts a file there, complete or not at all."""
        target = PurePosixPath(f"{self.root}/{name}")
        self.files.create_dir(str(target.parent), recursive=True)
        # Object storage shows a file when it is complete; a folder does so when it is renamed.
        unfinished = target.with_name(f".{target.name}.part") if self.files.type_name == "local" else target
        with self.files.open_output_stream(str(unfinished)) as stream:
            stream.write(content)
        if unfinished != target:
            self.files.move(str(unfinished), str(target))


class Converting:
    """One worker of the cluster, with the networks in its memory."""

    def __init__(self, request: Request, source: str, out: str) -> None:
        self.request = request
        self.converter = request.load()
        self.settings = request.settings(self.converter)
        self.source, self.out = Storage(source), Storage(out)

    def __call__(self, row: Row) -> Row:
        with tempfile.TemporaryDirectory() as folder:
            recording = Path(folder) / f"in{PurePosixPath(row['source']).suffix}"
            result = Path(folder) / f"out{PurePosixPath(row['output']).suffix}"
            recording.write_bytes(self.source.read(row["source"]) or b"")
            outcome = convert_recording(self.converter, self.request, recording, result)
            if outcome.reason is None:
                self.out.write(row["output"], result.read_bytes())
            reason = (outcome.reason or "").replace(str(recording), row["source"])
        status = "failed" if reason else "done"
        return {**row, "status": status, "reason": reason, "seconds": outcome.sound, **self.settings}


def main(config: ClusterConfig) -> None:
    if config.smoke:
        return smoke(config)
    if not config.source or not config.out:
        raise UserError("Say where the recordings are and where the results go: --source and --out.")
    failed = convert_corpus(config)
    if failed:
        raise UserError(f"{len(failed)} recordings failed, the others are done:\n" + "\n".join(failed))
    return None


def convert_corpus(config: ClusterConfig) -> list[str]:
    """Converts what is not yet done; the sentences on those recordings that failed."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray reports to its makers unless told otherwise
    import ray

    controls = Controls("auto" if config.pitch is None else config.pitch)
    request = Request(config.model, config.to or _second_speaker(config.model), controls, config.vocoder)
    settings = request.settings(request.load())
    source, out = Storage(config.source), Storage(config.out)
    recordings = source.list()
    if not recordings:
        raise UserError(f"There are no recordings in {config.source}.")
    outputs = dict(zip(recordings, map(str, result_names(list(map(PurePosixPath, recordings)))), strict=True))
    rows = {row["source"]: row for row in _manifest(out)}
    present = out.list()
    todo = []
    for name, stamp in recordings.items():
        row = {"source": name, "output": outputs[name], **{f"source_{key}": value for key, value in stamp.items()}}
        before = rows.get(name, {})
        same = before.get("status") == "done" and all(before.get(k) == v for k, v in {**row, **settings}.items())
        if not (same and outputs[name] in present):
            todo.append(row)
    print(f"{len(recordings) - len(todo)} of {len(recordings)} recordings are done and unchanged.", flush=True)
    if todo:
        if not ray.is_initialized():
            ray.init(address=config.address, log_to_driver=False)
        for number, row in enumerate(_converted(todo, request, config), start=1):
            rows[row["source"]] = row
            if number % MANIFEST_EVERY == 0 or number == len(todo):
                print(f"{number} of {len(todo)}", flush=True)
                lines = (json.dumps(rows[name]) + "\n" for name in sorted(rows) if name in recordings)
                out.write(MANIFEST, "".join(lines).encode())
    return [f"{row['source']}: {row['reason']}" for name, row in sorted(rows.items()) if row["status"] == "failed"]


def _converted(todo: list[Row], request: Request, config: ClusterConfig) -> Iterator[Row]:
    """The rows of the manifest as they come from the cluster."""
    import ray

    data = ray.data.from_items(todo, override_num_blocks=min(len(todo), 8 * config.workers))
    done = data.map(
        cast(Any, Converting),  # a class is meant to be made once by each worker
        fn_constructor_args=(request, config.source, config.out),
        concurrency=config.workers,
        num_cpus=1,
        max_restarts=-1,
        max_task_retries=-1,
    )
    yield from done.iter_rows()


def _manifest(out: Storage) -> list[Row]:
    content = out.read(MANIFEST)
    return [json.loads(line) for line in content.decode().splitlines()] if content else []


def _second_speaker(model: str) -> str:
    from voiceconv.voice.voice import Voice

    return Voice.load(model).names[1]


def smoke(config: ClusterConfig) -> None:
    """Four short tones."""
    import dataclasses

    import numpy as np

    from voiceconv.audio.files import save_audio

    with tempfile.TemporaryDirectory() as folder:
        for number in range(4):
            time = np.arange(11025) / 22050
            path = Path(folder) / "in" / f"{number}.wav"
            path.parent.mkdir(exist_ok=True)
            save_audio(path, 0.2 * np.sin(2 * np.pi * (120 + 20 * number) * time), 22050)
        here = dataclasses.replace(
            config, source=f"{folder}/in", out=f"{folder}/out", vocoder="griffin-lim", workers=2, smoke=False
        )
        main(here)
        print(f"{len(Storage(here.out).list())} results")


if __name__ == "__main__":
    sys.exit(run_recipe(ClusterConfig, main, __doc__))
