"""Grades a folder of recordings for training: the thresholds, a finding for each topic, and what to mend first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from voiceconv.features.pitch import semitones_between
from voiceconv.inspection.folder import FolderMeasures
from voiceconv.inspection.measures import RecordingMeasures

Grade = Literal["good", "usable", "poor"]
GRADES: tuple[Grade, ...] = ("good", "usable", "poor")  # from best to worst

# Minutes of speech. Published experiments with unpaired conversion use 5 minutes of recordings per speaker, of which
# about 4 are speech; twice that still improves the voice, and past it other things matter more.
GOOD_MINUTES, USABLE_MINUTES = 10.0, 4.0
# dB from the noise floor to the speech. Audiobook publishers ask for about 37; under 20 the noise between the words
# is plainly audible, and the discriminator takes it for a part of the voice.
GOOD_SNR, USABLE_SNR = 35.0, 20.0
# The share of files under USABLE_SNR, so that a clean half does not hide a noisy one.
GOOD_NOISY_FILES, USABLE_NOISY_FILES = 0.1, 0.4
# Hz. The mel-spectrogram ends at 8 kHz and wide-band telephones at 7; narrow-band ones end at 3.4, where s and f
# begin: a voice trained on that has no consonants to learn.
GOOD_BANDWIDTH, USABLE_BANDWIDTH = 7000.0, 5000.0
# Of the sample rate's half. Files that end lower were resampled or went through a lossy codec.
FULL_BANDWIDTH = 0.85
# The share of the samples from which a file counts as clipped (a few cut peaks a second are heard as crackle), and
# the share of clipped files that is harmless, or can be lived with.
CLIPPED = 1e-4
GOOD_CLIPPED_FILES, USABLE_CLIPPED_FILES = 0.02, 0.3
# Semitones from the others' pitch at which a file may be another speaker's: between an average man and woman there
# are 10 to 12, and lively acting moves the median of a sentence by about 5. Then the share of such speech; single
# words with a pitch of their own are many files and little speech.
OTHER_SPEAKER = 7.0
GOOD_OTHERS, USABLE_OTHERS = 0.03, 0.15


@dataclass(frozen=True)
class Finding:
    """One thing looked at: how good it is for training, what was found, and what to do if it is not good."""

    topic: str
    grade: Grade
    value: str
    advice: str


def grade_folder(folder: FolderMeasures) -> tuple[Finding, ...]:
    """All that matters for training; the rest is pointless where there is no speech."""
    if not folder.spoken:
        return (amount(folder),)
    return tuple(of(folder) for of in (amount, speakers, noise, bandwidth, clipping))


def summary(findings: tuple[Finding, ...]) -> str:
    """In words: a line on the whole, then what to mend, the worst first, a line each."""
    opening = {
        "good": "Good: nothing here stands in the way of training.",
        "usable": "Usable: training will work, but what is listed here will be heard in the result.",
        "poor": "Poor: expect disappointment unless this is mended before training.",
    }[worst(*(finding.grade for finding in findings))]
    mend = sorted(findings, key=lambda finding: GRADES.index(finding.grade), reverse=True)
    advice = [finding.advice for finding in mend if finding.grade != "good"]
    return "\n".join([opening, *(f"{i}. {text}" for i, text in enumerate(advice, 1))])


def amount(folder: FolderMeasures) -> Finding:
    minutes = folder.speech_seconds / 60
    advice = (
        f"Record more: {minutes:.1f} minutes of speech are here, {GOOD_MINUTES:.0f} or more are wanted. "
        "A training that starts from a voice needs less: `--from allison-joe --preset cpu-from`."
    )
    value = f"{minutes:.1f} of {folder.seconds / 60:.1f} minutes"
    return Finding("speech", grade_of(minutes, GOOD_MINUTES, USABLE_MINUTES), value, advice)


def speakers(folder: FolderMeasures) -> Finding:
    others = [r for r in folder.spoken if other_speaker(folder, r)]
    share = sum(r.speech_seconds for r in others) / folder.speech_seconds
    low, middle, high = np.percentile(folder.f0, [5, 50, 95])
    value = f"median {middle:.0f} Hz, mostly {low:.0f} to {high:.0f}"
    if others:
        value += f"; {count(len(others), 'file')} far from the rest"
    advice = (
        f"Check who speaks: {count(len(others), 'file')}, {100 * share:.0f} % of the speech, with a pitch more than "
        f"{OTHER_SPEAKER:.0f} semitones from the rest. A folder must hold one speaker."
    )
    return Finding("pitch", grade_of(-share, -GOOD_OTHERS, -USABLE_OTHERS), value, advice)


def noise(folder: FolderMeasures) -> Finding:
    snr = folder.snr
    if snr is None:
        value = "not measurable: no recording is long enough to have pauses"
        return Finding("noise", "usable", value, "Check by ear that the recordings have no background noise.")
    measured = [r.snr for r in folder.spoken if r.snr is not None]
    noisy = sum(ratio < USABLE_SNR for ratio in measured)
    grade = worst(
        grade_of(snr, GOOD_SNR, USABLE_SNR),
        grade_of(-noisy / len(measured), -GOOD_NOISY_FILES, -USABLE_NOISY_FILES),
    )
    value = f"{snr:.0f} dB under the speech" + (f", {count(noisy, 'noisy file')}" if noisy else "")
    advice = (
        f"Reduce the background noise (it is {value}; {GOOD_SNR:.0f} dB or more are wanted): record in a "
        "quieter room and closer to the microphone, clean the files with a denoiser, or leave the noisy ones out."
    )
    return Finding("noise", grade, value, advice)


def bandwidth(folder: FolderMeasures) -> Finding:
    reached = folder.bandwidth or 0.0
    possible = (folder.sample_rate or 0.0) / 2
    value = f"up to {kilohertz(reached)}"
    if reached < FULL_BANDWIDTH * possible:
        value += f" of the {kilohertz(possible)} the files could hold: resampled or compressed"
    advice = (
        f"Find the originals: nothing here is above {kilohertz(reached)}, {kilohertz(GOOD_BANDWIDTH)} or more are "
        "wanted. Telephone and headset recordings cannot be mended; record again with another microphone."
    )
    return Finding("bandwidth", grade_of(reached, GOOD_BANDWIDTH, USABLE_BANDWIDTH), value, advice)


def clipping(folder: FolderMeasures) -> Finding:
    clipped = sum(r.clipped >= CLIPPED for r in folder.spoken)
    share = clipped / len(folder.spoken)
    value = f"{clipped or 'none'} of {len(folder.spoken)} files"
    advice = f"Leave out or re-record the clipped files ({clipped}), with the recording level turned down."
    return Finding("clipping", grade_of(-share, -GOOD_CLIPPED_FILES, -USABLE_CLIPPED_FILES), value, advice)


def other_speaker(folder: FolderMeasures, r: RecordingMeasures) -> float:
    """Semitones from the others' pitch if that is too far for one speaker, else 0."""
    if r.pitch is None or folder.pitch is None:
        return 0.0
    distance = semitones_between(folder.pitch, r.pitch)
    return distance if abs(distance) > OTHER_SPEAKER else 0.0


def grade_of(value: float, good: float, usable: float) -> Grade:
    """By two thresholds, where higher is better."""
    return "good" if value >= good else "usable" if value >= usable else "poor"


def worst(*grades: Grade) -> Grade:
    return max(grades, key=GRADES.index)


def kilohertz(hertz: float) -> str:
    return f"{hertz / 1000:.1f} kHz"


def count(n: int, word: str) -> str:
    return f"{n or 'no'} {word}{'' if n == 1 else 's'}"
