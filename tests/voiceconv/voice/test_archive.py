"""A voice as one file: it comes back as it was, and a hostile one is refused by name of what is wrong."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import pickle
import shutil
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from safetensors.torch import load, save

from voiceconv.convert.converter import VoiceConverter
from voiceconv.convert.import_voice import import_voice
from voiceconv.errors import UserError
from voiceconv.user_data import home, voices_folder
from voiceconv.voice import archive as voice_file
from voiceconv.voice.archive import export_voice, read_archive
from voiceconv.voice.voice import Voice, available_voices

Files = dict[str, bytes]


@pytest.fixture
def exported(tiny_voice: Path, tmp_path: Path) -> Path:
    path = tmp_path / "tiny.voice"
    export_voice(tiny_voice, path)
    return path


def pack(path: Path, files: Files | list[tuple[zipfile.ZipInfo | str, bytes]], compression: int = 0) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, content in files.items() if isinstance(files, dict) else files:
            archive.writestr(name, content)
    return path


def with_record(files: Files, **changes: object) -> Files:
    return {**files, "voice.json": json.dumps({**json.loads(files["voice.json"]), **changes}).encode()}


def with_weights(files: Files, tensors: dict[str, torch.Tensor]) -> Files:
    content = save(tensors)
    files = {**files, "weights.safetensors": content}
    return with_record(files, weights_sha256=hashlib.sha256(content).hexdigest())


def test_export_and_import_keep_everything(exported: Path, tiny_voice: Path) -> None:
    assert import_voice(exported) == "tiny"
    assert available_voices()[-1] == "tiny"
    before, after = Voice.load(tiny_voice), Voice.load("tiny")
    assert after.folder == home() / "voices" / "tiny"
    assert after.names == before.names
    assert after.speakers[0].licence == "CC0"
    assert [path.name for path in after.examples["joe"]] == ["hum.wav"]
    for key, value in before.generator_ab.state_dict().items():
        assert torch.equal(after.generator_ab.state_dict()[key], value)
    assert "Converts between allison and joe" in (after.folder / "README.md").read_text()
    assert not list(voices_folder().glob(".*"))


def test_the_same_voice_is_the_same_file(exported: Path, tmp_path: Path) -> None:
    import_voice(exported)
    export_voice("tiny", tmp_path / "again.voice")
    assert (
        read_archive(tmp_path / "again.voice")["weights.safetensors"] == read_archive(exported)["weights.safetensors"]
    )
    export_voice("tiny", tmp_path / "third.voice")
    assert (tmp_path / "third.voice").read_bytes() == (tmp_path / "again.voice").read_bytes()


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_names_and_examples_of_other_scripts_travel(tiny_voice: Path, tmp_path: Path, form: str) -> None:
    folder = Path(shutil.copytree(tiny_voice, tmp_path / "voice"))
    record = json.loads((folder / "voice.json").read_text())
    name = unicodedata.normalize(form, "José")
    record["speakers"][1]["name"] = name
    (folder / "voice.json").write_text(json.dumps({**record, "name": f"सीता-{name}"}), encoding="utf-8-sig")
    (folder / "examples" / "joe").rename(folder / "examples" / "José")
    (folder / "examples" / "José" / "hum.wav").rename(folder / "examples" / "José" / "தமிழ் 1.wav")
    export_voice(folder, tmp_path / "jose.voice")
    assert import_voice(tmp_path / "jose.voice") == "सीता-José"
    voice = Voice.load(unicodedata.normalize(form, "सीता-José"))
    assert voice.index(unicodedata.normalize(form, "José")) == 1
    assert [path.name for path in voice.examples["José"]] == ["தமிழ் 1.wav"]


def test_a_taken_name_is_refused_and_another_can_be_given(exported: Path) -> None:
    import_voice(exported)
    with pytest.raises(UserError, match="already is a voice 'tiny'"):
        import_voice(exported)
    with pytest.raises(UserError, match="already is a voice 'Allison-Joe'"):
        import_voice(exported, "Allison-Joe")
    for name in ("../up", "a/b", "", ".hidden", "x" * 65):
        if name:
            with pytest.raises(UserError, match="cannot be called"):
                import_voice(exported, name)
    assert import_voice(exported, "other one") == "other one"
    assert VoiceConverter.from_pretrained("other one", vocoder="griffin-lim").name == "other one"


def test_examples_that_import_would_refuse_stay_behind(tiny_voice: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_voice, tmp_path / "voice"))
    examples = folder / "examples" / "joe"
    for name in ("HUM.wav", " leading.wav", "a+b.wav", f"{'x' * 120}.wav", *(f"z{n}.wav" for n in range(80))):
        with contextlib.suppress(shutil.SameFileError):  # where case does not count
            shutil.copy(examples / "hum.wav", examples / name)
    (examples / "broken.wav").write_text("no sound")
    soundfile.write(examples / "long.wav", np.full(8000 * 61, 0.1), 8000)
    export_voice(folder, tmp_path / "many.voice")
    assert import_voice(tmp_path / "many.voice", "many") == "many"
    kept = {path.name for path in Voice.load("many").examples["joe"]}
    assert len(kept & {"hum.wav", "HUM.wav"}) == 1
    assert len(kept) > 50
    assert not kept & {" leading.wav", "a+b.wav", f"{'x' * 120}.wav", "broken.wav", "long.wav"}


def test_export_needs_its_extension(tiny_voice: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ends in \.voice"):
        export_voice(tiny_voice, tmp_path / "tiny.zip")
    with pytest.raises(UserError, match="cannot be written"):
        export_voice(tiny_voice, tmp_path / "missing" / "tiny.voice")


def linked(files: Files) -> list[tuple[zipfile.ZipInfo | str, bytes]]:
    link = zipfile.ZipInfo("examples/joe/clip.wav")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    return [*files.items(), (link, b"/etc/passwd")]


def absurd_offsets(files: Files) -> Files:
    header = json.dumps({"x": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}).encode()
    content = struct.pack("<Q", len(header)) + header
    return with_record({**files, "weights.safetensors": content}, weights_sha256=hashlib.sha256(content).hexdigest())


def not_a_number(files: Files) -> Files:
    tensors = load(files["weights.safetensors"])
    tensors["generator_ba.leave.bias"][0] = float("nan")
    return with_weights(files, tensors)


def enormous(files: Files) -> Files:
    tensors = load(files["weights.safetensors"])
    tensors["generator_ba.leave.weight"][:] = 60_000
    tensors["generator_ba.leave.bias"][:] = 60_000
    return with_weights(files, tensors)


def reshaped(files: Files) -> Files:
    tensors = load(files["weights.safetensors"])
    tensors["judge.extra"] = torch.zeros(3)
    return with_weights(files, tensors)


def speakers(files: Files, **changes: object) -> Files:
    record = json.loads(files["voice.json"])
    record["speakers"][0].update(changes)
    return with_record(files, speakers=record["speakers"])


def mel(files: Files, **changes: object) -> Files:
    return with_record(files, mel={**json.loads(files["voice.json"])["mel"], **changes})


def generator(files: Files, **changes: object) -> Files:
    return with_record(files, generator={**json.loads(files["voice.json"])["generator"], **changes})


class Payload:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, ("touch /tmp/voiceconv-was-here",)


HOSTILE: dict[str, tuple[Callable[[Files], object], str]] = {
    "traversal": (lambda f: {**f, "../../evil.py": b"x"}, r"'\.\./\.\./evil\.py' in it does not belong"),
    "absolute": (lambda f: {**f, "/etc/cron.d/evil": b"x"}, "'/etc/cron.d/evil' in it does not belong"),
    "backslashes": (lambda f: {**f, "examples\\joe\\x.wav": b"x"}, "does not belong"),
    "traversal in examples": (lambda f: {**f, "examples/../x.wav": b"x"}, "does not belong"),
    "code": (lambda f: {**f, "__init__.py": b"x"}, "'__init__.py' in it does not belong"),
    "pickle": (lambda f: {**f, "weights.pt": pickle.dumps(Payload())}, r"'weights\.pt' in it does not belong"),
    "pickled weights": (lambda f: {**f, "weights.safetensors": pickle.dumps(Payload())}, "header is too long"),
    "symbolic link": (linked, "'examples/joe/clip.wav' in it is a symbolic link"),
    "twice": (lambda f: [*f.items(), ("README.md", b"other")], "'README.md' is in it twice"),
    "twice by case": (
        lambda f: [*f.items(), ("examples/joe/A.wav", b"x"), ("examples/joe/a.wav", b"x")],
        "'examples/joe/a.wav' is in it twice",
    ),
    "many files": (lambda f: f | {f"examples/joe/{n}.wav": b"" for n in range(70)}, "lists 7[0-9] files or more"),
    "missing card": (lambda f: {k: v for k, v in f.items() if k != "README.md"}, r"it has no README\.md"),
    "offsets": (absurd_offsets, "not a complete voice"),
    "NaN": (not_a_number, r"not finite, first in generator_ba\.leave\.bias"),
    "no numbers come out": (enormous, "into values that are no sound"),
    "extra tensor": (reshaped, r"judge\.extra have the shape \(3,\), but None was expected"),
    "wrong shapes": (lambda f: generator(f, channels=4096), "have the shape .* was expected"),
    "absurd blocks": (lambda f: generator(f, blocks=4096), "no weights for 4096 blocks"),
    "absurd sizes": (lambda f: generator(f, channels=10**12), "from 1 to 4096"),
    "generator is a list": (lambda f: with_record(f, generator=[1]), "not a complete voice"),
    "odd rate": (lambda f: mel(f, sample_rate=21829), "sample_rate must be a multiple of 25 Hz, not 21829"),
    "absurd rate": (lambda f: mel(f, sample_rate=10**9), "sample_rate must be a number from 8000 to 48000"),
    "fractional size": (lambda f: mel(f, n_fft=1024.5, win_length=1024.5), "n_fft must be a whole number"),
    "hop of one": (lambda f: mel(f, hop_length=1), "hop_length must be a number from 64"),
    "pitch": (lambda f: speakers(f, log_f0_mean=1e300), "log_f0_mean must be a number"),
    "path as a speaker": (lambda f: speakers(f, name="../../joe"), "must be made of up to 64 letters"),
    "path as a name": (lambda f: with_record(f, name="../joe"), "must be made of up to 64 letters"),
    "one speaker twice": (lambda f: speakers(f, name="joe"), "both speakers are called 'joe'"),
    "deep JSON": (lambda f: {**f, "voice.json": b"[" * 400_000}, "not valid JSON"),
    "half a character": (lambda f: speakers(f, description="\ud800"), "not valid JSON"),
    "broken example": (lambda f: {**f, "examples/joe/x.wav": b"RIFF"}, r"x\.wav"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("attack", HOSTILE)
def test_hostile_archives_are_refused_by_name(exported: Path, tmp_path: Path, attack: str) -> None:
    change, message = HOSTILE[attack]
    path = pack(tmp_path / "hostile.voice", change(read_archive(exported)))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=message) as refusal:
        import_voice(path)
    assert str(refusal.value).startswith("hostile.voice is refused")
    assert str(home()) not in str(refusal.value)
    assert list(voices_folder().iterdir()) == []
    assert not Path("/tmp/voiceconv-was-here").exists()


def test_bombs_are_not_unpacked(exported: Path, tmp_path: Path) -> None:
    files = read_archive(exported)
    bomb = pack(tmp_path / "bomb.voice", {**files, "examples/joe/x.wav": bytes(50_000_000)}, zipfile.ZIP_DEFLATED)
    assert bomb.stat().st_size < 1_000_000
    with pytest.raises(UserError, match=r"unpacks to more than 5,000,000 bytes"):
        import_voice(bomb)
    # One that lies about its size: the header says 10 bytes.
    lying = bytearray(bomb.read_bytes())
    entry = lying.rfind(b"PK\1\2")
    lying[entry + 24 : entry + 28] = struct.pack("<I", 10)
    bomb.write_bytes(lying)
    with pytest.raises(UserError, match="refused"):
        import_voice(bomb)


def test_all_examples_together_have_a_limit(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voice_file, "MAX_BYTES", exported.stat().st_size)
    files = read_archive(exported)
    path = pack(tmp_path / "a.voice", {**files, "examples/joe/x.wav": bytes(200_000)}, zipfile.ZIP_DEFLATED)
    with pytest.raises(UserError, match="unpacks to more than"):
        import_voice(path)


def test_long_examples_are_refused(exported: Path, tmp_path: Path) -> None:
    sound = io.BytesIO()
    soundfile.write(sound, np.zeros(8000 * 70), 8000, format="FLAC")
    path = pack(tmp_path / "long.voice", {**read_archive(exported), "examples/joe/long.flac": sound.getvalue()})
    with pytest.raises(UserError, match=r"the example long\.flac is longer than 60 s"):
        import_voice(path)


@pytest.mark.parametrize("content", [b"", b"not a zip", b"PK\5\6" + bytes(18), b"PK\3\4" * 100])
def test_what_is_no_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.voice").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.voice is refused"):
        import_voice(tmp_path / "x.voice")
    with pytest.raises(UserError, match="cannot be read"):
        import_voice(tmp_path / "missing.voice")


def test_encrypted_and_cut_off_archives_are_refused(exported: Path, tmp_path: Path) -> None:
    content = bytearray(exported.read_bytes())
    (tmp_path / "cut.voice").write_bytes(content[: len(content) // 2])
    content[content.rfind(b"PK\1\2") + 8] |= 1
    (tmp_path / "locked.voice").write_bytes(content)
    for name in ("cut", "locked"):
        with pytest.raises(UserError, match=f"{name}.voice is refused"):
            import_voice(tmp_path / f"{name}.voice")
