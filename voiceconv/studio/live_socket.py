"""The wire of the Live tab: samples of a microphone in, those of the other voice out, over one WebSocket.

The visitor's page opens `live?voice=joe&pitch=-3&gate=-70`. The answer is a line of JSON, `{"rate": ..., "latency":
...}` or `{"error": ...}`; from then on messages are 32-bit floating-point samples, and as many come back as were sent,
each one `latency` seconds of sound later. The first words come back as silence: the visitor's pitch and tone are
learned from them. A message of text, `{"voice": ..., "pitch": ..., "gate": ...}`, changes these while one speaks.
Beside pitch, strength, melody and formants may be asked for, as `Controls` has them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from starlette.websockets import WebSocket, WebSocketDisconnect

from voiceconv.convert.controls import Controls
from voiceconv.convert.converter import VoiceConverter
from voiceconv.convert.streaming import SILENCE_DB, LiveConversion
from voiceconv.errors import UserError
from voiceconv.features.pitch import extract_f0
from voiceconv.studio.guard import from_this_page
from voiceconv.studio.session import Studio, note

MOST_SAMPLES = 22050  # of one message
AT_ONCE = 2  # conversions, each of which keeps a core busy
LEARNED_SECONDS = 0.7  # of voiced speech, to know a visitor's pitch
MOST_SECONDS = 15.0  # to wait for them


def live_socket(
    studio: Studio, admitted: Callable[[WebSocket], bool], origins: Collection[str] = ()
) -> Callable[[WebSocket], object]:
    """The endpoint. `admitted` says whether somebody has given the password, if there is one; `origins` are those
    under which a proxy shows this page, such as https://studio.example.org."""
    speaking = 0

    async def talk(socket: WebSocket) -> None:
        nonlocal speaking
        if not from_this_page(socket.headers, origins) or not admitted(socket):
            await socket.close(code=1008)
            return
        await socket.accept()
        if speaking >= AT_ONCE:
            await _refuse(socket, f"{AT_ONCE} visitors are speaking already. Try again in a while.")
            return
        speaking += 1
        try:
            await _converse(studio, socket)
        finally:
            speaking -= 1

    return talk


async def _converse(studio: Studio, socket: WebSocket) -> None:
    try:
        speaker = await asyncio.to_thread(_open, studio, socket)
    except UserError as error:
        await _refuse(socket, str(error))
        return
    await socket.send_json({"rate": speaker.rate, "latency": speaker.latency})
    samples = 0
    try:
        while True:
            message = await socket.receive()
            if message["type"] == "websocket.disconnect":
                return
            if message.get("text"):
                owed = await _change(studio, speaker, message["text"], socket)
                if len(owed):
                    await socket.send_bytes(owed.astype("<f4").tobytes())
                continue
            sound = message.get("bytes") or b""
            if not sound or len(sound) % 4:
                await _refuse(socket, "A message holds 32-bit floating-point samples, and at least one.")
                return
            heard = np.frombuffer(sound, "<f4")
            if len(heard) > MOST_SAMPLES:
                await _refuse(socket, f"A message holds at most {MOST_SAMPLES} samples, not {len(heard)}.")
                return
            samples += len(heard)
            learning = not speaker.learned
            spoken = await asyncio.to_thread(speaker.push, heard)
            if learning and speaker.learned:
                await socket.send_json({"latency": speaker.latency, "learned": True})
            await socket.send_bytes(spoken.astype("<f4").tobytes())
    except UserError as error:
        await _refuse(socket, str(error))
    except WebSocketDisconnect:  # left while we spoke
        return
    except RuntimeError as error:
        if "after shutdown" not in str(error):  # the server is ending, and no thread is to be had any more
            raise
    finally:
        note("spoke live", sound=samples / speaker.rate)


async def _change(studio: Studio, speaker: _Speaker, text: str, socket: WebSocket) -> np.ndarray:
    """Does what a message asks for, or says why not and goes on as before; the samples that were still owed."""
    try:
        asked = json.loads(text)
        if not isinstance(asked, dict):
            raise ValueError
    except (ValueError, RecursionError):
        raise UserError("A message of text holds voice, pitch and gate as JSON.") from None
    try:
        return await asyncio.to_thread(speaker.change, *_settings(studio, asked))
    except UserError as error:
        await socket.send_json({"error": str(error), "fatal": False})
        return np.zeros(0, np.float32)


class _Speaker:
    """A visitor: silence for the first words, from which their pitch and tone are learned, then the conversion."""

    def __init__(self, converter: VoiceConverter, target: str, controls: Controls, gate: float) -> None:
        self.converter, self.target, self.controls, self.gate = converter, target, controls, gate
        self.rate = converter.sample_rate
        self.live = converter.stream(target, silence_db=gate)  # refuses at once what cannot be streamed
        self.first = np.zeros(0, np.float32)  # words, from which the visitor's pitch and tone are learned
        self.learned = False

    @property
    def latency(self) -> float:
        return self.live.latency

    def push(self, samples: np.ndarray) -> np.ndarray:
        if self.learned:
            return self.live.push(samples)
        before = len(self.first) // self.rate
        self.first = np.concatenate([self.first, samples])
        if len(self.first) // self.rate > before and self._enough():
            self.live = self._adapted(self.converter, self.target, self.controls, self.gate)
            self.learned = True
        return np.zeros(len(samples), np.float32)

    def change(self, converter: VoiceConverter, target: str, controls: Controls, gate: float) -> np.ndarray:
        """Goes on with another voice, controls or gate; the samples that were still owed. Raises `UserError` if it
        cannot, and goes on as before."""
        if converter.sample_rate != self.rate:
            raise UserError("This voice has another sample rate. Stop, choose it, and start again.")
        changed = self._adapted if self.learned else _unadapted
        live = changed(converter, target, controls, gate)
        owed = self.live.flush() if self.learned else np.zeros(0, np.float32)
        self.converter, self.target, self.controls, self.gate, self.live = converter, target, controls, gate, live
        return owed

    def _enough(self) -> bool:
        """Whether enough was heard to know the pitch."""
        hop = self.converter.voice.mel.hop_length
        f0 = extract_f0(self.first, self.rate, hop)
        return bool((f0 > 0).sum() * hop >= LEARNED_SECONDS * self.rate or len(self.first) >= MOST_SECONDS * self.rate)

    def _adapted(self, converter: VoiceConverter, target: str, controls: Controls, gate: float) -> LiveConversion:
        return converter.stream(target, converter.adapt(self.first, target, controls), silence_db=gate)


def _unadapted(converter: VoiceConverter, target: str, _: Controls, gate: float) -> LiveConversion:
    return converter.stream(target, silence_db=gate)


def _open(studio: Studio, socket: WebSocket) -> _Speaker:
    return _Speaker(*_settings(studio, socket.query_params))


def _settings(studio: Studio, asked: Mapping[str, Any]) -> tuple[VoiceConverter, str, Controls, float]:
    """Converter, target, controls and gate that a visitor asks for; refuses what cannot be before anybody speaks."""
    converter, target = studio.find(str(asked.get("voice", "")))
    try:
        gate = float(asked.get("gate", SILENCE_DB))
    except (TypeError, ValueError):
        raise UserError(f"The gate is a number, not {asked.get('gate')!r}.") from None
    return converter, target, Controls.read(asked), gate


async def _refuse(socket: WebSocket, why: str) -> None:
    await socket.send_json({"error": why})
    await socket.close()
