"""Live conversion in a terminal: from the microphone to the loudspeaker, or from a file as if it were being spoken."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from voiceconv.audio.files import load_audio, save_audio
from voiceconv.convert.streaming import LiveConversion
from voiceconv.errors import UserError

Wav = NDArray[np.float32]
LEARNED_SECONDS = 4
BLOCK = 512  # samples, 23 ms: what sound devices hand over at a time


class Delay:
    """A live conversion for devices that want a block for each block: silence first, then everything `delay` samples
    after it went in."""

    def __init__(self, live: LiveConversion, sample_rate: int, block: int = BLOCK) -> None:
        self.live = live
        self.delay = round(live.latency * sample_rate) + block
        self.ready = np.zeros(self.delay, np.float32)

    def __call__(self, block: Wav) -> Wav:
        self.ready = np.concatenate([self.ready, self.live.push(block)])
        out, self.ready = self.ready[: len(block)], self.ready[len(block) :]
        return out


def speak_file(live: LiveConversion, source: Path, output: Path, sample_rate: int, comment: str) -> str:
    """Reads `source` no faster than it would be spoken, writes what is heard to `output`; says how busy that was.

    `comment` goes into the file's tags.
    """
    wav = load_audio(source, sample_rate)
    pieces, busy, late = [], 0.0, 0
    started = time.perf_counter()
    for position in range(0, len(wav), BLOCK):
        due = started + (position + BLOCK) / sample_rate  # a block is there when its last sample has been spoken
        time.sleep(max(0.0, due - time.perf_counter()))
        before = time.perf_counter()
        pieces.append(live.push(wav[position : position + BLOCK]))
        took = time.perf_counter() - before
        busy += took
        late += took > BLOCK / sample_rate
    pieces.append(live.flush())
    save_audio(output, np.concatenate(pieces), sample_rate, comment=comment)
    return (
        f"{output}: {len(wav) / sample_rate:.1f} s, each sound {1000 * live.latency:.0f} ms after it was spoken; busy "
        f"{100 * busy * sample_rate / max(1, len(wav)):.0f} % of the time, {late} blocks late."
    )


def listen(sample_rate: int, microphone: str | None) -> Wav:
    """Some seconds of the microphone, `(T,)`, to learn the speaker's pitch from."""
    sound = _sounddevice()
    print(f"Say something for {LEARNED_SECONDS} seconds, so that your pitch is known.")
    try:
        heard = sound.rec(LEARNED_SECONDS * sample_rate, sample_rate, channels=1, device=_device(microphone))
        sound.wait()
    except (sound.PortAudioError, ValueError) as error:
        raise UserError(f"The microphone cannot be opened ({error}). `voiceconv live --devices` lists them.") from error
    return np.asarray(heard[:, 0], np.float32)


def speak(live: LiveConversion, sample_rate: int, microphone: str | None, loudspeaker: str | None) -> None:
    """From the microphone to the loudspeaker until Ctrl-C; devices by number or by a part of their name."""
    sound = _sounddevice()
    delayed = Delay(live, sample_rate)
    failures: list[Exception] = []

    def callback(heard: Wav, spoken: Wav, frames: int, clock: Any, status: Any) -> None:
        if status:
            print(f"\n{status}", file=sys.stderr)
        try:
            spoken[:, 0] = delayed(heard[:, 0])
        except Exception as error:
            failures.append(error)
            raise sound.CallbackAbort from error

    devices = _device(microphone), _device(loudspeaker)
    try:
        with sound.Stream(
            sample_rate, BLOCK, devices, channels=1, dtype="float32", latency="low", callback=callback
        ) as stream:
            print(
                f"Speak; {1000 * delayed.delay / sample_rate:.0f} ms later it is heard. Wear headphones. Ctrl-C ends."
            )
            while stream.active:
                time.sleep(0.2)
    except (sound.PortAudioError, ValueError) as error:
        raise UserError(
            f"The sound devices cannot be opened ({error}). `voiceconv live --devices` lists them."
        ) from error
    raise failures[0] if failures else UserError("The sound devices have stopped. Plug them in again, and start anew.")


def list_devices() -> str:
    """The sound devices of this machine, numbered."""
    return str(_sounddevice().query_devices()) or "There is no sound device here; --file works without."


def _device(name: str | None) -> str | int | None:
    return int(name) if name and name.isdigit() else name


def _sounddevice() -> Any:
    try:
        import sounddevice
    except (ImportError, OSError) as error:  # the package, or PortAudio itself
        raise UserError(
            f"Sound devices need PortAudio ({error}). Run: pip install 'voiceconv[live]'   and, on Linux, install the "
            "system's package libportaudio2; or convert a file as if it were spoken: --file IN --out OUT."
        ) from error
    return sounddevice
