"""Lists the presets of a training and their settings: `voiceconv presets`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional

from voiceconv.cli.arguments import Text, option


@dataclass(frozen=True)
class Presets:
    """List the presets of `voiceconv train`, or the settings of one of them."""

    preset: Annotated[Positional[Text], option("NAME")] = None
    """The preset whose settings to list."""
    vocoder: Annotated[bool, option()] = False
    """The same for `voiceconv train-vocoder`."""

    def run(self) -> int:
        from voiceconv.cli.settings import settings_text
        from voiceconv.training.presets import PRESETS
        from voiceconv.training.run_folder import find_preset
        from voiceconv.vocoder_training.presets import PRESETS as VOCODER_PRESETS

        presets = VOCODER_PRESETS if self.vocoder else PRESETS
        if self.preset is None:
            for name, preset in presets.items():
                print(f"{name}: {preset.steps:,} steps of batch size {preset.batch_size}")
        else:
            print(settings_text(find_preset(presets, self.preset)))
        return 0
