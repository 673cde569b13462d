"""Reads what a folder of recordings says of its speaker, in a file `speaker.json` beside them."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

from voiceconv.errors import UserError
from voiceconv.user_data import NAME_RULE, is_name, normalised


@dataclass(frozen=True)
class SpeakerInfo:
    """What a voice says about a speaker: a short name to convert to, and whose speech it is under which terms."""

    name: str
    description: str = ""
    licence: str = ""
    credits: str = ""

    @classmethod
    def of_folder(cls, folder: Path) -> SpeakerInfo:
        """From the folder's `speaker.json` if it has one; otherwise only the name, which is the folder's."""
        path = folder / "speaker.json"
        if not path.is_file():
            return cls(normalised(folder.resolve().name))
        try:
            info = cls(**json.loads(path.read_text(encoding="utf-8-sig")))
        except (ValueError, TypeError) as error:
            fields = ", ".join(field.name for field in dataclasses.fields(cls))
            raise UserError(f"{path} must be a JSON object with the texts {fields}: {error}") from error
        for field in dataclasses.fields(cls):
            value = getattr(info, field.name)
            if not isinstance(value, str) or not value.isprintable():
                raise UserError(f"{path}: {field.name} must be a text of one line, not {value!r}.")
        info = dataclasses.replace(info, name=normalised(info.name))
        info.require_name()
        return info

    def require_name(self) -> None:
        """Raises `UserError` for a name that no voice can have: files are called after it."""
        if not is_name(self.name):
            raise UserError(
                f"A speaker cannot be called {self.name!r}: {NAME_RULE}. Rename the folder, or put a file speaker.json "
                'with {"name": "..."} into it.'
            )


def in_words(description: str, licence: str, credits: str) -> str:
    """What is known of a speaker in sentences, such as "Male, US English. Licence: CC0."; empty if that is nothing."""
    known = [description, licence and f"Licence: {licence}", credits and f"Credits: {credits}"]
    return " ".join(f"{text.rstrip('.')}." for text in known if text)
