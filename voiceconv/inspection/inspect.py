"""A report on a folder of recordings, before anyone spends hours training on it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from textwrap import fill

import numpy as np
from tqdm import tqdm

from voiceconv.audio.files import find_audio
from voiceconv.errors import UserError, explain
from voiceconv.features.pitch import semitones_between
from voiceconv.inspection.grading import (
    CLIPPED,
    GOOD_SNR,
    OTHER_SPEAKER,
    USABLE_BANDWIDTH,
    USABLE_SNR,
    Finding,
    Grade,
    count,
    judge,
    kilohertz,
    verdict,
    worst,
)
from voiceconv.inspection.measures import Array, Recording, measure

SAME_SPEAKER = 2.5  # semitones either way; most sentences of one speaker lie in there
TOO_SHORT = 0.3  # seconds; less holds no word
MIN_VOICED = 0.1  # speech is voiced more than half of the time, a whisper or a noise hardly ever
# A file is dull among brighter ones when it ends under this share of their bandwidth. A short one may just have no
# s or f in it.
DULL, DULL_SECONDS = 0.75, 1.5
# What two speakers may differ by: the converter cannot tell a room or a microphone from a voice, and learns both.
ALIKE_SNR, ALIKE_BANDWIDTH = 10.0, 1500.0  # dB, Hz
ALIKE_MINUTES = 3.0  # times as much speech
MEL_BANDWIDTH = 8000.0  # Hz; what lies above is not in the mel-spectrogram
WIDTH, SHOWN_FILES = 100, 12  # columns and lines in a terminal


@dataclass(frozen=True)
class Inspection:
    """The measures of all readable recordings in a folder, and why the others could not be read (by name)."""

    folder: Path
    recordings: tuple[Recording, ...]
    unreadable: dict[str, str]

    @property
    def name(self) -> str:
        return self.folder.resolve().name

    @property
    def seconds(self) -> float:
        return sum(r.seconds for r in self.recordings)

    @cached_property
    def duplicates(self) -> dict[str, str]:
        """Names of files whose sound is in an earlier file -> that file."""
        first: dict[str, str] = {}
        audible = [r for r in self.recordings if not r.silent]
        return {r.name: first[r.digest] for r in audible if first.setdefault(r.digest, r.name) != r.name}

    @cached_property
    def spoken(self) -> tuple[Recording, ...]:
        """The recordings that training can learn from: with a voice in them, each only once."""
        return tuple(r for r in self.recordings if has_voice(r) and r.name not in self.duplicates)

    @property
    def speech_seconds(self) -> float:
        return sum(r.speech_seconds for r in self.spoken)

    @property
    def f0(self) -> Array:
        """F0 in Hz of all voiced frames."""
        return np.concatenate([np.zeros(0), *(r.f0 for r in self.spoken)])

    @cached_property
    def pitch(self) -> float | None:
        """The pitch in Hz around which most files lie; unlike a median, it is a real one in a mix of two speakers."""
        pitches = np.sort([r.pitch for r in self.spoken if r.pitch is not None])
        if len(pitches) == 0:
            return None
        factor = 2 ** (SAME_SPEAKER / 12)
        low, high = np.searchsorted(pitches, [pitches / factor, pitches * factor])
        best = int(np.argmax(high - low))
        return float(np.median(pitches[low[best] : high[best]]))

    @property
    def snr(self) -> float | None:
        """dB; that of the upper quarter, since the noise floor of files with hardly a pause is taken too high."""
        return weighted_quantile([(r.snr, r.seconds) for r in self.spoken], 0.75)

    @cached_property
    def bandwidth(self) -> float | None:
        """Hz; the median file's, by minutes of speech."""
        return weighted_quantile([(r.bandwidth, r.speech_seconds) for r in self.spoken], 0.5)

    @property
    def sample_rate(self) -> float | None:
        """Hz; that of most of the speech."""
        return weighted_quantile([(r.sample_rate, r.speech_seconds) for r in self.spoken], 0.5)

    @cached_property
    def findings(self) -> tuple[Finding, ...]:
        return judge(self)

    @property
    def grade(self) -> Grade:
        """The worst of the findings': plenty of speech cannot make up for noise."""
        return worst(*(finding.grade for finding in self.findings))

    @property
    def verdict(self) -> str:
        return verdict(self.findings)

    @cached_property
    def problems(self) -> dict[str, list[str]]:
        """What is wrong with single files, in words, by name; files without a problem are left out."""
        found = {name: [f"cannot be used: {reason}"] for name, reason in self.unreadable.items()}
        for recording in self.recordings:
            if wrong := self._problems_of(recording):
                found[recording.name] = wrong
        return dict(sorted(found.items()))

    def other_speaker(self, r: Recording) -> float:
        """Semitones from the others' pitch if that is too far for one speaker, else 0."""
        if r.pitch is None or self.pitch is None:
            return 0.0
        distance = semitones_between(self.pitch, r.pitch)
        return distance if abs(distance) > OTHER_SPEAKER else 0.0

    def _problems_of(self, r: Recording) -> list[str]:
        if r.silent:
            return ["silent"]
        if r.name in self.duplicates:
            return [f"the same sound as {self.duplicates[r.name]}"]
        if r.seconds < TOO_SHORT:
            return [f"too short: {r.seconds:.2f} s"]
        if not has_voice(r):
            return ["no voice in it: noise, music or a whisper"]
        wrong = []
        if r.clipped >= CLIPPED:
            wrong.append(f"clipped: {100 * r.clipped:.2g} % of the samples")
        if r.snr is not None and r.snr < USABLE_SNR:
            wrong.append(f"noisy: the speech is only {r.snr:.0f} dB over the noise")
        if distance := self.other_speaker(r):
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

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """The report with plots, as one file that needs no network; raises `UserError` if it cannot be written."""
        from voiceconv.inspection.report import make_page  # matplotlib takes a second that the terminal need not wait

        try:
            make_page(self).save(path)
        except OSError as error:
            reason = error.strerror or error
            raise UserError(f"The report cannot be written to {path}: {reason}. Choose another place.") from error


