"""Times one training step of CycleGAN and of pix2pix: `python -m benchmarks.translation --reference PATH`.

PATH is a checkout of the reference implementation (junyanz/pytorch-CycleGAN-and-pix2pix). Both train the same networks
with the same losses on the same batch in one process, in turns, so that whatever else the machine does affects both.
Times are medians. CycleGAN has ResNet-9 generators with instance normalisation, pix2pix a U-Net with batch
normalisation and dropout, both discriminators of 70x70 patches: the defaults of the papers.

Our rows add one variant after the other, in the order of `--variants`: `plain` is single precision, `channels-last` the
memory layout, `bfloat16` the networks under autocast, `compiled` torch.compile. Without `--reference` there are no
ratios. The second table shows how our first variant grows with batch size, resolution and width. TFLOP/s counts the
multiplications and additions of convolutions; `--peak-tflops` turns it into a share of the device's peak.
"""

from __future__ import annotations

import importlib
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import torch
import tyro
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from generative_core import CycleGAN, CycleGANConfig, Pix2Pix, Pix2PixConfig
from generative_core.nets import PatchDiscriminator, ResNetGenerator, UNetGenerator, initialise_normal
from generative_core.training.trainer import choose_device
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.errors import UserError

Family = Literal["cyclegan", "pix2pix"]
Variant = Literal["plain", "channels-last", "bfloat16", "compiled"]


@dataclass(frozen=True)
class Config:
    """Times training steps beside those of the reference implementation."""

    reference: Path | None = None
    """Checkout of the reference implementation."""
    families: tuple[Family, ...] = ("cyclegan", "pix2pix")
    variants: tuple[Variant, ...] = ("plain", "bfloat16", "channels-last")
    """What our rows add, one after the other."""
    batch_size: int = 1
    size: int = 256
    """Height and width of the pictures; 128 or more in powers of two."""
    channels: int = 64
    """Channels of the first layers of all networks."""
    repeats: int = 9
    """Steps of which the median is taken, after two to warm up."""
    batch_sizes: tuple[int, ...] = (1, 2, 4)
    sizes: tuple[int, ...] = (128, 256)
    widths: tuple[int, ...] = (16, 32, 64)
    """What the second table goes through; empty ones are left out."""
    device: str = "auto"
    peak_tflops: float | None = None
    """What the device can do at most in the precision of the last variant."""


Step = Callable[[], None]


def pictures(config: Config, device: torch.device) -> dict[str, Tensor]:
    """A batch of A and of B, `(B, 3, size, size)`."""
    generator = torch.Generator().manual_seed(0)
    shape = (config.batch_size, 3, config.size, config.size)
    return {name: (torch.rand(shape, generator=generator) * 2 - 1).to(device) for name in "ab"}


def build(family: Family, config: Config, bfloat16: bool = False) -> nn.Module:
    """The family with the networks that the reference implementation has by default."""
    channels = config.channels

    def unet() -> nn.Module:
        layers = min(8, config.size.bit_length() - 1)
        return initialise_normal(UNetGenerator(channels=channels, layers=layers, norm="batch"))

    if family == "pix2pix":
        return Pix2Pix(
            Pix2PixConfig(bfloat16=bfloat16),
            generator=unet,
            discriminator=lambda: initialise_normal(PatchDiscriminator(planes=6, channels=channels, norm="batch")),
        )
    return CycleGAN(
        CycleGANConfig(bfloat16=bfloat16),
        generator=lambda: initialise_normal(ResNetGenerator(channels=channels)),
        discriminator=lambda: initialise_normal(PatchDiscriminator(channels=channels)),
    )


def our_step(family: Family, config: Config, variants: Sequence[Variant], device: torch.device) -> Step:
    """One training step with all of the variants on."""
    torch.manual_seed(0)
    model: Any = build(family, config, "bfloat16" in variants).to(device)
    batch = pictures(config, device)
    if "channels-last" in variants:
        model = model.to(memory_format=torch.channels_last)
        batch = {name: x.contiguous(memory_format=torch.channels_last) for name, x in batch.items()}
    if "compiled" in variants:
        for network in model.children():
            if any(True for _ in network.parameters()):
                network.compile()
    optimizers = model.configure_optimizers()
    return lambda: model.training_step(batch, optimizers, 0)


