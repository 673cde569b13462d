"""Models saved as one file come back to be used, and files that are something else are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from generative_core import GAN, VAE, Autoencoder, AutoencoderConfig, GANConfig, Pix2Pix, UserError, VAEConfig
from generative_core.nets import ConvGenerator, MLPDecoder, MLPEncoder, PixelDiscriminator, UNetGenerator
from generative_core.saved import FILE, SHIPPED, about_model, find_model, save_model, shipped_models

SHAPE = (1, 8, 8)
NETWORKS = {
    "encoder": {"kind": "MLPEncoder", "shape": SHAPE, "outputs": 4, "hidden": [5]},
    "decoder": {"kind": "MLPDecoder", "shape": SHAPE, "latent": 2, "hidden": [5]},
}


def vae() -> VAE:
    torch.manual_seed(0)
    encoder = MLPEncoder(shape=SHAPE, outputs=4, hidden=[5])
    return VAE(VAEConfig(latent=2, beta=4.0), encoder=encoder, decoder=MLPDecoder(shape=SHAPE, latent=2, hidden=[5]))


def saved(path: Path, **changes: object) -> Path:
    """A saved VAE, with parts of its header changed."""
    save_model(path, vae(), NETWORKS)
    header = header_of(path)
    save_file(load_file(path), path, {"model": json.dumps({**header, **changes})})
    return path


def header_of(path: Path) -> dict[str, object]:
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    return json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["model"])


def test_a_model_comes_back_in_half_precision_and_frozen(tmp_path: Path) -> None:
    model = vae()
    save_model(tmp_path / FILE, model, NETWORKS, {"size": 8})
    again = VAE.from_pretrained(tmp_path)
    assert again.config == model.config
    z = torch.randn(3, 2)
    assert torch.allclose(again.decode(z), model.half().float().decode(z))
    assert not again.training
    assert not any(parameter.requires_grad for parameter in again.parameters())
    assert about_model(tmp_path / FILE) == {"size": 8}
    assert all(value.dtype == torch.float16 for value in load_file(tmp_path / FILE).values())


def test_a_generator_comes_back_without_its_discriminator(tmp_path: Path) -> None:
    torch.manual_seed(0)
    pix2pix = Pix2Pix(
        generator=lambda: UNetGenerator(channels=2, layers=5, input_skip=True, upsampling="resize"),
        discriminator=lambda: PixelDiscriminator(planes=6, channels=2),
    )
    unet = {"kind": "UNetGenerator", "channels": 2, "layers": 5, "input_skip": True, "upsampling": "resize"}
    save_model(tmp_path / "pix2pix.safetensors", pix2pix, {"generator": unet})
    x = torch.rand(1, 3, 32, 32)
    again = Pix2Pix.from_pretrained(tmp_path / "pix2pix.safetensors")
    assert torch.allclose(again.translate(x), pix2pix.eval().half().float().translate(x))
    assert not list(again.discriminator.parameters())

    gan = GAN(
        GANConfig(z_dim=4),
        generator=lambda: ConvGenerator(shape=(1, 8, 8), z_dim=4, channels=8, layers=1),
        discriminator=lambda: nn.Linear(64, 1),
    )
    generator = {"kind": "ConvGenerator", "shape": [1, 8, 8], "z_dim": 4, "channels": 8, "layers": 1}
    save_model(tmp_path / "gan.safetensors", gan, {"generator": generator})
    z = torch.randn(2, 4)
    assert torch.allclose(GAN.from_pretrained(tmp_path / "gan.safetensors").decode(z), gan.half().float().decode(z))


def test_networks_in_a_row_and_a_models_own_buffers(tmp_path: Path) -> None:
    decoder = nn.Sequential(MLPDecoder(shape=SHAPE, latent=2, hidden=[5]), nn.Sigmoid())
    model = Autoencoder(
        AutoencoderConfig(latent=2), encoder=MLPEncoder(shape=SHAPE, outputs=2, hidden=[5]), decoder=decoder
    )
    model.code_mean.fill_(3.0)
    networks = {
        "encoder": {**NETWORKS["encoder"], "outputs": 2},
        "decoder": [NETWORKS["decoder"], {"kind": "Sigmoid"}],
    }
    save_model(tmp_path / FILE, model, networks)
    again = Autoencoder.from_pretrained(tmp_path)
    assert again.code_mean.tolist() == [3.0, 3.0]
    z = torch.randn(3, 2)
    assert torch.allclose(again.decode(z), model.half().float().decode(z))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"family": "GAN"}, "of the family GAN, not VAE"),
        ({"config": {"latent": 2, "surprise": 1}}, "surprise"),
        ({"networks": {"encoder": NETWORKS["encoder"]}}, "decoder"),
        ({"networks": {**NETWORKS, "decoder": {"kind": "Linear", "in_features": 2}}}, "'Linear' is no network"),
        ({"networks": {**NETWORKS, "decoder": {**NETWORKS["decoder"], "hidden": [10**9]}}}, "no network has hidden"),
        ({"networks": {**NETWORKS, "decoder": {**NETWORKS["decoder"], "hidden": [4]}}}, "have the shape"),
        ({"networks": {**NETWORKS, "decoder": {"kind": "UNetGenerator", "layers": 4000}}}, "no network has layers"),
        ({"networks": []}, "not a model that this program has saved"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path: Path, changes: dict[str, object], why: str) -> None:
    with pytest.raises(UserError, match=why):
        VAE.from_pretrained(saved(tmp_path / FILE, **changes))


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / FILE
    for content in (b"", b"\xff" * 100, b"\x02\0\0\0\0\0\0\0{}", b"[" * 100_000):
        path.write_bytes(content)
        with pytest.raises(UserError, match="not a model that this program has saved"):
            VAE.from_pretrained(tmp_path)
    save_model(path, vae(), NETWORKS)
    broken = {name: torch.full_like(value, float("nan")) for name, value in load_file(path).items()}
    save_file(broken, path, {"model": json.dumps(header_of(path))})
    with pytest.raises(UserError, match="not finite, first in"):
        VAE.from_pretrained(tmp_path)


def test_a_name_that_is_none_gets_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no file, folder or shipped model 'flat-to-4d'"):
        find_model("flat-to-4d")
    with pytest.raises(UserError, match=r"holds no weights\.safetensors"):
        find_model(tmp_path)


def test_every_shipped_model_is_small_and_has_a_card() -> None:
    for name in shipped_models():
        assert (SHIPPED / name / FILE).stat().st_size < 12_000_000
        card = (SHIPPED / name / "README.md").read_text(encoding="utf-8")
        for part in ("icence", "## What it is", "## How good it is", "## Limits"):
            assert part in card, (name, part)
