"""Builds the Train tab: recordings of two speakers in, a voice out; watched, paused and tried on the way."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

import gradio as gr

from voiceconv.convert.controls import USUAL
from voiceconv.errors import UserError
from voiceconv.inspection.inspect import Inspection, inspect_folder
from voiceconv.studio.session import Studio, note, told_in_words
from voiceconv.studio.tabs.convert import CONVERSION, PRIVATE
from voiceconv.studio.tabs.train_result import result_html
from voiceconv.studio.tabs.train_view import curves_html, inspection_html, previews_html, status_html
from voiceconv.studio.web import script, text
from voiceconv.studio.words import said, t
from voiceconv.training.dataset import MIN_SPEECH_SECONDS
from voiceconv.training.jobs import Job, Plan, Status, add_recordings, all_jobs, find_job, new_draft
from voiceconv.voice.voice import available_voices

PRESETS = [
    ("Standard: 40 to 75 minutes", "cpu"),
    ("Larger, for a GPU", "gpu"),
    ("MaskCycleGAN-VC: weeks", "maskcyclegan-vc"),
    ("Trial run: seconds, no real voice", "smoke"),
]
BUDGETS = [("Until it is done", 0), ("30 minutes", 1800), ("1 hour", 3600), ("3 hours", 10800), ("8 hours", 28800)]
FROM_SCRATCH = "nothing: a new voice"
FOUNDATION = "allison-joe"  # the shipped voice that new ones start from: it knows how to keep words
NO_TRAININGS = f"<p>{said('None yet.')}</p>"
EVERY_SECONDS = 3.0


class Shown(NamedTuple):
    """What a visitor's page shows: all trainings, and of one how far its curves and its sounds go."""

    names: tuple[str, ...] = ()
    job: str = ""
    step: int = -1
    preview: str = ""


NOTHING = Shown()


