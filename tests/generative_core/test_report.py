"""The report is judged as a browser's parser sees it."""

import base64
import os
from html.parser import HTMLParser

import matplotlib
import numpy as np
import pytest
from matplotlib.figure import Figure

from generative_core.report import Report

HOSTILE = '</title></svg>--><script>alert("x")</script>'


class Page(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.in_style = tag == "style"

    def handle_endtag(self, tag):
        self.in_style = False

    def handle_data(self, data):
        if not self.in_style:
            self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def figure(width: float = 4, title: str = "") -> Figure:
    drawing = Figure(figsize=(width, 3))
    axes = drawing.subplots()
    axes.plot([0, 1], [0, 1], color="black")
    axes.set_title(title)
    return drawing


def test_everything_arrives_in_order():
    report = Report("A run").heading("First").text("some words").table([["cell", 1]], ["name", "count"])
    report.heading("Second").figure(figure(), "a line").audio(b"fLaC", "audio/flac", "a sound")
    words = " ".join(Page(report.html()).words)
    expected = ["A run", "First", "some words", "count", "cell", "Second", "a line", "a sound"]
    positions = [words.index(word) for word in expected]
    assert positions == sorted(positions)


def test_text_from_outside_stays_text():
    report = Report(HOSTILE).heading(HOSTILE).text(HOSTILE, tone="poor").table([[HOSTILE, 1]], [HOSTILE, "n"])
    report.figure(figure(title=HOSTILE), HOSTILE).audio(b"", f'a"{HOSTILE}', HOSTILE)
    page = Page(report.html())
    assert page.all("script") == []
    # title, h1, h2, p, th, td and two captions; the figure's own title is drawn as shapes
    assert "".join(page.words).count(HOSTILE) == 8


def test_needs_no_network_and_runs_no_script():
    picture = Figure()
    picture.subplots().imshow(np.arange(12).reshape(3, 4))
    page = Page(Report("r").figure(figure(), "line").figure(picture, "picture").audio(b"x", "audio/wav", "a").html())
    for tag, attributes in page.tags:
        for name, value in attributes.items():
            if name in {"src", "href", "xlink:href", "srcset", "action"}:
                assert str(value).startswith(("data:", "#")), (tag, name, value)
    policy = next(meta["content"] for meta in page.all("meta") if "http-equiv" in meta)
    assert "default-src 'none'" in str(policy)


def test_audio_comes_back_byte_for_byte():
    data = bytes(range(256))
    (player,) = Page(Report("r").audio(data, "audio/flac", "a").html()).all("audio")
    kind, encoded = str(player["src"]).split(",")
    assert kind == "data:audio/flac;base64"
    assert base64.b64decode(encoded) == data


def test_an_image_comes_back_byte_for_byte_and_is_named():
    data = bytes(range(256))
    (image,) = Page(Report("r").image(data, "image/gif", 'a "moving" one').html()).all("img")
    assert str(image["src"]).startswith("data:image/gif;base64,")
    assert base64.b64decode(str(image["src"]).split(",")[1]) == data
    assert image["alt"] == 'a "moving" one'


def test_figures_take_the_colours_of_the_page():
    html = Report("r").figure(figure(title="black on white"), "a").html()
    drawing = html[html.index("<svg") : html.index("</svg>")]
    assert "stroke: currentColor" in drawing
    assert "#000000" not in drawing
    assert "#ffffff" not in drawing


def test_wide_figures_take_the_whole_width():
    classes = [f["class"] for f in Page(Report("r").figure(figure(4), "a").figure(figure(9), "b").html()).all("figure")]
    assert classes == ["card half", "card"]


def test_drawing_leaves_the_figure_and_matplotlib_as_they_were():
    drawing, backend = figure(), matplotlib.get_backend()
    before = drawing.get_facecolor(), drawing.dpi
    Report("r").figure(drawing, "a")
    assert (drawing.get_facecolor(), drawing.dpi) == before
    assert matplotlib.get_backend() == backend


def test_table_cells():
    html = Report("r").table([["a", 1, 0.123456], ["b", None, 2.0]], ["name", "count", "loss"]).html()
    assert "<td>a</td>" in html
    assert '<td class="number">0.1235</td>' in html
    assert '<td class="number">–</td>' in html
    assert '<th class="number">loss</th>' in html
    with pytest.raises(ValueError, match="2 cells under a header of 1"):
        Report("r").table([["a", "b"]], ["one"])


def test_an_unknown_tone_is_refused():
    with pytest.raises(ValueError, match="tone is one of"):
        Report("r").text("x", tone="loud")  # type: ignore[arg-type]


def test_save_replaces_the_file_whole(tmp_path):
    path = tmp_path / "report.html"
    Report("older").text("ünïcode – 你好").save(path)
    assert "ünïcode – 你好" in path.read_text(encoding="utf-8")
    report = Report("newer")
    report.save(path)
    assert path.read_text(encoding="utf-8") == report.html()
    assert os.listdir(tmp_path) == ["report.html"]
    with pytest.raises(FileNotFoundError):
        report.save(tmp_path / "missing" / "report.html")


def test_a_failed_save_leaves_nothing_behind(tmp_path):
    (tmp_path / "report.html").mkdir()
    with pytest.raises(OSError, match="directory"):
        Report("r").save(tmp_path / "report.html")
    assert os.listdir(tmp_path) == ["report.html"]


def test_a_file_name_that_is_no_unicode_does_not_lose_the_report(tmp_path):
    Report("r").table([[os.fsdecode(b"caf\xe9.wav"), 1]], ["file", "n"]).save(tmp_path / "report.html")
    assert "caf?.wav" in (tmp_path / "report.html").read_text(encoding="utf-8")
