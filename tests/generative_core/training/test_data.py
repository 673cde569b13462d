"""Loaders: reproducible, restorable, fair."""

from __future__ import annotations

import pytest
import torch

from generative_core import TensorLoader, UnpairedLoader


def loader(seed: int = 0, **options: object) -> UnpairedLoader:
    return UnpairedLoader(torch.arange(100.0), torch.arange(100.0, 300.0), 8, seed=seed, **options)


def test_position_restores_the_sequence() -> None:
    first = loader()
    for _ in range(5):
        next(first)
    state = first.state_dict()
    expected = [next(first) for _ in range(3)]
    second = loader(seed=9)
    second.load_state_dict(state)
    for batch in expected:
        again = next(second)
        assert torch.equal(batch["a"], again["a"])
        assert torch.equal(batch["b"], again["b"])


def test_batches_differ_by_position_and_seed() -> None:
    a, other = loader(), loader(seed=1)
    one, two = next(a)["a"], next(a)["a"]
    assert not torch.equal(one, two)
    assert not torch.equal(one, next(other)["a"])


def test_every_sample_is_drawn_and_domains_stay_apart() -> None:
    batches = [next(it) for it in [loader()] for _ in range(400)]
    a, b = torch.cat([x["a"] for x in batches]), torch.cat([x["b"] for x in batches])
    assert set(a.tolist()) == set(range(100))
    assert set(b.tolist()) == set(range(100, 300))


def test_transform_draws_from_the_batch_generator() -> None:
    def shift(sample: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return sample + torch.rand((), generator=generator)

    torch.manual_seed(1)
    one = next(loader(transform=shift))["a"]
    torch.manual_seed(2)
    assert torch.equal(one, next(loader(transform=shift))["a"])
    assert not torch.equal(one, one.round())


def test_an_empty_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="got 0 and 2"):
        UnpairedLoader([], torch.zeros(2, 1), 1)


def test_tensor_loader_keeps_rows_together_and_restores() -> None:
    x = torch.arange(50.0)
    first = TensorLoader({"x": x, "y": 2 * x}, 8, seed=3)
    next(first)
    first.weights = torch.rand(50)
    state = first.state_dict()
    expected = [next(first) for _ in range(3)]
    second = TensorLoader({"x": x, "y": 2 * x}, 8)
    second.load_state_dict(state)
    for batch in expected:
        again = next(second)
        assert torch.equal(batch["y"], 2 * batch["x"])
        assert torch.equal(batch["x"], again["x"])
    assert not torch.equal(expected[0]["x"], expected[1]["x"])


def test_tensor_loader_draws_evenly_or_by_weight() -> None:
    loader = TensorLoader({"x": torch.arange(4)}, 4000)
    assert torch.bincount(next(loader)["x"]).tolist() == pytest.approx([1000] * 4, abs=150)
    loader.weights = torch.tensor([0.0, 1.0, 0.0, 3.0])
    drawn = torch.bincount(next(loader)["x"], minlength=4).tolist()
    assert drawn[0] == drawn[2] == 0
    assert drawn[3] == pytest.approx(3000, abs=150)


def test_tensors_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="'x': 2, 'y': 3"):
        TensorLoader({"x": torch.zeros(2), "y": torch.zeros(3)}, 1)
