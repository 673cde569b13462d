"""Who is listed once, and how measured figures become plain marks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from voiceconv.studio.speakers import YOURS, cards, marks, warning
from voiceconv.voice.voice import Voice


def test_a_shipped_speaker_is_listed_once_and_ones_own_voices_always(home: Path, tiny_voice: Path) -> None:
    shutil.copytree(tiny_voice, home / "voices" / "mine")
    shutil.copytree(tiny_voice, home / "voices" / "damaged")
    (home / "voices" / "damaged" / "voice.json").write_text("{}")
    listed = {card.value: card for card in cards(Voice.load("allison-joe"))}
    assert {"allison", "joe", "allison-carlo/carlo", "mine/allison", "mine/joe"} <= set(listed)
    assert "allison-carlo/allison" not in listed
    assert not any(value.startswith("damaged") for value in listed)
    assert listed["mine/joe"].name == "Joe (mine)"
    assert listed["mine/joe"].group == YOURS
    assert listed["joe"].who == "man, US English"
    assert len(listed["mine/joe"].clips) == 1


def test_figures_become_marks() -> None:
    figures = {"similarity to target": 0.8, "similarity to source": 0.5}
    good = {**figures, "CER over copy-synthesis": 0.01, "DNSMOS OVRL": 3.0}
    assert marks(good) == {"voice": 3, "words": 3, "sound": 3}
    poor = {
        "similarity to target": 0.5,
        "similarity to source": 0.6,
        "CER over copy-synthesis": 0.4,
        "DNSMOS OVRL": 2.0,
    }
    assert marks(poor) == {"voice": 1, "words": 1, "sound": 1}
    assert (warning(good), warning({})) == ("", "")
    assert "Words get lost" in warning(poor)
    assert marks({"similarity to target": "<b>", "DNSMOS OVRL": float("nan")}) == {}
    json.dumps(marks(good))
