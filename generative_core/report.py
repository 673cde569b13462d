"""Writes a report as one HTML file that works anywhere: no network, no scripts, light and dark, laptop and phone."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jinja2 import Environment
from markupsafe import Markup

from generative_core.files import write_atomically

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Tone = Literal["plain", "good", "fair", "poor"]
TONES: tuple[Tone, ...] = ("plain", "good", "fair", "poor")

# A figure this many times wider than high gets the page's full width; others stand side by side where there is room.
WIDE_FIGURE = 1.9


class Report:
    """Collects blocks in reading order, then saves them. Every method but `save` returns the report, to be chained.

    All text is escaped: file names and messages from outside may contain anything.
    """

    def __init__(self, title: str) -> None:
        self.title = title
        self._blocks: list[dict[str, Any]] = []

    def heading(self, text: str) -> Report:
        return self._add(kind="heading", text=text)

    def text(self, text: str, *, tone: Tone = "plain") -> Report:
        """A paragraph; line breaks are kept. A tone other than "plain" sets it in a box of that colour."""
        if tone not in TONES:
            raise ValueError(f"tone is one of {TONES}, got {tone!r}")
        return self._add(kind="text", text=text, tone=tone)

    def table(self, rows: Iterable[Sequence[object]], header: Sequence[str]) -> Report:
        """A table; floats have four digits, None is a dash, columns of numbers are aligned to the right.

        Line breaks in a cell are kept.
        """
        rows = [list(row) for row in rows]
        for row in rows:
            if len(row) != len(header):
                raise ValueError(f"a row has {len(row)} cells under a header of {len(header)}")
        numeric = [all(isinstance(row[i], int | float | None) for row in rows) for i in range(len(header))]
        return self._add(kind="table", rows=rows, header=list(header), numeric=numeric)

    def figure(self, figure: Figure, caption: str) -> Report:
        """A matplotlib figure, drawn as SVG on the page's own background.

        What is black in it becomes the page's text colour and what is white the background, so leave labels and
        axes at their defaults and give data colours that show on both (the default cycle does). Large pictures
        belong in `imshow`, or are marked `rasterized=True`: anything else becomes one path per element.
        """
        width, height = figure.get_size_inches()
        return self._add(kind="figure", svg=_svg(figure), caption=caption, wide=bool(width / height >= WIDE_FIGURE))

    def audio(self, data: bytes, mime: str, caption: str) -> Report:
        """A player for an encoded audio file, such as the bytes of a FLAC file and `"audio/flac"`."""
        uri = f"data:{mime};base64,{base64.b64encode(data).decode()}"
        return self._add(kind="audio", uri=uri, caption=caption)

    def image(self, data: bytes, mime: str, caption: str) -> Report:
        """An encoded picture as it is, such as the bytes of a GIF file that moves and `"image/gif"`."""
        uri = f"data:{mime};base64,{base64.b64encode(data).decode()}"
        return self._add(kind="image", uri=uri, caption=caption)

    def html(self) -> str:
        return _PAGE.render(title=self.title, blocks=self._blocks)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the file whole or not at all, so one that is open in a browser can be replaced; raises OSError."""
        # A file name that is not valid Unicode is shown with question marks rather than losing the report.
        write_atomically(Path(path), self.html().encode("utf-8", errors="replace"))

    def _add(self, **block: Any) -> Report:
        self._blocks.append(block)
        return self


def _cell(value: object) -> str:
    if value is None:
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _svg(figure: Figure) -> Markup:
    buffer = io.StringIO()
    no_metadata = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(buffer, format="svg", transparent=True, dpi=160, metadata=no_metadata)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    # matplotlib leaves black fills out, and they inherit the colour that the style sheet gives the svg element.
    return Markup(svg.replace("#000000", "currentColor").replace("#ffffff", "var(--card)"))


_ENVIRONMENT = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
_ENVIRONMENT.filters["cell"] = _cell
_PAGE = _ENVIRONMENT.from_string("""\
{% macro number(block, i) %}{% if block.numeric[i] %} class="number"{% endif %}{% endmacro %}
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
      content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; media-src data:">
<title>{{ title }}</title>
<style>
:root { color-scheme: light dark; --page: #f6f7f9; --card: #fff; --text: #1d2430; --quiet: #5b6575; --line: #dfe3ea;
  --good: #1a7f4b; --fair: #a86400; --poor: #c0352b; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171c; --card: #1c2027; --text: #e4e8ee; --quiet: #9aa5b5; --line: #323945;
    --good: #4cc38a; --fair: #e5a84b; --poor: #f2786d; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 68rem; margin: 0 auto; padding: 1.5rem clamp(.8rem, 3vw, 2rem) 3rem; display: grid; gap: 1rem;
  grid-template-columns: repeat(2, minmax(0, 1fr)); }
main > * { grid-column: 1 / -1; margin: 0; min-width: 0; }
h1 { font-size: clamp(1.4rem, 4vw, 2rem); line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 1rem; }
p { white-space: pre-line; overflow-wrap: anywhere; }
p.good, p.fair, p.poor { background: var(--card); padding: .7rem 1rem; border-radius: .4rem;
  border: 1px solid var(--line); border-left: .3rem solid var(--tone); }
.good { --tone: var(--good); } .fair { --tone: var(--fair); } .poor { --tone: var(--poor); }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .8rem; }
figure.half { grid-column: span 1; }
figcaption { color: var(--quiet); font-size: .88rem; overflow-wrap: anywhere; }
figure svg { display: block; width: 100%; height: auto; fill: currentColor; }
figure img { display: block; max-width: 100%; height: auto; }
audio { display: block; width: 100%; }
.table { overflow-x: auto; padding: .3rem .8rem; }
table { border-collapse: collapse; width: 100%; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .4rem 1rem .4rem 0; border-bottom: 1px solid var(--line); }
tr:last-child td { border-bottom: 0; }
td { white-space: pre-line; }
th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
th.number, td.number { text-align: right; }
th:last-child, td:last-child { padding-right: 0; }
@media (max-width: 45rem) { figure.half { grid-column: 1 / -1; } }
@media print { .card, p { break-inside: avoid; } }
</style>
</head>
<body>
<main>
<h1>{{ title }}</h1>
{% for block in blocks %}
{% if block.kind == "heading" %}
<h2>{{ block.text }}</h2>
{% elif block.kind == "text" %}
<p class="{{ block.tone }}">{{ block.text }}</p>
{% elif block.kind == "table" %}
<div class="card table"><table>
<thead><tr>
{% for name in block.header %}<th{{ number(block, loop.index0) }}>{{ name }}</th>{% endfor %}
</tr></thead>
<tbody>
{% for row in block.rows %}
<tr>{% for value in row %}<td{{ number(block, loop.index0) }}>{{ value | cell }}</td>{% endfor %}</tr>
{% endfor %}
</tbody></table></div>
{% elif block.kind == "figure" %}
<figure class="card{{ '' if block.wide else ' half' }}">
<div role="img" aria-label="{{ block.caption }}">{{ block.svg }}</div>
<figcaption>{{ block.caption }}</figcaption></figure>
{% elif block.kind == "image" %}
<figure class="card"><img src="{{ block.uri }}" alt="{{ block.caption }}">
<figcaption>{{ block.caption }}</figcaption></figure>
{% elif block.kind == "audio" %}
<figure class="card half"><figcaption>{{ block.caption }}</figcaption>
<audio controls preload="metadata" src="{{ block.uri }}"></audio></figure>
{% endif %}
{% endfor %}
</main>
</body>
</html>
""")
