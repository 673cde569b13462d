"""CycleGAN with its objectives gives the losses of the step in one piece that it replaced, step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from generative_core.families.cyclegan import CycleGAN, CycleGANConfig, Objective
from generative_core.families.cyclegan_variants import (
    MaskCycleGAN,
    MaskCycleGANConfig,
    Rendering,
    WarmUpCycleGAN,
    WarmUpCycleGANConfig,
)
from generative_core.nets import ConvNeXtGenerator, PatchClassifier, PatchDiscriminator
from generative_core.objectives import Content, DomainClassifier, PseudoTargets, SecondAdversarial, Texture
from tests.generative_core.families import cyclegan_reference as reference

STEPS = 6
NAMES = {"generator/goal": "generator/pseudo_target"}


class Threshold(nn.Module):
    """Logits of two classes at every position: negative and positive."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([-x, x], dim=1)


class Noisy(nn.Module):
    """Shows twice what it is given, under noise."""

    def forward(self, x: Tensor) -> Tensor:
        return 2 * x + 0.1 * torch.randn_like(x)


def discriminator() -> nn.Module:
    return PatchDiscriminator(planes=1, channels=4, layers=2, norm="none")


def classifier() -> nn.Module:
    return PatchClassifier(channels=4, layers=2)


class Case(NamedTuple):
    """The same settings for both: options of the reference, the configuration, and the objectives."""

    old: dict[str, object]
    config: CycleGANConfig
    objectives: Callable[[], Sequence[Objective]] = tuple
    family: type[CycleGAN] = CycleGAN
    render: Callable[[], nn.Module] | None = None


def all_objectives() -> list[Objective]:
    return [
        PseudoTargets(((0, 5.0), (4, 0.0))),
        Texture(((2, 0.0), (3, 2.0))),
        Content(10.0, (Threshold(), Threshold()), tolerance=0.1),
        DomainClassifier(0.7, classifier()),
    ]


ALL: dict[str, object] = {
    "views": True,
    "lambda_goal": ((0, 5.0), (4, 0.0)),
    "lambda_texture": ((2, 0.0), (3, 2.0)),
    "lambda_content": 10.0,
    "content_tolerance": 0.1,
    "lambda_classifier": 0.7,
    "max_gradient_norm": 1.0,
}
CASES = {
    "plain": Case({}, CycleGANConfig()),
    "identity off": Case({"lambda_identity": 0.0, "pool_size": 0}, CycleGANConfig(lambda_identity=0.0, pool_size=0)),
    "identity fades": Case(
        {"lambda_identity": ((2, 5.0), (4, 0.0))}, CycleGANConfig(lambda_identity=((2, 5.0), (4, 0.0)))
    ),
    "penalties": Case(
        {"adversarial": "relativistic", "r1": 1.0, "r2": 0.5},
        CycleGANConfig(adversarial="relativistic", r1=1.0, r2=0.5),
    ),
    "pool": Case({"pool_size": 3}, CycleGANConfig(pool_size=3)),
    "second adversarial": Case(
        {"lambda_second_adversarial": 0.5, "r1": 0.1},
        CycleGANConfig(r1=0.1),
        lambda: [SecondAdversarial(0.5, discriminator)],
    ),
    "masks": Case({"mask_fraction": 0.5}, MaskCycleGANConfig(mask_fraction=0.5), family=MaskCycleGAN),
    "bfloat16": Case({"bfloat16": True}, CycleGANConfig(bfloat16=True)),
    "every objective": Case(ALL, CycleGANConfig(max_gradient_norm=1.0), all_objectives),
    "every objective, rendered after a warm-up": Case(
        {**ALL, "goal_steps": 2, "goal_rate": 1e-3, "render_from": 4},
        WarmUpCycleGANConfig(max_gradient_norm=1.0, warm_up_steps=2, warm_up_rate=1e-3),
        all_objectives,
        WarmUpCycleGAN,
        lambda: Rendering(Noisy(), Noisy(), start=4),
    ),
}


def copy_weights(old: reference.CycleGAN, new: CycleGAN) -> None:
    for name, module in old.named_children():
        if name.startswith(("generator", "discriminator")) and not name.endswith("2"):
            getattr(new, name).load_state_dict(module.state_dict())
    for objective in new.objectives:
        if isinstance(objective, DomainClassifier):
            objective.discriminator.load_state_dict(old.classifier.state_dict())
        if isinstance(objective, SecondAdversarial):
            objective.discriminator[0].load_state_dict(old.discriminator_a2.state_dict())
            objective.discriminator[1].load_state_dict(old.discriminator_b2.state_dict())


def losses(model: nn.Module, batches: list[dict[str, Tensor]]) -> list[dict[str, float]]:
    torch.manual_seed(3)
    optimizers, rows = model.configure_optimizers(), []
    for step, batch in enumerate(batches):
        found = model.training_step(batch, optimizers, step)
        rows.append({NAMES.get(name, name): value.item() for name, value in found.items()})
    return rows


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_losses_are_those_of_the_step_in_one_piece(case: Case) -> None:
    planes = 2 if case.family is MaskCycleGAN else 1
    generator = lambda: ConvNeXtGenerator(bands=16, planes=planes, channels=8, blocks=1)  # noqa: E731
    torch.manual_seed(0)
    old = reference.CycleGAN(
        reference.CycleGANConfig(**case.old),
        generator=generator,
        discriminator=discriminator,
        classifier=classifier,
        recognisers=(Threshold(), Threshold()),
        renderers=(Noisy(), Noisy()),
    )
    render = case.render() if case.render else None
    new = case.family(
        case.config, generator=generator, discriminator=discriminator, objectives=case.objectives(), render=render
    )
    copy_weights(old, new)
    views = [{name: torch.randn(2, 4, 16, 32) + (name == "b") for name in "ab"} for _ in range(STEPS)]
    if not case.old.get("views"):
        views = [{name: x[:, :1] for name, x in batch.items()} for batch in views]
    named = [
        {
            key if view == "real" else f"{view}_{key}": x
            for key, planes in batch.items()
            for view, x in zip(("real", "source", "altered", "target"), planes.split(1, dim=1), strict=False)
        }
        for batch in views
    ]
    expected, found = losses(old, views), losses(new, named)
    for step, (theirs, ours) in enumerate(zip(expected, found, strict=True)):
        assert set(theirs) == {name for name in ours if not name.startswith("second_discriminator/")}
        for name, value in theirs.items():
            assert ours[name] == pytest.approx(value, rel=1e-6, abs=1e-7), f"{name} at step {step}"
    for name, value in old.state_dict().items():
        if name.startswith(("generator", "discriminator_a.", "discriminator_b.")):
            torch.testing.assert_close(new.state_dict()[name], value, rtol=1e-5, atol=1e-6)
