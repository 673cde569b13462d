"""Lists, renames and deletes voices, writes one as a file, or adds one from such a file: `voiceconv voices`."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from voiceconv.cli.arguments import Text, option
from voiceconv.errors import UserError


@dataclass(frozen=True)
class List:
    """List the voices that came with this program, and your own."""

    def run(self) -> int:
        from voiceconv.voice.voice import Voice, available_voices

        for name in available_voices():
            print(name)
            try:
                speakers = Voice.load(name).speakers
            except UserError as error:  # one damaged folder does not hide the others
                print(f"  cannot be used: {error}")
                continue
            for speaker in speakers:
                print(f"  {speaker.name}: {speaker.description} ({speaker.licence}; {speaker.credits})")
        return 0


@dataclass(frozen=True)
class Export:
    """Write a voice as one file."""

    model: Annotated[Positional[str], option("NAME_OR_FOLDER")]
    """The name of a voice, or the run folder of a training."""
    file: Annotated[Positional[Path], option("FILE.voice")]
    """The file to write."""

    def run(self) -> int:
        from voiceconv.voice.archive import export_voice

        export_voice(self.model, self.file)
        print(f"The voice {self.model} is in {self.file} ({self.file.stat().st_size / 1e6:.1f} MB).")
        return 0


@dataclass(frozen=True)
class Import:
    """Check the voice in such a file, and add it to your own voices."""

    file: Annotated[Positional[Path], option("FILE.voice")]
    """The file to read."""
    name: Annotated[Text, option("NAME")] = None
    """What to call the voice here. Without it, the voice keeps its name."""

    def run(self) -> int:
        from voiceconv.convert.import_voice import import_voice

        name = import_voice(self.file, self.name)
        print(f"{self.file} is now one of your voices: {name}. Convert with --model {shlex.quote(name)}.")
        return 0


@dataclass(frozen=True)
class Rename:
    """Give one of your own voices another name."""

    model: Annotated[Positional[str], option("NAME")]
    """The voice."""
    name: Annotated[Positional[str], option("NEW_NAME")]
    """What to call it from now on."""

    def run(self) -> int:
        from voiceconv.voice.own_voices import rename_voice

        rename_voice(self.model, self.name)
        print(f"{self.model} is called {self.name} now.")
        return 0


@dataclass(frozen=True)
class Delete:
    """Delete one of your own voices. There is no way back."""

    model: Annotated[Positional[str], option("NAME")]
    """The voice."""

    def run(self) -> int:
        from voiceconv.voice.own_voices import delete_voice

        delete_voice(self.model)
        print(f"{self.model} is deleted.")
        return 0


@dataclass(frozen=True)
class Voices:
    """List the voices, rename or delete one of your own, write one as a file, or add one from such a file."""

    action: Annotated[List | Export | Import | Rename | Delete, arg(name="")] = field(default_factory=List)

    def run(self) -> int:
        return self.action.run()
