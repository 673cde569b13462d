"""Measures how well a voice converts recordings that it was not trained on: `voiceconv evaluate`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from tyro.conf import Positional, UseAppendAction, create_mutex_group
from tyro.constructors import PrimitiveConstructorSpec

from voiceconv.cli.arguments import File, Text, length, option, shown, whole_number, word

if TYPE_CHECKING:
    from voiceconv.evaluation.held_out_clips import Folder

Spoken = tuple[Path, str | None]
"""A folder, and the code of the language that is spoken in it, or None."""


def spoken(text: str) -> Spoken:
    """'DIR' or 'DIR:LANG' -> the folder and the language. A folder of that very name is a folder without one."""
    parts = re.fullmatch(r"(.+):([a-z]{2,4})", text)
    return (Path(parts[1]), parts[2]) if parts and not Path(text).exists() else (Path(text), None)


FOLDER = word(spoken, "DIR[:LANG]")
LENGTHS = PrimitiveConstructorSpec(
    nargs=2,
    metavar="MIN MAX",
    instance_from_str=lambda words: (length(words[0]), length(words[1])),
    is_instance=lambda _: True,
    str_from_instance=lambda value: [shown(one) for one in value],
)
CLIPS = word(whole_number("a number of clips, 2 or more", 2, math.inf), "N")
CHOSEN = create_mutex_group(required=False, title="which clips")


@dataclass(frozen=True)
class Evaluate:
    """Measure a voice on recordings that it was not trained on. Run `make eval` once before."""

    model: Annotated[Positional[str], option("MODEL")]
    """The name or the folder of the model."""
    source: Annotated[Spoken, FOLDER, option()]
    """Recordings of one of its two speakers."""
    target: Annotated[Spoken, FOLDER, option()]
    """Recordings of the other speaker."""
    out: Annotated[Path, option("REPORT")]
    """The folder to write the report to: a page, JSON and sounds."""
    unseen: UseAppendAction[tuple[Annotated[Spoken, FOLDER], ...]] = ()
    """Recordings of somebody else, to convert as well."""
    baseline: UseAppendAction[tuple[Annotated[str, word(str, "NAME_OR_FOLDER")], ...]] = ()
    """Another model of the same two speakers, to compare with."""
    one_way: Annotated[bool, option()] = False
    """Leave out the conversion from the target to the source."""
    language: Annotated[str, option("LANG")] = "en"
    """The language of folders without :LANG, such as en or it. With none, no words are compared."""
    clips: Annotated[int, CLIPS, option()] = 40
    """The most clips to take of each speaker."""
    seconds: Annotated[tuple[float, float], LENGTHS, option()] = (2.0, 5.0)
    """The shortest and the longest clip to take, in seconds."""
    clips_from: Annotated[File, option("FILE"), CHOSEN] = None
    """Take the clips in this JSON file, a list for each speaker. Without it, those that the training held out."""
    all_clips: Annotated[bool, option(), CHOSEN] = False
    """Take any clip in the folders. Only right if none of them was trained on."""
    vocoder: Annotated[Text, option("NAME")] = None
    """The vocoder: istft, hifigan, griffin-lim, or a folder. Without it, the best one that is installed."""

    def run(self) -> int:
        from voiceconv.evaluation.evaluate import Settings, evaluate, markdown

        record = evaluate(
            Settings(
                model=self.model,
                source=self.folder(self.source),
                target=self.folder(self.target),
                out=self.out,
                unseen=tuple(self.folder(given) for given in self.unseen),
                baselines=self.baseline,
                one_way=self.one_way,
                clips=self.clips,
                seconds=self.seconds,
                clips_from=self.clips_from,
                all_clips=self.all_clips,
                vocoder=self.vocoder,
            )
        )
        print("\n\n".join(markdown(direction) for direction in record["directions"]))
        print(f"\nMeans with 95 % intervals. Everything, with players: {self.out / 'evaluation.html'}")
        return 0

    def folder(self, given: Spoken) -> Folder:
        from voiceconv.evaluation.held_out_clips import Folder

        language = given[1] or self.language
        return Folder(given[0], None if language == "none" else language)
