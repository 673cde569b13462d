"""Describes a speaker of a voice: name, pitch, statistics of the log-mel, licence and credits."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from voiceconv.features.pitch import PitchStatistics

STATISTICS = ("mel_mean", "mel_std", "source_mean", "source_std", "source_tone")


@dataclass(frozen=True)
class Speaker:
    """One of the two speakers. `mel_mean` and `mel_std` `(n_mels,)` are of the log-mel over the training speech,
    `source_mean` and `source_std` of the same speech as generators read it, with its pitch moved if they do, and
    `source_tone` the mean of that where it is loud."""

    name: str
    pitch: PitchStatistics
    mel_mean: Tensor
    mel_std: Tensor
    source_mean: Tensor
    source_std: Tensor
    source_tone: Tensor | None  # None: speech of others is not adapted to it
    description: str = ""
    licence: str = ""
    credits: str = ""

    @property
    def statistics(self) -> dict[str, Tensor]:
        """Those that there are, by name."""
        found = {name: getattr(self, name) for name in STATISTICS}
        return {name: values for name, values in found.items() if values is not None}

    def normalise(self, mel: Tensor) -> Tensor:
        """log-mel `(..., n_mels, T)` -> zero mean and unit variance in every band, as the generators write it."""
        return (mel - self.mel_mean[:, None]) / self.mel_std[:, None]

    def normalise_source(self, mel: Tensor) -> Tensor:
        """The same of a log-mel that is prepared for translation, as the generators read it. Moving the pitch changes
        the tone, and whatever differs in mean and variance between speakers would else be left to them to learn."""
        return (mel - self.source_mean[:, None]) / self.source_std[:, None]

    def denormalise(self, mel: Tensor) -> Tensor:
        """The inverse of `normalise`."""
        return mel * self.mel_std[:, None] + self.mel_mean[:, None]
