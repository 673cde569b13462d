"""What recipes say of themselves: a sentence that begins with a verb, what to reach, and a text for every option."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RECIPES = sorted(path for path in (ROOT / "recipes").glob("*.py") if path.name != "__init__.py")
COMMON = sorted((ROOT / "recipes" / "common").glob("*.py"))


def ids(path: Path) -> str:
    return path.stem


@pytest.mark.parametrize("path", RECIPES, ids=ids)
def test_a_recipe_says_first_what_it_does(path: Path) -> None:
    first = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]
    assert first.split()[0].endswith("s")
    assert first.endswith(".")


@pytest.mark.parametrize("path", [*RECIPES, *COMMON], ids=ids)
def test_every_option_says_what_it_is(path: Path) -> None:
    """Options are the fields with a default of a configuration; `train` and `training` hold others."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        is_options = isinstance(node, ast.ClassDef) and any(
            isinstance(part, ast.Expr) and isinstance(part.value, ast.Constant) for part in node.body[1:]
        )
        if not is_options:
            continue
        for field, text in zip(node.body, [*node.body[1:], None], strict=True):
            if not isinstance(field, ast.AnnAssign) or "ClassVar" in ast.unparse(field.annotation):
                continue
            name = ast.unparse(field.target)
            if field.value is not None and name not in ("train", "training"):
                assert isinstance(text, ast.Expr), f"{node.name}.{name} of {path.name}"
