"""Tells what to expect of training between the speakers of two folders."""

from __future__ import annotations

from voiceconv.features.mel import MelConfig
from voiceconv.features.pitch import semitones_between
from voiceconv.inspection.grading import GOOD_SNR, kilohertz, worst
from voiceconv.inspection.inspect import Inspection

# What two speakers may differ by: the converter cannot tell a room or a microphone from a voice, and learns both.
ALIKE_SNR, ALIKE_BANDWIDTH = 10.0, 1500.0  # dB, Hz
ALIKE_MINUTES = 3.0  # times as much speech
MEL_BANDWIDTH = MelConfig().f_max  # Hz; what lies above is not in the mel-spectrogram


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
    # Where both are quiet enough, the difference is inaudible.
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
