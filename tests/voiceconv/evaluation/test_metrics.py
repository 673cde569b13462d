from __future__ import annotations

import sys

import numpy as np
import pytest

from voiceconv.audio.files import load_audio
from voiceconv.errors import UserError
from voiceconv.evaluation import metrics
from voiceconv.evaluation.packages import require_packages
from voiceconv.voice.voice import VOICES

NAN = float("nan")


def test_cosine_of_known_vectors() -> None:
    assert metrics.cosine(np.array([3.0, 4.0]), np.array([4.0, 3.0])) == pytest.approx(0.96)
    assert metrics.cosine(np.array([1.0, 0.0]), np.array([-2.0, 0.0])) == pytest.approx(-1.0)
    assert metrics.cosine(np.zeros(2), np.array([1.0, 0.0])) == 0.0


def test_centroid_is_the_direction_of_the_mean() -> None:
    assert metrics.centroid(np.array([[1.0, 0.0], [0.0, 1.0]])) == pytest.approx(np.sqrt([0.5, 0.5]))


def test_centroids_without_each_leave_out_exactly_that_one() -> None:
    embeddings = np.random.default_rng(0).normal(size=(5, 8))
    without = metrics.centroids_without_each(embeddings)
    for i in range(5):
        assert without[i] == pytest.approx(metrics.centroid(np.delete(embeddings, i, axis=0)))
    with pytest.raises(ValueError, match="at least 2"):
        metrics.centroids_without_each(embeddings[:1])


def test_mel_cepstrum_finds_the_cosines_it_is_made_of() -> None:
    bands = (np.arange(80) + 0.5) / 80
    log_mel = -4 + 0.5 * np.cos(np.pi * bands) - 0.25 * np.cos(5 * np.pi * bands) + 0.1 * np.cos(20 * np.pi * bands)
    expected = np.zeros(13)
    expected[[0, 4]] = 0.5, -0.25  # the level and the 20th coefficient are left out
    assert metrics.mel_cepstrum(log_mel[:, None])[:, 0] == pytest.approx(expected, abs=1e-12)


def speech_like_mel(frames: int = 40) -> np.ndarray:
    bands = (np.arange(80) + 0.5)[:, None] / 80
    return -2 + np.cos(np.pi * bands * 3) * np.sin(np.linspace(0, 9, frames)) + np.cos(np.pi * bands * 2)


def test_mcd_of_known_distances() -> None:
    mel = speech_like_mel()
    assert metrics.mcd_dtw(mel, mel) == pytest.approx(0.0, abs=1e-9)
    assert metrics.mcd_dtw(mel + 1.5, mel) == pytest.approx(0.0, abs=1e-9)  # louder is not different
    # A constant frame against one whose 7th coefficient differs by 0.3: 10 / ln 10 * sqrt(2 * 0.3^2) dB.
    flat = np.full((80, 5), -2.0)
    other = flat + 0.3 * np.cos(7 * np.pi * (np.arange(80) + 0.5) / 80)[:, None]
    assert metrics.mcd_dtw(other, flat) == pytest.approx(10 / np.log(10) * np.sqrt(2) * 0.3)


def test_mcd_does_not_mind_tempo_nor_silence() -> None:
    mel = speech_like_mel()
    assert metrics.mcd_dtw(np.repeat(mel, 2, axis=1), mel) == pytest.approx(0.0, abs=1e-9)
    pause = np.full((80, 30), np.log(1e-5))
    with_pauses = np.concatenate([pause, mel[:, :20], pause, mel[:, 20:], pause], axis=1)
    assert metrics.mcd_dtw(with_pauses, mel) == pytest.approx(0.0, abs=1e-9)


def test_bootstrap_agrees_with_the_normal_approximation() -> None:
    values = np.random.default_rng(1).normal(2.0, 0.5, size=400)
    interval = metrics.bootstrap_interval(values)
    assert interval.mean == pytest.approx(values.mean())
    half_width = 1.96 * values.std() / np.sqrt(400)
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.1 * half_width)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.1 * half_width)


