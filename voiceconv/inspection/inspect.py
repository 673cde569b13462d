"""Inspects a folder of recordings before anyone spends hours training on it, and reports in words what it found."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import fill

import numpy as np
from tqdm import tqdm

from voiceconv.audio.files import find_audio
from voiceconv.errors import explain
from voiceconv.inspection.folder import TOO_SHORT, FolderMeasures, has_voice
from voiceconv.inspection.grading import (
    CLIPPED,
    USABLE_BANDWIDTH,
    USABLE_SNR,
    Finding,
    Grade,
    count,
    grade_folder,
    kilohertz,
    other_speaker,
    summary,
    worst,
)
from voiceconv.inspection.measures import RecordingMeasures, measure

# A file is dull among brighter ones when it ends under this share of their bandwidth. A short one may just have no
# s or f in it.
DULL, DULL_SECONDS = 0.75, 1.5
WIDTH, SHOWN_FILES = 100, 12  # columns and lines in a terminal


@dataclass(frozen=True)
class Inspection(FolderMeasures):
    """A folder's measures with what they mean for training: grades, advice, and the files to look at."""

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        return grade_folder(self)

    @property
    def grade(self) -> Grade:
        """The worst of the findings': plenty of speech cannot make up for noise."""
        return worst(*(finding.grade for finding in self.findings))

    @property
    def verdict(self) -> str:
        return summary(self.findings)

    @cached_property
    def problems(self) -> dict[str, list[str]]:
        """What is wrong with single files, in words, by name; files without a problem are left out."""
        found = {name: [f"cannot be used: {reason}"] for name, reason in self.unreadable.items()}
        for recording in self.recordings:
            if wrong := self._problems_of(recording):
                found[recording.name] = wrong
        return dict(sorted(found.items()))

    def _problems_of(self, r: RecordingMeasures) -> list[str]:
        if r.silent:
            return ["silent"]
        if r.name in self.duplicates:
            return [f"the same sound as {self.duplicates[r.name]}"]
        if r.seconds < TOO_SHORT:
            return [f"too short: {r.seconds:.2f} s"]
        if not has_voice(r):
            return ["no voice in it: noise, music or a whisper"]
        wrong = list(r.warnings)
        if r.clipped >= CLIPPED:
            wrong.append(f"clipped: {100 * r.clipped:.2g} % of the samples")
        if r.snr is not None and r.snr < USABLE_SNR:
            wrong.append(f"noisy: the speech is only {r.snr:.0f} dB over the noise")
        if distance := other_speaker(self, r):
            side = "higher" if distance > 0 else "lower"
            wrong.append(f"pitch {r.pitch:.0f} Hz, {abs(distance):.0f} semitones {side} than most: another speaker?")
        reached, others = r.bandwidth or 0.0, self.bandwidth or 0.0
        loud_enough = r.snr is None or r.snr >= USABLE_SNR  # noise covers the high frequencies first
        if loud_enough and r.speech_seconds >= DULL_SECONDS and reached < min(USABLE_BANDWIDTH, DULL * others):
            wrong.append(f"dull: ends at {kilohertz(reached)}, most end at {kilohertz(others)}")
        return wrong

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What is good to know and neither good nor bad."""
        read = self.recordings
        facts = [("files", f"{len(read)}" + (f", and {len(self.unreadable)} unreadable" if self.unreadable else ""))]
        if read:
            rates = sorted({r.sample_rate for r in read})
            low, middle, high = np.percentile([r.seconds for r in read], [0, 50, 100])
            facts += [
                ("lengths", f"{low:.1f} to {high:.1f} s, half are under {middle:.1f} s"),
                ("sample rates", ", ".join(f"{rate / 1000:g} kHz" for rate in rates)),
                ("duplicates", count(len(self.duplicates), "file") if self.duplicates else "none"),
                ("silence", f"{100 * (1 - sum(r.speech_seconds for r in read) / self.seconds):.0f} %"),
            ]
        if self.spoken:
            low, middle, high = np.percentile([r.loudness for r in self.spoken], [5, 50, 95])
            facts.append(("loudness", f"{middle:.0f} LUFS, mostly {low:.0f} to {high:.0f} (evened out in training)"))
        return tuple(facts)

    def text(self) -> str:
        """The report for a terminal."""
        wrapped = [fill(line, WIDTH, subsequent_indent="   ") for line in self.verdict.splitlines()]
        lines = [f"Recordings in {self.folder}", "", *wrapped, ""]
        lines += [f"  {finding.topic:14}{finding.grade:8}{finding.value}" for finding in self.findings]
        lines += [f"  {topic:14}{'':8}{value}" for topic, value in self.facts]
        if self.problems:
            lines += ["", f"Files to look at ({len(self.problems)}):"]
            lines += [f"  {name}: {'; '.join(wrong)}" for name, wrong in list(self.problems.items())[:SHOWN_FILES]]
            if len(self.problems) > SHOWN_FILES:
                lines.append(f"  ... and {len(self.problems) - SHOWN_FILES} more, all of them in the HTML report")
        return "\n".join(lines)


def inspect_folder(folder: str | os.PathLike[str]) -> Inspection:
    """Measures every recording in `folder` and below; raises `UserError` if there is none.

    What cannot be read is listed with its reason and does not stop the rest.
    """
    folder = Path(folder)
    recordings, unreadable = [], {}
    for path in tqdm(find_audio(folder), desc=f"Measuring {folder}", unit="file", leave=False, disable=None):
        name = str(path.relative_to(folder))
        try:
            recordings.append(measure(path, name))
        except Exception as error:
            if (reason := explain(error)) is None:
                raise
            unreadable[name] = reason.replace(str(path.absolute()), "it").replace(str(path), "it")
    return Inspection(folder, tuple(recordings), unreadable)
