"""Lists the speakers a visitor may choose: who they are, how well they were measured, and clips to hear them.

Everything is read from `voice.json`, so that listing never loads weights. All texts may come from anybody who made a
voice: whoever shows them must escape them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voiceconv.errors import UserError
from voiceconv.voice.speaker_info import in_words
from voiceconv.voice.voice import VOICES, Voice, available_voices, find_voice, read_record

WHO = re.compile(r"(?P<gender>male|female),\s*(?P<language>[^;,.]{2,40})", re.IGNORECASE)
YOURS = "Your voices"


@dataclass(frozen=True)
class Card:
    """One speaker. `value` is what `Studio.find` takes; marks go from 1 (weak) to 3 (good), empty if not measured."""

    value: str
    name: str
    who: str
    group: str
    about: str
    marks: Mapping[str, int]
    warning: str
    clips: list[Path]


@dataclass(frozen=True)
class _Found:
    """A speaker as a voice describes it."""

    voice: str
    shipped: bool
    opened: bool
    speaker: Mapping[str, Any]
    measured: Mapping[str, Any]
    clips: list[Path]

    @property
    def name(self) -> str:
        return str(self.speaker["name"])

    @property
    def likeness(self) -> float:
        """How much nearer a conversion is to the target than to its source, in cosine similarity."""
        likeness = _likeness(self.measured)
        return likeness if math.isfinite(likeness) else -math.inf


def cards(opened: Voice) -> list[Card]:
    """Every speaker, those of the `opened` voice first.

    A speaker who came in several of the shipped voices appears once: in the opened voice, or where the measured
    likeness is highest. A user's own voices are all listed; the name of the voice tells namesakes apart.
    """
    found = list(_speakers(opened))
    kept = [speaker for speaker in found if not any(_better(other, speaker) for other in found)]
    taken: set[str] = set()
    result = []
    for each in kept:
        name = each.name.capitalize()
        who = WHO.match(str(each.speaker.get("description", "")))
        result.append(
            Card(
                value=each.name if each.opened else f"{each.voice}/{each.name}",
                name=name if name not in taken else f"{name} ({each.voice})",
                who=f"{'man' if who['gender'].lower() == 'male' else 'woman'}, {who['language'].strip()}"
                if who
                else "",
                group=YOURS if not each.shipped or who is None else who["language"].strip(),
                about=about(each.speaker),
                marks=marks(each.measured),
                warning=warning(each.measured),
                clips=each.clips,
            )
        )
        taken.add(name)
    return result


def _speakers(opened: Voice) -> Iterator[_Found]:
    record = {"speakers": [vars(speaker) for speaker in opened.speakers], **opened.metadata}
    shipped = opened.folder is not None and opened.folder.parent == VOICES
    yield from _of_record(opened.name, record, opened.folder, shipped=shipped, opened=True)
    for name in available_voices():
        if name == opened.name:
            continue
        try:
            folder = find_voice(name)
            record = read_record(folder / "voice.json")
            yield from _of_record(name, record, folder, shipped=folder.parent == VOICES, opened=False)
        except (OSError, UserError, KeyError, TypeError, AttributeError):
            continue  # a damaged folder; the Voices tab says what is wrong with it


def _of_record(
    voice: str, record: Mapping[str, Any], folder: Path | None, *, shipped: bool, opened: bool
) -> Iterable[_Found]:
    a, b = record["speakers"]
    measured = record.get("measured")
    for source, target in ((b, a), (a, b)):
        figures = measured.get(f"{source['name']} to {target['name']}") if isinstance(measured, dict) else None
        yield _Found(
            voice,
            shipped,
            opened,
            target,
            figures if isinstance(figures, dict) else {},
            example_clips(folder, str(target["name"])),
        )


def example_clips(folder: Path | None, speaker: str) -> list[Path]:
    """Recordings of a speaker that came with the voice in `folder`."""
    return [] if folder is None else sorted((folder / "examples" / speaker).glob("*.*"))


def _better(one: _Found, other: _Found) -> bool:
    """Whether `one` is the same shipped speaker as `other` and to be preferred."""
    same = (
        one is not other
        and one.shipped
        and other.shipped
        and (one.name, one.speaker.get("credits")) == (other.name, other.speaker.get("credits"))
    )
    return same and (one.opened, one.likeness, one.voice) > (other.opened, other.likeness, other.voice)


def about(speaker: Mapping[str, Any]) -> str:
    """Who a speaker is and under which terms, in a sentence or three of plain text."""
    known = in_words(*(str(speaker.get(key) or "") for key in ("description", "licence", "credits")))
    return known or "Whoever trained this voice left no description."


def marks(measured: Mapping[str, Any]) -> dict[str, int]:
    """Measured figures as marks from 1 to 3: likeness of the voice, words kept, and how clean it sounds.

    Likeness is the similarity to the target less that to the source; words are the character error rate over
    copy-synthesis; sound is DNSMOS. The bounds are chosen so that the shipped voices' differences show.
    """
    figures = (
        ("voice", _likeness(measured), 0.2, 0.0),
        ("words", -_number(measured, "CER over copy-synthesis"), -0.06, -0.15),
        ("sound", _number(measured, "DNSMOS OVRL"), 2.9, 2.4),
    )
    return {name: 1 + (value >= fair) + (value >= good) for name, value, good, fair in figures if math.isfinite(value)}


def warning(measured: Mapping[str, Any]) -> str:
    """A sentence where words get lost, otherwise nothing."""
    return "Words get lost: expect mumbling." if marks(measured).get("words") == 1 else ""


def _likeness(measured: Mapping[str, Any]) -> float:
    return _number(measured, "similarity to target") - _number(measured, "similarity to source")


def _number(measured: Mapping[str, Any], name: str) -> float:
    value = measured.get(name)
    return float(value) if isinstance(value, int | float) else math.nan
