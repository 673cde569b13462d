"""Changes the folder of a run as crashes, copies and people do: files gone, cut off, swapped, from another time."""

from __future__ import annotations

import json
import os
import random
import shutil
from pathlib import Path

from benchmarks.fuzzing.mutations import mutate, mutate_json

CHANGES = ("gone", "empty", "cut off", "mutated", "other value", "swapped", "folder", "link", "future", "past", "extra")


def change_run(folder: Path, chance: random.Random) -> list[str]:
    """Changes one to three things in a run's folder; what was done, in words."""
    done = []
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        if not files:
            break
        path, what = chance.choice(files), chance.choice(CHANGES)
        if what == "other value" and path.suffix != ".json":
            what = "mutated"
        done.append(f"{what}: {path.relative_to(folder)}")
        _change(path, what, chance.choice(files), chance)
    return done


def _change(path: Path, what: str, other: Path, chance: random.Random) -> None:
    content = path.read_bytes()
    if what == "gone":
        path.unlink()
    elif what == "empty":
        path.write_bytes(b"")
    elif what == "cut off":
        path.write_bytes(content[: chance.randrange(len(content) + 1)])
    elif what == "mutated":
        path.write_bytes(mutate(content, chance, other.read_bytes() or b"0"))
    elif what == "other value":
        try:
            path.write_text(json.dumps(mutate_json(json.loads(content), chance)))
        except ValueError:  # changed before
            path.write_bytes(b"{}")
    elif what == "swapped":
        path.write_bytes(other.read_bytes())
        other.write_bytes(content)
    elif what == "folder":
        path.unlink()
        path.mkdir()
    elif what == "link":
        path.unlink()
        path.symlink_to(path)
    elif what in ("future", "past"):
        moment = 4e9 if what == "future" else 1.0
        os.utime(path, (moment, moment))
    else:
        shutil.copyfile(path, path.with_name(f"copy of {path.name}"[:255]))
