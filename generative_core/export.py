"""Exports generators as ONNX files, for use without PyTorch."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

TOLERANCE = 1e-4


def export_onnx(generator: nn.Module, path: Path, *, planes: int, multiple: int) -> float:
    """Writes a generator `(B, planes, H, W) -> (B, out_planes, H, W)` to `path` with batch, height and width left open;
    both sides stay multiples of `multiple`. Input and output are called so.

    What ONNX Runtime makes of the file is compared with PyTorch in two other sizes; returns the greatest difference,
    and raises `RuntimeError` where it is above 1e-4. Needs the extra `onnx`.
    """
    import onnxruntime

    generator = generator.cpu().eval()
    height, width = (torch.export.Dim(name, min=2) for name in ("height", "width"))
    axes = {0: torch.export.Dim("batch"), 2: multiple * height, 3: multiple * width}
    # Four multiples, so that no length in the network is 1 by accident and taken for a constant.
    x = torch.rand(2, planes, 4 * multiple, 6 * multiple) * 2 - 1
    program = torch.onnx.export(
        generator, (x,), input_names=["input"], output_names=["output"], dynamic_shapes=(axes,), dynamo=True
    )
    assert program is not None
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    difference = 0.0
    for shape in ((1, planes, 8 * multiple, 4 * multiple), (3, planes, 2 * multiple, 5 * multiple)):
        x = torch.rand(shape) * 2 - 1
        (output,) = session.run(["output"], {"input": x.numpy()})
        with torch.no_grad():
            difference = max(difference, float((torch.from_numpy(output) - generator(x)).abs().max()))
    if not difference < TOLERANCE:
        raise RuntimeError(f"{path} gives other pictures than PyTorch: they differ by up to {difference:.1e}")
    return difference
