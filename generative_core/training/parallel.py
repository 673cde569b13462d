"""Trains in several processes, started by `torchrun`, as one process would with the same total batch.

All processes draw the same batches and the same random numbers, and each works on its own rows of both. Gradients are
averaged over the processes as soon as they are there, parameter by parameter and whichever loss they come from, so
that a family's training step need not know: what it clips, penalises or steps with is the average. The sums of whole
batches, as in batch normalisation, stay with each process.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch import distributed as dist

from generative_core.errors import UserError

Result = TypeVar("Result")


class WorkerLost(UserError):
    """Another process of the training is gone, so that this one cannot go on."""


@contextmanager
def join_processes() -> Iterator[None]:
    """Inside, this process is one of those that `torchrun` has started, on a GPU of its own if there are any; without
    `torchrun` it is alone."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    # Its functions keep whichever process group there is when they are imported, as optimizers import them later. The
    # threads of a group that is kept outlive it, and one that wakes while the interpreter ends aborts the process.
    import torch.distributed.nn

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


def processes() -> int:
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this is the process that writes files and speaks to the user."""
    return not dist.is_initialized() or dist.get_rank() == 0


def own_rows(x: Tensor) -> Tensor:
    """This process's rows of a tensor, `(B, ...)` -> `(B / processes, ...)`."""
    if processes() == 1:
        return x
    if len(x) % processes():
        raise ValueError(f"a batch of {len(x)} cannot be shared evenly among {processes()} processes")
    return x.chunk(processes())[dist.get_rank()]


def own_share(draw: Callable[[int], Tensor], count: int) -> Tensor:
    """Random numbers for the `count` rows of this process: `draw(n)` makes `(n, ...)` for those of all processes."""
    return own_rows(draw(count * processes()))


@contextmanager
def averaged_gradients(module: nn.Module) -> Iterator[None]:
    """Inside, every gradient that arrives at a parameter is the mean over all processes."""
    if processes() == 1:
        yield
        return
    for value in [*module.parameters(), *module.buffers()]:
        _communicate(partial(dist.broadcast, value.data, 0))
    hooks = [
        parameter.register_post_accumulate_grad_hook(lambda parameter: average(parameter.grad))
        for parameter in module.parameters()
        if parameter.requires_grad
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def average(x: Tensor) -> None:
    """Replaces a tensor by its mean over all processes."""
    if processes() > 1:
        _communicate(lambda: dist.all_reduce(x))
        x /= processes()


def any_process(said: bool) -> bool:
    """Whether any process says so."""
    if processes() == 1:
        return said
    flag = torch.tensor(float(said), device=_device())
    _communicate(lambda: dist.all_reduce(flag, dist.ReduceOp.MAX))
    return bool(flag)


def from_first(function: Callable[[], Result], *errors: type[Exception]) -> Result:
    """What `function` returns in the first process, or raises there of these `errors`, in all of them."""
    if processes() == 1:
        return function()
    answer: list[Any] = [None]
    if is_first():
        try:
            answer = [function()]
        except errors as error:
            answer = [error]
    _communicate(lambda: dist.broadcast_object_list(answer, 0, device=_device()))
    if isinstance(answer[0], Exception):
        raise answer[0]
    return answer[0]


def _device() -> torch.device:
    return torch.device("cuda" if dist.get_backend() == "nccl" else "cpu")


def _communicate(action: Callable[[], object]) -> None:
    try:
        action()
    except RuntimeError as error:
        raise WorkerLost("another process of this training has died or cannot be reached") from error
