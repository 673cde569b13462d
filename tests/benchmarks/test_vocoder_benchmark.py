"""The vocoders' benchmark: which clips it takes, and that its scores know good from bad."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from benchmarks.vocoder import Config, choose_clips, interval, score
from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig


def perfect(wav: Any, noise: float = 0.0) -> Any:
    """A vocoder that knows the answer, with noise on top."""
    answer = torch.from_numpy(wav)[None] + noise * torch.randn(1, len(wav), generator=torch.Generator().manual_seed(0))

    def vocoder(mel: torch.Tensor) -> torch.Tensor:
        return answer[:, : mel.shape[-1] * 256]

    vocoder.mel = MelConfig()  # type: ignore[attr-defined]
    return vocoder


def test_a_perfect_vocoder_has_perfect_scores() -> None:
    wav = hum(140, 2.0)
    best = score(perfect(wav), wav)
    assert best["PESQ"] == pytest.approx(4.64, abs=0.01)
    assert best["STOI"] == pytest.approx(1.0, abs=1e-3)
    assert best["MCD (dB)"] == pytest.approx(0.0, abs=1e-3)
    assert best["log-mel distance"] == best["STFT distance"] == 0.0
    assert best["F0 correlation"] == pytest.approx(1.0)
    assert best["voiced share"] == 1.0
    worse = score(perfect(wav, 0.01), wav)
    assert worse["PESQ"] < best["PESQ"]
    assert worse["STFT distance"] > 0.01


def test_only_clips_kept_from_training_are_taken(tmp_path: Path) -> None:
    (tmp_path / "ann").mkdir()
    for number, seconds in enumerate((2.0, 2.0, 2.0, 0.5)):
        save_audio(tmp_path / "ann" / f"{number}.wav", hum(140, seconds, number), SAMPLE_RATE)
    config = Config(data=(tmp_path / "ann",), out=tmp_path, clips=2)
    assert list(choose_clips(tmp_path / "ann", [], config)) == ["ann/0.wav", "ann/2.wav"]
    trained: Any = SimpleNamespace(metadata={"development": ["ann/1.wav", "ann/3.wav", "bob/0.wav"]})
    assert list(choose_clips(tmp_path / "ann", [trained], config)) == ["ann/1.wav"]
    stranger: Any = SimpleNamespace(metadata={"development": ["bob/0.wav"]})
    assert len(choose_clips(tmp_path / "ann", [stranger], config)) == 2
    trained.metadata["development"] = ["ann/3.wav"]
    with pytest.raises(UserError, match=r"no recording of 1\.5 to 8 s kept from training"):
        choose_clips(tmp_path / "ann", [trained], config)


def test_undefined_scores_are_left_out() -> None:
    known = interval([1.0, float("nan"), 3.0])
    assert known is not None
    assert known.mean == 2.0
    assert interval([float("nan")]) is None
