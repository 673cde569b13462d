"""Changes bytes and JSON at random, in the ways that find mistakes in readers of files."""

from __future__ import annotations

import json
import random
from typing import Any

EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0")
VALUES: tuple[Any, ...] = (None, 0, -1, 1, 2**31, 10**30, 1e308, float("nan"), True, "", "../x", "\ud800", [], {}, [[]])


def mutate(content: bytes, chance: random.Random, other: bytes) -> bytes:
    """A few random changes of the kinds that find mistakes in readers of files; headers get more than their share."""
    data = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        if not data:
            break
        end = len(data) if chance.random() < 0.4 else min(len(data), 256)
        at = chance.randrange(end)
        what = chance.randrange(7)
        if what == 0:
            data[at] ^= 1 << chance.randrange(8)
        elif what == 1:
            data[at : at + 4] = chance.choice(EXTREMES)
        elif what == 2:
            del data[at:]
        elif what == 3:
            del data[at : at + chance.randrange(1, 64)]
        elif what == 4:
            data[at:at] = data[at : at + chance.randrange(1, 4096)]
        elif what == 5:
            data[at : at + chance.randrange(1, 64)] = chance.randbytes(chance.randrange(64))
        else:
            start = chance.randrange(len(other))
            data[at:at] = other[start : start + chance.randrange(1, 4096)]
    return bytes(data)


def mutate_json(value: Any, chance: random.Random) -> Any:
    """One value somewhere inside is replaced, removed or doubled."""
    value = json.loads(json.dumps(value))
    at = value
    while True:
        keys = list(at) if isinstance(at, dict) else list(range(len(at)))
        if not keys:
            return value
        key = chance.choice(keys)
        if isinstance(at[key], dict | list) and chance.random() < 0.8:
            at = at[key]
            continue
        what = chance.randrange(4)
        if what == 0:
            del at[key]
        elif what == 1 and isinstance(at, dict):
            at[f"{key}2"] = at[key]
        elif what == 2 and isinstance(at[key], int | float):
            at[key] = at[key] * chance.choice((-1, 0, 0.5, 2, 1000, 1e12))
        else:
            at[key] = chance.choice(VALUES)
        return value


def is_gentle(number: int) -> bool:
    """Two cases of three are changed so little that they may well be converted."""
    return number % 3 > 0
