"""Presets become the model they describe, the same for the same seed; settings that exclude each other are refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from generative_core.families.cyclegan import CycleGAN
from generative_core.families.cyclegan_variants import MaskCycleGAN, WarmUpCycleGAN
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.features.pitch import PitchStatistics
from voiceconv.training.gan import build_model, require_consistent
from voiceconv.training.presets import PRESETS, GatedConfig, PatchDiscriminatorConfig, Preset
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import VOICES

SMOKE = PRESETS["smoke"]


def model(preset: Preset, seed: int = 0) -> CycleGAN:
    level, spread = torch.full((80,), -5.0), torch.full((80,), 2.0)
    a, b = (Speaker(name, PitchStatistics(5.0, 0.2), level, spread, level, spread, None) for name in ("ann", "bob"))
    return build_model(preset, (a, b), MelConfig(), seed)


def test_our_own_presets_have_every_objective_but_the_second_adversarial() -> None:
    built = model(SMOKE)
    assert isinstance(built, WarmUpCycleGAN)
    assert [o.name for o in built.objectives] == ["pseudo_target", "texture", "content", "classifier"]
    assert built.render is not None
    trained = {
        id(p) for optimizer in built.configure_optimizers().values() for p in optimizer.param_groups[0]["params"]
    }
    frozen = [*built.render.parameters(), *built.objectives[2].parameters()]
    assert not any(p.requires_grad or id(p) in trained for p in frozen)


def test_the_published_preset_masks_and_has_no_objective_of_ours() -> None:
    small = {"generator": GatedConfig(channels=8, blocks=1), "discriminator": PatchDiscriminatorConfig(4, 2)}
    built = model(replace(PRESETS["maskcyclegan-vc"], **small))
    assert isinstance(built, MaskCycleGAN)
    assert [o.name for o in built.objectives] == ["second_adversarial"]
    assert built.render is None


def test_an_objective_without_weight_is_left_out() -> None:
    objectives = replace(SMOKE.objectives, texture=0.0, content=0.0, render_from=None)
    built = model(replace(SMOKE, objectives=objectives))
    assert [o.name for o in built.objectives] == ["pseudo_target", "classifier"]
    assert built.render is None


def test_the_same_seed_gives_the_same_weights() -> None:
    """What is loaded from files leaves the weights of the other networks as they are."""
    first, again, other = model(SMOKE), model(SMOKE), model(SMOKE, seed=1)
    bare = model(replace(SMOKE, objectives=replace(SMOKE.objectives, content=0.0, render_from=None)))
    for name, value in first.named_parameters():
        assert torch.equal(value, again.get_parameter(name))
    assert torch.equal(first.generator_ab.enter.weight, bare.generator_ab.enter.weight)
    assert torch.equal(first.objectives[3].discriminator.head.weight, bare.objectives[2].discriminator.head.weight)
    assert not torch.equal(first.generator_ab.enter.weight, other.generator_ab.enter.weight)


def test_settings_that_do_not_go_together_are_refused() -> None:
    for preset in PRESETS.values():
        require_consistent(preset)
    with pytest.raises(UserError, match="need a teacher"):
        require_consistent(replace(SMOKE, teacher=None))
    with pytest.raises(UserError, match="'mask' do not go with"):
        require_consistent(replace(SMOKE, input="mask"))
    with pytest.raises(UserError, match="compares mel-spectrograms as they are"):
        require_consistent(replace(SMOKE, objectives=replace(SMOKE.objectives, second_adversarial=1.0)))


def test_a_generator_is_described_as_in_the_shipped_voices() -> None:
    record = json.loads((Path(VOICES) / "allison-joe" / "voice.json").read_text(encoding="utf-8"))
    assert PRESETS["cpu"].describe_generator(bands=80) == record["generator"]
    mask = PRESETS["maskcyclegan-vc"].describe_generator(bands=80)
    assert mask == {"kind": "gated", "bands": 80, "planes": 2, "channels": 256, "blocks": 6}