def inspect_folder(folder: str | os.PathLike[str]) -> Inspection:
    """Measures every recording in `folder` and below; raises `UserError` if there is none.

    What cannot be read is listed with its reason and does not stop the rest.
    """
    folder = Path(folder)
    recordings, unreadable = [], {}
    for path in tqdm(find_audio(folder), desc=f"Listening to {folder}", unit="file", leave=False, disable=None):
        name = str(path.relative_to(folder))
        try:
            recordings.append(measure(path, name))
        except Exception as error:
            if (reason := explain(error)) is None:
                raise
            unreadable[name] = reason.replace(str(path.absolute()), "it").replace(str(path), "it")
    return Inspection(folder, tuple(recordings), unreadable)


def compare(a: Inspection, b: Inspection) -> list[str]:
    """What to expect of training between two speakers, in sentences; the last is the expected difficulty."""
    for side in (a, b):
        if not side.spoken:
            return [f"Nothing can be trained: there is no usable speech in {side.folder}."]
    pairs = [_compare_pitch(a, b), _compare_noise(a, b), _compare_bandwidth(a, b), _compare_amount(a, b)]
    unlike = [topic for topic, _ in pairs if topic]
    grade = worst(a.grade, b.grade, "usable" if unlike else "good")
    reasons = [f"{side.name} alone is {side.grade}" for side in (a, b) if side.grade != "good"]
    reasons += [f"the two differ in {' and '.join(unlike)}"] if unlike else []
    difficulty = (
        f"Expected difficulty: a {grade} pair{': ' if reasons else ''}{', '.join(reasons)}. If the two speak different "
        "languages, which is not measured here, it is a hard pair in any case: words will suffer."
    )
    return [sentence for _, sentence in pairs if sentence] + [difficulty]


# Each of these gives the topic in which the two are too unlike, or "", and a sentence.


def _compare_pitch(a: Inspection, b: Inspection) -> tuple[str, str]:
    if a.pitch is None or b.pitch is None:
        return "", ""
    distance = semitones_between(a.pitch, b.pitch)
    side = "higher" if distance > 0 else "lower"
    return "", (
        f"Pitch: {b.name} speaks {abs(distance):.1f} semitones {side} than {a.name} "
        f"({b.pitch:.0f} and {a.pitch:.0f} Hz); conversion moves the pitch by that much."
    )


def _compare_noise(a: Inspection, b: Inspection) -> tuple[str, str]:
    if a.snr is None or b.snr is None:
        return "", ""
    sentence = f"Noise: {a.snr:.0f} dB under the speech in {a.name}, {b.snr:.0f} dB in {b.name}, "
    sentence += f"{abs(a.snr - b.snr):.0f} dB apart"
    # Where both are quiet enough, nobody hears which is quieter.
    if abs(a.snr - b.snr) <= ALIKE_SNR or min(a.snr, b.snr) >= GOOD_SNR:
        return "", f"{sentence}."
    noisier, cleaner = (a, b) if a.snr < b.snr else (b, a)
    return "noise", f"{sentence}; what {cleaner.name} says will get the noise of {noisier.name} with its voice."


def _compare_bandwidth(a: Inspection, b: Inspection) -> tuple[str, str]:
    reached = [min(side.bandwidth or 0.0, MEL_BANDWIDTH) for side in (a, b)]
    sentence = f"Bandwidth: {kilohertz(a.bandwidth or 0)} in {a.name}, {kilohertz(b.bandwidth or 0)} in {b.name}"
    if abs(reached[0] - reached[1]) <= ALIKE_BANDWIDTH:
        return "", f"{sentence}."
    return "bandwidth", f"{sentence}; conversion to {(a if reached[0] < reached[1] else b).name} will sound dull."


def _compare_amount(a: Inspection, b: Inspection) -> tuple[str, str]:
    less, more = sorted((a, b), key=lambda side: side.speech_seconds)
    sentence = f"Speech: {a.speech_seconds / 60:.1f} minutes of {a.name}, {b.speech_seconds / 60:.1f} of {b.name}"
    if more.speech_seconds <= ALIKE_MINUTES * less.speech_seconds:
        return "", f"{sentence}."
    return "amount of speech", f"{sentence}; record more of {less.name}, the smaller side sets the limit."


def has_voice(r: Recording) -> bool:
    return r.seconds >= TOO_SHORT and r.voiced_seconds >= MIN_VOICED * r.speech_seconds > 0


def weighted_quantile(values: list[tuple[float | None, float]], q: float) -> float | None:
    """The `q` quantile of pairs of value and weight, without those whose value is unknown."""
    known = sorted((value, weight) for value, weight in values if value is not None)
    if not known:
        return None
    total = np.cumsum([weight for _, weight in known])
    return known[int(np.searchsorted(total, q * total[-1]))][0]
