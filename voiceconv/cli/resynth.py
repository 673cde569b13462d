"""Analyses and resynthesises recordings without converting them: `voiceconv resynth`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional

from voiceconv import __version__
from voiceconv.cli.arguments import option
from voiceconv.convert.outputs import change_files, plan_outputs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Resynth:
    """Send recordings through a vocoder without conversion. No conversion sounds better."""

    source: Annotated[Positional[Path], option("IN")]
    """An audio file, or a folder with audio files."""
    output: Annotated[Positional[Path], option("OUT")]
    """An audio file (.wav, .flac or .ogg) or a folder. If IN is a folder, OUT gets the same tree of files."""
    vocoder: Annotated[str, option("NAME")]
    """The vocoder: istft, hifigan, griffin-lim, or a folder."""

    def run(self) -> int:
        pairs = plan_outputs(self.source, self.output)
        import numpy as np
        import torch

        from voiceconv.features.mel import MelConfig, MelSpectrogram
        from voiceconv.vocoder.base import load_vocoder

        mel_config = MelConfig()
        to_mel, vocoder = MelSpectrogram(mel_config), load_vocoder(self.vocoder, mel_config)

        @torch.inference_mode()
        def resynthesise(wav: NDArray[np.float32]) -> NDArray[np.float32]:
            spoken = vocoder(to_mel(torch.from_numpy(wav)[None]))[0].cpu().numpy()
            return np.pad(spoken, (0, max(0, len(wav) - len(spoken))))[: len(wav)]

        comment = f"resynthesised by voiceconv {__version__}, vocoder {vocoder.name}"
        return change_files(pairs, mel_config.sample_rate, resynthesise, comment)
