"""Measures rendered clips, and scores systems by what was measured in theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from voiceconv.errors import UserError
from voiceconv.evaluation import metrics
from voiceconv.evaluation.held_out_clips import Folder
from voiceconv.evaluation.metrics import MeanOpinion
from voiceconv.evaluation.text import ErrorCount, character_errors, word_errors
from voiceconv.features.pitch import extract_f0, f0_correlation, f0_offset, mean_log_f0
from voiceconv.voice.speaker import Speaker

Wav = NDArray[np.float32]
Values = NDArray[np.float64]

GROUND_TRUTH, UNCONVERTED, COPY, CONVERTED = "ground truth", "unconverted", "copy-synthesis", "converted"
SCORES = {
    "similarity to target": "Cosine of the clip's Resemblyzer embedding with the centroid of the target's clips.",
    "similarity to source": "The same with the source's clips, without the one that it was made from.",
    "margin": "Similarity to the target minus similarity to the source.",
    "CER": "Share of the characters of the transcript that Whisper base gets wrong.",
    "WER": "The same in words.",
    "CER over copy-synthesis": "What the conversion adds to the errors of mel-spectrogram and vocoder, clip by clip.",
    "F0 offset": "Mean of log F0 over that of the target's clips, in semitones; offsets up and down cancel out.",
    "F0 distance": "Mean size of the same offset of each clip, in semitones; nothing cancels out.",
    "F0 correlation": "Correlation of log F0 with the source's contour, where both are voiced.",
    "voiced share": "Share of the frames that are voiced.",
    "DNSMOS OVRL": "Predicted opinion of listeners, 1 to 5; to be compared within one source only.",
    "DNSMOS SIG": "The same of the speech alone.",
    "DNSMOS BAK": "The same of the background.",
    "DNSMOS OVRL over copy-synthesis": "What the conversion changes in it, clip by clip.",
    "MCD-DTW": "Mel-cepstral distortion in dB to the target's own recording of the sentence, aligned in time.",
    "MMD²": "Distance of all mel frames from the target's (Gaussian kernel, unbiased); 0: the same distribution.",
}


class ClipMeasures(NamedTuple):
    """What is measured on one waveform; errors in characters and words are counted only where its text is known."""

    embedding: NDArray[np.float32]
    text: str | None
    characters: ErrorCount | None
    words: ErrorCount | None
    f0: NDArray[np.float32]
    dnsmos: MeanOpinion
    mel: NDArray[np.float32]


class Scorer:
    """All measuring models, loaded once. `mel` maps a waveform `(T,)` to its log-mel `(n_mels, frames)`."""

    def __init__(self, sample_rate: int, mel: Callable[[Wav], NDArray[np.float32]], *, words: bool = True) -> None:
        self.sample_rate = sample_rate
        self.mel = mel
        self.encode = metrics.Resemblyzer()
        self.transcribe = metrics.Transcriber(torch.get_num_threads()) if words else None

    def require_language(self, folder: Folder) -> None:
        if self.transcribe and folder.language is not None and folder.language not in self.transcribe.languages:
            raise UserError(
                f"The recogniser does not know the language {folder.language!r} of {folder.path}. Give one of "
                f"{' '.join(self.transcribe.languages)}, or none to leave out the scores of words."
            )

    def measure(self, wav: Wav, text: str | None = None, language: str | None = None) -> ClipMeasures:
        """Measures `wav` `(T,)`, which should say `text` in `language`."""
        recognised = characters = words = None
        if self.transcribe and text is not None and language is not None:
            recognised = self.transcribe(wav, self.sample_rate, language)
            characters = character_errors(text, recognised, language)
            words = word_errors(text, recognised, language)
        return ClipMeasures(
            embedding=self.encode(wav, self.sample_rate),
            text=recognised,
            characters=characters,
            words=words,
            f0=extract_f0(wav, self.sample_rate),
            dnsmos=metrics.dnsmos(wav, self.sample_rate),
            mel=self.mel(wav),
        )


def score(
    systems: dict[str, list[ClipMeasures]], target: Speaker, references: Sequence[NDArray[np.float32] | None]
) -> dict[str, dict[str, Values]]:
    """System -> score (as in `SCORES`) -> one value per clip `(N,)`, NaN where it cannot be said.

    `references` are the mels of the target's own recording of each sentence, None where there is none.
    """
    source, own = systems[UNCONVERTED], systems[GROUND_TRUTH]
    # Clip by clip, as the offsets are: a clip of the target's is off by nothing on average.
    pitches = np.array([mean_log_f0(m.f0) for m in own])
    pitch = float(pitches[np.isfinite(pitches)].mean()) if np.isfinite(pitches).any() else float("nan")
    scores = {}
    for name, measures in systems.items():
        is_target = measures is own
        values = {
            "similarity to target": similarity(measures, own, leave_one_out=is_target),
            "similarity to source": similarity(measures, source, leave_one_out=not is_target),
            "CER": error_rates([m.characters for m in measures]),
            "WER": error_rates([m.words for m in measures]),
            "F0 offset": np.array([f0_offset(m.f0, pitch) for m in measures]),
            "voiced share": np.array([float((m.f0 > 0).mean()) for m in measures]),
            "DNSMOS OVRL": np.array([m.dnsmos.overall for m in measures]),
            "DNSMOS SIG": np.array([m.dnsmos.signal for m in measures]),
            "DNSMOS BAK": np.array([m.dnsmos.background for m in measures]),
            "MMD²": mel_distances(measures, own, target),
        }
        values["margin"] = values["similarity to target"] - values["similarity to source"]
        values["F0 distance"] = np.abs(values["F0 offset"])
        scores[name] = values
    for name in systems.keys() - {GROUND_TRUTH}:  # the target's clips are other sentences
        values, measures = scores[name], systems[name]
        values["CER over copy-synthesis"] = values["CER"] - scores[COPY]["CER"]
        values["DNSMOS OVRL over copy-synthesis"] = values["DNSMOS OVRL"] - scores[COPY]["DNSMOS OVRL"]
        pairs = zip(measures, source, strict=True)
        values["F0 correlation"] = np.array([f0_correlation(m.f0, s.f0) for m, s in pairs])
        values["MCD-DTW"] = np.array(
            [np.nan if r is None else metrics.mcd_dtw(m.mel, r) for m, r in zip(measures, references, strict=True)]
        )
    return {name: {key: scores[name][key] for key in SCORES if key in scores[name]} for name in systems}


def similarity(clips: list[ClipMeasures], speaker: list[ClipMeasures], *, leave_one_out: bool) -> Values:
    """Cosine of each clip with the centroid of the speaker's clips; with `leave_one_out`, of all but the clip that it
    is or was made from."""
    embeddings = np.array([m.embedding for m in speaker])
    if leave_one_out:
        centroids = metrics.centroids_without_each(embeddings)
    else:
        centroids = np.tile(metrics.centroid(embeddings), (len(clips), 1))
    return np.array([metrics.cosine(m.embedding, c) for m, c in zip(clips, centroids, strict=True)])


def mel_distances(clips: list[ClipMeasures], target: list[ClipMeasures], speaker: Speaker) -> Values:
    """`metrics.mmd` of the clips' mels from the target's, in standard deviations of the target's bands; the target's
    own clips are held against each other, one half against the other."""

    def frames(clips: Sequence[ClipMeasures]) -> list[NDArray[np.float32]]:
        mels = [torch.from_numpy(metrics.without_silence(m.mel)) for m in clips]
        return [speaker.normalise(mel).numpy() for mel in mels]

    if clips is not target:
        return metrics.mmd(frames(clips), frames(target))
    values = np.full(len(clips), np.nan)
    if len(clips) >= 4:
        even, odd = frames(clips[::2]), frames(clips[1::2])
        values[::2], values[1::2] = metrics.mmd(even, odd), metrics.mmd(odd, even)
        # The mean of the two, which are one distance projected on either half, varies half as much as resampled clips
        # would make it: deviations are doubled, so that intervals are not too narrow (somewhat wide with few clips).
        values = values.mean() + 2 * (values - values.mean())
    return values


def error_rates(counts: Sequence[ErrorCount | None]) -> Values:
    """Errors per unit of the reference, per clip; NaN without a reference."""
    return np.array([count.errors / count.length if count else np.nan for count in counts])


def summarise(scores: dict[str, Values], measures: Sequence[ClipMeasures]) -> dict[str, Any]:
    """Mean, interval and values of each score that some clip has."""
    lengths = {
        "CER": [m.characters.length if m.characters else 0 for m in measures],
        "WER": [m.words.length if m.words else 0 for m in measures],
    }
    summary = {}
    for name, values in scores.items():
        weights = np.array(lengths.get(name.split()[0], np.ones(len(measures))), dtype=np.float64)
        known = np.isfinite(values)
        if known.any():
            summary[name] = {
                **metrics.bootstrap_interval(values[known], weights[known])._asdict(),
                "n": int(known.sum()),
                "values": [float(value) if np.isfinite(value) else None for value in values],
            }
    return summary
