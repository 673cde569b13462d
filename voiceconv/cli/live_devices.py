"""Converts live in a terminal: from the microphone to the loudspeaker, or from a file as if it were being spoken."""

from __future__ import annotations

import contextlib
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import numpy as np
import soxr
from numpy.typing import NDArray

from voiceconv.audio.files import audio_writer, load_audio, resample, save_audio
from voiceconv.convert.streaming import LiveConversion
from voiceconv.errors import UserError

Wav = NDArray[np.float32]
LEARNED_SECONDS = 4
BLOCK = 512  # samples, 23 ms: what sound devices hand over at a time
USUAL_RATES = (48000, 44100)  # Hz, of sound cards


class Delay:
    """A live conversion for devices that want a block for each block: silence first, then everything `delay` samples
    after it went in."""

    def __init__(self, live: LiveConversion | AtRate, sample_rate: int, block: int = BLOCK) -> None:
        self.live = live
        self.block = block
        self.delay = round(live.latency * sample_rate) + block
        self.ready = np.zeros(self.delay, np.float32)

    def __call__(self, block: Wav) -> Wav:
        self.ready = np.concatenate([self.ready, self.live.push(block)])
        out, self.ready = self.ready[: len(block)], self.ready[len(block) :]
        return out


class AtRate:
    """A live conversion for a sound card that works at `card_rate` Hz, and not at the voice's `sample_rate`."""

    def __init__(self, live: LiveConversion, sample_rate: int, card_rate: int) -> None:
        self.live = live
        self.enter, self.leave = _resamplers(sample_rate, card_rate)
        # Resamplers hold samples back, and so does the conversion when its blocks are no multiple of its hop.
        held, resamplers = 0, _resamplers(sample_rate, card_rate)
        received = sent = 0
        for _ in range(2 * card_rate // BLOCK):
            received += BLOCK
            sound = np.zeros(BLOCK, np.float32)
            for resampler in resamplers:
                sound = resampler.resample_chunk(sound)
            sent += len(sound)
            held = max(held, received - sent)
        self.latency = live.latency + held / card_rate + live.hop / sample_rate

    def push(self, block: Wav) -> Wav:
        """`(n,)` at the card's rate -> `(m,)` at the card's rate, what can be said by now."""
        return self.leave.resample_chunk(self.live.push(self.enter.resample_chunk(block)))


def _resamplers(sample_rate: int, card_rate: int) -> tuple[soxr.ResampleStream, soxr.ResampleStream]:
    """From the card to the voice, and back."""
    rates = (card_rate, sample_rate), (sample_rate, card_rate)
    into, back = (soxr.ResampleStream(*pair, 1, dtype="float32", quality="HQ") for pair in rates)
    return into, back


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
    sound, device = _sounddevice(), _device(microphone)
    try:
        rate, channels = _fitting(sound, sample_rate, input=device)
        print(f"Say something for {LEARNED_SECONDS} seconds, so that your pitch is known.")
        recorded = sound.rec(LEARNED_SECONDS * rate, rate, channels=channels["input"], device=device, dtype="float32")
        sound.wait()
    except (sound.PortAudioError, ValueError) as error:
        raise UserError(f"The microphone cannot be opened ({error}). `voiceconv live --devices` lists them.") from error
    return resample(_mono(recorded), rate, sample_rate)


class Monitor:
    """Plays what is heard on a second sound device; where the two drift apart, a block is left out or is silence."""

    def __init__(self) -> None:
        self.blocks: deque[Wav] = deque(maxlen=8)

    def __call__(self, spoken: Wav, frames: int, clock: Any, status: Any) -> None:
        spoken[:] = self.blocks.popleft()[:, None] if self.blocks else 0.0


@contextmanager
def recording(path: Path | None, sample_rate: int, comment: str | None) -> Iterator[Callable[[Wav], None]]:
    """What to call with each piece that is heard, so that it is in `path`, if there is one, however this ends."""
    if path is None:
        yield lambda wav: None
        return
    ended: BaseException | None = None
    samples = 0

    def keep(wav: Wav) -> None:
        nonlocal samples
        write(wav)
        samples += len(wav)

    with audio_writer(path, sample_rate, comment=comment) as write:
        try:
            yield keep
        except BaseException as error:  # Ctrl-C is the usual end
            if not samples:
                raise
            ended = error
    print(f"\nWhat was heard is in {path}.")
    if ended is not None:
        raise ended


def speak(
    live: LiveConversion,
    sample_rate: int,
    microphone: str | None,
    loudspeaker: str | None,
    *,
    monitor: str | None = None,
    record: Path | None = None,
    comment: str | None = None,
) -> None:
    """From the microphone to the loudspeaker until Ctrl-C; devices by number or by a part of their name.

    What is heard is played on the device `monitor` too, and kept in the file `record` with `comment` in its tags.
    """
    sound = _sounddevice()
    microphone_device, loudspeaker_device, monitor_device = map(_device, (microphone, loudspeaker, monitor))
    try:
        rate, channels = _fitting(sound, sample_rate, input=microphone_device, output=loudspeaker_device)
    except (sound.PortAudioError, ValueError) as error:
        raise _unopened(error) from error
    if rate == sample_rate:
        delayed = Delay(live, rate)
    else:
        delayed = Delay(AtRate(live, sample_rate, rate), rate, round(BLOCK * rate / sample_rate))
    failures: list[Exception] = []
    spoken_so_far: SimpleQueue[Wav] = SimpleQueue()
    heard_too = Monitor()

    def callback(heard: Wav, spoken: Wav, frames: int, clock: Any, status: Any) -> None:
        if status:
            print(f"\n{status}", file=sys.stderr)
        try:
            said = delayed(_mono(heard))
            spoken[:] = said[:, None]
            heard_too.blocks.append(said)
            spoken_so_far.put(said)
        except Exception as error:
            failures.append(error)
            raise sound.CallbackAbort from error

    try:
        with ExitStack() as opened:
            keep = opened.enter_context(recording(record, rate, comment))
            if monitor is not None:
                most = sound.query_devices(monitor_device, "output")["max_output_channels"]
                second = _channels(sound, "output", monitor_device, most, rate)
                shape = {"channels": second, "dtype": "float32"}
                opened.enter_context(
                    sound.OutputStream(rate, delayed.block, monitor_device, **shape, callback=heard_too)
                )
            stream = opened.enter_context(
                sound.Stream(
                    rate,
                    delayed.block,
                    (microphone_device, loudspeaker_device),
                    channels=(channels["input"], channels["output"]),
                    dtype="float32",
                    latency="low",
                    callback=callback,
                )
            )
            print(f"Speak; {1000 * delayed.delay / rate:.0f} ms later it is heard. Wear headphones. Ctrl-C ends.")
            while True:
                going_on = stream.active
                while not spoken_so_far.empty():
                    keep(spoken_so_far.get())
                if not going_on:
                    break
                time.sleep(0.2)
    except (sound.PortAudioError, ValueError) as error:
        raise _unopened(error) from error
    raise failures[0] if failures else UserError("The sound devices have stopped. Plug them in again, and start anew.")


def _fitting(sound: Any, sample_rate: int, **devices: str | int | None) -> tuple[int, dict[str, int]]:
    """A rate in Hz, the voice's if possible, and numbers of channels, one if possible, at which the devices ("input",
    "output") open together; raises PortAudio's error if there are none."""
    known = {kind: sound.query_devices(device, kind) for kind, device in devices.items()}
    own = [round(info["default_samplerate"]) for info in known.values()]
    error: Exception | None = None
    for rate in dict.fromkeys([sample_rate, *own, *USUAL_RATES]):
        try:
            return rate, {
                kind: _channels(sound, kind, device, known[kind][f"max_{kind}_channels"], rate)
                for kind, device in devices.items()
            }
        except sound.PortAudioError as refused:
            error = error or refused
    assert error is not None
    raise error


def _channels(sound: Any, kind: str, device: str | int | None, most: int, rate: int) -> int:
    """How many channels the device opens with at this rate: one, two, or all."""
    check = getattr(sound, f"check_{kind}_settings")
    *fewer, last = sorted({1, min(2, most), max(1, most)})
    for channels in fewer:
        with contextlib.suppress(sound.PortAudioError):
            check(device=device, channels=channels, samplerate=rate, dtype="float32")
            return channels
    check(device=device, channels=last, samplerate=rate, dtype="float32")
    return last


def _mono(sound: NDArray[np.float32]) -> Wav:
    """`(n, channels)` -> `(n,)`, the first channel: cards that open with two put a microphone there."""
    return np.ascontiguousarray(sound[:, 0], np.float32)


def _unopened(error: Exception) -> UserError:
    return UserError(f"The sound devices cannot be opened ({error}). `voiceconv live --devices` lists them.")


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
            f"Sound devices need PortAudio ({error}). Run: pip install sounddevice   and, on Linux, install the "
            "system's package libportaudio2; or convert a file as if it were spoken: --file IN --out OUT."
        ) from error
    return sounddevice
