"""Signals that tests make themselves."""

from __future__ import annotations

import numpy as np

SAMPLE_RATE = 22050


def hum(f0: float, seconds: float, seed: int = 0) -> np.ndarray:
    """A buzzing, swelling tone around `f0` Hz with some breath, `(T,)`: voiced like speech, cheap to make."""
    random = np.random.default_rng(seed)
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(f0 * 2 ** (0.1 * np.sin(2 * np.pi * 0.7 * time + seed))) / SAMPLE_RATE
    voiced = sum(np.sin(k * phase) / k for k in range(1, 16)) * (0.1 + np.sin(np.pi * 2 * time) ** 2)
    return (0.1 * voiced + 0.001 * random.standard_normal(len(time))).astype(np.float32)


def sine(hz: float, seconds: float, rate: int = SAMPLE_RATE, amplitude: float = 1.0) -> np.ndarray:
    """A tone of `hz` Hz, `(T,)` at `rate` Hz."""
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
