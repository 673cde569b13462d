"""Files of the reference implementation, built here as that implementation builds its networks: the same output."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from generative_core.nets import ResNetGenerator, UNetGenerator
from generative_core.pretrained import load_reference_generator
from generative_core.training.checkpoint import CheckpointError

NORMS: dict[str, Any] = {
    "batch": lambda channels: nn.BatchNorm2d(channels),
    "instance": lambda channels: nn.InstanceNorm2d(channels, affine=False, track_running_stats=False),
}


class TheirBlock(nn.Module):
    """A residual block with the names of the reference implementation."""

    def __init__(self, channels: int, norm: str, dropout: bool) -> None:
        super().__init__()
        bias = norm == "instance"
        modules = [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), NORMS[norm](channels), nn.ReLU()]
        modules += [nn.Dropout(0.5)] * dropout
        modules += [nn.ReflectionPad2d(1), nn.Conv2d(channels, channels, 3, bias=bias), NORMS[norm](channels)]
        self.conv_block = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class TheirResNet(nn.Module):
    def __init__(self, planes: int, out: int, width: int, norm: str, dropout: bool, blocks: int) -> None:
        super().__init__()
        bias = norm == "instance"
        model = [nn.ReflectionPad2d(3), nn.Conv2d(planes, width, 7, bias=bias), NORMS[norm](width), nn.ReLU()]
        for times in (1, 2):
            model.append(nn.Conv2d(width * times, width * times * 2, 3, stride=2, padding=1, bias=bias))
            model += [NORMS[norm](width * times * 2), nn.ReLU()]
        model += [TheirBlock(4 * width, norm, dropout) for _ in range(blocks)]
        for times in (4, 2):
            half = width * times // 2
            model.append(nn.ConvTranspose2d(width * times, half, 3, 2, padding=1, output_padding=1, bias=bias))
            model += [NORMS[norm](half), nn.ReLU()]
        self.model = nn.Sequential(*model, nn.ReflectionPad2d(3), nn.Conv2d(width, out, 7), nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class TheirUNetBlock(nn.Module):
    """One level around the next; what goes round it is appended to the picture that came in."""

    def __init__(
        self, outer: int, inner: int, norm: str, inside: nn.Module | None, *, planes: int = 0, dropout: bool = False
    ) -> None:
        super().__init__()
        bias = norm == "instance"
        self.outermost = planes > 0
        down = nn.Conv2d(planes or outer, inner, 4, 2, 1, bias=bias)
        modules: list[nn.Module]
        if self.outermost:
            assert inside is not None
            modules = [down, inside, nn.ReLU(True), nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1), nn.Tanh()]
        elif inside is None:
            up = nn.ConvTranspose2d(inner, outer, 4, 2, 1, bias=bias)
            modules = [nn.LeakyReLU(0.2, True), down, nn.ReLU(True), up, NORMS[norm](outer)]
        else:
            up = nn.ConvTranspose2d(2 * inner, outer, 4, 2, 1, bias=bias)
            modules = [nn.LeakyReLU(0.2, True), down, NORMS[norm](inner), inside, nn.ReLU(True), up, NORMS[norm](outer)]
            modules += [nn.Dropout(0.5)] * dropout
        self.model = nn.Sequential(*modules)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


class TheirUNet(nn.Module):
    def __init__(self, planes: int, out: int, width: int, norm: str, dropout: bool, layers: int) -> None:
        super().__init__()
        block = TheirUNetBlock(8 * width, 8 * width, norm, None)
        for _ in range(layers - 5):
            block = TheirUNetBlock(8 * width, 8 * width, norm, block, dropout=dropout)
        for times in (4, 2, 1):
            block = TheirUNetBlock(times * width, times * 2 * width, norm, block)
        self.model = TheirUNetBlock(out, width, norm, block, planes=planes)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def lived_in(network: nn.Module) -> nn.Module:
    """As after a training: no statistic of batch normalisation is 0 or 1."""
    torch.manual_seed(1)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            for value in (module.weight.data, module.running_var, module.running_mean, module.bias.data):
                value.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("dropout", [True, False])
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", ["resnet_6blocks", "resnet_9blocks", "unet_128"])
def test_a_saved_generator_gives_the_reference_output(kind: str, norm: str, dropout: bool, tmp_path: Path) -> None:
    size, blocks = (128, 7) if kind == "unet_128" else (20, int(kind[7]))
    theirs = lived_in((TheirUNet if kind == "unet_128" else TheirResNet)(1, 3, 4, norm, dropout, blocks))
    path = tmp_path / "latest_net_G_A.pth"
    torch.save(theirs.state_dict(), path)
    ours = load_reference_generator(path)
    assert isinstance(ours, UNetGenerator if kind == "unet_128" else ResNetGenerator)
    x = torch.rand(2, 1, size, size) * 2 - 1
    with torch.no_grad():
        assert torch.allclose(ours(x), theirs(x), atol=1e-5, rtol=0)
        assert theirs(x).std() > 1e-3  # nothing is being compared with nothing


def test_a_unet_of_the_paper_for_256_pixels_and_a_resnet_that_trains_with_dropout(tmp_path: Path) -> None:
    path = tmp_path / "latest_net_G.pth"
    torch.save({f"module.{k}": v for k, v in TheirUNet(3, 3, 2, "batch", True, 8).state_dict().items()}, path)
    ours = load_reference_generator(path)
    assert isinstance(ours, UNetGenerator)
    assert ours.layers == 8
    assert sum(p.numel() for p in ours.parameters()) == sum(
        p.numel() for p in UNetGenerator(channels=2, norm="batch").parameters()
    )
    theirs = TheirResNet(3, 3, 2, "batch", True, 2)
    torch.save(theirs.state_dict(), path)
    trained = load_reference_generator(path).train()
    x = torch.rand(1, 3, 8, 8)
    torch.manual_seed(0)
    expected = theirs.train()(x)
    torch.manual_seed(0)
    assert torch.allclose(trained(x), expected, atol=1e-5)


def test_statistics_of_old_instance_normalisation_are_left_out(tmp_path: Path) -> None:
    theirs = TheirResNet(3, 3, 2, "instance", False, 1)
    state = OrderedDict(theirs.state_dict())
    state["model.2.running_mean"] = torch.zeros(2)
    state["model.2.running_var"] = torch.ones(2)
    torch.save(state, tmp_path / "old.pth")
    x = torch.rand(1, 3, 8, 8)
    assert torch.allclose(load_reference_generator(tmp_path / "old.pth")(x), theirs.eval()(x), atol=1e-5)


def test_foreign_files_are_named_with_the_first_key_that_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "net.pth"
    resnet = TheirResNet(3, 3, 2, "instance", False, 1).state_dict()
    unet = TheirUNet(3, 3, 1, "batch", False, 5).state_dict()
    innermost = "model.model.1.model.3.model.3.model.3"
    for state, message in (
        ({"features.0.weight": torch.zeros(2)}, r"its first weight is features\.0\.weight"),
        ({k: v for k, v in resnet.items() if k != "model.7.bias"}, r"model\.7\.bias is missing"),
        ({**resnet, "model.4.filt": torch.zeros(1)}, r"no place for model\.4\.filt"),
        (
            {**unet, "model.model.1.model.2.weight": torch.zeros(7)},
            r"should have the shape \(2,\) and has \(7,\)",
        ),
        (
            {k: v for k, v in unet.items() if not k.startswith(innermost)},
            "found 4 blocks",
        ),
        ([1, 2], "holds no state_dict"),
    ):
        torch.save(state, path)
        with pytest.raises(CheckpointError, match=message):
            load_reference_generator(path)
    path.write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match="not a file of weights"):
        load_reference_generator(path)
    torch.save(TheirResNet(3, 3, 2, "batch", False, 1), path)  # a whole module would run its own code
    with pytest.raises(CheckpointError, match="not a file of weights"):
        load_reference_generator(path)
