"""The benchmark of translations: every variant trains the model it times, and a wrong checkout is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from benchmarks.translation import Config, build, count_flops, our_step, reference_step, time_in_turns
from voiceconv.errors import UserError

CPU = torch.device("cpu")


@pytest.mark.parametrize("family", ["cyclegan", "pix2pix"])
def test_variants_run_and_turns_are_taken(family: str) -> None:
    config = Config(size=128, channels=1)
    step = our_step(family, config, ("plain", "bfloat16", "channels-last"), CPU)  # type: ignore[arg-type]
    order: list[str] = []

    def ours() -> None:
        order.append("ours")
        step()

    seconds = time_in_turns([ours, lambda: order.append("theirs")], 1, CPU)
    assert order == ["ours", "theirs"] * 3
    assert seconds[0] > seconds[1] >= 0


def test_work_grows_with_the_number_of_pictures() -> None:
    one, two = (count_flops("pix2pix", Config(size=128, channels=1, batch_size=n), CPU) for n in (1, 2))
    assert two == 2 * one > 0


def test_networks_are_those_of_the_papers() -> None:
    with torch.device("meta"):
        sizes = [sum(p.numel() for p in build(family, Config()).parameters()) for family in ("cyclegan", "pix2pix")]  # type: ignore[arg-type]
    assert [round(size / 1e6, 2) for size in sizes] == [28.29, 57.18]


def test_a_folder_without_the_reference_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"it has no models/networks\.py"):
        reference_step("pix2pix", Config(reference=tmp_path), CPU)
