"""Saves, loads and runs our own vocoder, which is a folder.

`vocoder.json` holds the mel definition, the network's sizes, a hash, licence and credits of the speech it learned from,
`weights.safetensors` the weights in half precision, and `README.md` is the model card.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from voiceconv import weights
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.vocoder.istft_generator import GeneratorConfig, ISTFTGenerator
from voiceconv.vocoder.pitch_estimator import hold, phases

RECORD = "vocoder.json"
SHIPPED = weights.PRETRAINED / "vocoders" / "istft"
FORMAT = 2  # 1 had no second pass
MAX_WEIGHTS_BYTES = 100_000_000
NOISE_SAMPLES = 2**18  # repeated after 12 s


class ISTFTVocoder:
    """The vocoder `istft`: `ISTFTGenerator` behind the protocol `Vocoder`.

    Without an F0 it speaks at the pitch that its own network reads from the mel. Long spectrograms are synthesised in
    chunks, each with the frames on either side that the network sees, so that memory stays bounded and the result is
    that of one pass.
    """

    name = "istft"
    chunk = 2048

    def __init__(self, generator: ISTFTGenerator) -> None:
        self.generator, self.mel = generator, generator.mel
        self.metadata: dict[str, Any] = {}
        self.weights_sha256: str | None = None  # as they were loaded
        self.noise = torch.randn(NOISE_SAMPLES, generator=torch.Generator().manual_seed(0))

    @classmethod
    def fits(cls, mel: MelConfig) -> bool:
        """Whether one came with the program and is made for spectrograms of the definition `mel`."""
        path = SHIPPED / RECORD
        return path.is_file() and weights.read_record(path, FORMAT).get("mel") == dataclasses.asdict(mel)

    @classmethod
    def open(cls, mel: MelConfig, device: str | torch.device) -> ISTFTVocoder:
        """The one that came with the program."""
        if not (SHIPPED / RECORD).is_file():
            raise UserError(f"The vocoder {cls.name!r} did not come with this program; choose --vocoder griffin-lim.")
        vocoder = cls.load(SHIPPED, device)
        mel.require_same(vocoder.mel, f"The vocoder {cls.name!r}")
        return vocoder

    @classmethod
    def build(cls, mel: MelConfig, size: GeneratorConfig) -> ISTFTVocoder:
        """An untrained one; raises `UserError` for sizes out of range."""
        return cls(ISTFTGenerator(mel, checked_size(dataclasses.asdict(size))))

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> ISTFTVocoder:
        """Reads the folder that `save` wrote; raises `UserError` for whatever does not fit."""
        if not (folder / RECORD).is_file():
            raise UserError(f"{folder} is no vocoder: it has no {RECORD}. Give the folder that training wrote.")
        record = weights.read_record(folder / RECORD, FORMAT)
        try:
            tensors, digest = weights.read_weights(folder / RECORD, record, MAX_WEIGHTS_BYTES)
            vocoder = cls(ISTFTGenerator(MelConfig.from_dict(record["mel"]), checked_size(record["generator"])))
            vocoder.generator.load_state_dict(tensors)
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{folder} is not a complete vocoder of this program ({error!s}).") from error
        vocoder.weights_sha256 = digest
        known = {*weights.FORMAT_KEYS, "mel", "generator"}
        vocoder.metadata = {key: value for key, value in record.items() if key not in known}
        vocoder.generator.eval().requires_grad_(False).to(device)
        vocoder.noise = vocoder.noise.to(device)
        return vocoder

    def save(self, folder: Path) -> None:
        """Writes `vocoder.json` and `weights.safetensors` (float16), as `weights.save` does; other files stay."""
        tensors = {key: value.half() for key, value in self.generator.state_dict().items()}
        record = {
            "mel": dataclasses.asdict(self.mel),
            "generator": dataclasses.asdict(self.generator.size),
            **self.metadata,
        }
        weights.save(folder / RECORD, record, tensors, FORMAT)

    @torch.no_grad()
    def pitch(self, mel: Tensor) -> Tensor:
        """log-mel `(B, n_mels, frames)` -> the F0 in Hz that its speech has, `(B, frames)`, 0 where unvoiced."""
        self.mel.require_shape(mel)
        return self.generator.pitch.contour(mel.to(self.generator.inverse_filters.device, torch.float32))

    @torch.no_grad()
    def __call__(self, mel: Tensor, f0: Tensor | None = None) -> Tensor:
        self.mel.require_shape(mel)
        mel = mel.to(self.generator.inverse_filters.device, torch.float32)
        f0 = self.pitch(mel) if f0 is None else f0.to(mel)
        held, voiced = hold(f0), (f0 > 0).float()
        hop_length, frames = self.mel.hop_length, mel.shape[-1]
        phase = phases(held, voiced, hop_length, self.mel.sample_rate).float()
        before, after = self.generator.context
        pieces = []
        for start in range(0, frames, self.chunk):
            end = min(start + self.chunk, frames)
            first = max(start - before, 0)
            part = slice(first, end + after)
            noise = self.noise_at(first * hop_length, self.generator.noise_length(mel[..., part].shape[-1]))
            wav = self.generator.synthesise(mel[..., part], held[:, part], voiced[:, part], phase[:, part], noise)
            pieces.append(wav[:, (start - first) * hop_length : (end - first) * hop_length])
        return torch.cat(pieces, dim=-1).clamp(-1, 1)

    def noise_at(self, start: int, length: int) -> Tensor:
        """`(1, length)` of the noise that the sample `start` begins with: always the same, and as long as it takes."""
        # A generator in training moves to its device after this was made.
        self.noise = self.noise.to(self.generator.window.device)
        index = torch.arange(start, start + length, device=self.noise.device) % self.noise.shape[0]
        return self.noise[index][None]


def checked_size(values: dict[str, Any]) -> GeneratorConfig:
    """The sizes in `values`, which may come from a file; raises `UserError` for others and for ones out of range."""
    known = {field.name for field in dataclasses.fields(GeneratorConfig)}
    if set(values) != known or any(type(value) is not int or not 0 <= value <= 2048 for value in values.values()):
        raise UserError(f"A vocoder's sizes are {', '.join(sorted(known))}, whole numbers up to 2048, not {values}.")
    return GeneratorConfig(**values)
