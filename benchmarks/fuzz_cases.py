"""The inputs of `benchmarks.fuzz`: recordings and voice files with something wrong, or only odd, about them."""

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

import numpy as np

EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0")
VALUES: tuple[Any, ...] = (None, 0, -1, 1, 2**31, 10**30, 1e308, float("nan"), True, "", "../x", "\ud800", [], {}, [[]])


def mutate(content: bytes, chance: random.Random, other: bytes) -> bytes:
    """A few random changes of the kinds that find mistakes in readers of files; headers get more than their share."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        end = len(data) if chance.random() < 0.4 else min(len(data), 256)
        at = chance.randrange(end)
        what = chance.randrange(7)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at : at + 4] = chance.choice(EXTREMES)
        elif what == 2:
            del data[at:]
        elif what == 3:
            del data[at : at + chance.randrange(1, 64)]
        elif what == 4:
            data[at:at] = data[at : at + chance.randrange(1, 4096)]
        elif what == 5:
            data[at : at + chance.randrange(1, 64)] = chance.randbytes(chance.randrange(64))
        else:
            start = chance.randrange(len(other))
            data[at:at] = other[start : start + chance.randrange(1, 4096)]
    return bytes(data)


def mutate_json(value: Any, chance: random.Random) -> Any:
    """One value somewhere inside is replaced, removed or doubled."""
    value = json.loads(json.dumps(value))
    at = value
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return value
        key = chance.choice(keys)
        if isinstance(at[key], dict | list) and chance.random() < 0.8:
            at = at[key]
            continue
        what = chance.randrange(4)
        if what == 0:
            del at[key]
        elif what == 1 and isinstance(at, dict):
            at[f"{key}2"] = at[key]
        elif what == 2 and isinstance(at[key], int | float):
            at[key] = at[key] * chance.choice((-1, 0, 0.5, 2, 1000, 1e12))
        else:
            at[key] = chance.choice(VALUES)
        return value


def is_gentle(number: int) -> bool:
    """Two cases of three are changed so little that they may well be converted."""
    return number % 3 > 0


def audio_case(number: int) -> tuple[str, bytes]:
    """File name and content of a mutated recording."""
    chance = random.Random(f"audio {number}")
    if is_gentle(number):
        return odd_recording(chance)
    names = sorted(recordings())
    name, other = chance.choice(names), chance.choice(names)
    return name, mutate(recordings()[name], chance, recordings()[other])


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


def odd_recording(chance: random.Random) -> tuple[str, bytes]:
    """File name and content of a recording with something odd about it: rate, channels, length, level or header."""
    import soundfile

    rate = chance.choice((4000, 8000, 11025, 16000, 22050, 22051, 44100, 48000, 96000, 192000))
    samples = chance.choice((1, chance.randrange(2, rate // 5), *5 * (chance.randrange(rate // 5, 3 * rate // 2),)))
    wav = odd_sound(samples, rate, chance)
    wav = np.stack([wav * chance.choice((1, 1, 0.01, -1)) for _ in range(chance.choice((1, 1, 2, 3, 6, 8)))], axis=1)
    extension, form, subtypes = chance.choice(
        (
            ("wav", "WAV", ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "MS_ADPCM")),
            ("wav", "WAVEX", ("PCM_16", "FLOAT")),
            ("wav", "RF64", ("PCM_16", "FLOAT")),
            ("w64", "W64", ("PCM_16", "FLOAT")),
            ("aiff", "AIFF", ("PCM_16", "FLOAT")),
            ("caf", "CAF", ("PCM_16", "FLOAT", "ALAC_16")),
            ("au", "AU", ("PCM_16", "FLOAT")),
            ("flac", "FLAC", ("PCM_S8", "PCM_16", "PCM_24")),
            ("ogg", "OGG", ("VORBIS", "OPUS")),
            ("mp3", "MP3", ("MPEG_LAYER_III",)),
        )
    )
    subtype = chance.choice(subtypes)
    if subtype not in ("FLOAT", "DOUBLE"):
        wav = np.nan_to_num(wav).clip(-1, 1)  # encoders end the process over what is no number
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, wav, rate, format=form, subtype=subtype)
    except (soundfile.LibsndfileError, AssertionError):  # a rate, channels or a length that this format does not have
        buffer = io.BytesIO()
        soundfile.write(buffer, wav, rate, format="WAV", subtype="FLOAT")
        extension = "wav"
    content = bytearray(buffer.getvalue())
    what = chance.randrange(8)
    if what == 0:
        del content[len(content) - chance.randrange(1, max(2, len(content) // 2)) :]
    elif what == 1:
        content += chance.randbytes(chance.randrange(1, 5000))
    elif what == 2 and content[:4] == b"RIFF":  # a field of the format: channels, rate, bytes a second, block, bits
        at, size = chance.choice(((22, 2), (24, 4), (28, 4), (32, 2), (34, 2)))
        field = int.from_bytes(content[at : at + size], "little")
        field = chance.choice((field + 1, field * 2, field // 2, field * 10, 0)) % 2 ** (8 * size)
        content[at : at + size] = field.to_bytes(size, "little")
    elif what == 3 and content[:4] == b"RIFF":  # a chunk that nobody knows, before the sound
        content[12:12] = b"odd " + (10).to_bytes(4, "little") + chance.randbytes(10)
    return f"odd.{extension}", bytes(content)


def odd_sound(samples: int, rate: int, chance: random.Random) -> np.ndarray:
    """`(samples,)` of something speech-like or not, at any level, perhaps with a value that is no number."""
    time = np.arange(samples) / rate
    noise = np.random.default_rng(chance.randrange(2**32)).standard_normal(samples)
    pitch = chance.choice((50, 90, 150, 300, 600, 2000))
    buzz = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 8)) * (0.2 + np.sin(4 * time) ** 2)
    click, nothing = np.eye(1, samples)[0], np.zeros(samples)
    wav = chance.choice((*3 * (buzz, buzz + 0.1 * noise), noise, np.sign(buzz), click, nothing, nothing + 1))
    wav = wav * chance.choice((*6 * (0.2,), 1e-6, 1e-3, 1.0, 30.0, 1e8, 1e30)) + chance.choice((0, 0, 0.5))
    if chance.random() < 0.1:
        wav[chance.randrange(samples)] = chance.choice((np.nan, np.inf, -np.inf))
    return wav


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
def recordings() -> dict[str, bytes]:
    """The same second of sound in every format that is read: name -> content."""
    import av
    import soundfile

    rate = 16000
    time = np.arange(rate) / rate
    wav = (0.3 * np.sign(np.sin(2 * np.pi * 140 * time)) * np.sin(np.pi * 3 * time)).astype(np.float32)
    files = {}
    for name, form, subtype in (
        ("a.wav", "WAV", "PCM_16"),
        ("b.wav", "WAV", "FLOAT"),
        ("c.flac", "FLAC", None),
        ("d.ogg", "OGG", "VORBIS"),
        ("e.aiff", "AIFF", None),
        ("f.caf", "CAF", None),
    ):
        buffer = io.BytesIO()
        soundfile.write(buffer, wav, rate, format=form, subtype=subtype)
        files[name] = buffer.getvalue()
    for name, form, codec in (("g.mp3", "mp3", "libmp3lame"), ("h.m4a", "mp4", "aac"), ("i.webm", "webm", "libopus")):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=form) as container:
            stream = container.add_stream(codec, rate=48000)
            assert isinstance(stream, av.AudioStream)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(np.repeat(wav, 3)[None], format="flt", layout="mono")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        files[name] = buffer.getvalue()
    return files


@cache
def voice_file(model: str) -> bytes:
    from voiceconv.voice.archive import export_voice

    with tempfile.TemporaryDirectory() as folder:
        export_voice(model, Path(folder) / "x.voice")
        return (Path(folder) / "x.voice").read_bytes()
