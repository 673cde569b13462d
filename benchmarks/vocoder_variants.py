"""Times other ways to run our vocoder's network: `python -m benchmarks.vocoder_variants [--threads N]`.

Ten seconds of speech through an untrained network of each size, the median of several runs after two to warm up.
"Trunk" is the network without the inverse STFT, which ONNX Runtime and int8 do not support.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import tyro
from torch import Tensor, nn

from voiceconv.cli.terminal import run_in_terminal
from voiceconv.features.mel import MelConfig
from voiceconv.vocoder.istft_generator import GeneratorConfig, ISTFTGenerator


@dataclass(frozen=True)
class Config:
    """Times the same network in several ways."""

    channels: tuple[int, ...] = (256, 384)
    """Sizes of the network."""
    threads: int = 2
    """Threads of the CPU."""
    repeats: int = 7
    """Runs of which the median is taken."""


class Trunk(nn.Module):
    """log-mel, F0 and voicing -> what the filters are made of, `(B, frames, n_fft // 2 + 1)` each."""

    def __init__(self, generator: ISTFTGenerator) -> None:
        super().__init__()
        self.generator = generator

    def forward(self, condition: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        network = self.generator
        mel, f0, voiced = condition.split([condition.shape[1] - 2, 1, 1], dim=1)
        h = network.norm(network.trunk(mel, f0[:, 0], voiced[:, 0]).transpose(1, 2))
        return network.harmonics(h), network.rotation(h), network.noise(h)


def bfloat16(run: Callable[[Tensor], object]) -> Callable[[Tensor], object]:
    """`run` under autocast."""

    def with_autocast(mel: Tensor) -> object:
        with torch.autocast("cpu", torch.bfloat16):
            return run(mel)

    return with_autocast


def onnx_runtime(trunk: Trunk, mel: Tensor, threads: int) -> Callable[[Tensor], object]:
    """The trunk as ONNX Runtime runs it."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    with tempfile.TemporaryDirectory() as scratch:
        file = Path(scratch) / "trunk.onnx"
        torch.onnx.export(trunk, (mel,), file, input_names=["mel"], opset_version=17, dynamo=False)
        session = onnxruntime.InferenceSession(file.read_bytes(), options)
    return lambda mel: session.run(None, {"mel": mel.numpy()})


def main(config: Config) -> int:
    """Prints the table, row by row."""
    torch.set_num_threads(config.threads)
    mel = torch.randn(1, 80, 861, generator=torch.Generator().manual_seed(0)) * 2 - 5
    mel = torch.cat([mel, torch.full((1, 1, 861), 120.0), torch.ones(1, 1, 861)], dim=1)  # with pitch and voicing
    print("| channels | variant | ms |\n|---|---|---|")
    for channels in config.channels:
        generator = ISTFTGenerator(MelConfig(), GeneratorConfig(channels=channels)).eval().requires_grad_(False)
        trunk = Trunk(generator)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # int8 and the ONNX exporter announce their successors
            int8 = torch.ao.quantization.quantize_dynamic(trunk, {nn.Linear}, dtype=torch.qint8)
            variants: dict[str, Callable[[Tensor], object]] = {
                "whole, float32": generator,
                "whole, bfloat16": bfloat16(generator),
                "trunk, float32": trunk,
                "trunk, bfloat16": bfloat16(trunk),
                "trunk, compiled": torch.compile(trunk),
                "trunk, ONNX Runtime": onnx_runtime(trunk, mel, config.threads),
                "trunk, int8 weights": int8,
            }
        for name, run in variants.items():
            print(f"| {channels} | {name} | {1000 * median_seconds(run, mel, config.repeats):.0f} |", flush=True)
    return 0


@torch.inference_mode()
def median_seconds(run: Callable[[Tensor], object], mel: Tensor, repeats: int) -> float:
    """Seconds of one run."""
    times = []
    for _ in range(repeats + 2):
        started = time.perf_counter()
        run(mel)
        times.append(time.perf_counter() - started)
    return statistics.median(times[2:])


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
