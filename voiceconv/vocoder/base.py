"""Defines what a vocoder is, lists the vocoders, and loads one by its name or its folder.

A vocoder is added with a file of its own and a line in `VOCODERS`.
"""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.vocoder.griffin_lim import GriffinLim
from voiceconv.vocoder.hifigan import HiFiGAN
from voiceconv.vocoder.istft import RECORD, SHIPPED, ISTFTVocoder

Device = str | torch.device


class Vocoder(Protocol):
    """Turns log-mel `(B, n_mels, frames)`, as `MelSpectrogram(mel)` makes it, into a waveform
    `(B, frames * hop_length)` in [-1, 1] on its device, without gradient. The same input gives the same output.

    `f0` `(B, frames)` in Hz, 0 where unvoiced, is the pitch to speak at; vocoders without a source of their own ignore
    it."""

    name: str
    mel: MelConfig
    weights_sha256: str | None
    """Which weights it speaks with; None where there are no others of that name."""

    def __call__(self, mel: Tensor, f0: Tensor | None = None) -> Tensor: ...

    def pitch(self, mel: Tensor) -> Tensor | None:
        """The F0 in Hz that it reads from a log-mel, as `__call__` takes it; None if it reads none."""


class VocoderKind(Protocol):
    """What `VOCODERS` needs of a class of vocoders."""

    def fits(self, mel: MelConfig) -> bool:
        """Whether it is installed and made for spectrograms of the definition `mel`."""

    def open(self, mel: MelConfig, device: Device) -> Vocoder:
        """Loads it; raises `UserError` if it is not installed, damaged, or made for another definition."""


VOCODERS: dict[str, VocoderKind] = {"istft": ISTFTVocoder, "hifigan": HiFiGAN, "griffin-lim": GriffinLim}
"""By name, best first."""


def load_vocoder(name: str | None, mel: MelConfig, device: Device = "cpu") -> Vocoder:
    """The vocoder `name` (one of `VOCODERS`), or that in the folder `name`, for spectrograms of the definition `mel`.

    `None` takes the first of `VOCODERS` that fits. Raises `UserError` for an unknown name, and as `VocoderKind.open`.
    """
    if name is None:
        name = next(known for known, kind in VOCODERS.items() if kind.fits(mel))
    if name in VOCODERS:
        return VOCODERS[name].open(mel, device)
    vocoder = ISTFTVocoder.load(vocoder_folder(name), device)
    mel.require_same(vocoder.mel, f"The vocoder {name!r}")
    return vocoder


def vocoder_folder(name: str) -> Path:
    """The folder of the shipped vocoder "istft", or of one in the folder `name` or in the run folder `name`."""
    if name == ISTFTVocoder.name:
        return SHIPPED
    for folder in (Path(name), Path(name) / "vocoder"):
        if (folder / RECORD).is_file():
            return folder
    if Path(name).is_dir():
        raise UserError(f"{name} is no vocoder: it has no {RECORD}. Give the folder that training wrote.")
    nearest = get_close_matches(name.lower(), VOCODERS, n=1, cutoff=0)[0]
    raise UserError(f"There is no vocoder {name!r}; did you mean {nearest!r}? Known: {', '.join(VOCODERS)}.")
