"""Builds the Batch tab: many recordings in, a zip archive out."""

from __future__ import annotations

import html
import json
import shutil
import zipfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import gradio as gr

from voiceconv.convert.controls import Controls
from voiceconv.convert.outputs import OUTPUT_EXTENSIONS
from voiceconv.errors import UserError, explain
from voiceconv.studio.session import Studio, told_in_words
from voiceconv.studio.tabs.convert import PRIVATE, voice_and_controls
from voiceconv.studio.words import said, t


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    gr.HTML(
        f"<p>{said('Drop many recordings and get all of them back in one zip file.')} "
        f"{said('If one cannot be converted, you are told why, and the others go on.')}</p>",
        elem_classes="words",
    )
    files = gr.File(label=t("Recordings"), file_count="multiple", type="filepath", elem_id="batch-files", height=200)
    voice, controls = voice_and_controls(studio, "batch-")
    with gr.Row():
        start = gr.Button(t("Convert all"), variant="primary", elem_id="batch-convert")
        stop = gr.Button(t("Stop"), visible=False, elem_id="batch-stop")
    progress = gr.HTML(elem_id="batch-progress", elem_classes="words")
    download = gr.DownloadButton(t("Download the zip"), visible=False, elem_id="batch-download")

    def convert(paths: list[str] | None, voice: str, *asked: Any) -> Iterator[list[Any]]:
        for told, archive in convert_all(studio, [Path(path) for path in paths or []], voice, Controls(*asked)):
            done = archive is not None
            yield [told, gr.update(value=archive and str(archive), visible=done), gr.update(visible=not done)]

    # Beside single conversions, not before them: each file waits for its turn at the networks.
    running = start.click(
        convert,
        [files, voice, *controls],
        [progress, download, stop],
        concurrency_id="batch",
        concurrency_limit=1,
        **PRIVATE,
    )
    stop.click(
        lambda: ["<p>Stopped.</p>", gr.update(visible=False)],
        None,
        [progress, stop],
        cancels=[running],
        queue=False,
        **PRIVATE,
    )
    gr.on([page.load, tab.select], lambda: gr.update(choices=studio.choices()), None, voice, queue=False, **PRIVATE)


def convert_all(studio: Studio, paths: list[Path], voice: str, controls: Controls) -> Iterator[tuple[str, Path | None]]:
    """What to tell after each file, as HTML, and at the end the zip with the results and `manifest.json`."""
    with told_in_words():
        if not paths:
            raise UserError("There is nothing to convert yet: add some recordings.")
        if len(paths) > studio.limits.batch_files:
            raise UserError(
                f"These are {len(paths)} recordings; at most {studio.limits.batch_files} are converted at once. Take "
                "fewer of them."
            )
        converter, target = studio.find(voice)
    archive = studio.new_file(f"as-{target}.zip")
    work = archive.parent / "work"
    work.mkdir()
    rows: list[dict[str, Any]] = []
    try:
        with zipfile.ZipFile(archive, "w") as zipped:
            taken: set[str] = set()
            for number, path in enumerate(paths):
                yield _told(number, len(paths), rows), None
                name = _free_name(path, target, taken)
                row: dict[str, Any] = {"recording": path.name, "voice": converter.name, "speaker": target}
                row |= asdict(controls)
                notes: list[str] = []
                try:
                    _, seconds = studio.convert(converter, path, target, controls, work / name, on_warning=notes.append)
                    row["seconds_taken"] = round(seconds, 2)
                    zipped.write(work / name, name)
                    row["result"] = name
                    if notes:
                        row["noticed"] = "; ".join(notes)
                except Exception as error:
                    if (reason := explain(error)) is None:
                        raise
                    row["not_converted_because"] = reason.replace(str(path), path.name)
                finally:
                    (work / name).unlink(missing_ok=True)
                rows.append(row)
            zipped.writestr("manifest.json", json.dumps(rows, indent=1, ensure_ascii=False))
    except BaseException:  # also when the visitor stopped it, or left
        shutil.rmtree(archive.parent, ignore_errors=True)
        raise
    work.rmdir()
    yield _told(len(paths), len(paths), rows), archive


def _free_name(path: Path, target: str, taken: set[str]) -> str:
    """The name of the result: the recording's and the speaker's, so that it can be unpacked beside the recording; with
    a number where two are called the same."""
    suffix = path.suffix if path.suffix.lower() in OUTPUT_EXTENSIONS else ".wav"
    names = (f"{path.stem}-{target}{f' {number}' if number > 1 else ''}{suffix}" for number in range(1, 10**6))
    name = next(name for name in names if name.casefold() not in taken)
    taken.add(name.casefold())
    return name


def _told(done: int, total: int, rows: list[dict[str, Any]]) -> str:
    failed = "".join(
        f"<li>{html.escape(row['not_converted_because'])}</li>" for row in rows if "not_converted_because" in row
    )
    failed = f"<h2>{said('Not converted')}</h2><ul>{failed}</ul>" if failed else ""
    noticed = "".join(
        f"<li>{html.escape(row['recording'])}: {said(row['noticed'])}</li>" for row in rows if "noticed" in row
    )
    failed += f"<h2>{said('Converted, but')}</h2><ul>{noticed}</ul>" if noticed else ""
    return (
        f'<p role="status">{done} of {total} recordings</p>'
        f'<progress max="{total}" value="{done}" aria-label="Recordings converted"></progress>{failed}'
    )
