"""A preparation goes on from where it was kept, to the same end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from voiceconv.training import kept_progress
from voiceconv.training.kept_progress import KeptProgress


def learn(path: Path | None, until: int) -> tuple[int, torch.Tensor]:
    """Ten steps of a tiny network, or fewer; the step that it began with, and its weights."""
    torch.manual_seed(0)
    network, chance = nn.Linear(2, 1), torch.Generator().manual_seed(0)
    optimizer = torch.optim.Adam(network.parameters(), 0.1)
    progress = KeptProgress(path, {"network": network, "optimizer": optimizer}, chance)
    start = progress.load()
    for step in range(start, until):
        progress.keep(step)
        loss = network(torch.randn(4, 2, generator=chance) + torch.rand(1)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return start, network.weight.detach().clone()


def test_it_goes_on_to_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_progress, "KEEP_SECONDS", 0.0)
    expected = learn(None, 10)[1]
    path = tmp_path / "features" / "teacher-0.pt"
    assert learn(path, 6)[0] == 0
    start, weights = learn(path, 10)
    assert start == 5
    assert torch.equal(weights, expected)


def test_what_is_torn_is_begun_anew(tmp_path: Path) -> None:
    path = tmp_path / "teacher-0.pt"
    for content in (b"", b"torn", b"PK\x03\x04" + bytes(100)):
        path.write_bytes(content)
        assert learn(path, 1)[0] == 0
