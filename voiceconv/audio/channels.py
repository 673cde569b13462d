"""Mixes the channels of a recording into one, and notices when they cancel each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from voiceconv.audio.loudness import SILENCE_PEAK

_DECIDING = 2**22  # values by which it is decided how channels become one: 40 s of stereo at 48 kHz
_CANCELLED = 0.5  # of the power that the loudest channel, alone among silent ones, would have in the mean
CANCELLING = "its channels cancel each other, as when one is wired the wrong way round; only the loudest is used"

Samples = NDArray[np.float32]


class MonoMixer:
    """Blocks `(frames, channels)` in, blocks `(frames,)` out: the mean of the channels or, where they cancel each
    other, the loudest. Then `warn` is called with `CANCELLING`.

    This is decided by the first `_DECIDING` values that are not silence, which are held back until then.
    """

    def __init__(self, warn: Callable[[str], None]) -> None:
        self.warn = warn
        self.held: list[tuple[int, Samples]] = []
        self.channel: int | None = None
        self.decided = False

    def __call__(self, rate: int, block: Samples) -> Iterator[tuple[int, Samples]]:
        if self.decided or block.shape[1] == 1:
            yield from self.rest()
            yield rate, self._mono(block)
            return
        if not self.held and np.abs(block).max(initial=0.0) < SILENCE_PEAK:
            yield rate, self._mono(block)  # nothing to decide by
            return
        self.held.append((rate, block))
        if sum(held.size for _, held in self.held) >= _DECIDING:
            yield from self.rest()

    def rest(self) -> Iterator[tuple[int, Samples]]:
        """What is still held back."""
        if self.held:
            self.decided, held, self.held = True, self.held, []
            self.channel = _standing_for_all([block for _, block in held])
            if self.channel is not None:
                self.warn(CANCELLING)
            for rate, block in held:
                yield rate, self._mono(block)

    def _mono(self, block: Samples) -> Samples:
        if self.channel is None or self.channel >= block.shape[1]:
            return block.mean(axis=1)
        return np.ascontiguousarray(block[:, self.channel])


def _standing_for_all(blocks: list[Samples]) -> int | None:
    """The loudest channel, if the mean of all is far softer than it; offsets (DC) do not count."""
    channels = blocks[0].shape[1]
    if any(block.shape[1] != channels for block in blocks):
        return None

    def power(parts: list[Samples]) -> NDArray[np.float64]:
        frames = sum(len(part) for part in parts)
        mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / frames
        square = sum(np.square(part, dtype=np.float64).sum(axis=0) for part in parts) / frames
        return np.asarray(square - np.square(mean))

    each, together = power(blocks), power([block.mean(axis=1) for block in blocks])
    alone = each.max() / channels**2
    return int(each.argmax()) if together < _CANCELLED * alone else None
