"""A voice folder: what is saved comes back, and what does not fit is refused with its reason."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.signals import hum
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.vocoder.griffin_lim import GriffinLim
from voiceconv.voice.voice import Voice, available_voices, build_generator


@pytest.fixture
def copy(tiny_voice: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_voice, tmp_path / "voice-copy"))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "voice.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def rewrite_weights(folder: Path, tensors: dict[str, torch.Tensor]) -> None:
    save_file(tensors, folder / "weights.safetensors")
    edit(folder, weights_sha256=hashlib.sha256((folder / "weights.safetensors").read_bytes()).hexdigest())


def test_round_trip(tiny_voice: Path, tmp_path: Path) -> None:
    voice = Voice.load(tiny_voice)
    voice.save(tmp_path / "again")
    again = Voice.load(tmp_path / "again")
    assert again.names == ("allison", "joe")
    assert again.speakers[0].pitch == voice.speakers[0].pitch
    assert again.speakers[1].licence == "CC0"
    assert again.mel == voice.mel
    for part in ("generator_ab", "generator_ba", "speaker_classifier"):
        before, after = getattr(voice, part).state_dict(), getattr(again, part).state_dict()
        assert before.keys() == after.keys()
        for key in before:
            torch.testing.assert_close(after[key], before[key], atol=0, rtol=0)
    assert [path.name for path in voice.examples["joe"]] == ["hum.wav"]


def test_a_voice_without_a_tone_to_bring_others_near_to(copy: Path, tmp_path: Path) -> None:
    tensors = load_file(copy / "weights.safetensors")
    rewrite_weights(copy, {key: value for key, value in tensors.items() if not key.startswith("source_tone")})
    voice = Voice.load(copy)
    assert voice.speakers[0].source_tone is None
    converter = VoiceConverter(voice, GriffinLim(voice.mel), torch.device("cpu"))
    assert converter.adapt(hum(200.0, 1.0), "joe").tone is None
    voice.save(tmp_path / "again")
    assert Voice.load(tmp_path / "again").speakers[1].source_tone is None


def test_normalise_and_back(tiny_voice: Path) -> None:
    speaker = Voice.load(tiny_voice).speakers[0]
    mel = torch.randn(80, 7)
    assert speaker.normalise(torch.full((80, 1), -3.0)).unique().tolist() == [1.0]  # (-3 - -5) / 2
    torch.testing.assert_close(speaker.denormalise(speaker.normalise(mel)), mel)


def test_a_run_folder_is_taken_for_its_voice(tiny_voice: Path, tmp_path: Path) -> None:
    shutil.copytree(tiny_voice, tmp_path / "run" / "voice")
    assert Voice.load(tmp_path / "run").name == "tiny"


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"There is no voice 'alison-jo'"):
        Voice.load("alison-jo")
    with pytest.raises(UserError, match=r"has no voice.json"):
        Voice.load(tmp_path)


def test_damage_is_refused(copy: Path) -> None:
    weights = copy / "weights.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(UserError, match=r"not the file that voice.json was written for"):
        Voice.load(copy)
    weights.unlink()
    with pytest.raises(UserError, match=r"is missing"):
        Voice.load(copy)


def test_not_finite_weights_are_refused(copy: Path) -> None:
    tensors = load_file(copy / "weights.safetensors")
    tensors["generator_ab.leave.bias"][3] = float("nan")
    rewrite_weights(copy, tensors)
    with pytest.raises(UserError, match=r"not finite, first in generator_ab.leave.bias"):
        Voice.load(copy)


def test_weights_of_other_sizes_are_refused(copy: Path) -> None:
    edit(copy, generator={"kind": "convnext", "bands": 80, "planes": 2, "channels": 32, "blocks": 1})
    with pytest.raises(UserError, match=r"not a complete voice"):
        Voice.load(copy)


def test_missing_weights_are_refused(copy: Path) -> None:
    tensors = load_file(copy / "weights.safetensors")
    del tensors["mel_mean_b"]
    rewrite_weights(copy, tensors)
    with pytest.raises(UserError, match=r"not a complete voice.*mel_mean_b"):
        Voice.load(copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "has the format None"),
        ('{"format": 99}', "has the format 99, this program reads format 2"),
        ('{"format": 1}', "of an older one, train it again"),
        ('{"format": 2}', "not a complete voice"),
    ],
)
def test_bad_descriptions_are_refused(copy: Path, content: str, message: str) -> None:
    (copy / "voice.json").write_text(content)
    with pytest.raises(UserError, match=message):
        Voice.load(copy)


def test_what_else_a_voice_says_is_checked_too(copy: Path) -> None:
    for wrong in (["a"], 5, {"alice": 5}, {"alice": [["x"]]}):
        edit(copy, development=wrong)
        with pytest.raises(UserError, match=r"recordings must be one list per speaker"):
            Voice.load(copy)
    edit(copy, development={}, training="hello")
    with pytest.raises(UserError, match=r"training must be an object"):
        Voice.load(copy)
    speakers = json.loads((copy / "voice.json").read_text())["speakers"]
    edit(copy, training={}, speakers=[{**speaker, "credits": "a\x1b[31m\nb"} for speaker in speakers])
    assert Voice.load(copy).speakers[0].credits == "a [31m b"


def test_hostile_network_sizes_are_refused() -> None:
    with pytest.raises(UserError, match=r"whole numbers from 1 to 4096"):
        build_generator({"kind": "convnext", "channels": 10**9})
    with pytest.raises(UserError, match=r"kind 'os.system'"):
        build_generator({"kind": "os.system"})


def test_the_shipped_voice_loads() -> None:
    assert "allison-joe" in available_voices()
    assert Voice.load("allison-joe").names == ("allison", "joe")


def test_a_voice_is_whole_whenever_its_saving_is_cut_short(
    copy: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """After the first of the two files and before the second, where a killed process would have left them."""
    better = Voice.load(copy)
    before = better.generator_ab.leave.bias.clone()
    better.generator_ab.leave.bias.data += 1

    def fails(path: Path, content: bytes) -> None:
        if path.suffix == ".safetensors":
            raise OSError("no space left")
        path.write_bytes(content)

    with monkeypatch.context() as patch:
        patch.setattr("voiceconv.weights.write_atomically", fails)
        with pytest.raises(OSError, match="no space"):
            better.save(copy)
    torch.testing.assert_close(Voice.load(copy).generator_ab.leave.bias, before, atol=0, rtol=0)
    better.save(copy)
    torch.testing.assert_close(Voice.load(copy).generator_ab.leave.bias, before + 1, atol=1e-2, rtol=0)
