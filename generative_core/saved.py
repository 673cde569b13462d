"""Saves a trained model as one safetensors file, and loads it by the name under which it is shipped or from a file.

The file holds what using the model needs, in half precision: the weights, and in the header its family, its config and
how to build each network. `VAE.from_pretrained("mnist-vae-2d")` reads one.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor, nn

from generative_core import nets
from generative_core.errors import UserError
from generative_core.files import write_atomically

SHIPPED = Path(__file__).parent / "weights"  # a folder for each name, with the file and its model card
FILE = "weights.safetensors"
HEADER = "model"  # its key in the file's metadata
MAX_BYTES = 200_000_000
MAX_HEADER_BYTES = 1_000_000
LARGEST, LONGEST = 4096, 8  # size of a network, and how many sizes an argument lists
KINDS: dict[str, type[nn.Module]] = {
    **{kind.__name__: kind for kind in vars(nets).values() if isinstance(kind, type) and issubclass(kind, nn.Module)},
    "Sigmoid": nn.Sigmoid,
}

Network = Mapping[str, Any] | Sequence[Mapping[str, Any]]
"""How to build a network: its class in `generative_core.nets` as "kind", and its arguments; or several in a row."""
Model = TypeVar("Model", bound=nn.Module)
Config = TypeVar("Config")


def save_model(
    path: Path, model: nn.Module, networks: Mapping[str, Network], about: Mapping[str, Any] | None = None
) -> None:
    """Writes those parts of a family's model that `networks` describes, by their attribute, and the model's own
    buffers. `about` is what else whoever uses the model should know, such as the size of its pictures."""
    tensors = {
        name: (value.half() if value.is_floating_point() else value).cpu().contiguous()
        for name, value in model.state_dict().items()
        if "." not in name or name.split(".")[0] in networks
    }
    config = dataclasses.asdict(model.config)  # type: ignore[call-overload]
    header = {"family": type(model).__name__, "config": config, "networks": dict(networks), "about": dict(about or {})}
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, save_tensors(tensors, {HEADER: json.dumps(header)}))


def shipped_models() -> list[str]:
    """The names of the models that came with the program."""
    return sorted(path.parent.name for path in SHIPPED.glob(f"*/{FILE}"))


def find_model(name_or_path: str | Path) -> Path:
    """The file of a shipped model, of a folder, or itself; raises `UserError` that names the nearest."""
    if str(name_or_path) in shipped_models():
        return SHIPPED / name_or_path / FILE
    path = Path(name_or_path)
    for found in (path, path / FILE):
        if found.is_file():
            return found
    if path.is_dir():
        raise UserError(f"{path} holds no {FILE}, which a recipe leaves when it ends.")
    near = get_close_matches(str(name_or_path), shipped_models(), n=1, cutoff=0)
    meant = f"; did you mean {near[0]!r}?" if near else "."
    raise UserError(f"There is no file, folder or shipped model {str(name_or_path)!r}{meant}")


def about_model(name_or_path: str | Path) -> dict[str, Any]:
    """What `save_model` was told about a model; raises `UserError`."""
    path = find_model(name_or_path)
    with _refused(path):
        return dict(_header(_content(path))["about"])


def load_model(
    name_or_path: str | Path,
    family: str,
    config: Callable[..., Config],
    build: Callable[[Config, dict[str, nn.Module]], Model],
) -> Model:
    """The model of this family that `save_model` wrote, frozen and in evaluation mode: what `build` makes of its config
    and its networks by name. Networks that were not saved (a discriminator) are not needed to use it.

    Raises `UserError` for whatever does not fit: nothing in the file is believed before it is checked.
    """
    path = find_model(name_or_path)
    content = _content(path)
    with _refused(path):
        header = _header(content)
        if header["family"] != family:
            raise UserError(f"{path} is a model of the family {header['family']}, not {family}.")
        loaded = load_tensors(content).items()
        tensors = {name: value.float() if value.is_floating_point() else value for name, value in loaded}
        broken = [name for name, value in tensors.items() if not value.isfinite().all()]
        if broken:
            raise UserError(f"{path} holds values that are not finite, first in {broken[0]}. Train it again.")
        networks = {name: _built(name, network, tensors) for name, network in header["networks"].items()}
        model = build(config(**header["config"]), networks)
        model.load_state_dict(tensors)
    return model.eval().requires_grad_(False)


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Inside, whatever a file that is no such model makes go wrong is said to the user."""
    try:
        yield
    except UserError:
        raise
    except (AttributeError, LookupError, TypeError, ValueError, RuntimeError, RecursionError, SafetensorError) as error:
        raise UserError(f"{path} is not a model that this program has saved: {error}") from error


def _content(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is over {MAX_BYTES // 10**6} MB; models of this program are smaller.")
    return path.read_bytes()


def _header(content: bytes) -> dict[str, Any]:
    length = int.from_bytes(content[:8], "little")
    if length > min(MAX_HEADER_BYTES, len(content)):
        raise ValueError("its header is too long")
    header = json.loads(json.loads(content[8 : 8 + length])["__metadata__"][HEADER])
    if not isinstance(header, dict):
        raise ValueError("its header describes no model")
    return header


def _built(name: str, description: Network, tensors: Mapping[str, Tensor]) -> nn.Module:
    """The network, untrained, if the weights are its own by name and shape."""
    prefix = f"{name}."
    found = {key.removeprefix(prefix): value.shape for key, value in tensors.items() if key.startswith(prefix)}
    with torch.device("meta"):  # sizes only: what the file claims may be more than there is memory for
        expected = {key: value.shape for key, value in _network(description, len(tensors)).state_dict().items()}
    for key in sorted({*expected, *found}):
        if found.get(key) != expected.get(key):
            raise ValueError(f"the weights {name}.{key} have the shape {found.get(key)}, not {expected.get(key)}")
    return _network(description, len(tensors))


def _network(description: Network, weights: int) -> nn.Module:
    """The network, untrained; raises `ValueError` for one that cannot have so few weights, before it is built."""
    if not isinstance(description, Mapping):
        return nn.Sequential(*(_network(part, weights) for part in description))
    arguments = dict(description)
    kind = KINDS.get(arguments.pop("kind"))
    if kind is None:
        raise ValueError(f"{description['kind']!r} is no network of this program")
    for name, value in arguments.items():
        numbers = value if isinstance(value, list) else [value]
        limit = weights if name in ("layers", "blocks") else LARGEST
        if len(numbers) > LONGEST or not all(
            isinstance(n, str) or (type(n) in (int, bool) and 0 <= n <= limit) for n in numbers
        ):
            raise ValueError(f"no network has {name} {value!r}")
    return kind(**arguments)
