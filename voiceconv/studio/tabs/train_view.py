"""Writes what the Train tab shows, as HTML: the report on recordings, how far a training is, its curves and sounds."""

from __future__ import annotations

import base64
import html
from pathlib import Path

from generative_core.files import read_rows
from voiceconv.inspection.comparison import compare
from voiceconv.inspection.inspect import Inspection
from voiceconv.studio import curves
from voiceconv.studio.words import said
from voiceconv.training.jobs import Job, Status
from voiceconv.voice.voice import available_voices

LISTED_PROBLEMS = 20
LOSSES = {"generator/total": "converter", "discriminator/total": "discriminator"}
SCORES = {
    "score": ("Overall", "higher is better; the best is kept"),
    "voice": ("Sounds like the target", "0: like the source, 1: like the target"),
    "confusion": ("Passes for real", "0: easily told from real recordings, 1: not at all"),
    "phoneme_errors": ("Sounds lost", "share of speech sounds that changed, lower is better"),
    "f0_offset": ("Pitch", "semitones from the target's, 0 is best"),
}
IN_WORDS = {
    "ready": "not started",
    "running": "training",
    "stopping": "saving and ending",
    "paused": "paused",
    "stopped": "stopped; the voice is as far as it came",
    "finished": "finished",
    "failed": "failed",
    "interrupted": "interrupted; resuming goes on from its last checkpoint",
}
RESUMES = "Resume goes on from the last checkpoint, which helps if the disk was full or the computer ended it."
ANEW = "Otherwise check the recordings again and start anew under another name."


def inspection_html(a: Inspection, b: Inspection) -> str:
    """What there is to know of both folders before training on them."""
    parts = []
    for side in (a, b):
        rows = "".join(
            f"<tr><th>{html.escape(f.topic)}</th><td>{html.escape(f.value)}</td><td class={f.grade}>{f.grade}</td></tr>"
            for f in side.findings
        )
        rows += "".join(f"<tr><th>{html.escape(k)}</th><td colspan=2>{html.escape(v)}</td></tr>" for k, v in side.facts)
        wrong = list(side.problems.items())
        problems = "".join(
            f"<li>{html.escape(name)}: {html.escape('; '.join(why))}</li>" for name, why in wrong[:LISTED_PROBLEMS]
        )
        more = f"<li>and {len(wrong) - LISTED_PROBLEMS} more</li>" if len(wrong) > LISTED_PROBLEMS else ""
        problems = f"<h2>{said('Files to look at')} ({len(wrong)})</h2><ul>{problems}{more}</ul>" if wrong else ""
        parts.append(
            f"<article><h2>{html.escape(side.name)}</h2><p class={side.grade}>{html.escape(side.verdict)}</p>"
            f"<details><summary>{said('Measurements')}</summary><div class=wide><table>{rows}</table></div></details>"
            f"{problems}</article>"
        )
    sentences = "".join(f"<li>{html.escape(sentence)}</li>" for sentence in compare(a, b))
    return f'<div class="pair">{"".join(parts)}</div><h2>{said("As a pair")}</h2><ul>{sentences}</ul>'


def status_html(job: Job, now: Status, voice: str | None = None) -> str:
    """How far a training is, in words and as a bar; with the name of its voice, buttons to use that."""
    if now.steps:
        done = said("step {step} of {steps}", step=f"{now.step:,}", steps=f"{now.steps:,}")
    else:
        done = said("step {step}", step=f"{now.step:,}")
    left = ""
    if now.state == "running" and now.steps and now.step:
        rest = now.seconds / now.step * (now.steps - now.step)
        if job.plan.budget_seconds is not None:
            rest = min(rest, max(0.0, job.plan.budget_seconds - now.seconds))
        left = f", {said('about {time} left', time=_minutes(rest))}"
    bar = f'<progress max="{now.steps}" value="{now.step}" aria-label="Steps done"></progress>' if now.steps else ""
    if now.state == "running" and not now.step:
        left = f": {said('preparing the recordings, which takes a quarter of the time or more')}"
    return (
        f'<p role="status"><strong>{html.escape(job.name)}</strong> {said(IN_WORDS[now.state])}; {done}, '
        f"{said('{time} of training', time=_minutes(now.seconds))}{left}.</p>{bar}{_why(job, now)}{_use(job, voice)}"
    )


def _why(job: Job, now: Status) -> str:
    """What a training failed of, and what helps."""
    reason = f"<p class=poor>{html.escape(now.reason.replace(f'{job.folder}/', ''))}</p>" if now.reason else ""
    if now.state != "failed":
        return reason
    return f"{reason}<p>{said(RESUMES)} {said(ANEW)}</p>"


def _use(job: Job, voice: str | None) -> str:
    if voice not in available_voices():
        return ""
    return "".join(
        f'<button type="button" data-use="{html.escape(f"{voice}/{speaker}")}">'
        f"{said('Use this voice')}: {html.escape(speaker.capitalize())}</button> "
        for speaker in job.plan.speakers
    )


def curves_html(job: Job) -> str:
    """Losses by step and the scores on development speech."""
    rows, scores = read_rows(job.folder / "metrics.jsonl"), read_rows(job.folder / "scores.jsonl")
    losses = [{LOSSES.get(name, name): value for name, value in row.items()} for row in rows]
    figures = [curves.draw("Losses", losses, list(LOSSES.values()))]
    for key, (title, meaning) in SCORES.items():
        names = [name for name in (scores[-1] if scores else {}) if name.split("/")[-1] == key]
        readable = {name: name.removesuffix(f"/{key}").replace("-to-", " → ") for name in names}
        named = [{readable.get(name, name): value for name, value in row.items()} for row in scores]
        figures.append(curves.draw(title, named, list(readable.values()), meaning))
    return f'<div class="pair">{"".join(figures)}</div>'


def previews_html(job: Job) -> str:
    """The last preview: what development speech sounds and looks like, converted."""
    folders = job.previews()
    if not folders:
        return f"<p>{said('The first sounds come after some minutes.')}</p>"
    figures = []
    for sound in sorted(folders[-1].glob("*.flac")):
        picture = sound.with_suffix(".png")
        if not picture.is_file():
            continue
        label = html.escape(sound.stem)
        figures.append(
            f'<figure><figcaption>{label}</figcaption><img alt="Mel-spectrograms: {label}" '
            f'src="data:image/png;base64,{_base64(picture)}">'
            f'<audio controls aria-label="{label}" src="data:audio/flac;base64,{_base64(sound)}"></audio></figure>'
        )
    step = int(folders[-1].name.removeprefix("step_"))
    return f'<h2>{said("Step {step}, to hear", step=f"{step:,}")}</h2><div class="pair">{"".join(figures)}</div>'


def _base64(path: Path) -> str:
    return base64.b64encode(path.read_bytes()).decode("ascii")


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"
