"""That the scores tell apart what they should: real speech of the shipped voice's examples, spoiled on purpose."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from voiceconv.audio.files import load_audio
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.evaluation import baselines
from voiceconv.evaluation.held_out_clips import Folder
from voiceconv.evaluation.metrics import MeanOpinion
from voiceconv.evaluation.scores import (
    COPY,
    GROUND_TRUTH,
    SCORES,
    UNCONVERTED,
    ClipMeasures,
    Scorer,
    mel_distances,
    score,
    summarise,
)
from voiceconv.evaluation.speakers import to_mel
from voiceconv.evaluation.text import ErrorCount
from voiceconv.voice.voice import VOICES, Voice

NAN = float("nan")
EXAMPLES = VOICES / "allison-joe" / "examples"
TEXTS = {
    "allison": {
        "dir-nomatch": "No directory entries match your search.",
        "feature-not-avail-line": "That feature is not available on this line.",
        "privacy-incorrect": "I'm sorry, that number is not valid.",
        "vm-nobodyavail": "Nobody is available to take your call at the moment",
    },
    "joe": {
        "joe0251": "Doctor Lewis asked for another cup of tea.",
        "joe0411": "A tall stranger usually walks home by the river.",
        "joe0542": "My brother fixed the old radio yesterday.",
        "joe0555": "The teacher keeps the spare key under a vase.",
    },
}
Scores = dict[str, dict[str, np.ndarray]]


@pytest.fixture(scope="module")
def converter() -> VoiceConverter:
    return VoiceConverter.from_pretrained("allison-joe", vocoder="griffin-lim", device="cpu")


@pytest.fixture(scope="module")
def scorer(converter: VoiceConverter) -> Scorer:
    return Scorer(converter.sample_rate, lambda wav: to_mel(converter, wav))


@pytest.fixture(scope="module")
def measures(converter: VoiceConverter, scorer: Scorer) -> dict[str, list[ClipMeasures]]:
    """Allison on her way to Joe: copies of her, her pitch lowered, her clips backwards, and noise."""
    random = np.random.default_rng(0)
    allison, joe = converter.voice.speakers
    changes = {
        GROUND_TRUTH: lambda wav: wav,
        UNCONVERTED: lambda wav: wav,
        COPY: lambda wav: baselines.copy_synthesis(converter, wav),
        "pitch shift": lambda wav: baselines.world_pitch_shift(converter, allison, joe, wav),
        "backwards": lambda wav: wav[::-1].copy(),
        "noise": lambda wav: (0.07 * random.standard_normal(len(wav))).astype(np.float32),
    }
    systems = {}
    for name, change in changes.items():
        speaker = "joe" if name == GROUND_TRUTH else "allison"
        systems[name] = [
            scorer.measure(change(load_audio(EXAMPLES / speaker / f"{clip}.flac", converter.sample_rate)), text, "en")
            for clip, text in TEXTS[speaker].items()
        ]
    return systems


@pytest.fixture(scope="module")
def scores(converter: VoiceConverter, measures: dict[str, list[ClipMeasures]]) -> Scores:
    return score(measures, converter.voice.speakers[1], [None] * 4)


def mean(scores: Scores, name: str) -> dict[str, float]:
    return {system: float(np.mean(values[name])) for system, values in scores.items()}


@pytest.mark.slow
def test_only_the_target_sounds_like_the_target(scores: Scores) -> None:
    to_target, margin = mean(scores, "similarity to target"), mean(scores, "margin")
    for wrong in (UNCONVERTED, COPY, "pitch shift", "backwards", "noise"):
        assert to_target[GROUND_TRUTH] > to_target[wrong] + 0.2, wrong
        assert margin[GROUND_TRUTH] > margin[wrong] + 0.2, wrong
    to_source = mean(scores, "similarity to source")
    assert to_source[UNCONVERTED] > to_source[COPY] > to_source["noise"] + 0.1
    assert to_source[COPY] > to_source[GROUND_TRUTH] + 0.2


@pytest.mark.slow
def test_words_are_lost_backwards_and_in_noise_only(scores: Scores) -> None:
    for name in ("CER", "WER", "CER over copy-synthesis"):
        errors = mean({system: s for system, s in scores.items() if name in s}, name)
        for system in errors.keys() - {"backwards", "noise"}:
            assert errors[system] < 0.2, (name, system)
        assert min(errors["backwards"], errors["noise"]) > 0.5, name
    assert mean(scores, "CER")[UNCONVERTED] < 0.05
    assert "CER over copy-synthesis" not in scores[GROUND_TRUTH]


@pytest.mark.slow
def test_pitch_is_heard_in_height_and_in_melody(scores: Scores) -> None:
    offset, distance = mean(scores, "F0 offset"), mean(scores, "F0 distance")
    assert offset[UNCONVERTED] > 9
    assert offset["backwards"] == pytest.approx(offset[UNCONVERTED], abs=1)
    assert max(distance["pitch shift"], distance[GROUND_TRUTH]) < 2
    melody = {system: values["F0 correlation"] for system, values in scores.items() if system != GROUND_TRUTH}
    assert melody[UNCONVERTED] == pytest.approx(1)
    assert min(melody["pitch shift"].mean(), melody[COPY].mean()) > 0.8
    assert melody["backwards"].mean() < 0.5
    voiced = mean(scores, "voiced share")
    assert voiced["noise"] < 0.05 < 0.4 < min(voiced[UNCONVERTED], voiced["pitch shift"], voiced["backwards"])


@pytest.mark.slow
def test_noise_sounds_worst_and_the_original_best(scores: Scores) -> None:
    opinion = mean(scores, "DNSMOS OVRL")
    assert opinion[UNCONVERTED] > opinion[COPY] > opinion["noise"] + 0.5
    assert mean({COPY: scores[COPY]}, "DNSMOS OVRL over copy-synthesis")[COPY] == 0.0
    assert mean(scores, "DNSMOS BAK")[UNCONVERTED] > mean(scores, "DNSMOS BAK")["noise"] + 1


@pytest.mark.slow
def test_mels_are_nearest_among_the_targets_own_and_farthest_in_noise(scores: Scores) -> None:
    distance = mean(scores, "MMD²")
    assert distance[GROUND_TRUTH] < distance[UNCONVERTED] < distance["noise"]
    assert distance["backwards"] == pytest.approx(distance[UNCONVERTED], abs=0.02)  # it knows no time
    assert abs(distance[GROUND_TRUTH]) < 0.5 * distance[UNCONVERTED]


@pytest.mark.slow
def test_distortion_is_measured_where_the_target_said_the_same(
    converter: VoiceConverter, measures: dict[str, list[ClipMeasures]]
) -> None:
    """With the source's own recordings in the place of the target's, it is how far each system strayed from them."""
    own = [measures[UNCONVERTED][0].mel, None, None, measures[UNCONVERTED][3].mel]
    scores = score(measures, converter.voice.speakers[1], own)
    assert scores[UNCONVERTED]["MCD-DTW"] == pytest.approx([0, NAN, NAN, 0], abs=1e-6, nan_ok=True)
    distortion = {system: values["MCD-DTW"][0] for system, values in scores.items() if "MCD-DTW" in values}
    assert 0 < distortion[COPY] < distortion["pitch shift"] < distortion["noise"]
    assert GROUND_TRUTH not in distortion


@pytest.mark.slow
def test_unknown_languages_are_refused(scorer: Scorer, tmp_path: object) -> None:
    scorer.require_language(Folder(EXAMPLES, "it"))
    scorer.require_language(Folder(EXAMPLES, None))
    with pytest.raises(UserError, match=r"does not know the language 'xx' of .* de .* or none"):
        scorer.require_language(Folder(EXAMPLES, "xx"))


def measures_of(errors: int, length: int, *, silent: bool = False) -> ClipMeasures:
    counts = ErrorCount(errors, length) if length else None
    f0 = np.zeros(20, np.float32) if silent else np.full(20, 100, np.float32)
    mel = np.random.default_rng(length).normal(size=(2, 20)).astype(np.float32)
    return ClipMeasures(np.eye(3, dtype=np.float32)[0], "", counts, counts, f0, MeanOpinion(3.0, 3.0, 3.0), mel)


def test_summary_weighs_errors_by_length_and_counts_what_is_known() -> None:
    clips = [measures_of(1, 2), measures_of(1, 8), measures_of(0, 0)]
    values = {"CER": np.array([0.5, 0.125, NAN]), "F0 offset": np.array([1.0, NAN, 3.0]), "MCD-DTW": np.full(3, NAN)}
    summary = summarise(values, clips)
    assert summary["CER"] == {"mean": 0.2, "low": 0.125, "high": 0.5, "n": 2, "values": [0.5, 0.125, None]}
    assert summary["F0 offset"] == {"mean": 2.0, "low": 1.0, "high": 3.0, "n": 2, "values": [1.0, None, 3.0]}
    assert "MCD-DTW" not in summary


def test_every_score_is_explained_and_the_silent_are_scored(converter: VoiceConverter) -> None:
    two = [measures_of(1, 4), measures_of(1, 5)]
    silent = [measures_of(4, 4, silent=True), measures_of(5, 5, silent=True)]
    systems = {GROUND_TRUTH: list(two), UNCONVERTED: list(two), COPY: list(two), "silent": silent}
    speaker = converter.voice.speakers[1]
    narrow = dataclasses.replace(speaker, mel_mean=speaker.mel_mean[:2], mel_std=speaker.mel_std[:2])
    scores = score(systems, narrow, [None, None])
    assert set().union(*scores.values()) == SCORES.keys()
    assert scores["silent"]["CER"] == pytest.approx([1, 1])
    assert scores["silent"]["voiced share"] == pytest.approx([0, 0])
    assert np.isnan(scores["silent"]["F0 offset"]).all()
    assert np.isnan(scores[GROUND_TRUTH]["MMD²"]).all()  # two halves of one clip each say nothing


def test_the_target_is_as_high_as_its_own_clips_are(converter: VoiceConverter) -> None:
    def sounding(f0: list[float]) -> ClipMeasures:
        return measures_of(1, 4)._replace(f0=np.array(f0))

    # A leap of an octave in one clip counts as much in the target's pitch as it does in that of a conversion.
    target = [sounding([100.0] * 9 + [200.0]), sounding([100.0] * 30), sounding([0.0] * 5)]
    systems = {GROUND_TRUTH: target, UNCONVERTED: list(target), COPY: list(target), "higher": [sounding([150.0])] * 3}
    speaker = converter.voice.speakers[1]
    narrow = dataclasses.replace(speaker, mel_mean=speaker.mel_mean[:2], mel_std=speaker.mel_std[:2])
    scores = score(systems, narrow, [None] * 3)
    assert scores[GROUND_TRUTH]["F0 offset"] == pytest.approx([0.6, -0.6, NAN], nan_ok=True)
    assert scores["higher"]["F0 offset"] == pytest.approx([12 * np.log2(1.5) - 0.6] * 3)

    unvoiced = {name: [sounding([0.0] * 5)] * 3 for name in systems}
    assert np.isnan(score(unvoiced, narrow, [None] * 3)[GROUND_TRUTH]["F0 offset"]).all()


def test_the_targets_own_distance_varies_as_its_values_say(tiny_voice: Path) -> None:
    """An interval from clips' values is no narrower than the estimate scatters when other clips are drawn."""
    speaker, draw = Voice.load(tiny_voice).speakers[0], torch.Generator().manual_seed(0)
    scatter, implied = [], []
    for _ in range(200):
        clips = []
        for _ in range(20):
            offset = torch.randn(80, 1, generator=draw)
            mel = speaker.denormalise(offset + 0.1 * torch.randn(80, 3, generator=draw)).numpy()
            clips.append(ClipMeasures(np.zeros(1), None, None, None, np.zeros(1), MeanOpinion(1, 1, 1), mel))
        values = mel_distances(clips, clips, speaker)
        scatter.append(values.mean())
        implied.append(values.std(ddof=1) / len(values) ** 0.5)
    assert 0.9 < np.mean(implied) / np.std(scatter) < 1.6
