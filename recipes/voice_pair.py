"""Trains a voice converter between any two speakers, from a folder of recordings of each.

    python -m recipes.voice_pair --data my_recordings --speaker-a alice --speaker-b bob

`my_recordings/alice` and `my_recordings/bob` hold recordings of any length and format; the two may say different
things. It shows the whole way from recordings to a voice folder that `voiceconv convert --model` takes.

Should reach: with 20 minutes each of two clean speakers of one language, the preset `cpu` reached a similarity to the
target of .79 and .73 (real clips: .93 and .89, unconverted: .5) with 4 and 3 points more CER than copy-synthesis, in
about 75 minutes on one core that multiplies in bfloat16. Two languages, noisy rooms or less than five minutes give
less; `voiceconv inspect` says so beforehand. `--smoke` takes seconds.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from tyro.conf import OmitArgPrefixes

from recipes.common.command import run_recipe
from recipes.common.voice import TrainingConfig, smoke_without_data, train_pair
from voiceconv.errors import UserError


@dataclass(frozen=True)
class PairConfig:
    """A folder per speaker."""

    data: Path | None = None
    """Folder that holds one folder of recordings per speaker."""
    speaker_a: str = "alice"
    """Folder of the first speaker."""
    speaker_b: str = "bob"
    """Folder of the second speaker."""
    training: OmitArgPrefixes[TrainingConfig] = field(default_factory=TrainingConfig)


def main(config: PairConfig) -> None:
    if config.data is None:
        if config.training.smoke:
            return smoke_without_data(config.training)
        raise UserError("Say where the recordings are: --data FOLDER, with one folder per speaker in it.")
    return train_pair(config.data / config.speaker_a, config.data / config.speaker_b, config.training)


if __name__ == "__main__":
    sys.exit(run_recipe(PairConfig, main, __doc__))
