"""Scores generated samples, reconstructions, outlier scores and latent spaces.

FID, KID, precision and recall compare features. The `extractor` says which: a function from samples `(B, ...)` to
vectors `(B, F)`. Scores by different extractors cannot be compared, so every table names its own. For features that are
already at hand pass `torch.nn.Identity()`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.metrics import mutual_info_score, roc_auc_score
from torch import Tensor
from torchmetrics.functional.image import peak_signal_noise_ratio, structural_similarity_index_measure
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import poly_mmd

Extractor = Callable[[Tensor], Tensor]


@torch.no_grad()
def extract(samples: Tensor, extractor: Extractor, batch_size: int = 500) -> Tensor:
    """The features of all samples, `(N, ...)` -> `(N, F)`, a batch at a time, on the CPU in double precision."""
    return torch.cat([extractor(batch).cpu().double() for batch in samples.split(batch_size)])


class _Features(torch.nn.Identity):
    """Tells torchmetrics that what it gets are features already."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.num_features = size


def fid(real: Tensor, fake: Tensor, extractor: Extractor) -> float:
    """Fréchet distance between normal distributions fitted to the features of real and of generated samples (Heusel et
    al. 2017, arXiv:1706.08500). Biased upwards by few samples: compare equal numbers, beside real against real."""
    a, b = extract(real, extractor), extract(fake, extractor)
    score = FrechetInceptionDistance(feature=_Features(a.shape[1])).set_dtype(torch.float64)
    score.update(a, real=True)
    score.update(b, real=False)
    return float(score.compute())


def kid(real: Tensor, fake: Tensor, extractor: Extractor) -> float:
    """Squared maximum mean discrepancy of the features under the kernel `(x·y / F + 1)**3` (Binkowski et al. 2018,
    arXiv:1801.01401), over all pairs. Unbiased, so it may be slightly negative."""
    a, b = extract(real, extractor), extract(fake, extractor)
    return float(poly_mmd(a, b, 3, None, 1.0))


class PrecisionRecall(NamedTuple):
    """Shares in [0, 1]: of generated samples that look real, and of real samples that are covered."""

    precision: float
    recall: float


def precision_recall(real: Tensor, fake: Tensor, extractor: Extractor, neighbours: int = 3) -> PrecisionRecall:
    """Whether features lie within the other set's balls, each reaching to its own k-th neighbour (Kynkäänniemi et al.
    2019, arXiv:1904.06991)."""
    a, b = extract(real, extractor), extract(fake, extractor)
    if min(len(a), len(b)) <= neighbours:
        raise ValueError(f"{neighbours} neighbours need more samples than {len(a)} real and {len(b)} generated ones")
    return PrecisionRecall(_covered(b, a, neighbours), _covered(a, b, neighbours))


def _covered(points: Tensor, centres: Tensor, neighbours: int) -> float:
    # The nearest of the neighbours is the centre itself.
    radii = torch.cdist(centres, centres).kthvalue(neighbours + 1, dim=1).values
    return float((torch.cdist(points, centres) <= radii).any(1).double().mean())


def energy_distance(x: Tensor, y: Tensor) -> float:
    """`2 E|X - Y| - E|X - X'| - E|Y - Y'|` of two sets of points, `(N, D)` and `(M, D)`, over all pairs (Székely &
    Rizzo 2013): zero for equal sets, and for few points a little above zero even if they are of one distribution."""
    x, y = x.double(), y.double()
    return float(2 * torch.cdist(x, y).mean() - torch.cdist(x, x).mean() - torch.cdist(y, y).mean())


def path_length(
    decode: Callable[[Tensor], Tensor], start: Tensor, end: Tensor, extractor: Extractor, *, step: float = 1e-2
) -> float:
    """Perceptual path length (Karras et al. 2019, arXiv:1812.04948): how fast features change along the straight lines
    between latents `start` and `end`, both `(B, latent)`, squared and averaged over one place on each line.

    `decode` takes latents to samples; `step` is the share of the line over which the change is taken. Uses torch's
    random state for the places.
    """
    place = torch.rand(len(start), 1, device=start.device) * (1 - step)
    here, there = (extract(torch.lerp(start, end, at), lambda z: extractor(decode(z))) for at in (place, place + step))
    return float(((here - there) / step).square().sum(1).mean())


