"""Chooses the precision and memory layout to train in: a short measurement finds the fastest on the device at hand."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from generative_core.training.data import Loader
from generative_core.training.parallel import own_rows

WORTHWHILE = 0.95  # of the time of a simpler choice: less gain is not worth the change


@dataclass(frozen=True)
class Precision:
    """Of the training steps; weights, optimizers and what a family computes outside of its networks' layers stay in
    single precision."""

    bfloat16: bool = False  # torch's autocast around every step
    channels_last: bool = False
    compiled: bool = False  # torch.compile of every network; not for families that differentiate gradients

    def prepare(self, module: nn.Module) -> None:
        """Brings a family into this form, in place; the names of its parameters stay the same."""
        if self.channels_last:
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.compiled:
            for network in module.children():
                network.compile()

    def arrange(self, x: Tensor) -> Tensor:
        return x.contiguous(memory_format=torch.channels_last) if self.channels_last and x.ndim == 4 else x

    def autocast(self, device: torch.device) -> torch.autocast:
        return torch.autocast(device.type, torch.bfloat16, enabled=self.bfloat16)

    def __str__(self) -> str:
        numbers = "bfloat16" if self.bfloat16 else "float32"
        layout = "channels-last" if self.channels_last else "contiguous"
        return f"{numbers}, {layout}" + (", compiled" if self.compiled else "")


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies in bfloat16. Elsewhere it is emulated, and a step takes 17 times longer."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


def autocast_where_fast(device: torch.device, *, wanted: bool = True) -> torch.autocast:
    """torch's autocast to bfloat16, if it is `wanted` and speeds the device up."""
    return torch.autocast(device.type, torch.bfloat16, enabled=wanted and has_fast_bfloat16(device))


def choose_precision(
    module: nn.Module,
    loader: Loader,
    device: torch.device,
    *,
    seconds: float = 3.0,
    report: Callable[[str], None] = print,
) -> Precision:
    """The fastest way to train this family on these batches, tried on copies of it for about so many seconds.

    Compiling, which takes a minute by itself and is not counted, is tried on a GPU only. Neither the model nor the
    loader nor torch's random state is changed. A line for each candidate goes to `report`.
    """
    candidates = [Precision(bfloat16, layout) for bfloat16 in (False, True) for layout in (False, True)]
    position = loader.state_dict()
    with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
        times: dict[Precision, float] = {}

        def measure(candidate: Precision) -> None:
            try:
                times[candidate] = _seconds_a_step(module, loader, device, candidate, seconds / len(candidates))
                report(f"{candidate}: {1000 * times[candidate]:.1f} ms a step")
            except Exception as error:  # whatever a backend says about what it cannot do
                report(f"{candidate}: not possible here ({str(error).splitlines()[0]})")

        for candidate in candidates:
            measure(candidate)
        best = _fastest(times)
        if device.type == "cuda":
            measure(Precision(best.bfloat16, best.channels_last, compiled=True))
            best = _fastest(times)
    loader.load_state_dict(position)
    report(f"chosen for {device.type}: {best}")
    return best


def _fastest(times: dict[Precision, float]) -> Precision:
    """The first of the candidates, which begin with the simplest, that none of those after it clearly beats."""
    best = next(iter(times))
    for candidate, time_a_step in times.items():
        if time_a_step < WORTHWHILE * times[best]:
            best = candidate
    return best


def _seconds_a_step(
    module: nn.Module, loader: Loader, device: torch.device, precision: Precision, seconds: float
) -> float:
    model = copy.deepcopy(module).to(device)
    precision.prepare(model)
    optimizers = model.configure_optimizers()  # type: ignore[operator]
    model.train()

    def step(number: int) -> None:
        batch = {name: precision.arrange(own_rows(x).to(device)) for name, x in next(loader).items()}
        with precision.autocast(device):
            losses = model.training_step(batch, optimizers, number)  # type: ignore[operator]
        float(sum(losses.values()))  # waits for the device

    step(0)
    started, steps = time.perf_counter(), 0
    while steps == 0 or time.perf_counter() - started < seconds:
        steps += 1
        step(steps)
    return (time.perf_counter() - started) / steps
