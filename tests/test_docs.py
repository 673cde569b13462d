"""The documentation holds together: links lead somewhere, tables agree, and the API reference builds."""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

import pytest

import generative_core
import voiceconv
from tests.test_structure import ORDER
from voiceconv.__main__ import main

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
CARDS = sorted((ROOT / "voiceconv" / "pretrained").rglob("README.md"))
COMMANDS = ("app", "convert", "evaluate", "inspect", "live", "presets", "resynth", "train", "train-vocoder")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.rglob("*.md")), *CARDS]


@cache
def without_code(page: Path) -> str:
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = re.findall(r"^#+ (.*)", without_code(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", without_code(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{target} does not exist"
        if anchor and file.suffix == ".md":
            assert anchor in anchors(file), f"{target} names no heading"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_module_and_path_in_the_text_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for name in re.findall(r"python -m ((?:recipes|benchmarks)\.\w+)", text):
        assert importlib.util.find_spec(name), name
    for path in re.findall(r"`((?:benchmarks|docs|generative_core|recipes|tests|voiceconv)/[\w./-]*)`", text):
        assert (ROOT / path).exists() or path.startswith("docs/api/"), path


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_in_the_text_exists(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="0"):
        main([command, "--help"])
    assert main(["presets", "cpu"]) == 0  # whose settings are options of `train`
    described = capsys.readouterr().out
    for page in PAGES:
        for line in re.findall(rf"voiceconv {command} ([^`#\n]*)", page.read_text(encoding="utf-8")):
            for option in re.findall(r"(?<!\S)(--[a-z.-]+)", line):
                assert option in described, f"{page.name}: voiceconv {command} {line}"


def test_every_page_is_in_the_index() -> None:
    linked = re.findall(r"\]\(([^)#\s]+)", without_code(DOCS / "index.md"))
    reached = {(DOCS / target).resolve() for target in linked}
    assert set(PAGES) - {DOCS / "index.md"} <= reached


def test_results_hold_the_tables_of_the_voices_model_cards() -> None:
    results = (DOCS / "results.md").read_text(encoding="utf-8")
    cards = [card for card in CARDS if card.parent.parent.name == "voices"]
    assert len(cards) >= 3
    for card in cards:
        rows = [row for row in card.read_text(encoding="utf-8").splitlines() if re.match(r"\| [^|]*\| -?\d\.\d", row)]
        assert len(rows) >= 10, card
        for row in rows:
            assert row in results, f"{row[:40]}… of {card.parent.name} is not in docs/results.md"


def test_the_picture_of_the_packages_shows_their_order() -> None:
    picture = (DOCS / "images" / "architecture.svg").read_text(encoding="utf-8")
    names = re.findall(r'class="name">(\w+)<', picture.split("generative_core</text>")[0])
    assert [name for name in names if name in ORDER] == list(reversed(ORDER))


@pytest.mark.slow
def test_the_api_reference_has_every_public_name(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("api", DOCS / "api.py")
    assert spec
    assert spec.loader
    api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(api)
    api.build(tmp_path)
    for package in (voiceconv, generative_core):
        page = (tmp_path / f"{package.__name__}.html").read_text(encoding="utf-8")
        for name in package.__all__:
            assert f'id="{name}"' in page or f"{package.__name__}/{name}.html" in page, name
    assert (tmp_path / "voiceconv" / "convert" / "converter.html").is_file()
