"""The family: its weights, its pool, its mask, and that one step moves what it should and nothing else."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn

from generative_core import CycleGAN, CycleGANConfig
from generative_core.families.cyclegan import Domain, ImagePool, Objective, weight_at
from generative_core.families.cyclegan_variants import (
    MaskCycleGAN,
    MaskCycleGANConfig,
    Rendering,
    WarmUpCycleGAN,
    WarmUpCycleGANConfig,
)
from generative_core.losses import sliced_texture_distance
from generative_core.nets import (
    ConvNeXtGenerator,
    GatedGenerator,
    PatchClassifier,
    PatchDiscriminator,
    ResNetGenerator,
)
from generative_core.objectives import Content, DomainClassifier, PseudoTargets, SecondAdversarial, Texture


def discriminator() -> nn.Module:
    return PatchDiscriminator(planes=1, channels=4, layers=2, norm="none")


def classifier() -> nn.Module:
    return PatchClassifier(planes=1, channels=4, layers=2)


def mel_cyclegan(config: CycleGANConfig | None = None, *objectives: Objective) -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(
        config,
        generator=lambda: ConvNeXtGenerator(bands=16, planes=1, channels=8, blocks=1),
        discriminator=discriminator,
        objectives=objectives,
    )


def mask_cyclegan() -> MaskCycleGAN:
    torch.manual_seed(0)
    return MaskCycleGAN(
        MaskCycleGANConfig(mask_fraction=0.5),
        generator=lambda: ConvNeXtGenerator(bands=16, planes=2, channels=8, blocks=1),
        discriminator=discriminator,
    )


def image_cyclegan() -> CycleGAN:
    torch.manual_seed(0)
    return CycleGAN(
        CycleGANConfig(),
        generator=lambda: ResNetGenerator(channels=4, blocks=1),
        discriminator=lambda: PatchDiscriminator(channels=4, layers=2),
    )


def batch(*shape: int) -> dict[str, torch.Tensor]:
    return {"a": torch.rand(*shape) - 0.5, "b": torch.rand(*shape)}


@pytest.mark.parametrize(
    "build",
    [
        mel_cyclegan,
        lambda: mel_cyclegan(CycleGANConfig(adversarial="non-saturating", r1=1.0)),
        lambda: mel_cyclegan(CycleGANConfig(adversarial="hinge"), SecondAdversarial(1.0, discriminator)),
        lambda: mel_cyclegan(CycleGANConfig(adversarial="relativistic", r1=1.0, r2=1.0)),
        lambda: mel_cyclegan(None, DomainClassifier(0.5, classifier())),
        lambda: mel_cyclegan(CycleGANConfig(bfloat16=True)),
        mask_cyclegan,
    ],
    ids=["plain", "penalty", "second adversarial", "relativistic", "classifier", "bfloat16", "masks"],
)
def test_a_step_moves_every_network(build: Callable[[], CycleGAN]) -> None:
    model = build()
    before = {name: value.clone() for name, value in model.named_parameters()}
    losses = model.training_step(batch(2, 1, 16, 32), model.configure_optimizers(), 0)
    assert all(torch.isfinite(value) and not value.requires_grad for value in losses.values())
    # Biases that normalisation or symmetry cancels may stand still, a whole network may not.
    moved = {network(name) for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    assert moved == {network(name) for name in before}


def network(parameter: str) -> str:
    """`generator_ab` of `generator_ab.enter.weight`, `objectives.0.discriminator.1` of what is inside that."""
    parts = parameter.split(".")
    return ".".join(parts[:4]) if parts[0] == "objectives" else parts[0]


def prepared(a: Sequence[float], b: Sequence[float]) -> dict[str, torch.Tensor]:
    """A batch with what is translated, an altered version and a target, each of one value."""
    batch = {}
    for domain, values in (("a", a), ("b", b)):
        names = (domain, f"source_{domain}", f"altered_{domain}", f"target_{domain}")
        batch |= {name: torch.full((2, 1, 16, 32), value) for name, value in zip(names, values, strict=True)}
    return batch


def test_every_network_reads_the_samples_that_are_for_it() -> None:
    """Generators translate the prepared version and the altered one, discriminators see the samples themselves."""
    model = mel_cyclegan(
        CycleGANConfig(lambda_identity=0.0, pool_size=0), PseudoTargets(1.0), DomainClassifier(0.5, classifier())
    )
    seen: dict[str, list[float]] = {}

    def watch(name: str) -> None:
        seen[name] = []
        getattr(model, name).register_forward_pre_hook(lambda _, x: seen[name].append(round(x[0].mean().item(), 3)))

    for name in ("generator_ab", "generator_ba", "discriminator_a", "discriminator_b"):
        watch(name)
    samples = prepared((1.0, 2.0, 3.0, 3.5), (4.0, 5.0, 6.0, 6.5))
    model.training_step(samples, model.configure_optimizers(), 0)
    assert seen["generator_ab"][0] == 2.0  # to B; then from A's fake back; then towards the target
    assert seen["generator_ab"][2] == 3.0
    assert seen["generator_ba"][0] == 5.0
    assert seen["generator_ba"][2] == 6.0
    assert seen["discriminator_a"][1] == 1.0  # after the fake that is to fool it
    assert seen["discriminator_b"][1] == 4.0


class Doubled(nn.Module):
    """Shows twice what it is given."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 2 * x


