"""Our own vocoder as a folder, and at work: `vocoder.json` (mel definition, sizes, hash, licence and credits of the
speech it learned from), `weights.safetensors` (half precision) and a model card `README.md`."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from generative_core.files import write_atomically
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.vocoder.istft_generator import ISTFTGenerator
from voiceconv.vocoder.pitch_estimator import hold, phases

FORMAT = 2  # 1 had no second pass
MAX_WEIGHTS_BYTES = 100_000_000
MAX_JSON_BYTES = 1_000_000
NOISE_SAMPLES = 2**18  # repeated after 12 s
RECORD, WEIGHTS = "vocoder.json", "weights.safetensors"


class ISTFTVocoder:
    """The vocoder `istft`: `ISTFTGenerator` behind the protocol `Vocoder`.

    Without an F0 it speaks at the pitch that its own network reads from the mel. Long spectrograms are synthesised in
    chunks, each with the frames on either side that the network sees, so that memory stays bounded and the result is
    that of one pass.
    """

    name = "istft"
    chunk = 2048

    def __init__(
        self, generator: ISTFTGenerator, mel: MelConfig, size: dict[str, int], metadata: dict[str, Any] | None = None
    ) -> None:
        self.generator, self.mel, self.size = generator, mel, size
        self.metadata = metadata or {}
        self.weights_sha256: str | None = None  # as they were loaded
        self.noise = torch.randn(NOISE_SAMPLES, generator=torch.Generator().manual_seed(0))

    @classmethod
    def build(cls, mel: MelConfig, size: dict[str, int]) -> ISTFTVocoder:
        """An untrained one of the `size` that `ISTFTGenerator` takes; raises `UserError` for sizes out of range."""
        known = {"channels", "blocks", "kernel_size", "lookahead"}
        if set(size) != known or any(type(value) is not int or not 0 <= value <= 2048 for value in size.values()):
            raise UserError(f"A vocoder's sizes are {', '.join(sorted(known))}, whole numbers up to 2048, not {size}.")
        return cls(ISTFTGenerator(mel, **size), mel, size)

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> ISTFTVocoder:
        """Reads the folder that `save` wrote; raises `UserError` for whatever does not fit."""
        record = _read_record(folder / RECORD)
        weights = folder / WEIGHTS
        if not weights.is_file() or weights.stat().st_size > MAX_WEIGHTS_BYTES:
            raise UserError(f"{weights} is missing or over {MAX_WEIGHTS_BYTES // 10**6} MB; copy the vocoder again.")
        content = weights.read_bytes()
        try:
            digest = hashlib.sha256(content).hexdigest()
            if digest not in (record["weights_sha256"], record.get("replaced_sha256")):
                raise UserError(f"{weights} is not the file that {RECORD} was written for. Copy both again.")
            tensors = {key: value.float() for key, value in load_tensors(content).items()}
            broken = [key for key, value in tensors.items() if not value.isfinite().all()]
            if broken:
                raise UserError(f"{weights} holds values that are not finite, first in {broken[0]}. Train it again.")
            vocoder = cls.build(MelConfig.from_dict(record["mel"]), record["generator"])
            vocoder.generator.load_state_dict(tensors)
        except UserError:
            raise
        except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
            raise UserError(f"{folder} is not a complete vocoder of this program ({error!s}).") from error
        vocoder.weights_sha256 = digest
        known = {"format", "mel", "generator", "weights_sha256", "replaced_sha256"}
        vocoder.metadata = {key: value for key, value in record.items() if key not in known}
        vocoder.generator.eval().requires_grad_(False).to(device)
        vocoder.noise = vocoder.noise.to(device)
        return vocoder

    def save(self, folder: Path) -> None:
        """Writes `vocoder.json` and `weights.safetensors` (float16); other files in the folder stay."""
        folder.mkdir(parents=True, exist_ok=True)
        weights = self.generator.state_dict()
        content = save_tensors({key: value.half().cpu().contiguous() for key, value in weights.items()})
        record = {
            "format": FORMAT,
            "mel": dataclasses.asdict(self.mel),
            "generator": self.size,
            "weights_sha256": hashlib.sha256(content).hexdigest(),
            **self.metadata,
        }
        if (folder / WEIGHTS).is_file():
            # Whoever is killed between the two files leaves a vocoder that speaks with the weights of before.
            record["replaced_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
        write_atomically(folder / RECORD, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())
        write_atomically(folder / WEIGHTS, content)

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


def _read_record(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path.parent} is no vocoder: it has no {RECORD}. Give the folder that training wrote.")
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UserError(f"{path} is over {MAX_JSON_BYTES // 10**6} MB; a {RECORD} is a page of text.")
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid JSON ({error}). Copy the vocoder again.") from error
    if not isinstance(record, dict) or record.get("format") != FORMAT:
        found = record.get("format") if isinstance(record, dict) else None
        raise UserError(
            f"{path} has the format {found!r}, this program reads format {FORMAT}. If it is of a newer version, update "
            "voiceconv; if it is of an older one, train it again."
        )
    return record
