"""Computes means over the seeds of an experiment with 95 % intervals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats


class Interval(NamedTuple):
    """A mean over seeds and half the width of its 95 % interval (Student's t), none of a single seed."""

    mean: float
    half: float | None

    def __str__(self) -> str:
        return f"{self.mean:+.3f}" + ("" if self.half is None else f" ± {self.half:.3f}")


def interval(values: Sequence[float]) -> Interval:
    mean = float(np.mean(values))
    if len(values) < 2:
        return Interval(mean, None)
    return Interval(mean, float(stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)))