def build(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    """Fills the tab that is open."""
    _build_new(studio)
    _build_running(studio, page, tab)


def _build_new(studio: Studio) -> None:
    gr.HTML(
        f"<h2>{said('Make a new voice')}</h2><p>{said('Bring recordings of two people.')} "
        f"{said('At least 5 minutes of each are needed, 20 are better, without noise or music.')} "
        f"{said('They need not say the same words.')} "
        f"{said('Everything stays on the computer that runs this page.')}</p>",
        elem_classes="words",
    )
    sides = []
    with gr.Row():
        for letter, label in (("a", "First speaker: name"), ("b", "Second speaker: name")):
            with gr.Column(min_width=320):
                name = gr.Textbox(label=t(label), max_length=64, elem_id=f"speaker-{letter}")
                files = gr.File(
                    label=t("Recordings"),
                    file_count="multiple",
                    type="filepath",
                    height=160,
                    elem_id=f"recordings-{letter}",
                )
                with gr.Accordion(t("Or record here"), open=False):
                    gr.HTML(
                        text("takes.html"),
                        js_on_load=script("takes.js"),
                        apply_default_css=False,
                        elem_id=f"takes-{letter}",
                        box=f"taken-{letter}",
                    )
                    taken = gr.Textbox("[]", visible="hidden", elem_id=f"taken-{letter}")
                with gr.Accordion(t("Licence and credits, if others made the recordings"), open=False):
                    licence = gr.Textbox("", label=t("Licence"), max_length=500)
                    credits = gr.Textbox("", label=t("Credits"), max_length=500)
                sides += [name, files, taken, licence, credits]
    check = gr.Button(t("Check the recordings"), variant="primary", elem_id="inspect")
    report = gr.HTML(elem_id="inspection", elem_classes="words")
    draft = gr.State(None)
    with gr.Column(visible=False) as settings:
        consent = gr.Checkbox(
            label=t("Both speakers have agreed to this voice, and know what it is for."),
            elem_id="consent",
        )
        with gr.Row():
            preset = gr.Dropdown(PRESETS, value="cpu", label=t("Kind"), elem_id="preset", min_width=260)
            budget = gr.Dropdown(BUDGETS, value=0, label=t("Stop after"), elem_id="budget", min_width=160)
            base = gr.Dropdown([FOUNDATION], value=FOUNDATION, label=t("Start from"), elem_id="from", min_width=160)
            called = gr.Textbox(label=t("Name"), max_length=64, elem_id="training-name", min_width=160)
        start = gr.Button(t("Start training"), variant="primary", elem_id="start")

    def inspect(
        name_a: str,
        files_a: list[str] | None,
        taken_a: str,
        licence_a: str,
        credits_a: str,
        name_b: str,
        files_b: list[str] | None,
        taken_b: str,
        licence_b: str,
        credits_b: str,
        before: Any,
    ) -> list[Any]:
        files_a, files_b = (files_a or []) + studio.uploaded(taken_a), (files_b or []) + studio.uploaded(taken_b)
        with told_in_words(*files_a, *files_b):
            if not (files_a and files_b and name_a.strip() and name_b.strip()):
                raise UserError("Give both speakers a name and recordings first.")
            if before is not None:
                shutil.rmtree(before[0], ignore_errors=True)
            folder = new_draft()
            try:
                a, b = (
                    inspect_folder(
                        add_recordings(folder, name.strip(), list(map(Path, files)), licence=terms, credits=thanks)
                    )
                    for name, files, terms, thanks in (
                        (name_a, files_a, licence_a, credits_a),
                        (name_b, files_b, licence_b, credits_b),
                    )
                )
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
        names = (name_a.strip(), name_b.strip())
        voices = [FROM_SCRATCH, *available_voices()]
        return [
            inspection_html(a, b),
            (folder, names, _too_little(a, b)),
            gr.update(visible=True),
            gr.update(value="-".join(names)),
            gr.update(choices=voices),
        ]

    def begin(kept: Any, consent: bool, preset: str, budget: int, base: str, called: str) -> list[Any]:
        with told_in_words():
            if kept is None or not Path(kept[0]).is_dir():
                raise UserError("Check the recordings first.")
            if kept[2]:
                raise UserError(kept[2])
            if not consent:
                raise UserError("Both speakers must have agreed: confirm it, or do not train on their voices.")
            start_from = None
            if preset == "cpu" and base != FROM_SCRATCH:  # the other kinds are of other sizes, and do not ask
                preset, start_from = "cpu-from", base
            when = time.strftime("confirmed on the page, %Y-%m-%d %H:%M:%S UTC", time.gmtime())
            plan = Plan(called.strip(), kept[1], preset, float(budget) or None, start_from, when)
            job = Job.create(Path(kept[0]), plan)
            job.start()
        note("training started", preset=preset)
        gr.Info("The training has started. You may close this page: it goes on.")
        return [None, "", gr.update(visible=False), False]

    preset.input(lambda chosen: gr.update(visible=chosen == "cpu"), preset, base, queue=False, api_visibility="private")
    check.click(
        inspect,
        [*sides, draft],
        [report, draft, settings, called, base],
        concurrency_id="inspection",
        concurrency_limit=1,
        api_visibility="private",
        show_progress_on=report,
    )
    start.click(
        begin,
        [draft, consent, preset, budget, base, called],
        [draft, report, settings, consent],
        concurrency_id="jobs",
        concurrency_limit=1,
        **PRIVATE,  # a mistake would cover the very box that was forgotten
    )


def _too_little(*folders: Inspection) -> str:
    """A sentence if one of the speakers said too little to train at all, otherwise nothing."""
    for folder in folders:
        if folder.speech_seconds < MIN_SPEECH_SECONDS:
            return (
                f"{folder.name} speaks for {folder.speech_seconds:.0f} seconds only. Training needs at least "
                f"{MIN_SPEECH_SECONDS:.0f}, and 5 minutes for a good voice: add recordings and check again."
            )
    return ""


def _build_running(studio: Studio, page: gr.Blocks, tab: gr.Tab) -> None:
    gr.HTML(f"<h2>{said('Your trainings')}</h2>", elem_classes="words")
    chosen = gr.Dropdown([], label=t("Training"), elem_id="training", visible=False)
    status = gr.HTML(NO_TRAININGS, elem_id="training-status", elem_classes="words", js_on_load=text("use.js"))
    with gr.Row(visible=False) as buttons:
        pause = gr.Button(t("Pause"), elem_id="pause")
        resume = gr.Button(t("Resume"), elem_id="resume")
        stop = gr.Button(t("Stop"), variant="stop", elem_id="stop")
    with gr.Accordion(t("Try the voice as it is now"), open=False, visible=False) as trying, gr.Row():
        with gr.Column(min_width=320):
            clip = gr.Audio(
                label=t("Your voice"),
                sources=["microphone", "upload"],
                type="filepath",
                buttons=[],
                elem_id="try-source",
            )
            target = gr.Radio([], label=t("Speak as"), elem_id="try-voice")
            try_it = gr.Button(t("Convert"), elem_id="try")
        with gr.Column(min_width=320):
            tried = gr.Audio(label=t("Converted voice"), interactive=False, buttons=[], elem_id="try-result")
    graphs = gr.HTML(elem_id="curves", elem_classes="words")
    previews = gr.HTML(elem_id="previews", elem_classes="words")
    result = gr.HTML(elem_id="trained", elem_classes="words", js_on_load=text("use.js"))
    shown = gr.State(NOTHING)
    # The name of the voice, once it is among the user's own. Events outside the queue report no change of a `State`.
    finished = gr.Textbox("", visible="hidden", elem_id="finished")
    timer = gr.Timer(EVERY_SECONDS, active=False)

    def refresh(name: str | None, before: Shown) -> list[Any]:
        jobs = all_jobs()
        names = tuple(job.name for job in jobs)
        if not names:
            nothing = [gr.update(choices=[], value=None, visible=False), NO_TRAININGS]
            return [*nothing, *[gr.update(visible=False)] * 2, *[gr.skip()] * 7, ""]
        started = set(names) - set(before.names)  # since the last look: that is what the visitor wants to see
        job = jobs[0] if name not in names or (before.names and started) else jobs[names.index(name)]
        now = job.status()
        voice = _publish(job) if now.state in ("finished", "stopped") else None
        heard = job.previews()
        sounds = len(list(heard[-1].glob("*.png"))) if heard else 0  # the last preview may be just being written
        seen = Shown(names, job.name, now.step, f"{heard[-1].name}: {sounds}" if heard else "")
        same = seen.job == before.job
        speakers = list(job.plan.speakers)
        return [
            gr.skip() if same and names == before.names else gr.update(choices=names, value=job.name, visible=True),
            status_html(job, now, voice),
            gr.update(visible=True),
            gr.update(visible=job.voice is not None),
            *_buttons(now),
            gr.skip() if same else gr.update(choices=speakers, value=speakers[1]),
            gr.skip() if same and seen.step == before.step else curves_html(job),
            # Replacing a player would stop it: only when there is something new to hear.
            gr.skip() if same and seen.preview == before.preview else previews_html(job),
            seen,
            voice or "",
        ]

    def do(what: str) -> Any:
        def act(name: str | None) -> None:
            with told_in_words():
                if name is None:
                    raise UserError("Choose a training first.")
                getattr(find_job(name), what)()
            note(f"training {what}")

        return act

    def convert(audio: str | None, name: str | None, speaker: str | None) -> str:
        with told_in_words(audio):
            if audio is None or name is None or speaker is None:
                raise UserError("There is nothing to convert yet: record a voice and press Stop, or upload a file.")
            job = find_job(name)
            if job.voice is None:
                raise UserError("There is no voice yet: the first comes some minutes after the first step.")
            result = studio.new_file(f"{Path(audio).stem}-{speaker}.wav")
            studio.convert(studio.load(job.voice), audio, speaker, USUAL, result)
        return str(result)

    outputs = [chosen, status, buttons, trying, pause, resume, stop, target, graphs, previews, shown, finished]
    quick: dict[str, Any] = {"queue": False, **PRIVATE}
    timer.tick(refresh, [chosen, shown], outputs, **quick)
    tab.select(lambda: gr.Timer(active=True), None, timer, **quick).then(
        lambda name: refresh(name, NOTHING), chosen, outputs, **quick
    )
    chosen.input(lambda name: refresh(name, NOTHING), chosen, outputs, **quick)
    acting: dict[str, Any] = {"concurrency_id": "jobs", "concurrency_limit": 1, **PRIVATE}
    for button, what in ((pause, "pause"), (resume, "start"), (stop, "stop")):
        button.click(do(what), chosen, None, **acting).then(refresh, [chosen, shown], outputs, **quick)
    finished.change(lambda voice: result_html(studio, voice), finished, result, **CONVERSION, **PRIVATE)
    try_it.click(convert, [clip, chosen, target], tried, api_visibility="private", **CONVERSION)


def _publish(job: Job) -> str | None:
    """The name of a finished training's voice among the user's own."""
    try:
        return job.publish()
    except UserError as error:
        note("voice not published", reason=str(error))
        return None


def _buttons(now: Status) -> list[Any]:
    return [
        gr.update(interactive=now.state == "running"),
        gr.update(interactive=now.state in ("ready", "paused", "stopped", "interrupted", "failed")),
        gr.update(interactive=now.state in ("running", "paused", "interrupted")),
    ]
