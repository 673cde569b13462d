"""Makes voice files that are damaged or odd: the archive, its description, its weights or its recordings."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

from benchmarks.fuzzing.mutations import is_gentle, mutate, mutate_json
from benchmarks.fuzzing.recordings import odd_recording


def voice_case(number: int, model: str) -> tuple[str, bytes]:
    """A mutated voice file: the archive itself, or one of the files in it under a valid archive and a valid hash."""
    chance = random.Random(f"voice {number}")
    whole = voice_file(model)
    gentle = is_gentle(number)
    if not gentle and chance.random() < 0.3:
        return "case.voice", mutate(whole, chance, whole)
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    if gentle:
        return "case.voice", pack(odd_voice(files, chance))
    record = json.loads(files["voice.json"])
    what = chance.randrange(4)
    if what <= 1:
        for _ in range(chance.choice((1, 1, 3))):
            record = mutate_json(record, chance)
    elif what == 2:
        files["weights.safetensors"] = mutate_weights(files["weights.safetensors"], chance)
        record["weights_sha256"] = hashlib.sha256(files["weights.safetensors"]).hexdigest()
    else:
        name = chance.choice(sorted(files))
        files[name] = mutate(files[name], chance, whole)
    if what < 3 or name != "voice.json":
        files["voice.json"] = json.dumps(record).encode()
    return "case.voice", pack(files)


def pack(files: dict[str, bytes]) -> bytes:
    """A zip archive of them."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def odd_voice(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """A voice that was changed in a few places, each of the right type; checksums are made right again."""
    from safetensors.torch import load, save

    record, tensors = json.loads(files["voice.json"]), load(files["weights.safetensors"])
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        what = chance.randrange(6)
        if what <= 1:
            change_tensor(tensors, chance)
        elif what == 2:
            name = chance.choice([name for name in tensors if name.startswith("mel_")])
            odd = chance.choice((0, 1e-3, -1, 50, 99, -99, 1e4, 1e30))
            tensors[name] = tensors[name] * odd if chance.random() < 0.5 else tensors[name] * 0 + odd
        elif what == 3:
            change_record(record, chance)
        elif what == 4:
            speaker = chance.choice(record["speakers"])
            speaker["name"] = chance.choice(("Zoë", "a b", "x" * 80, "", "../up", record["speakers"][0]["name"], "CON"))
        else:
            files = change_members(files, chance)
    content = save(tensors)
    record["weights_sha256"] = hashlib.sha256(content).hexdigest()
    return {**files, "voice.json": json.dumps(record).encode(), "weights.safetensors": content}


def change_tensor(tensors: dict[str, Any], chance: random.Random) -> None:
    """Some values of one tensor, all of them, its type, or its place with another of the same shape."""
    import torch

    name = chance.choice(sorted(tensors))
    tensor = tensors[name].clone()
    what = chance.randrange(5)
    if what == 0:
        values = tensor.view(-1)
        for _ in range(chance.choice((1, 3, 100))):
            odd = chance.choice((0.0, 100.0, -100.0, 6e4, -6e4, 1e-7, float("nan"), float("inf")))
            values[chance.randrange(len(values))] = odd
    elif what == 1:
        tensor = tensor * chance.choice((0, -1, 3, 100, 3000))
    elif what == 2:
        tensor = tensor.to(chance.choice((torch.float32, torch.float64, torch.bfloat16, torch.int32, torch.bool)))
    elif what == 3:
        other = chance.choice([other for other in sorted(tensors) if tensors[other].shape == tensor.shape])
        tensor, tensors[other] = tensors[other].clone(), tensor
    else:
        tensors[chance.choice(("extra", f"{name}.extra"))] = tensor.clone()
    tensors[name] = tensor


def change_record(record: dict[str, Any], chance: random.Random) -> None:
    """A number or a text of the description, of the same type."""
    speaker = chance.choice(record["speakers"])
    what = chance.randrange(6)
    if what == 0:
        speaker["log_f0_mean"] = chance.choice((3.5, 4.0, 5.0, 6.0, 6.9, 7.5, 0.0, -5.0))
    elif what == 1:
        speaker["log_f0_std"] = chance.choice((0.001, 0.01, 1.0, 2.0, 0.0, -0.2))
    elif what == 2:
        key = chance.choice(sorted(record["mel"]))
        record["mel"][key] = type(record["mel"][key])(record["mel"][key] * chance.choice((0.5, 0.99, 1.01, 2)))
    elif what == 3:
        key = chance.choice([key for key, value in record["generator"].items() if isinstance(value, int)])
        record["generator"][key] += chance.choice((-1, 1, 100))
    elif what == 4:
        record["input"] = chance.choice(("mel", "mask", "moved"))
    else:
        text = chance.choice(("", "<b>bold</b>", "ü" * 5000, "a\nb", "\0", "{}%s"))
        speaker[chance.choice(("description", "licence", "credits"))] = text
        record[chance.choice(("measured", "training", "note"))] = chance.choice((text, [], {}, {"x": text}, 7, None))


def change_members(files: dict[str, bytes], chance: random.Random) -> dict[str, bytes]:
    """The files of a voice with one too many, one too few, or two that changed places."""
    files = dict(files)
    clips = [name for name in files if name.startswith("examples/")]
    what = chance.randrange(5)
    if what == 0:
        files[chance.choice(("notes.txt", "run.py", "examples/", "examples/x/y.wav", "examples/joe/more.wav"))] = b"odd"
    elif what == 1:
        files["examples/joe/more.wav"] = odd_recording(chance)[1]
    elif what == 2 and clips:
        del files[chance.choice(clips)]
    elif what == 3 and clips:
        one, other = chance.choice(clips), chance.choice(sorted(files))
        files[one], files[other] = files[other], files[one]
    else:
        files["README.md"] = chance.choice((b"", b"\xff\xfe", b"# <script>" * 1000))
    return files


def mutate_weights(content: bytes, chance: random.Random) -> bytes:
    """Bytes anywhere, or the header alone with its length made right again."""
    if chance.random() < 0.5:
        return mutate(content, chance, content)
    length = int.from_bytes(content[:8], "little")
    header = json.dumps(mutate_json(json.loads(content[8 : 8 + length]), chance)).encode()
    return len(header).to_bytes(8, "little") + header + content[8 + length :]


@cache
def voice_file(model: str) -> bytes:
    from voiceconv.voice.archive import export_voice

    with tempfile.TemporaryDirectory() as folder:
        export_voice(model, Path(folder) / "x.voice")
        return (Path(folder) / "x.voice").read_bytes()