def reference_step(family: Family, config: Config, device: torch.device) -> Step:
    """One training step of the reference implementation, from its own classes."""
    assert config.reference is not None
    if not (config.reference / "models" / "networks.py").is_file():
        raise UserError(
            f"{config.reference} is no checkout of pytorch-CycleGAN-and-pix2pix: it has no models/networks.py."
        )
    if str(config.reference) not in sys.path:
        sys.path.insert(0, str(config.reference))
    torch.manual_seed(0)
    pix2pix = family == "pix2pix"
    layers = min(8, config.size.bit_length() - 1)
    options = SimpleNamespace(
        isTrain=True, gpu_ids=[device.index or 0] if device.type == "cuda" else [], device=device, verbose=False,
        checkpoints_dir=tempfile.gettempdir(), name="benchmark", preprocess="none", direction="AtoB",
        input_nc=3, output_nc=3, ngf=config.channels, ndf=config.channels, n_layers_D=3, netD="basic",
        netG=f"unet_{2**layers}" if pix2pix else "resnet_9blocks", norm="batch" if pix2pix else "instance",
        no_dropout=not pix2pix, init_type="normal", init_gain=0.02, lr=2e-4, beta1=0.5,
        gan_mode="vanilla" if pix2pix else "lsgan", pool_size=0 if pix2pix else 50,
        lambda_L1=100.0, lambda_A=10.0, lambda_B=10.0, lambda_identity=0.5,
    )  # fmt: skip
    module = importlib.import_module("models.pix2pix_model" if pix2pix else "models.cycle_gan_model")
    model = (module.Pix2PixModel if pix2pix else module.CycleGANModel)(options)
    batch = {name.upper(): x for name, x in pictures(config, device).items()}
    model.set_input({**batch, "A_paths": [], "B_paths": []})
    return model.optimize_parameters


def time_in_turns(steps: Sequence[Step], repeats: int, device: torch.device) -> list[float]:
    """The median seconds of each step, all taking turns."""
    times: list[list[float]] = [[] for _ in steps]
    for number in range(repeats + 2):
        for step, seconds in zip(steps, times, strict=True):
            started = time.perf_counter()
            step()
            if device.type == "cuda":
                torch.cuda.synchronize(device)
            if number >= 2:
                seconds.append(time.perf_counter() - started)
    return [statistics.median(seconds) for seconds in times]


def count_flops(family: Family, config: Config, device: torch.device) -> int:
    """Of one plain training step: all variants do the same work."""
    step = our_step(family, config, ("plain",), device)
    with FlopCounterMode(display=False) as counter:
        step()
    return counter.get_total_flops()


def peak_memory(step: Step, device: torch.device) -> str:
    """Of a step on a GPU, in MiB; on a CPU it is not known for one of several models."""
    if device.type != "cuda":
        return "-"
    torch.cuda.reset_peak_memory_stats(device)
    step()
    return f"{torch.cuda.max_memory_allocated(device) / 2**20:.0f}"


def compare(family: Family, config: Config, device: torch.device) -> None:
    """Prints the table of one family."""
    names, steps = [], []
    if config.reference is not None:
        names.append("reference")
        steps.append(reference_step(family, config, device))
    for number in range(len(config.variants)):
        names.append(f"ours, {' + '.join(config.variants[: number + 1])}")
        steps.append(our_step(family, config, config.variants[: number + 1], device))
    seconds = time_in_turns(steps, config.repeats, device)
    flops = count_flops(family, config, device)
    shape = f"{config.batch_size}x3x{config.size}x{config.size}, {config.channels} channels"
    print(f"\n### {family}, {shape}\n")
    print("| step | seconds | times the reference | TFLOP/s | share of peak | memory (MiB) |")
    print("|---|---|---|---|---|---|")
    for name, step, median in zip(names, steps, seconds, strict=True):
        ratio = f"{seconds[0] / median:.2f}" if config.reference is not None else "-"
        rate = flops / median / 1e12
        share = f"{rate / config.peak_tflops:.1%}" if config.peak_tflops else "-"
        print(f"| {name} | {median:.4f} | {ratio} | {rate:.3f} | {share} | {peak_memory(step, device)} |", flush=True)


def grow(family: Family, config: Config, device: torch.device) -> None:
    """Prints how the time of our first variant grows, one setting at a time."""
    changes: dict[str, tuple[int, ...]] = {
        "batch_size": config.batch_sizes, "size": config.sizes, "channels": config.widths
    }  # fmt: skip
    print(f"\n### {family}, growth\n\n| changed | seconds | seconds a picture |\n|---|---|---|")
    for name, values in changes.items():
        for value in values:
            changed = replace(config, **{name: value})  # type: ignore[arg-type]
            step = our_step(family, changed, config.variants[:1], device)
            (median,) = time_in_turns([step], config.repeats, device)
            print(f"| {name} {value} | {median:.4f} | {median / changed.batch_size:.4f} |", flush=True)


def main(config: Config) -> int:
    """Prints all tables."""
    if min(config.size, *config.sizes, 128) < 128:
        raise UserError("--size and --sizes must be at least 128, as the papers' networks need.")
    device = choose_device(config.device)
    machine = torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(f"{machine}, {platform.system()}, torch {torch.__version__}, median of {config.repeats}")
    for family in config.families:
        compare(family, config, device)
    for family in config.families:
        grow(family, config, device)
    return 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