def test_discriminators_see_what_is_rendered_and_generators_what_is_not() -> None:
    objectives = [PseudoTargets(1.0), Content(1.0, (Threshold(), Threshold())), DomainClassifier(1.0, classifier())]
    model = CycleGAN(
        CycleGANConfig(lambda_identity=1.0),
        generator=lambda: Shift(0.5),
        discriminator=discriminator,
        objectives=objectives,
        render=Rendering(Doubled(), Doubled(), start=7),
    )
    seen: dict[str, set[float]] = {}
    watched = {name: getattr(model, name) for name in ("generator_ab", "discriminator_b")}
    watched["classifier"] = objectives[2].discriminator
    for name, module in watched.items():
        of_this = seen.setdefault(name, set())
        module.register_forward_pre_hook(lambda _, x, of_this=of_this: of_this.add(round(x[0].mean().item(), 3)))
    samples = prepared((1.0, 2.0, 4.0, 4.5), (1.5, 3.0, 8.0, 10.0))
    copy.deepcopy(model).training_step(samples, model.configure_optimizers(), 6)
    assert seen["discriminator_b"] == {2.5, 1.5}  # the fake and the recording as they are
    for values in seen.values():
        values.clear()
    losses = model.training_step(samples, model.configure_optimizers(), 7)
    assert seen["generator_ab"] == {2.0, 3.5, 1.5, 4.0}  # source, fake from B, B itself, altered
    assert seen["discriminator_b"] == {5.0, 3.0}  # twice the fake of 2.5 and the recording of 1.5
    assert seen["classifier"] == {5.0, 3.0, 7.0, 2.0}
    p, q = torch.tensor([-2.0, 2.0]).softmax(0), torch.tensor([-5.0, 5.0]).softmax(0)
    r, s = torch.tensor([-3.0, 3.0]).softmax(0), torch.tensor([-7.0, 7.0]).softmax(0)
    expected = (p * (p / q).log()).sum() + (r * (r / s).log()).sum()
    torch.testing.assert_close(losses["generator/content"], expected)
    assert model.generator_ab.shift.item() != 0.5
    assert model.generator_ba.shift.item() != 0.5


def test_every_loss_compares_the_right_samples() -> None:
    """With generators that change nothing, every loss is the distance of two known values."""
    config = CycleGANConfig(lambda_cycle=1.0, lambda_identity=1.0)
    model = CycleGAN(config, generator=lambda: Shift(0.0), discriminator=discriminator, objectives=[PseudoTargets(1.0)])
    samples = prepared((1.0, 2.0, 4.0, 4.5), (1.0, 3.0, 8.0, 10.0))
    losses = model.training_step(samples, model.configure_optimizers(), 0)
    assert losses["generator/cycle"] == pytest.approx(0.0)
    assert losses["generator/identity"] == pytest.approx(0.0)
    assert losses["generator/pseudo_target"] == pytest.approx((4.5 - 4) + (10 - 8))


class Shift(nn.Module):
    """Adds a number."""

    def __init__(self, start: float) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(start))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.shift