def test_bootstrap_is_paired_when_given_differences() -> None:
    rng = np.random.default_rng(2)
    clip_difficulty = rng.normal(0, 1, size=50)
    better, worse = clip_difficulty + 0.1, clip_difficulty + rng.normal(0, 0.05, size=50)
    assert metrics.bootstrap_interval(better - worse).low > 0
    assert metrics.bootstrap_interval(better).low < metrics.bootstrap_interval(worse).mean


def test_bootstrap_weights_clips_by_length() -> None:
    # 1 error in 2 characters and 1 in 8: 2 in 10 over both.
    interval = metrics.bootstrap_interval(np.array([0.5, 0.125]), np.array([2.0, 8.0]))
    assert interval == pytest.approx((0.2, 0.125, 0.5))


@pytest.mark.parametrize("values", [[], [1.0, NAN]])
def test_bootstrap_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(ValueError, match="one finite value per clip"):
        metrics.bootstrap_interval(np.array(values))


@pytest.mark.slow
def test_speaker_encoder_tells_the_shipped_speakers_apart() -> None:
    encoder = metrics.Resemblyzer()
    examples = VOICES / "allison-joe" / "examples"
    embeddings = {
        name: np.array([encoder(load_audio(path, 22050), 22050) for path in sorted((examples / name).iterdir())])
        for name in ("allison", "joe")
    }
    for name, other in (("allison", "joe"), ("joe", "allison")):
        own = metrics.centroids_without_each(embeddings[name])
        to_own = [metrics.cosine(e, c) for e, c in zip(embeddings[name], own, strict=True)]
        to_other = [metrics.cosine(e, metrics.centroid(embeddings[other])) for e in embeddings[name]]
        assert min(to_own) > max(to_other) + 0.1
    assert metrics.cosine(encoder(np.zeros(22050), 22050), embeddings["joe"][0]) == 0.0


def constant_clips(*values: float, bands: int = 3, frames: int = 4) -> list[np.ndarray]:
    return [np.full((bands, frames), value) for value in values]


def test_mmd_worked_out_by_hand() -> None:
    # Frames one deviation apart: kernel exp(-1/2); two apart: exp(-2).
    near, far = np.exp(-0.5), np.exp(-2)
    assert metrics.mmd(constant_clips(0, 0), constant_clips(1, 1)) == pytest.approx(2 - 2 * near)
    # No clip is paired with itself: among the first three the kernels are k(0, 1), k(0, 2) and k(1, 2).
    values = metrics.mmd(constant_clips(0, 1, 2), constant_clips(0, 0))
    assert values.mean() == pytest.approx((near + far + near) / 3 + 1 - 2 * (1 + near + far) / 3)
    with pytest.raises(ValueError, match="at least 2 clips"):
        metrics.mmd(constant_clips(0), constant_clips(0, 0))


def test_mmd_of_a_clip_is_the_mean_over_its_frames_whatever_their_number() -> None:
    mixed = [np.concatenate([np.zeros((3, 2)), np.ones((3, n))], axis=1) for n in (2, 6)]
    near = np.exp(-0.5)
    # Kernels with a clip of zeros: (1 + near) / 2 and (1 + 3 near) / 4; with each other: the means over 4 x 8 pairs.
    to_zeros = ((1 + near) / 2 + (1 + 3 * near) / 4) / 2
    among = (2 * 2 + 2 * 6) / 32 + (2 * 6 + 2 * 2) / 32 * near
    assert metrics.mmd(mixed, constant_clips(0, 0)).mean() == pytest.approx(among + 1 - 2 * to_zeros)


def test_mmd_is_unbiased_and_sees_a_collapse() -> None:
    random = np.random.default_rng(3)

    def speech(clips: int) -> list[np.ndarray]:
        """Clips that differ from each other as much as their frames do."""
        return [random.normal(size=(8, 1)) + random.normal(size=(8, 30)) for _ in range(clips)]

    same = [metrics.mmd(speech(6), speech(6)).mean() for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(200)
    assert min(same) < 0
    one_sound = [np.zeros((8, 30)) for _ in range(6)]
    assert metrics.mmd(one_sound, speech(6)).mean() > 10 * np.std(same)


def test_missing_packages_are_one_sentence_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    require_packages()
    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(UserError, match=r"jiwer.*make eval"):
        require_packages()
