"""Both formulations where the right answer is known, conditions and guidance, the U-Net and the text encoder."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from generative_core import ConsistencyConfig, ConsistencyStudent, Diffusion, DiffusionConfig, TensorLoader
from generative_core.families.diffusion import EDM
from generative_core.nets import DiffusionUNet, TextEncoder
from generative_core.samplers import SAMPLERS

POINT = torch.tensor([0.6, -0.2, 0.3])


class Oracle(nn.Module):
    """What the network has to say when all samples are the same point, by the formulas of the papers."""

    def __init__(self, formulation: str) -> None:
        super().__init__()
        self.edm = formulation == "edm"
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        level = level.view(-1, 1)
        if not self.edm:  # x = (1 - t) x_0 + t eps, and the answer is eps - x_0
            return (x - POINT) / level + self.unused
        sigma = (4 * level).exp()
        x = x * (sigma**2 + 0.25).sqrt()  # as it was before it was scaled
        skip, out = 0.25 / (sigma**2 + 0.25), sigma * 0.5 / (sigma**2 + 0.25).sqrt()
        return (POINT - skip * x) / out + self.unused


@pytest.mark.parametrize("formulation", ["rectified flow", "edm"])
def test_the_right_answer_has_no_loss_and_gives_the_point(formulation: str) -> None:
    torch.manual_seed(0)
    model = Diffusion(DiffusionConfig(shape=(3,), formulation=formulation), Oracle(formulation))  # type: ignore[arg-type]
    losses = model.training_step({"x": POINT.expand(500, 3)}, model.configure_optimizers(), 0)
    assert float(losses["diffusion/total"]) < 1e-6
    for sampler in SAMPLERS:
        samples = model.sample(4, steps=5, sampler=sampler)
        assert torch.allclose(samples, POINT.expand(4, 3), atol=1e-3), sampler


def test_edm_by_hand_where_noise_is_as_large_as_the_data() -> None:
    scalings = EDM(sigma_data=0.5).scalings(torch.tensor(0.5))
    assert [float(value) for value in scalings] == pytest.approx(
        [0.5, 0.5 / math.sqrt(2), math.sqrt(2), math.log(0.5) / 4]
    )
    sigmas = EDM(0.5).sampling_sigmas(3)
    middle = ((80 ** (1 / 7) + 0.002 ** (1 / 7)) / 2) ** 7
    assert sigmas.tolist() == pytest.approx([80, middle, 0.002, 0], rel=1e-4)


class ByClass(nn.Module):
    """Makes the estimate 1, 2 or, without a class, 0, whatever it sees, and remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        self.asked: list[Tensor] = []

    def forward(self, x: Tensor, level: Tensor, y: Tensor) -> Tensor:
        self.asked.append(y)
        estimate = torch.tensor([1.0, 2.0, 0.0])[y].view(-1, 1)
        return (x - estimate) / level.view(-1, 1) + self.unused


def by_class() -> tuple[Diffusion, ByClass]:
    network = ByClass()
    return Diffusion(DiffusionConfig(shape=(1,), classes=2), network), network


def test_guidance_moves_away_from_no_condition_or_the_negative_one() -> None:
    model, _ = by_class()
    x, sigma, condition = torch.randn(2, 1), torch.tensor(0.5), {"y": torch.tensor([0, 1])}
    guided = model.guided(x, sigma, condition, guidance=3.0)
    assert guided.flatten().tolist() == pytest.approx([3, 6])
    negative = {"y": torch.tensor([1, 0])}
    guided = model.guided(x, sigma, condition, guidance=3.0, negative=negative)
    assert guided.flatten().tolist() == pytest.approx([2 + 3 * (1 - 2), 1 + 3 * (2 - 1)], abs=1e-5)
    assert model.guided(x, sigma, condition, guidance=0.0).flatten().tolist() == pytest.approx([0, 0], abs=1e-6)


def test_guidance_stays_within_its_interval() -> None:
    model, network = by_class()
    model.sample(1, {"y": torch.tensor([0])}, steps=4, sampler="euler", guidance=2.0, guidance_interval=(0.4, 0.8))
    assert [len(y) for y in network.asked] == [1, 2, 2, 1]  # at 1, 0.75, 0.5 and 0.25


def test_a_share_of_the_conditions_is_dropped() -> None:
    torch.manual_seed(0)
    model, network = by_class()
    model.training_step({"x": torch.zeros(4000, 1), "y": torch.zeros(4000).long()}, model.configure_optimizers(), 0)
    assert set(network.asked[0].tolist()) == {0, 2}
    assert float((network.asked[0] == 2).double().mean()) == pytest.approx(0.1, abs=0.015)


def test_a_condition_that_the_model_was_not_trained_with_is_refused() -> None:
    model, _ = by_class()
    with pytest.raises(ValueError, match="trained with y and cannot be asked for tokens"):
        model.sample(1, {"tokens": torch.zeros(1, 1).long()})
    with pytest.raises(ValueError, match="2 samples need as many of the condition y, got 1"):
        model.sample(2, {"y": torch.tensor([0])})
    with pytest.raises(ValueError, match=r"one of euler, heun, .*, not 'magic'"):
        model.sample(1, sampler="magic")
    always = Diffusion(DiffusionConfig(shape=(1,), classes=2, condition_dropout=0.0), ByClass())
    with pytest.raises(ValueError, match="never drew without its condition"):
        always.sample(1, {"y": torch.tensor([0])}, guidance=2.0)


class Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.classes = nn.Embedding(3, 32)
        self.layers = nn.Sequential(nn.Linear(35, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 2))

    def forward(self, x: Tensor, level: Tensor, y: Tensor) -> Tensor:
        return self.layers(torch.cat([x, level[:, None], self.classes(y)], dim=1))


@pytest.mark.parametrize("formulation", ["rectified flow", "edm"])
def test_it_learns_two_clouds_by_class(formulation: str) -> None:
    torch.manual_seed(0)
    y = torch.arange(1000) % 2
    centres = torch.tensor([[0.6, 0.0], [-0.6, 0.4]])
    x = centres[y] + 0.1 * torch.randn(1000, 2)
    config = DiffusionConfig(shape=(2,), formulation=formulation, classes=2, rate=5e-3)  # type: ignore[arg-type]
    model = Diffusion(config, Perceptron())
    optimizers, loader = model.configure_optimizers(), TensorLoader({"x": x, "y": y}, 200)
    for step in range(400):
        model.training_step(next(loader), optimizers, step)
    samples = model.sample(1000, {"y": y}, steps=20)
    for label, centre in enumerate(centres):
        own = samples[y == label]
        assert torch.allclose(own.mean(0), centre, atol=0.15)
        assert own.std(0).tolist() == pytest.approx([0.1, 0.1], abs=0.06)


def unet(**options: object) -> DiffusionUNet:
    torch.manual_seed(0)
    network = DiffusionUNet(shape=(1, 8, 8), channels=8, multipliers=(1, 2), **options)  # type: ignore[arg-type]
    for parameter in network.parameters():  # so that layers which start with adding nothing add something
        parameter.data += 0.1 * torch.randn_like(parameter)
    return network.eval()


@torch.no_grad()
def changes(network: Callable[..., Tensor], **conditions: list[Tensor]) -> float:
    x, level = torch.ones(1, 1, 8, 8), torch.tensor([0.5])
    (name, values), *_ = conditions.items()
    one, two = (network(x, level, **{name: value}) for value in values)
    return float((one - two).abs().max())


def test_the_network_heeds_its_conditions_and_the_noise_level() -> None:
    assert changes(unet(classes=2), y=[torch.tensor([0]), torch.tensor([2])]) > 1e-3
    assert changes(unet(image_planes=1), image=[torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 8)]) > 1e-3
    text = unet(text=TextEncoder(vocabulary=5, length=4, width=8, layers=1, heads=2))
    assert changes(text, tokens=[torch.tensor([[1, 2]]), torch.tensor([[2, 1]])]) > 1e-3
    network, x = unet(), torch.ones(1, 1, 8, 8)
    one, two = (network(x, torch.tensor([level])).detach() for level in (0.1, 0.2))
    assert float((one - two).abs().max()) > 1e-3


def test_a_text_may_be_filled_up_and_may_be_empty() -> None:
    network = unet(text=TextEncoder(vocabulary=5, length=4, width=8, layers=1, heads=2))
    assert changes(network, tokens=[torch.tensor([[1, 2]]), torch.tensor([[1, 2, 0, 0]])]) < 1e-5
    assert changes(network, tokens=[torch.tensor([[0]]), torch.zeros(1, 3).long()]) < 1e-5
    with pytest.raises(ValueError, match="may have 4 tokens, not 5"):
        network(torch.ones(1, 1, 8, 8), torch.tensor([0.5]), tokens=torch.ones(1, 5).long())


@pytest.mark.parametrize("formulation", ["rectified flow", "edm"])
def test_a_student_goes_in_one_step_where_the_teacher_leads(formulation: str) -> None:
    """The teacher knows the one point there is; a student that begins with another answer has to come to it."""
    torch.manual_seed(0)
    config = DiffusionConfig(shape=(3,), formulation=formulation)  # type: ignore[arg-type]
    teacher = Diffusion(config, Oracle(formulation))
    student = Diffusion(config, Guess())
    family = ConsistencyStudent(ConsistencyConfig(config, steps=8, rate=3e-3), student, teacher.denoise)

    def distance(steps: int) -> float:
        return float((family.sample(500, steps=steps) - POINT).norm(dim=1).mean())

    before = distance(1)
    optimizers = family.configure_optimizers()
    for step in range(300):
        family.training_step({"x": POINT.expand(100, 3)}, optimizers, step)
    assert distance(1) < min(0.5, 0.7 * before)
    assert distance(4) < 0.7


class Guess(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 3))

    def forward(self, x: Tensor, level: Tensor) -> Tensor:
        return self.layers(torch.cat([x, level[:, None]], dim=1))


def test_sizes_of_pictures() -> None:
    network = unet()
    assert network(torch.ones(1, 1, 12, 6), torch.tensor([0.5])).shape == (1, 1, 12, 6)
    with pytest.raises(ValueError, match="images of 9x8 cannot be halved 1 times"):
        network(torch.ones(1, 1, 9, 8), torch.tensor([0.5]))
