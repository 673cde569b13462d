"""Turns the results.json of each recipe into the gallery's table, and says whether its target was reached.

The function for a recipe is called like it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from recipes.common.intervals import interval


class Figures(NamedTuple):
    """The figures to show, and what the recipe must reach, each with whether it did."""

    header: Sequence[str]
    rows: Sequence[Sequence[object]]
    targets: dict[str, bool]


def gan_points(results: dict[str, Any]) -> Figures:
    films = {name: value for name, value in results.items() if isinstance(value, dict)}
    return Figures(
        ("distance to the real points", "at the first step", "at the end", "with averaged weights", "real, at random"),
        [(name, *film.values()) for name, film in films.items()],
        {f"{name}, at most three times the floor": film["last"] <= 3 * film["floor"] for name, film in films.items()},
    )


def autoencoder_mnist(results: dict[str, Any]) -> Figures:
    mse, pca = results["test_mse"], results["pca_mse"]
    return Figures(
        ("latent size", "test MSE", "test MSE of PCA"),
        [(latent, mse[latent], pca[latent]) for latent in mse],
        {
            "test MSE falls with every size": results["falls_with_every_size"],
            "below PCA's at 2, 5 and 10 numbers": all(mse[size] < pca[size] for size in mse if int(size) <= 10),
        },
    )


def denoising_mnist(results: dict[str, Any]) -> Figures:
    psnr = results["psnr"]
    return Figures(
        ("noise", "PSNR of the noisy image, dB", "of the best filter", "denoised", "gain"),
        [(noise, *(row[key] for key in ("noisy", "filtered", "denoised", "gain"))) for noise, row in psnr.items()],
        {
            f"{noise}: above the noisy image and the filter": row["denoised"] > max(row["noisy"], row["filtered"])
            for noise, row in psnr.items()
        },
    )


def vae_mnist(results: dict[str, Any]) -> Figures:
    density, quality = results["density"], results["quality"]
    rows = [
        (
            name,
            *(density.get(name, {}).get(key) for key in ("elbo", "kl", "log_likelihood")),
            *(found[key] for key in ("completeness", "fitted", "continuity", "fid")),
        )
        for name, found in quality.items()
    ]
    small, large = [name.removeprefix("VAE, ") for name in density]
    above = {
        f"completeness above the autoencoder's, {size}": (
            quality[f"VAE, {size}"]["completeness"] > quality[f"AE, {size}"]["completeness"]
        )
        for size in (small, large)
    }
    return Figures(
        (
            "model",
            "ELBO, nats",
            "KL",
            "importance-weighted log p(x)",
            "completeness",
            "own samples",
            "continuity",
            "FID",
        ),
        rows,
        {f"more than -105 nats, {large}": density[f"VAE, {large}"]["elbo"] > -105, **above},
    )


def beta_vae(results: dict[str, Any]) -> Figures:
    sprites = results["sprites"]
    names = ("mig", "disentanglement", "completeness", "informativeness", "reconstruction")
    means = {beta: {name: _mean(seed[name] for seed in seeds) for name in names} for beta, seeds in sprites.items()}
    migs = {beta: [seed["mig"] for seed in seeds] for beta, seeds in sprites.items()}
    reconstruction = [means[beta]["reconstruction"] for beta in sorted(means, key=float)]
    return Figures(
        ("beta, on sprites", "MIG", "lowest", "highest", *names[1:-1], "log p(x given z), nats"),
        [
            (beta, row["mig"], min(migs[beta]), max(migs[beta]), *(row[name] for name in names[1:]))
            for beta, row in means.items()
        ],
        {
            "MIG higher at a heavier beta than at 1, every seed above every seed": any(
                min(values) > max(migs["1"]) for beta, values in migs.items() if float(beta) > 1
            ),
            "reconstruction falls with every beta": reconstruction == sorted(reconstruction, reverse=True),
        },
    )


def debiasing_vae(results: dict[str, Any]) -> Figures:
    ways = results["recognised"]
    gaps = {way: [max(rates[:-1]) - min(rates[:-1]) for rates in seeds] for way, seeds in ways.items()}
    rows, smaller = [], {}
    for way, seeds in ways.items():
        if way != "standard":
            smaller[way] = interval([a - b for a, b in zip(gaps["standard"], gaps[way], strict=True)])
        groups = [_mean(rates[group] for rates in seeds) for group in range(len(results["groups"]))]
        false_alarms = _mean(rates[-1] for rates in seeds)
        accuracy = (_mean(groups) + 1 - false_alarms) / 2
        rows.append((way, *groups, _mean(gaps[way]), str(smaller.get(way, "-")), false_alarms, accuracy))
    return Figures(
        ("recognised", *results["groups"], "gap", "smaller by", "false alarms", "balanced accuracy"),
        rows,
        {
            "a smaller gap at some alpha, beyond the 95 % interval over seeds": any(
                gain.half is not None and gain.mean > gain.half for gain in smaller.values()
            )
        },
    )


def anomaly(results: dict[str, Any]) -> Figures:
    names = list(results["mean_auroc"])
    rows = [(outlier, *(row[name] for name in names)) for outlier, row in results["auroc"].items()]
    if len(rows) == 1:
        return Figures(("AUROC", *names), rows, {})
    mean = results["mean_auroc"]
    target = {"mean AUROC above 0.8 for the ELBO": mean["negative ELBO"] > 0.8}
    return Figures(("AUROC, left out", *names), [*rows, ("mean", *mean.values())], target)


def augmentation(results: dict[str, Any]) -> Figures:
    accuracy, gain = results["accuracy"], results["gain"]
    fewest = gain[min(gain, key=int)]["generated over real only"]
    return Figures(
        ("real images a class", *next(iter(accuracy.values())), *next(iter(gain.values()))),
        [
            (size, *map(_interval, row.values()), *(_interval(value, "+") for value in gain[size].values()))
            for size, row in accuracy.items()
        ],
        {"generated images beat none with the fewest real ones": fewest["mean"] > (fewest["half"] or 0)},
    )


def gan_mnist(results: dict[str, Any]) -> Figures:
    scores = results["scores"]
    collapsed, cured = (row for name, row in scores.items() if name.startswith("momentum"))
    real = scores["real images"]
    losses = {name: row for name, row in scores.items() if not name.startswith(("momentum", "real"))}
    return Figures(
        ("loss", "FID", "KID", "precision", "recall", "digits covered", "worst FID, second half"),
        [(name, *row) for name, row in scores.items()],
        {
            "all ten digits with every loss": all(row[4] == real[4] for row in losses.values()),
            "FID at most five times that of real images, every loss": all(
                row[0] <= 5 * real[0] for row in losses.values()
            ),
            "fewer digits when it collapses": collapsed[4] < real[4],
            "all of them again with R1 and R2": cured[4] == real[4],
        },
    )


def conditional_gan(results: dict[str, Any]) -> Figures:
    header = ("class", "seen right, generated", "seen right, real", "FID", "FID of real images")
    rows = [tuple(row[name] for name in header) for row in results["classes"]]
    whole = ("all", results["accuracy"], results["real_accuracy"], results["scores"]["fid"], results["floor"]["fid"])
    return Figures(header, [*rows, whole], {"95 % of the samples seen right": results["accuracy"] >= 0.95})


def style_gan(results: dict[str, Any]) -> Figures:
    psi = {f"generated, psi {psi}": scores for psi, scores in results["truncation"].items()}
    in_z, in_w = results["path_length"].values()
    curve = [fid for _, fid in results["curve"]]
    return Figures(
        ("", "FID", "KID", "precision", "recall"),
        [(name, *scores.values()) for name, scores in {**psi, "real images": results["floor"]}.items()],
        {
            f"path length in W ({show(in_w)}) below that in Z ({show(in_z)})": in_w < in_z,
            f"FID falls along the training ({show(curve[0])} to {show(curve[-1])})": curve[-1] < curve[0],
        },
    )


def pix2pix(results: dict[str, Any]) -> Figures:
    return _translations({"": results["scores"]})


def cyclegan(results: dict[str, Any]) -> Figures:
    names = {"ab": "Noto to Twemoji", "ba": "Twemoji to Noto"}
    return _translations({names[direction]: scores for direction, scores in results["scores"].items()})


def _translations(tables: dict[str, list[dict[str, Any]]]) -> Figures:
    """The tables of a translation in one or two directions, of which each has the input, the change of colours, the
    translation and real pictures as rows, in this order."""
    names = list(next(iter(tables.values()))[0])[1:]
    rows, targets = [], {}
    for direction, scores in tables.items():
        which = f"{direction}: " if direction else ""
        rows += [(f"{which}{row['name']}", *(row[name] for name in names)) for row in scores]
        *baselines, translated, _ = scores
        for name in names:
            sign = -1 if name == "SSIM" else 1
            targets[f"{which}{name} better than the input's and than a change of colours"] = all(
                sign * translated[name] < sign * baseline[name] for baseline in baselines
            )
    return Figures(("", *names), rows, targets)


def diffusion_mnist(results: dict[str, Any]) -> Figures:
    unguided, guided, real = results["scores"]
    return Figures(
        ("in 20 steps", *list(unguided)[1:]),
        [tuple(row.values()) for row in results["scores"]],
        {
            "FID within twice that of real images, unguided": unguided["FID"] <= 2 * real["FID"],
            "99 % seen as asked for, guided": guided["seen as asked for"] >= 0.99,
        },
    )


def diffusion_few_steps(results: dict[str, Any]) -> Figures:
    scores = results["scores"]
    teacher = max((row for row in scores if row["name"] == "teacher"), key=lambda row: row["steps"])
    student = max((row for row in scores if row["name"] == "student"), key=lambda row: row["steps"])
    return Figures(
        ("", "steps", "FID", "seen as asked for"),
        [tuple(row.values()) for row in scores],
        {
            f"FID in {student['steps']} steps within 1.5 times the teacher's in {teacher['steps']}": (
                student["fid"] <= 1.5 * teacher["fid"]
            )
        },
    )


def diffusion_emoji(results: dict[str, Any]) -> Figures:
    scores = results["scores"]
    drawn = "own name among 100, drawn"
    known = [row for row in scores if row["group"] == "names of the training"]
    return Figures(
        ("", *list(scores[0])[1:]),
        [tuple(row.values()) for row in scores],
        {f"half of the known names, {row['style'] or 'all'}": row[drawn] >= 0.5 for row in known},
    )


def diffusion_restore(results: dict[str, Any]) -> Figures:
    rows, targets = results["scores"], {}
    for damaged, restored, mean in zip(rows[::3], rows[1::3], rows[2::3], strict=True):
        targets[f"{damaged['task']}, better FID than damaged"] = restored["fid"] < damaged["fid"]
        targets[f"{damaged['task']}, mean nearer than damaged"] = mean["psnr"] > damaged["psnr"]
    return Figures(("task", "", "PSNR, dB", "SSIM", "FID"), [tuple(row.values()) for row in rows], targets)


def diffusion_voice(results: dict[str, Any]) -> Figures:
    distances = results["mmd"]
    return Figures(
        ("", "discrepancy of frames (MMD)"),
        list(distances.items()),
        {"less than half of the discrepancy of noise": distances["drawn"] < distances["noise"] / 2},
    )


def show(value: object) -> str:
    """A cell of a table."""
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) >= 100 else f"{value:.3g}"
    return str(value)


def _interval(value: dict[str, float | None], sign: str = "") -> str:
    mean, half = value["mean"], value["half"]
    return f"{mean:{sign}.3f}" + ("" if half is None else f" ± {half:.3f}")


def _mean(values: Any) -> float:
    numbers = list(values)
    return sum(numbers) / len(numbers)
