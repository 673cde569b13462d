"""Loads generators that the reference implementation of pix2pix and CycleGAN has saved into our networks.

The reference is junyanz/pytorch-CycleGAN-and-pix2pix, its files `latest_net_G.pth` and `latest_net_G_A.pth`. The
weights stay the same, under our names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from generative_core.nets import ResNetGenerator, UNetGenerator
from generative_core.training.checkpoint import CheckpointError


def load_reference_generator(path: Path) -> ResNetGenerator | UNetGenerator:
    """The generator in `path`, in evaluation mode: a ResNet or a U-Net, with instance or batch normalisation.

    Its kind, depth, width and normalisation are read off the weights. Whether a U-Net had dropout is not written in
    them: it has none here, which makes no difference in evaluation mode. Raises `CheckpointError` for a file that is
    not such a generator, with the first name that does not fit.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # torch raises many kinds for a file that is not one of its own
        raise CheckpointError(f"{path} is not a file of weights saved by PyTorch: {error}") from error
    if not isinstance(content, dict) or not content or not all(isinstance(v, Tensor) for v in content.values()):
        raise CheckpointError(f"{path} holds no state_dict: names of weights with one tensor each were expected")
    state = {name.removeprefix("module."): value for name, value in content.items()}  # of nn.DataParallel

    norm: Literal["batch", "instance"]
    norm = "batch" if any(name.endswith(".weight") and v.ndim == 1 for name, v in state.items()) else "instance"
    network: ResNetGenerator | UNetGenerator
    translate: Callable[[str], str]
    if _is_convolution(state, "model.model.0.weight"):
        network = _empty_unet(state, norm, path)
        layers = network.layers
        translate = lambda name: _name_in_unet(name, layers)  # noqa: E731
    elif _is_convolution(state, "model.1.weight"):
        network = _empty_resnet(state, norm, path)
        translate = _name_in_resnet
    else:
        raise CheckpointError(
            f"{path} is not a generator of the reference implementation: its first weight is {next(iter(state))}, and "
            "a ResNet's is model.1.weight, a U-Net's model.model.0.weight"
        )
    network.load_state_dict(_renamed(state, network, translate, path))
    return network.eval()


def _is_convolution(state: dict[str, Tensor], name: str) -> bool:
    return name in state and state[name].ndim == 4


def _empty_resnet(state: dict[str, Tensor], norm: Literal["batch", "instance"], path: Path) -> ResNetGenerator:
    blocks = len({match[1] for name in state if (match := re.match(r"model\.(\d+)\.conv_block\.", name))})
    last = f"model.{17 + blocks}.weight"  # 10 modules before the blocks, 6 behind them, padding, this one
    if not _is_convolution(state, last):
        raise CheckpointError(f"{path} is no ResNet of the reference implementation: it has no convolution {last}")
    channels, planes = state["model.1.weight"].shape[:2]
    return ResNetGenerator(
        planes=planes,
        out_planes=state[last].shape[0],
        channels=channels,
        blocks=blocks,
        norm=norm,
        dropout=_is_convolution(state, "model.10.conv_block.6.weight"),  # dropout moves it from place 5
    )


def _empty_unet(state: dict[str, Tensor], norm: Literal["batch", "instance"], path: Path) -> UNetGenerator:
    layers = 1
    while f"{_unet_prefix(layers)}1.weight" in state:
        layers += 1
    last = "model.model.3.weight"
    if layers < 5 or not _is_convolution(state, last):
        raise CheckpointError(
            f"{path} is no U-Net of the reference implementation: expected at least 5 nested blocks and the weight "
            f"{last}, found {layers} blocks"
        )
    channels, planes = state["model.model.0.weight"].shape[:2]
    out_planes = state[last].shape[1]
    return UNetGenerator(
        planes=planes, out_planes=out_planes, channels=channels, layers=layers, norm=norm, dropout=False
    )


def _unet_prefix(layer: int) -> str:
    """Where the modules of a block are, which is nested in those outside of it."""
    return "model.model." + ("1.model." + "3.model." * (layer - 1) if layer else "")


def _name_in_unet(name: str, layers: int) -> str:
    """Our `down.2.1.weight` -> the reference's: a block there lists its way down, the next block, its way up."""
    side, layer, place, rest = name.split(".", 3)
    before = 0 if side == "down" else 2 if int(layer) in (0, layers - 1) else 4
    return f"{_unet_prefix(int(layer))}{before + int(place)}.{rest}"


def _name_in_resnet(name: str) -> str:
    return name.replace("layers.", "model.", 1).replace("layers.", "conv_block.")


def _renamed(
    state: dict[str, Tensor], network: nn.Module, translate: Callable[[str], str], path: Path
) -> dict[str, Tensor]:
    """The weights under our names; raises `CheckpointError` with the first that is missing, misshapen or too much."""
    renamed, known = {}, set()
    for name, value in network.state_dict().items():
        theirs = translate(name)
        known.add(theirs)
        if theirs not in state and name.endswith("num_batches_tracked"):  # older than PyTorch 0.4.1
            renamed[name] = value
            continue
        if theirs not in state:
            raise CheckpointError(f"{path} does not fit a {type(network).__name__}: {theirs} is missing")
        if state[theirs].shape != value.shape:
            raise CheckpointError(
                f"{path} does not fit a {type(network).__name__}: {theirs} should have the shape {tuple(value.shape)} "
                f"and has {tuple(state[theirs].shape)}"
            )
        renamed[name] = state[theirs]
    # Instance normalisation kept statistics before PyTorch 0.4 that nothing reads.
    unread = ("running_mean", "running_var", "num_batches_tracked")
    for name in state:
        if name not in known and not name.endswith(unread):
            raise CheckpointError(f"{path} does not fit a {type(network).__name__}: it has no place for {name}")
    return renamed
