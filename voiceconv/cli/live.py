"""Converts speech while it is spoken: `voiceconv live`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated

from voiceconv.cli.arguments import File, Text, number, option, word
from voiceconv.convert.outputs import plan_outputs
from voiceconv.errors import UserError

semitones = number("a number of semitones such as -3", math.isfinite)
decibels = number("a level from -120 to 0 dB", lambda value: -120 <= value <= 0)


@dataclass(frozen=True)
class Live:
    """Convert your speech to another voice while you speak."""

    to: Annotated[Text, option("VOICE")] = None
    """The voice to convert to, such as joe."""
    model: Annotated[Text, option("NAME_OR_FOLDER")] = None
    """The model that has this voice; `voiceconv voices` lists the models. Without it, one is found."""
    pitch: Annotated[float, word(semitones, "N"), option()] = 0.0
    """How many semitones above the voice's own pitch to speak. A negative number is below."""
    gate: Annotated[float, word(decibels, "DB"), option()] = -70.0
    """Level in dB under which the input counts as silence."""
    microphone: Annotated[Text, option("DEVICE")] = None
    """The number of a sound device, or a part of its name. Without it, the system's default."""
    loudspeaker: Annotated[Text, option("DEVICE")] = None
    """The number of a sound device, or a part of its name. Without it, the system's default."""
    monitor: Annotated[Text, option("DEVICE")] = None
    """A second device to play on: your headphones, where the loudspeaker is a virtual cable."""
    record: Annotated[File, option("OUT")] = None
    """Keep what is heard in this file, until Ctrl-C."""
    devices: Annotated[bool, option()] = False
    """List the sound devices and exit."""
    file: Annotated[File, option("IN")] = None
    """Read this recording in real time instead of the microphone. Needs --out."""
    out: Annotated[File, option("OUT")] = None
    """Write the converted speech to this file. Needs --file."""

    def run(self) -> int:
        from voiceconv.cli import live_devices

        if self.devices:
            print(live_devices.list_devices())
            return 0
        if self.to is None:
            raise UserError("Say with which voice: --to joe, for example. `voiceconv voices` lists them.")
        if (self.file is None) != (self.out is None):
            raise UserError("--file IN and --out OUT go together.")
        if self.file is not None and self.out is not None:
            plan_outputs(self.file, self.out)  # what cannot be written is refused before anything is played
        import torch

        from voiceconv.audio.files import load_audio, written_as
        from voiceconv.convert.controls import Controls
        from voiceconv.convert.converter import VoiceConverter
        from voiceconv.voice.voice import voice_with

        if self.record is not None:
            written_as(self.record)
        controls = Controls(self.pitch)
        torch.set_num_threads(1)  # so little at a time is faster on one core
        converter = VoiceConverter.from_pretrained(self.model or voice_with(self.to), device="cpu")
        converter.stream(self.to)  # what cannot be streamed is refused before anybody speaks
        rate = converter.sample_rate
        if self.file is not None:
            heard = load_audio(self.file, rate)[: live_devices.LEARNED_SECONDS * rate]
        else:
            heard = live_devices.listen(rate, self.microphone)
        stream = converter.stream(self.to, converter.adapt(heard, self.to, controls), silence_db=self.gate)
        if self.file is not None and self.out is not None:
            print(live_devices.speak_file(stream, self.file, self.out, rate, converter.comment(self.to)))
        else:
            live_devices.speak(
                stream,
                rate,
                self.microphone,
                self.loudspeaker,
                monitor=self.monitor,
                record=self.record,
                comment=converter.comment(self.to),
            )
        return 0
