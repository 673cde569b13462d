"""Defines losses that a CycleGAN can be given beside those of the paper, each an `Objective` with its weight."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from generative_core.families.cyclegan import CycleGAN, Domain, Objective, Weight
from generative_core.losses import sliced_texture_distance


class PseudoTargets(Objective):
    """Become what another model made of a sample in the other domain.

    The loader brings along `target_a`, made of the samples of A in the domain B, and `altered_a`, what is translated
    to reach it: the source or a variation of it; and the same of B. To learn from the outputs of a slower model is
    distillation (Hinton et al. 2015, arXiv:1503.02531).
    """

    def __init__(self, weight: Weight) -> None:
        super().__init__("pseudo_target", weight)

    def forward(self, model: CycleGAN, a: Domain, b: Domain) -> Tensor:
        there = F.l1_loss(model.translate(a.extra["altered"], "ab"), a.extra["target"])
        return there + F.l1_loss(model.translate(b.extra["altered"], "ba"), b.extra["target"])


class Texture(Objective):
    """Have the fine details of the domain: `sliced_texture_distance`, which uses torch's random state."""

    def __init__(self, weight: Weight) -> None:
        super().__init__("texture", weight)

    def forward(self, model: CycleGAN, a: Domain, b: Domain) -> Tensor:
        return sliced_texture_distance(a.fake, a.real) + sliced_texture_distance(b.fake, b.real)


class Content(Objective):
    """Contain, to frozen recognisers, what the source contains: the semantic loss of CyCADA (Hoffman et al. 2018,
    arXiv:1711.03213).

    The recognisers give logits `(B, classes, ...)` for samples of A and of B. The loss is the Kullback-Leibler
    divergence of what is recognised in the translation from what is recognised in the sample, in nats, as far as it
    exceeds `tolerance` at a position: a recogniser is surer of one domain than of the other.
    """

    def __init__(self, weight: Weight, recognisers: Sequence[nn.Module], *, tolerance: float = 0.0) -> None:
        super().__init__("content", weight)
        self.recognisers = nn.ModuleList(recognisers).requires_grad_(False).eval()
        self.tolerance = tolerance

    def forward(self, model: CycleGAN, a: Domain, b: Domain) -> Tensor:
        recognise_a, recognise_b = self.recognisers
        with torch.no_grad():
            expected_a, expected_b = model.run(recognise_a, a.real), model.run(recognise_b, b.real)
        there = self.divergence(expected_a, model.run(recognise_b, b.fake))
        back = self.divergence(expected_b, model.run(recognise_a, a.fake))
        return there + back

    def divergence(self, expected: Tensor, found: Tensor) -> Tensor:
        """Of logits `(B, classes, ...)`, the mean over all positions."""
        expected, found = expected.log_softmax(1), found.log_softmax(1)
        divergence = F.kl_div(found, expected, reduction="none", log_target=True).sum(1)
        return F.relu(divergence - self.tolerance).mean()


class SecondAdversarial(Objective):
    """Fool a second pair of discriminators with the samples that were translated there and back again (CycleGAN-VC2,
    Kaneko et al. 2019, arXiv:1904.04631). These see samples as they are: it does not go with `render`."""

    discriminator: nn.ModuleList

    def __init__(self, weight: Weight, discriminator: Callable[[], nn.Module]) -> None:
        super().__init__("second_adversarial", weight, nn.ModuleList([discriminator(), discriminator()]))

    def forward(self, model: CycleGAN, a: Domain, b: Domain) -> Tensor:
        of_a, of_b = self.discriminator
        return model.adversarial_loss(of_a, a.real, a.cycle) + model.adversarial_loss(of_b, b.real, b.cycle)

    def discriminator_loss(self, model: CycleGAN, a: Domain, b: Domain) -> dict[str, Tensor]:
        of_a, of_b = self.discriminator
        return {
            "second_discriminator/loss_a": model.discriminator_loss(of_a, a.real, a.cycle)[1],
            "second_discriminator/loss_b": model.discriminator_loss(of_b, b.real, b.cycle)[1],
        }


class DomainClassifier(Objective):
    """Be taken for the target by a classifier that learns to find the source in a translation (StarGANv2-VC, Li et al.
    2021, arXiv:2107.10394). The classifier gives logits `(B, 2)`: "from A" and "from B"."""

    discriminator: nn.Module

    def __init__(self, weight: Weight, classifier: nn.Module) -> None:
        super().__init__("classifier", weight, classifier)

    def forward(self, model: CycleGAN, a: Domain, b: Domain) -> Tensor:
        return self.cross_entropy(model, a.fake, 0) + self.cross_entropy(model, b.fake, 1)

    def discriminator_loss(self, model: CycleGAN, a: Domain, b: Domain) -> dict[str, Tensor]:
        fake_a, fake_b = a.fake.detach(), b.fake.detach()
        return {
            "classifier/real": self.cross_entropy(model, a.real, 0) + self.cross_entropy(model, b.real, 1),
            "classifier/source": self.cross_entropy(model, fake_a, 1) + self.cross_entropy(model, fake_b, 0),
        }

    def cross_entropy(self, model: CycleGAN, x: Tensor, domain: int) -> Tensor:
        """Of calling the samples those of a domain, A being 0 and B 1."""
        labels = torch.full((x.shape[0],), domain, device=x.device)
        return F.cross_entropy(model.run(self.discriminator, x), labels)
