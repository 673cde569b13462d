"""Reports on recordings before anyone trains on them: `voiceconv inspect`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional

from voiceconv.cli.arguments import File, option


@dataclass(frozen=True)
class Inspect:
    """Report on the recordings of a speaker before you train on them."""

    folder: Annotated[Positional[Path], option("DIR")]
    """The folder with the recordings."""
    other: Annotated[Positional[File], option("OTHER")] = None
    """The folder of a second speaker, to compare with."""
    html: Annotated[File, option("FILE")] = None
    """Write the report to this file too, as a page with pictures."""

    def run(self) -> int:
        from voiceconv.inspection.comparison import compare
        from voiceconv.inspection.inspect import inspect_folder

        inspections = [inspect_folder(self.folder)]
        print(inspections[0].text())
        if self.other is not None:
            inspections.append(inspect_folder(self.other))
            print(f"\n{inspections[1].text()}\n\nAs a pair")
            print("\n".join(f"  {sentence}" for sentence in compare(*inspections)))
        if self.html is not None:
            from voiceconv.inspection.report import save_report  # matplotlib takes a second

            save_report(inspections, self.html)
            print(f"\nThe same with pictures: {self.html}")
        return 0
