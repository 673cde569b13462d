"""The links of docs/lecture.md: files exist, lines hold what the link names, commands name recipes that exist."""

from __future__ import annotations

import ast
import re
from importlib.util import find_spec
from pathlib import Path

import pytest

LECTURE = Path(__file__).parents[1] / "docs" / "lecture.md"
TEXT = LECTURE.read_text(encoding="utf-8")
LINKS = re.findall(r"\[([^\]]*)\]\(([^)#]+)(?:#L(\d+)-L(\d+))?\)", TEXT)
TO_CODE = [(name.strip("`"), path, int(first), int(last)) for name, path, first, last in LINKS if first]


def lines_of(name: str, source: str) -> tuple[int, int]:
    """First and last line of a function, a class, or a `Class.method`."""
    node: ast.AST = ast.parse(source)
    for part in name.split("."):
        inside = [child for child in ast.iter_child_nodes(node) if getattr(child, "name", None) == part]
        assert inside, f"there is no {name}"
        node = inside[0]
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    return node.lineno, node.end_lineno or node.lineno


def test_every_linked_file_and_heading_exists() -> None:
    assert len(TO_CODE) > 40
    for _, path, _, _ in LINKS:
        assert (LECTURE.parent / path).is_file(), path
    headings = {
        re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in re.findall(r"^## (.*)", TEXT, re.M)
    }
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= headings


@pytest.mark.parametrize(("name", "path", "first", "last"), TO_CODE, ids=[name for name, *_ in TO_CODE])
def test_the_lines_hold_what_the_link_names(name: str, path: str, first: int, last: int) -> None:
    begin, end = lines_of(name, (LECTURE.parent / path).read_text(encoding="utf-8"))
    assert (first, last) == (begin, end), f"{name} has moved: make the link {path}#L{begin}-L{end}"


def test_every_recipe_of_a_command_exists() -> None:
    recipes = set(re.findall(r"python -m (recipes\.\w+)", TEXT))
    assert len(recipes) > 10
    for recipe in recipes:
        assert find_spec(recipe), recipe
