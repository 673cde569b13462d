"""Recognises the phonemes in a mel-spectrogram frame by frame, whoever speaks, with a small network of our own.

It tells the teacher of pseudo-parallel pairs what is said, and holds the words in place while a converter is trained
(the content objective); a second one, which takes no part in training, counts what a conversion loses.
`recipes/phonemes.py` trained both. Neither is the recogniser that the evaluation measures with.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import torch
from rapidfuzz.distance import Levenshtein
from safetensors import safe_open
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from generative_core.files import write_atomically
from generative_core.nets import ConvNeXtBlock1d
from voiceconv.weights import PRETRAINED

WEIGHTS = PRETRAINED / "recognisers"
SWITCH_COST = 2.5  # nats that a change of phoneme must gain: single frames do not count as phonemes


class PhonemeRecogniser(nn.Module):
    """log-mel `(B, n_mels, T)` -> logits `(B, len(phonemes), T)`; the first phoneme is silence.

    A frame sees a neighbourhood and nothing of the clip's length. With a `stride` of 2 the network works on every
    second frame, in half of the time, and tells two frames at once what they are.
    """

    def __init__(
        self,
        phonemes: list[str],
        *,
        bands: int = 80,
        channels: int = 192,
        blocks: int = 6,
        kernel_size: int = 7,
        stride: int = 1,
    ) -> None:
        super().__init__()
        self.phonemes = list(phonemes)
        self.stride = stride
        self.size = {"bands": bands, "channels": channels, "blocks": blocks, "kernel_size": kernel_size}
        self.size["stride"] = stride
        self.enter = nn.Conv1d(bands, channels, kernel_size, stride=stride, padding=kernel_size // 2)
        self.blocks = nn.Sequential(
            *(ConvNeXtBlock1d(channels, kernel_size=kernel_size, scale=1 / blocks) for _ in range(blocks))
        )
        self.norm = nn.LayerNorm(channels)
        self.leave = nn.Linear(channels, stride * len(self.phonemes))

    def forward(self, mel: Tensor) -> Tensor:
        logits = self.leave(self._strided(mel)).unflatten(2, (self.stride, len(self.phonemes)))
        return logits.flatten(1, 2)[:, : mel.shape[2]].transpose(1, 2)

    def features(self, mel: Tensor) -> Tensor:
        """log-mel `(B, n_mels, T)` -> the features that the phonemes are read from, `(B, channels, T)`."""
        return self._strided(mel).repeat_interleave(self.stride, 1)[:, : mel.shape[2]].transpose(1, 2)

    def _strided(self, mel: Tensor) -> Tensor:
        """`(B, n_mels, T)` -> `(B, ceil(T / stride), channels)`."""
        h = self.blocks(self.enter((mel + 5) / 2.5))  # about zero mean and unit variance
        return self.norm(h.transpose(1, 2))

    def transcribe(self, mel: Tensor) -> list[str]:
        """The phonemes in a log-mel `(n_mels, T)`, without silence: the best path of runs of one phoneme each."""
        scores = self(mel[None])[0].log_softmax(0).float().cpu()
        total, back = scores[:, 0], []
        here = torch.arange(len(scores))
        for frame in scores.T[1:]:
            best, origin = total.max(0)
            stays = total >= best - SWITCH_COST
            back.append(torch.where(stays, here, origin))
            total = torch.where(stays, total, best - SWITCH_COST) + frame
        path = [int(total.argmax())]
        for origins in reversed(back):
            path.append(int(origins[path[-1]]))
        path.reverse()
        runs = [p for i, p in enumerate(path) if i == 0 or p != path[i - 1]]
        return [self.phonemes[p] for p in runs if p != 0]

    def save(self, path: Path) -> None:
        """One safetensors file in half precision, with phonemes and sizes in its header."""
        tensors = {name: value.half().cpu().contiguous() for name, value in self.state_dict().items()}
        header = {"phonemes": json.dumps(self.phonemes, ensure_ascii=False), "size": json.dumps(self.size)}
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, save_tensors(tensors, header))

    @classmethod
    def load(cls, name: Literal["training", "scoring", "content"] | Path = "training") -> PhonemeRecogniser:
        """The one that training uses, the one that only scores trainings, the one that has heard many voices, or a file
        that `save` wrote; frozen."""
        path = name if isinstance(name, Path) else WEIGHTS / f"{name}.safetensors"
        with safe_open(path, "pt") as file:
            header = file.metadata()
            network = cls(json.loads(header["phonemes"]), **json.loads(header["size"]))
            network.load_state_dict({key: file.get_tensor(key).float() for key in file.keys()})  # noqa: SIM118
        return network.eval().requires_grad_(False)


def phoneme_errors(reference: list[str], recognised: list[str]) -> int:
    """Insertions, deletions and substitutions between two sequences (Levenshtein distance)."""
    return Levenshtein.distance(reference, recognised)
