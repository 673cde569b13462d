"""A vocoder folder: what is saved comes back, and what does not fit is refused with its reason."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from generative_core.files import write_atomically
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.vocoder.base import load_vocoder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder.istft_generator import GeneratorConfig

SIZE = GeneratorConfig(channels=16, blocks=2, kernel_size=7, lookahead=3)
STORED = dataclasses.asdict(SIZE)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    vocoder = ISTFTVocoder.build(MelConfig(), SIZE)
    vocoder.metadata = {"licence": "CC0", "credits": "nobody"}
    vocoder.save(tmp_path / "tiny")
    return tmp_path / "tiny"


def edit(folder: Path, **changes: object) -> None:
    path = folder / "vocoder.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / "weights.safetensors")
    edit(folder, weights_sha256=hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest())


def test_round_trip(folder: Path, tmp_path: Path) -> None:
    vocoder = ISTFTVocoder.load(folder)
    assert vocoder.metadata == {"licence": "CC0", "credits": "nobody"}
    vocoder.save(tmp_path / "again")
    again = ISTFTVocoder.load(tmp_path / "again")
    mel = torch.randn(1, 80, 9) - 5
    assert torch.equal(vocoder(mel), again(mel))
    assert again.metadata == vocoder.metadata
    stored = load_file(folder / "weights.safetensors")
    assert {tensor.dtype for tensor in stored.values()} == {torch.float16}


def test_killed_between_its_two_files_it_speaks_as_before(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = ISTFTVocoder.load(folder)
    torch.manual_seed(1)
    other = ISTFTVocoder.build(MelConfig(), SIZE)

    def killed(path: Path, content: bytes, done: list[Path] = []) -> None:  # noqa: B006
        if done:
            raise KeyboardInterrupt
        done.append(path)
        write_atomically(path, content)

    with monkeypatch.context() as patch:
        patch.setattr("voiceconv.weights.write_atomically", killed)
        with pytest.raises(KeyboardInterrupt):
            other.save(folder)
    mel = torch.randn(1, 80, 9) - 5
    assert torch.equal(ISTFTVocoder.load(folder)(mel), before(mel))
    other.save(folder)
    after = ISTFTVocoder.load(folder)
    assert not torch.equal(after(mel), before(mel))
    assert after.weights_sha256 != before.weights_sha256


def test_found_by_folder_and_by_run(folder: Path, tmp_path: Path) -> None:
    assert load_vocoder(str(folder), MelConfig()).name == "istft"
    shutil.copytree(folder, tmp_path / "run" / "vocoder")
    assert load_vocoder(str(tmp_path / "run"), MelConfig()).name == "istft"
    with pytest.raises(UserError, match=r"is no vocoder: it has no vocoder\.json"):
        load_vocoder(str(tmp_path), MelConfig())


def test_another_mel_is_refused_by_the_name_of_the_field(folder: Path) -> None:
    edit(folder, mel={**dataclasses.asdict(MelConfig()), "f_max": 7600.0})
    with pytest.raises(UserError, match=r"another mel-spectrogram: f_max \(7600.0 instead of 8000.0\)"):
        load_vocoder(str(folder), MelConfig())


def test_damage_is_refused(folder: Path) -> None:
    weights = folder / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"not the file that vocoder.json was written for"):
        ISTFTVocoder.load(folder)
    weights.unlink()
    with pytest.raises(UserError, match=r"is missing"):
        ISTFTVocoder.load(folder)


def test_weights_that_do_not_fit_are_refused(folder: Path) -> None:
    tensors = load_file(folder / "weights.safetensors")
    rewrite_weights(folder, {**tensors, "noise.bias": tensors["noise.bias"] * float("nan")})
    with pytest.raises(UserError, match=r"not finite, first in noise.bias"):
        ISTFTVocoder.load(folder)
    rewrite_weights(folder, {key: value for key, value in tensors.items() if key != "noise.bias"})
    with pytest.raises(UserError, match=r"(?s)not a complete vocoder.*noise.bias"):
        ISTFTVocoder.load(folder)
    rewrite_weights(folder, tensors)
    edit(folder, generator={**STORED, "channels": 24})
    with pytest.raises(UserError, match=r"not a complete vocoder"):
        ISTFTVocoder.load(folder)


@pytest.mark.parametrize(
    "size", [{**STORED, "channels": 10**9}, {**STORED, "blocks": "2"}, {"channels": 16}, {**STORED, "x": 1}]
)
def test_hostile_sizes_are_refused(folder: Path, size: dict[str, object]) -> None:
    edit(folder, generator=size)
    with pytest.raises(UserError, match="sizes are blocks, channels, kernel_size, lookahead"):
        ISTFTVocoder.load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "has the format None"),
        ('{"format": 99}', "has the format 99, this program reads format 2"),
        ('{"format": 2}', "not a complete vocoder"),
    ],
)
def test_bad_descriptions_are_refused(folder: Path, content: str, message: str) -> None:
    (folder / "vocoder.json").write_text(content)
    with pytest.raises(UserError, match=message):
        ISTFTVocoder.load(folder)


def test_noise_follows_a_generator_that_is_moved_to_another_device() -> None:
    vocoder = ISTFTVocoder.build(MelConfig(), GeneratorConfig(channels=8, blocks=1, kernel_size=3))
    vocoder.generator.to("meta")
    assert vocoder.noise_at(3, 5).device.type == "meta"
