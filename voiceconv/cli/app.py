"""Opens the page in a browser: `voiceconv app`."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Annotated

from tyro.conf import UseAppendAction

from voiceconv.cli.arguments import COUNT, File, Text, length, option, whole_number, word
from voiceconv.user_data import HOME


@dataclass(frozen=True)
class App:
    """Open the page that records, converts, plays and trains voices."""

    host: Annotated[Text, option("ADDRESS")] = None
    """The address to listen on. Without it, 127.0.0.1: this computer only."""
    port: Annotated[int, word(whole_number("a port from 0 to 65535", 0, 65535), "N"), option()] = 7860
    """The port to listen on."""
    share: Annotated[bool, option()] = False
    """Let other computers reach the page. See --password."""
    https: Annotated[bool, option()] = False
    """Serve over https with a certificate made for the occasion, so that phones in your network can record."""
    origin: UseAppendAction[tuple[Annotated[str, word(str, "URL")], ...]] = ()
    """Where a proxy shows this page, such as https://studio.example.org. Requests of other pages are refused."""
    password: Annotated[Text, option()] = None
    """Ask visitors for this password. Other users of this computer can read it here, but not in $VOICECONV_PASSWORD."""
    model: Annotated[str, option("NAME_OR_FOLDER")] = "allison-joe"
    """The model to open with."""
    vocoder: Annotated[Text, option("NAME")] = None
    """The vocoder: istft, hifigan, griffin-lim, or a folder. Without it, the best one that is installed."""
    home: Annotated[File, option("DIR")] = None
    """The folder of your own voices and trainings. Without it, $VOICECONV_HOME or your data folder."""
    max_seconds: Annotated[float, word(length, "SECONDS"), option()] = 1200.0
    """The longest recording that the page takes, in seconds."""
    max_queue: Annotated[int, COUNT, option()] = 64
    """How many requests may wait."""

    def run(self) -> int:
        if self.home is not None:
            os.environ[HOME] = str(self.home)
        from voiceconv.studio.server import serve

        return serve(
            host=self.host,
            port=self.port,
            share=self.share,
            password=self.password,
            model=self.model,
            vocoder=self.vocoder,
            max_seconds=self.max_seconds,
            max_queue=self.max_queue,
            https=self.https,
            origins=self.origin,
        )
