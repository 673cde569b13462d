"""CUT: what is contrasted, what FastCUT leaves out, and that content is kept without a way back."""

from __future__ import annotations

import torch

from generative_core import CUT, CUTConfig
from generative_core.nets import PatchDiscriminator, ResNetGenerator


def small(**options: object) -> CUT:
    torch.manual_seed(0)
    return CUT(
        CUTConfig(patches=16, projection=8, **options),  # type: ignore[arg-type]
        generator=lambda: ResNetGenerator(channels=2, blocks=5),
        discriminator=lambda: PatchDiscriminator(channels=2, layers=2),
    )


def test_features_are_those_of_the_layers_named() -> None:
    network = ResNetGenerator(channels=2, blocks=6)
    x = torch.rand(1, 3, 16, 24)
    features = network.features(x)
    assert [tuple(f.shape[1:]) for f in features] == [(3, 22, 30), (4, 8, 12), (8, 4, 6), (8, 4, 6), (8, 4, 6)]
    assert [f.shape[1] for f in features] == list(network.feature_channels)
    assert torch.equal(features[-1], network.layers[:15](x))


def test_an_unchanged_picture_contrasts_best() -> None:
    model = small()
    x = torch.rand(2, 3, 32, 32)
    same, other = (model._contrast(y, x).item() for y in (x, torch.rand(2, 3, 32, 32)))
    assert same < other


def test_fastcut_does_not_look_at_translations_of_b() -> None:
    batch = {"a": torch.rand(2, 3, 16, 16), "b": torch.rand(2, 3, 16, 16)}
    for identity, translated in ((True, 4), (False, 2)):
        model = small(identity=identity)
        seen: list[int] = []
        model.generator.register_forward_pre_hook(lambda _, x, seen=seen: seen.append(len(x[0])))
        model.training_step(batch, model.configure_optimizers(), 0)
        assert seen == [translated]
    assert all(p.requires_grad for p in model.parameters())