def psnr(images: Tensor, target: Tensor) -> float:
    """Peak signal-to-noise ratio in dB of images `(B, C, H, W)` in [0, 1], the mean over images."""
    return float(peak_signal_noise_ratio(images, target, data_range=1.0, dim=(1, 2, 3)))


def ssim(images: Tensor, target: Tensor) -> float:
    """Structural similarity of images `(B, C, H, W)` in [0, 1] of at least 11x11 (Wang et al. 2004), the mean over
    images."""
    value = structural_similarity_index_measure(images, target, data_range=1.0)
    assert isinstance(value, Tensor)
    return float(value)


def auroc(inliers: Tensor, outliers: Tensor) -> float:
    """The probability that an outlier's score, `(N,)`, is above an inlier's: 1 is perfect, 0.5 is chance."""
    truth = [0] * len(inliers) + [1] * len(outliers)
    return float(roc_auc_score(truth, torch.cat([inliers, outliers]).cpu().numpy()))


def mig(codes: Tensor, factors: Tensor, bins: int = 20) -> float:
    """Mutual information gap (Chen et al. 2018, arXiv:1802.04942) of latents `(N, latent)` about discrete factors
    `(N, factors)`, in [0, 1].

    By how much the latent that knows most about a factor is ahead of the second, as a share of the factor's entropy;
    the mean over factors. Latents are cut into `bins` equal pieces of their range; factors that never vary are left
    out.
    """
    columns = [_binned(column, bins) for column in codes.cpu().double().numpy().T]
    gaps = []
    for factor in factors.cpu().numpy().T:
        entropy = mutual_info_score(factor, factor)
        if entropy > 0:
            known = sorted([0.0, *(float(mutual_info_score(factor, column)) for column in columns)])
            gaps.append((known[-1] - known[-2]) / entropy)
    if not gaps:
        raise ValueError("none of the factors varies")
    return float(np.mean(gaps))


def _binned(column: NDArray[np.float64], bins: int) -> NDArray[np.int64]:
    edges = np.linspace(column.min(), column.max(), bins + 1)
    return np.digitize(column, edges[1:-1])


class DCI(NamedTuple):
    """In [0, 1]: every latent about one factor, every factor in one latent, and factors predicted right."""

    disentanglement: float
    completeness: float
    informativeness: float


def dci(codes: Tensor, factors: Tensor, *, seed: int = 0) -> DCI:
    """Disentanglement, completeness and informativeness (Eastwood & Williams 2018) of latents `(N, latent)` about
    discrete factors `(N, factors)`: how a random forest uses the latents to tell each factor.

    The forest learns on the first four fifths; informativeness is its accuracy on the rest.
    """
    x, y = codes.cpu().double().numpy(), factors.cpu().numpy()
    border = len(x) * 4 // 5
    importance, right = [], []
    for factor in y.T:
        # Every split may use any latent, or those that know nothing would be used for want of better ones.
        forest = RandomForestClassifier(n_estimators=20, max_features=None, min_samples_leaf=5, random_state=seed)
        forest.fit(x[:border], factor[:border])
        importance.append(forest.feature_importances_)
        right.append(forest.score(x[border:], factor[border:]))
    disentanglement, completeness = disentanglement_completeness(np.stack(importance, axis=1))
    return DCI(disentanglement, completeness, float(np.mean(right)))


def disentanglement_completeness(importance: NDArray[np.float64]) -> tuple[float, float]:
    """From how important each latent is for each factor, `(latent, factors)`, at least two of both: one minus the
    entropy of every row (of every column), with the rows (columns) weighted by their sums."""
    importance = importance / importance.sum()
    return _concentration(importance), _concentration(importance.T)


def _concentration(table: NDArray[np.float64]) -> float:
    sums = table.sum(1)
    shares = table / np.where(sums > 0, sums, 1)[:, None]
    entropy = -(shares * np.log(np.where(shares > 0, shares, 1))).sum(1) / np.log(table.shape[1])
    return float((sums * (1 - entropy)).sum())
