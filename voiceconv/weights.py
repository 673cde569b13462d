"""Writes and reads a folder of weights and the JSON record that describes them, and refuses a pair that does not fit.

Voices and vocoders are such folders. Nothing in one is believed before it is checked, and nothing is unpickled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from generative_core.files import write_atomically
from voiceconv.errors import UserError

PRETRAINED = Path(__file__).parent / "pretrained"  # what came with the program
WEIGHTS = "weights.safetensors"
MAX_JSON_BYTES = 1_000_000  # of a record, a model card, or the header of the weights
# Of the record: what says which format it has and which weights it was written for.
FORMAT_KEYS = frozenset({"format", "weights_sha256", "replaced_sha256"})


def save(record_path: Path, record: Mapping[str, Any], tensors: Mapping[str, Tensor], version: int) -> None:
    """Writes the record (in the format `version`) and, beside it, the weights; other files in the folder stay.

    Two files cannot be replaced at once. Between the two, the record fits the weights before and after: the folder
    holds a whole voice or vocoder whenever the process is killed.
    """
    folder = record_path.parent
    folder.mkdir(parents=True, exist_ok=True)
    content = save_tensors({key: value.cpu().contiguous() for key, value in tensors.items()})
    hashes = {"weights_sha256": hashlib.sha256(content).hexdigest()}
    if (folder / WEIGHTS).is_file():
        hashes["replaced_sha256"] = hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest()
    write_record(record_path, {"format": version, **record, **hashes})
    write_atomically(folder / WEIGHTS, content)


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a JSON record as people can read it, complete or not at all."""
    write_atomically(path, (json.dumps(record, indent=2, ensure_ascii=False) + "\n").encode())


def read_record(path: Path, version: int) -> dict[str, Any]:
    """The record at `path`; raises `UserError` if it is too long, no JSON, or not in the format `version`."""
    kind = path.stem  # "voice" or "vocoder"
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UserError(f"{path} is over {MAX_JSON_BYTES // 10**6} MB; a {path.name} is a page of text.")
    try:
        record = json.loads(path.read_text(encoding="utf-8-sig"))
        json.dumps(record, ensure_ascii=False).encode()  # half a surrogate pair could not be shown to anyone
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is not valid JSON ({error}). Copy the {kind} again.") from error
    if not isinstance(record, dict) or record.get("format") != version:
        found = record.get("format") if isinstance(record, dict) else None
        raise UserError(
            f"{path} has the format {found!r}, this program reads format {version}. If it is of a newer version, "
            "update voiceconv; if it is of an older one, train it again."
        )
    return record


def read_weights(record_path: Path, record: Mapping[str, Any], max_bytes: int) -> tuple[dict[str, Tensor], str]:
    """The weights beside the record in single precision, and their SHA-256.

    Raises `UserError` if they are missing, too large, not those of the record, or not finite, and `SafetensorError` or
    `KeyError` if the two are no such files.
    """
    path, kind = record_path.with_name(WEIGHTS), record_path.stem
    if not path.is_file() or path.stat().st_size > max_bytes:
        raise UserError(f"{path} is missing or over {max_bytes // 10**6} MB. Copy the {kind} again.")
    content = path.read_bytes()
    if int.from_bytes(content[:8], "little") > MAX_JSON_BYTES:
        raise UserError(f"{path} is not a safetensors file of a {kind}: its header is too long.")
    digest = hashlib.sha256(content).hexdigest()
    if digest not in (record["weights_sha256"], record.get("replaced_sha256")):
        raise UserError(f"{path} is not the file that {record_path.name} was written for. Copy both again.")
    tensors = {key: value.float() for key, value in load_tensors(content).items()}
    broken = [key for key, value in tensors.items() if not value.isfinite().all()]
    if broken:
        raise UserError(f"{path} holds values that are not finite, first in {broken[0]}. Train it again.")
    return tensors, digest


def require_shapes(part: str, network: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Raises `ValueError` unless `weights` are those of `network`, by name and shape."""
    expected = {key: tuple(value.shape) for key, value in network.state_dict().items()}
    for key in sorted({*expected, *weights}):
        found = tuple(weights[key].shape) if key in weights else None
        if found != expected.get(key):
            raise ValueError(f"the weights {part}.{key} have the shape {found}, but {expected.get(key)} was expected")