class Threshold(nn.Module):
    """Logits of two classes at every position: negative and positive."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([-x, x], dim=1)


def test_content_loss_is_the_divergence_of_what_is_recognised() -> None:
    content = Content(1.0, (Threshold(), Threshold()))
    model = CycleGAN(
        CycleGANConfig(lambda_identity=0.0),
        generator=lambda: Shift(0.5),
        discriminator=discriminator,
        objectives=[content],
    )
    zero = torch.zeros(2, 1, 16, 32)
    losses = model.training_step({"a": zero, "b": zero}, model.configure_optimizers(), 0)
    # Expected (1/2, 1/2); found at 0.5: logits -0.5 and 0.5, so probabilities 1 / (1 + e) and e / (1 + e).
    found = torch.tensor([-0.5, 0.5]).log_softmax(0)
    expected = float((0.5 * (torch.tensor(0.5).log() - found)).sum())
    assert losses["generator/content"].item() == pytest.approx(2 * expected, rel=1e-5)  # both directions
    frozen = Content(1.0, (discriminator(), discriminator()))
    assert not any(p.requires_grad for p in frozen.parameters())


def test_other_content_is_free_up_to_the_tolerance() -> None:
    content = Content(1.0, (Threshold(), Threshold()), tolerance=0.1)
    expected, found = torch.zeros(1, 2, 1, 2), torch.tensor([[0.0, -1.0], [0.0, 1.0]]).reshape(1, 2, 1, 2)
    # The first position is found as it was; at the second, (1/2, 1/2) against logits -1 and 1 makes log(cosh 1) nats.
    assert content.divergence(expected, found).item() == pytest.approx((math.log(math.cosh(1)) - 0.1) / 2, rel=1e-5)


def test_at_first_generators_learn_from_pairs_and_discriminators_wait() -> None:
    torch.manual_seed(0)
    model = WarmUpCycleGAN(
        WarmUpCycleGANConfig(warm_up_steps=1, warm_up_rate=1e-2),
        generator=lambda: ConvNeXtGenerator(bands=16, planes=1, channels=8, blocks=1),
        discriminator=discriminator,
        objectives=[PseudoTargets(1.0)],
    )
    optimizers = model.configure_optimizers()
    samples = {name: torch.rand(2, 1, 16, 32) for name in prepared([0] * 4, [0] * 4)}
    for step in (0, 1):
        before = {name: value.clone() for name, value in model.named_parameters()}
        distance = sum(
            (model.translate(samples[f"altered_{name}"], direction) - samples[f"target_{name}"]).abs().mean()
            for name, direction in (("a", "ab"), ("b", "ba"))
        )
        losses = model.training_step(samples, optimizers, step)
        assert losses["generator/pseudo_target"].item() == pytest.approx(distance.item(), rel=1e-4)
        changes = {name: (value - before[name]).abs().max() for name, value in model.named_parameters()}
        discriminators = [change for name, change in changes.items() if name.startswith("discriminator")]
        assert max(change for name, change in changes.items() if name.startswith("generator")) > 0
        assert (max(discriminators) > 0) == (step == 1)
        assert ("generator/adversarial" in losses) == (step == 1)


def test_an_objective_of_ones_own_is_weighted_logged_and_trains_its_network() -> None:
    class Level(Objective):
        """Have a mean that a network of its own cannot tell from that of real samples."""

        def __init__(self) -> None:
            super().__init__("level", ((0, 0.0), (1, 2.0)), nn.Linear(1, 1))

        def means(self, x: torch.Tensor) -> torch.Tensor:
            return self.discriminator(x.mean((1, 2, 3))[:, None]).mean()

        def forward(self, model: CycleGAN, a: Domain, b: Domain) -> torch.Tensor:
            return self.means(a.fake) + self.means(b.fake)

        def discriminator_loss(self, model: CycleGAN, a: Domain, b: Domain) -> dict[str, torch.Tensor]:
            return {"level/real": self.means(a.real), "level/fake": -self.means(a.fake.detach())}

    objective = Level()
    model, data = mel_cyclegan(CycleGANConfig(), objective), batch(2, 1, 16, 32)
    optimizers = model.configure_optimizers()
    weight = objective.discriminator.weight.clone()
    assert "level" not in "".join(model.training_step(data, optimizers, 0))  # at weight 0
    assert torch.equal(objective.discriminator.weight, weight)
    losses = model.training_step(data, optimizers, 1)
    assert not torch.equal(objective.discriminator.weight, weight)
    rest = losses["generator/adversarial"] + 10 * losses["generator/cycle"] + 5 * losses["generator/identity"]
    torch.testing.assert_close(losses["generator/total"], rest + 2 * losses["generator/level"])
    of_domains = losses["discriminator/loss_a"] + losses["discriminator/loss_b"]
    expected = of_domains + losses["level/real"] + losses["level/fake"]
    torch.testing.assert_close(losses["discriminator/total"], expected)


def test_gradients_are_clipped_together() -> None:
    """After one step of plain descent the generators have moved exactly as far as the largest gradient allows."""
    model = mel_cyclegan(CycleGANConfig(max_gradient_norm=0.1))
    optimizers = {
        name: torch.optim.SGD(o.param_groups[0]["params"], 1.0) for name, o in model.configure_optimizers().items()
    }
    before = [p.clone() for p in optimizers["generator"].param_groups[0]["params"]]
    model.training_step(batch(2, 1, 16, 32), optimizers, 0)
    after = optimizers["generator"].param_groups[0]["params"]
    moved = sum((p - q).square().sum().item() for p, q in zip(after, before, strict=True)) ** 0.5
    assert moved == pytest.approx(0.1, rel=1e-3)


def test_the_same_class_translates_images() -> None:
    model = image_cyclegan()
    model.training_step(batch(2, 3, 32, 32), model.configure_optimizers(), 0)
    translated = model.translate(torch.rand(1, 3, 32, 40), "ab")
    assert translated.shape == (1, 3, 32, 40)
    assert translated.abs().max() <= 1


def test_generator_losses_leave_the_discriminators_alone() -> None:
    """The generators' backward pass reaches the discriminators too; none of it may count in their own step."""
    samples = batch(2, 1, 16, 32)
    model = mel_cyclegan()
    optimizers = model.configure_optimizers()
    model.training_step(samples, optimizers, 0)
    alone = mel_cyclegan()
    fake_a, fake_b = (alone.translate(samples[x], d).detach() for x, d in (("b", "ba"), ("a", "ab")))
    loss = alone.discriminator_loss(alone.discriminator_a, samples["a"], fake_a)[1]
    loss = loss + alone.discriminator_loss(alone.discriminator_b, samples["b"], fake_b)[1]
    loss.backward()
    for ours, theirs in zip(model.discriminator_a.parameters(), alone.discriminator_a.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_cycle_and_identity_vanish_for_generators_that_do_nothing() -> None:
    class Identity(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.ones(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.gain * x

    model = CycleGAN(CycleGANConfig(), generator=Identity, discriminator=discriminator)
    losses = model.training_step(batch(2, 1, 16, 32), model.configure_optimizers(), 0)
    assert losses["generator/cycle"] == 0
    assert losses["generator/identity"] == 0
    doubled = CycleGAN(CycleGANConfig(), generator=Identity, discriminator=discriminator)
    with torch.no_grad():
        doubled.generator_ab.gain.fill_(2.0)
    samples = {"a": torch.ones(1, 1, 16, 32), "b": torch.full((1, 1, 16, 32), -3.0)}
    losses = doubled.training_step(samples, doubled.configure_optimizers(), 0)
    assert losses["generator/cycle"].item() == pytest.approx(1 + 3)  # both cycles come back twice as large
    assert losses["generator/identity"].item() == pytest.approx(0 + 3)  # only A -> B changes, on real B


def test_total_is_the_weighted_sum() -> None:
    objectives = SecondAdversarial(0.5, discriminator), DomainClassifier(0.3, classifier())
    model = mel_cyclegan(CycleGANConfig(lambda_cycle=4.0, lambda_identity=2.0), *objectives)
    losses = model.training_step(batch(2, 1, 16, 32), model.configure_optimizers(), 0)
    expected = (
        losses["generator/adversarial"]
        + 4.0 * losses["generator/cycle"]
        + 2.0 * losses["generator/identity"]
        + 0.5 * losses["generator/second_adversarial"]
        + 0.3 * losses["generator/classifier"]
    )
    torch.testing.assert_close(losses["generator/total"], expected)


def test_texture_is_asked_for_from_its_step_on() -> None:
    model = mel_cyclegan(None, Texture(((1, 0.0), (2, 3.0))))
    data, optimizers = batch(2, 1, 16, 32), model.configure_optimizers()
    assert "generator/texture" not in model.training_step(data, optimizers, 1)
    with torch.no_grad():
        fake_a, fake_b = model.translate(data["b"], "ba"), model.translate(data["a"], "ab")
    torch.manual_seed(0)
    expected = sliced_texture_distance(fake_a, data["a"]) + sliced_texture_distance(fake_b, data["b"])
    torch.manual_seed(0)
    losses = model.training_step(data, optimizers, 2)
    assert losses["generator/texture"].item() == pytest.approx(expected.item(), rel=1e-4)
    rest = losses["generator/adversarial"] + 10 * losses["generator/cycle"] + 5 * losses["generator/identity"]
    assert losses["generator/total"].item() == pytest.approx((rest + 3 * expected).item(), rel=1e-4)


@pytest.mark.parametrize(
    ("step", "value"), [(0, 5.0), (100, 5.0), (150, 3.0), (200, 1.0), (250, 0.5), (300, 0.0), (10**6, 0.0)]
)
def test_weights_follow_straight_lines(step: int, value: float) -> None:
    assert weight_at(((100, 5.0), (200, 1.0), (300, 0.0)), step) == pytest.approx(value)


def test_constant_weight() -> None:
    assert weight_at(10.0, 123) == 10.0
    assert weight_at(((0, 7.0),), 5) == 7.0


def test_pool_shows_old_and_new_samples_and_keeps_its_size() -> None:
    torch.manual_seed(0)
    pool = ImagePool(4)
    first = pool(torch.arange(4.0)[:, None])
    assert first.flatten().tolist() == [0, 1, 2, 3]  # while it fills, what comes in goes out
    shown = torch.cat([pool(torch.full((1, 1), 10.0 + i)) for i in range(100)]).flatten()
    newest = shown == torch.arange(100) + 10.0
    assert 30 < int(newest.sum()) < 70  # a coin decides
    assert len(pool.samples) == 4
    assert ImagePool(0)(torch.ones(2, 1)).tolist() == [[1.0], [1.0]]


def test_pool_is_saved_with_the_model() -> None:
    model = mel_cyclegan(CycleGANConfig(pool_size=3))
    model.training_step(batch(2, 1, 16, 32), model.configure_optimizers(), 0)
    other = mel_cyclegan(CycleGANConfig(pool_size=3))
    other.load_state_dict(model.state_dict())
    assert len(other.pool_a.samples) == 2
    for ours, theirs in zip(other.pool_a.samples, model.pool_a.samples, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_mask_is_one_stretch_no_longer_than_asked() -> None:
    mask = mask_cyclegan().random_mask(torch.zeros(200, 1, 16, 64))
    assert mask.shape == (200, 1, 16, 64)
    assert torch.equal(mask[:, :, :1].expand_as(mask), mask)
    rows = mask[:, 0, 0]
    assert set(rows.unique().tolist()) == {0.0, 1.0}
    hidden = (1 - rows).sum(1)
    assert hidden.max() < 32
    assert hidden.max() > 25  # of 200 draws, some are long
    edges = (rows[:, 1:] != rows[:, :-1]).sum(1)
    assert edges.max() <= 2


def test_spread_tells_collapse() -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.value = nn.Parameter(torch.zeros(()))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.value.expand_as(x)

    model = CycleGAN(
        CycleGANConfig(),
        generator=Constant,
        discriminator=discriminator,
    )
    losses = model.training_step(batch(4, 1, 16, 32), model.configure_optimizers(), 0)
    assert losses["generator/spread_a"] < 1e-6


@pytest.mark.parametrize("frames", [1, 30, 64, 67])
def test_gated_generator_takes_any_length_and_looks_only_nearby(frames: int) -> None:
    torch.manual_seed(0)
    generator = GatedGenerator(bands=16, channels=8, blocks=1).eval()
    x = torch.randn(1, 2, 16, frames)
    assert generator(x).shape == (1, 1, 16, frames)


def test_gated_generator_does_not_normalise_over_time() -> None:
    torch.manual_seed(0)
    generator = GatedGenerator(bands=16, channels=8, blocks=1).eval()
    x = torch.randn(1, 2, 16, 400)
    torch.testing.assert_close(generator(x[..., 100:300])[..., 60:-60], generator(x)[..., 160:240], atol=1e-4, rtol=0)
