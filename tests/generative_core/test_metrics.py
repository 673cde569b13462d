"""Scores against values worked out on paper."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from generative_core.metrics import (
    auroc,
    dci,
    disentanglement_completeness,
    energy_distance,
    extract,
    fid,
    kid,
    mig,
    path_length,
    precision_recall,
    psnr,
    ssim,
)

AS_IT_IS = nn.Identity()


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def whitened(count: int, size: int) -> torch.Tensor:
    """Points whose sample mean is zero and whose sample covariance is the identity, exactly."""
    x = torch.randn(count, size, dtype=torch.float64)
    x = x - x.mean(0)
    return x @ torch.linalg.inv(torch.linalg.cholesky(x.T.cov())).T


def test_fid_is_the_distance_of_the_normal_distributions() -> None:
    x = whitened(500, 3)
    assert fid(x, x.flip(0), AS_IT_IS) == pytest.approx(0, abs=1e-6)
    # |mean difference|^2 + sum of (1 - s)^2 for covariances I and diag(s^2)
    scale, shift = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.0, 0.0, 1.0])
    assert fid(x, x * scale + shift, AS_IT_IS) == pytest.approx(5 + 0 + 1 + 4)
    assert fid(x, x + 7, lambda samples: samples - samples.mean(0)) == pytest.approx(0, abs=1e-6)


def test_kid_is_the_unbiased_discrepancy() -> None:
    a, b = torch.tensor([[1.0], [2.0]]), torch.tensor([[0.0], [1.0]])
    # k(x, y) = (xy + 1)^3: k(1, 2) = 27 within a, k(0, 1) = 1 within b; between: 1, 8, 1, 27.
    assert kid(a, b, AS_IT_IS) == pytest.approx(27 + 1 - 2 * (1 + 8 + 1 + 27) / 4)
    same = [kid(torch.randn(200, 4), torch.randn(200, 4), AS_IT_IS) for _ in range(20)]
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(20)


def test_precision_and_recall_see_collapse_and_nonsense() -> None:
    real = torch.rand(300, 2)
    collapsed = 0.5 + 0.01 * torch.rand(300, 2)
    precision, recall = precision_recall(real, collapsed, AS_IT_IS)
    assert precision > 0.95
    assert recall < 0.05
    half_wrong = torch.cat([torch.rand(150, 2), torch.rand(150, 2) + 5])
    precision, recall = precision_recall(real, half_wrong, AS_IT_IS)
    assert precision == pytest.approx(0.5, abs=0.05)
    assert recall > 0.9
    with pytest.raises(ValueError, match="3 neighbours need more samples than 3"):
        precision_recall(real[:3], real, AS_IT_IS)


def test_extraction_goes_through_all_samples_in_batches() -> None:
    seen = []
    features = extract(torch.arange(25.0).view(25, 1), lambda batch: (seen.append(len(batch)), batch * 2)[1], 10)
    assert seen == [10, 10, 5]
    assert features[:, 0].tolist() == [2.0 * n for n in range(25)]


def test_psnr_is_averaged_over_images() -> None:
    target = torch.zeros(2, 1, 4, 4)
    images = torch.stack([torch.full((1, 4, 4), 0.1), torch.full((1, 4, 4), 0.01)])
    assert psnr(images, target) == pytest.approx((20 + 40) / 2, abs=1e-3)


def test_ssim_of_constant_images_by_hand() -> None:
    a, b = torch.full((1, 1, 16, 16), 0.5), torch.full((1, 1, 16, 16), 0.25)
    # Without variance only the luminance term is left, with C1 = 0.01^2.
    assert ssim(a, b) == pytest.approx((2 * 0.5 * 0.25 + 1e-4) / (0.25 + 0.0625 + 1e-4), abs=1e-4)
    assert ssim(a, a) == pytest.approx(1)


def test_auroc_counts_pairs() -> None:
    inliers, outliers = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([2.5, 4.0])
    assert auroc(inliers, outliers) == pytest.approx(5 / 6)
    assert auroc(outliers, inliers) == pytest.approx(1 / 6)


def test_mig_on_paper() -> None:
    """Factor a (two values) is latent 0 alone; factor b (four values) is halved by latent 1 and doubly so by latent 2.

    H(a) = log 2; its gap is (log 2 - 0) / log 2 = 1. H(b) = log 4; latent 2 knows it all, latent 1 log 2 of it: the gap
    is (log 4 - log 2) / log 4 = 1/2. The mean is 3/4.
    """
    a, b = torch.cartesian_prod(torch.arange(2), torch.arange(4)).T
    codes = torch.stack([a.float(), (b // 2).float(), b.float()], dim=1)
    factors = torch.stack([a, b, torch.zeros_like(a)], dim=1)
    assert mig(codes, factors) == pytest.approx(0.75)
    assert mig(codes[:, :1], factors[:, :1]) == pytest.approx(1.0)
    with pytest.raises(ValueError, match="varies"):
        mig(codes, torch.zeros(8, 1))


def test_disentanglement_and_completeness_on_paper() -> None:
    assert disentanglement_completeness(np.eye(3)) == (pytest.approx(1), pytest.approx(1))
    assert disentanglement_completeness(np.ones((3, 3))) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    # Latents 0 and 1 share factor 0 and latent 2 has factor 1: every latent is about one factor, but factor 0 is in
    # two of three latents, so its completeness is 1 - log 2 / log 3; both factors weigh the same.
    table = np.array([[0.5, 0.0], [0.5, 0.0], [0.0, 1.0]])
    expected = (1 - math.log(2) / math.log(3) + 1) / 2
    assert disentanglement_completeness(table) == (pytest.approx(1), pytest.approx(expected))


def test_dci_tells_separate_latents_from_mixed_ones() -> None:
    factors = torch.randint(0, 4, (600, 2))
    separate = torch.cat([factors.float(), torch.randn(600, 1)], dim=1)
    angle = torch.tensor(math.pi / 4)
    turn = torch.tensor([[angle.cos(), -angle.sin()], [angle.sin(), angle.cos()]])
    mixed = torch.cat([factors.float() @ turn.T, torch.randn(600, 1)], dim=1)
    good, bad = dci(separate, factors), dci(mixed, factors)
    assert min(good) > 0.9
    assert bad.disentanglement < 0.4
    assert bad.completeness < 0.6


def test_energy_distance_by_hand() -> None:
    """Points 0 and 2 against 1 and 1: twice the mean distance is 2, that within the first set (0 + 2 + 2 + 0) / 4."""
    x, y = torch.tensor([[0.0], [2.0]]), torch.tensor([[1.0], [1.0]])
    assert energy_distance(x, y) == pytest.approx(2 - 1 - 0)
    assert energy_distance(x, x) == pytest.approx(0)


def test_path_length_of_a_plane_and_of_a_sphere() -> None:
    """A linear map stretches every line by a known factor; along a circle the speed is the angle between the ends."""
    torch.manual_seed(0)
    start, end = torch.randn(50, 3), torch.randn(50, 3)
    matrix = torch.randn(3, 5)
    expected = ((end - start) @ matrix).square().sum(1).mean()
    found = path_length(lambda z: z @ matrix, start, end, lambda x: x)
    assert found == pytest.approx(float(expected), rel=1e-3)

    def circle(angle: torch.Tensor) -> torch.Tensor:
        return torch.cat([angle.cos(), angle.sin()], dim=1)

    found = path_length(circle, torch.zeros(50, 1), torch.full((50, 1), 2.0), lambda x: x)
    assert found == pytest.approx(4.0, rel=1e-3)
