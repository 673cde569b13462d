"""Defines losses as pure functions of tensors; every one returns a scalar.

Discriminator outputs ("logits") may have any shape: one number an image, or a map of patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional as F

Adversarial = Literal["lsgan", "non-saturating", "hinge", "wasserstein", "relativistic"]
"""LSGAN (Mao et al. 2017), non-saturating (Goodfellow et al. 2014), hinge (Lim & Ye 2017), Wasserstein (Arjovsky et
al. 2017; with `lipschitz_penalty` it is WGAN-GP, Gulrajani et al. 2017) and the relativistic pairing loss
(Jolicoeur-Martineau 2018; with R1 and R2 it is R3GAN, Huang et al. 2024)."""


def adversarial_discriminator_loss(kind: Adversarial, real: Tensor, fake: Tensor) -> Tensor:
    """What the discriminator minimises, from its outputs on real and on (detached) generated samples."""
    if kind == "lsgan":
        return ((real - 1).square().mean() + fake.square().mean()) / 2
    if kind == "non-saturating":
        return F.softplus(-real).mean() + F.softplus(fake).mean()
    if kind == "hinge":
        return F.relu(1 - real).mean() + F.relu(1 + fake).mean()
    if kind == "wasserstein":
        return fake.mean() - real.mean()
    if kind == "relativistic":
        return F.softplus(fake - real).mean()
    raise ValueError(f"adversarial loss {kind!r} is not one of {get_args(Adversarial)}")


def adversarial_generator_loss(kind: Adversarial, fake: Tensor, real: Tensor | None = None) -> Tensor:
    """What the generator minimises; only the relativistic loss looks at `real`, of the same shape as `fake`."""
    if kind == "lsgan":
        return (fake - 1).square().mean()
    if kind == "non-saturating":
        return F.softplus(-fake).mean()
    if kind in ("hinge", "wasserstein"):
        return -fake.mean()
    if kind == "relativistic":
        if real is None:
            raise ValueError("the relativistic loss compares with real samples: pass their outputs as `real`")
        return F.softplus(real - fake).mean()
    raise ValueError(f"adversarial loss {kind!r} is not one of {get_args(Adversarial)}")


def gradient_penalty(logits: Tensor, inputs: Tensor) -> Tensor:
    """Half the squared gradient norm of the discriminator at its inputs, averaged over the batch (Mescheder et al.
    2018): R1 on real samples, R2 on generated ones. `inputs` must require gradients."""
    (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return gradient.square().flatten(1).sum(1).mean() / 2


def lipschitz_penalty(logits: Tensor, inputs: Tensor) -> Tensor:
    """How far the gradient norm of the discriminator at its inputs is from 1, squared and averaged over the batch
    (Gulrajani et al. 2017, whose inputs are `mix_samples` of real and generated ones). `inputs` must require
    gradients."""
    (gradient,) = torch.autograd.grad(logits.sum(), inputs, create_graph=True)
    return (gradient.flatten(1).norm(dim=1) - 1).square().mean()


def mix_samples(real: Tensor, fake: Tensor) -> Tensor:
    """`(B, ...)` points at random between each real sample and the generated one of the same place in the batch."""
    weight = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device)
    return torch.lerp(real, fake, weight)


def patch_nce_loss(query: Tensor, key: Tensor, temperature: float = 0.07) -> Tensor:
    """How badly patches `query` `(B, P, D)` of pictures are recognised as those of the same number in `key`, of the
    same shape, among all of the same picture, in nats (Park et al. 2020, arXiv:2007.15651). Vectors are scaled to
    length one; no gradient reaches `key`."""
    similarity = F.normalize(query, dim=2) @ F.normalize(key.detach(), dim=2).transpose(1, 2) / temperature
    own = torch.arange(query.shape[1], device=query.device).expand(len(query), -1)
    return F.cross_entropy(similarity.flatten(0, 1), own.flatten())


def sliced_texture_distance(fake: Tensor, real: Tensor, filters: int = 32) -> Tensor:
    """How differently fine details are distributed in two batches `(B, C, H, W)`, in standard deviations.

    Sliced Wasserstein distance (Rabin et al. 2011) of patches, as in Heitz et al. 2021 (arXiv:2006.07229), in two bands
    of a Laplacian pyramid (Karras et al. 2018, arXiv:1710.10196): what random filters find in either batch is sorted
    and compared. Each row is compared with the same row only: bands of a spectrogram differ. It needs no
    discriminator, and it leaves out coarse structure, which is what is shown or said. Uses torch's random state.
    """
    distances = []
    for size in (3, 7):
        smooth_fake, smooth_real = _blur(fake, size), _blur(real, size)
        weight = torch.randn(filters, fake.shape[1], size, size, device=fake.device)
        found, wanted = (
            F.conv2d(detail, weight, stride=(3, 1)).permute(1, 2, 0, 3).flatten(2).sort().values
            for detail in (fake - smooth_fake, real - smooth_real)
        )
        distances.append(((found - wanted).abs().mean(2) / wanted.std(2).clamp_min(1e-6)).mean())
        fake, real = smooth_fake, smooth_real
    return torch.stack(distances).sum()


def _blur(x: Tensor, size: int) -> Tensor:
    return F.avg_pool2d(F.pad(x, [size // 2] * 4, mode="replicate"), size, 1)


def relative_distance(features: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """The L1 distance of a discriminator's features of a generated sample from those of a real one, each layer's
    relative to the size of the real one's, as in EnCodec (Defossez et al. 2022, arXiv:2210.13438): otherwise what it
    weighs depends on how the discriminator was initialised and on the level of the samples. The mean over layers."""
    distances = [
        F.l1_loss(a.float(), b.float()) / b.float().abs().mean().clamp_min(1e-6)
        for a, b in zip(features, wanted, strict=True)
    ]
    return torch.stack(distances).mean()


def decision_threshold(kind: Adversarial) -> float:
    """The output above which a discriminator of this kind calls a sample real."""
    return 0.5 if kind == "lsgan" else 0.0


def spread(x: Tensor) -> Tensor:
    """How much the samples of a batch differ from each other; it falls towards zero when a generator collapses."""
    return x.detach().std(0, correction=0).mean() + 1e-8
