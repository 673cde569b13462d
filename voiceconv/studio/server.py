"""Serves the page until it is told to end: where it listens, who may come in, and what it leaves behind (nothing)."""

from __future__ import annotations

import errno
import ipaddress
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Collection
from pathlib import Path
from typing import Any
from unittest.mock import patch

from filelock import FileLock

from voiceconv.errors import UserError
from voiceconv.locks import is_locked

PREFIX = "voiceconv-"
LOCK = ".lock"
DRAFT_SECONDS = 24 * 3600
PASSWORD = "VOICECONV_PASSWORD"


def serve(
    *,
    host: str | None,
    port: int,
    share: bool,
    password: str | None,
    model: str,
    vocoder: str | None,
    max_seconds: float,
    max_queue: int,
    https: bool = False,
    origins: Collection[str] = (),
) -> int:
    """Loads the voice and serves the page; uploads and results live in a folder of their own, deleted at the end.

    The options are those of `voiceconv app`.

    Raises `UserError` if it should listen to other computers without having been told to share, and for a port that
    cannot be listened on.
    """
    host = listening_host(host, share)
    require_free(host, port)
    ask_no_proxy_for(host)
    password = password or os.environ.get(PASSWORD)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # A block of live speech is hundreds of short calls to torch, and after each it waits this long for the interpreter
    # if another request is at work in Python.
    sys.setswitchinterval(0.001)
    remove_abandoned(Path(tempfile.gettempdir()))
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, FileLock(Path(folder) / LOCK):
        cache = Path(folder) / "files"  # everything in it may be read through the page
        cache.mkdir()
        # Gradio reads these when it is imported.
        os.environ |= {
            "GRADIO_TEMP_DIR": str(cache),
            "GRADIO_EXAMPLES_CACHE": str(cache / "examples"),
            "GRADIO_ANALYTICS_ENABLED": "False",
            "HF_HUB_OFFLINE": "1",
        }
        import_gradio()
        from starlette.middleware import Middleware
        from starlette.routing import Route, WebSocketRoute
        from starlette.websockets import WebSocket

        from voiceconv.convert.converter import VoiceConverter
        from voiceconv.studio.cleaning import kept_clean
        from voiceconv.studio.guard import Guard, health
        from voiceconv.studio.live_socket import live_socket
        from voiceconv.studio.page import build_app, launch_options
        from voiceconv.studio.session import JsonLines, Limits, Studio, note
        from voiceconv.training.jobs import remove_drafts

        handler = logging.StreamHandler()
        handler.setFormatter(JsonLines())
        logging.getLogger("voiceconv").addHandler(handler)
        logging.getLogger("voiceconv").setLevel(logging.INFO)
        remove_drafts(DRAFT_SECONDS)
        limits = Limits(clip_seconds=max_seconds, queue=max_queue)
        studio = Studio(VoiceConverter.from_pretrained(model, vocoder=vocoder), limits)
        page = build_app(studio)

        def admitted(socket: WebSocket) -> bool:
            """Whether this visitor has given the password to Gradio, which only guards what is its own."""
            cookies = (value for name, value in socket.cookies.items() if name.startswith("access-token"))
            return not password or any(value in page.app.tokens for value in cookies)

        page.launch(
            server_name=host,
            server_port=port,
            prevent_thread_lock=True,
            auth=(lambda _, given: secrets.compare_digest(given.encode(), password.encode())) if password else None,
            auth_message="Any name, and the password of this server." if password else None,
            app_kwargs={
                "middleware": [Middleware(Guard, limits=limits, cache=cache, origins=origins)],
                "routes": [
                    Route("/health", health(lambda: len(page._queue), cache, limits)),
                    WebSocketRoute("/live", live_socket(studio, admitted, origins)),
                ],
            },
            **(certificate(Path(folder)) if https else {}),
            **launch_options(limits),
        )
        note("serving", host=host, port=page.server_port, password=bool(password))
        if not is_loopback(host) and not password:
            print(
                "warning: whoever reaches this computer can use this page; --password asks them for one",
                file=sys.stderr,
            )
        print(f"The page is open on {page.local_url} (Ctrl-C ends it)", flush=True)
        if not is_loopback(host):
            print(for_other_devices(host, page.server_port, https), flush=True)
        try:
            with kept_clean(cache, limits.kept_seconds):
                page.block_thread()
        finally:
            studio.end()
            # The server runs in a daemon thread, which Python would end by force, also inside compiled code.
            page.close(verbose=False)
    return 0


def import_gradio() -> None:
    """Imports Gradio without the stubs for editors that it writes for every component: a second of three.

    It leaves out those of components that have no source file.
    """
    with patch("inspect.getfile", side_effect=OSError("no stubs are needed")):
        import gradio  # noqa: F401


def listening_host(host: str | None, share: bool) -> str:
    """The address to listen on: other computers only on demand."""
    if host is None:
        return "0.0.0.0" if share else "127.0.0.1"
    if not share and not is_loopback(host):
        raise UserError(
            f"On {host} other computers could reach the page. Add --share if they should (and --password), or leave "
            "--host out."
        )
    return host


def require_free(host: str, port: int) -> None:
    """Raises `UserError` if nobody can listen on this port."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        if os.name == "posix":  # elsewhere this option would take the port from another program
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            reason = "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used ({error.strerror})"
            raise UserError(f"Port {port} {reason}; choose another with --port.") from error


def ask_no_proxy_for(host: str) -> None:
    """Makes requests to this computer go there directly: gradio asks its own page whether it is up."""
    known = [os.environ[name] for name in ("no_proxy", "NO_PROXY") if os.environ.get(name)]
    os.environ["no_proxy"] = os.environ["NO_PROXY"] = ",".join([*known, "localhost", "127.0.0.1", "::1", host])


def certificate(folder: Path) -> dict[str, Any]:
    """What `Blocks.launch` needs to serve over https: a certificate that this computer made for itself, in `folder`."""
    import trustme

    made = trustme.CA().issue_cert("localhost", "127.0.0.1", socket.gethostname(), *addresses())
    key, chain = folder / "key.pem", folder / "certificate.pem"
    made.private_key_pem.write_to_path(key)
    for blob in made.cert_chain_pems:
        blob.write_to_path(chain, append=True)
    return {"ssl_keyfile": str(key), "ssl_certfile": str(chain), "ssl_verify": False}


def addresses() -> list[str]:
    """Those at which other devices in the network reach this computer: at most one, if there is a network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing; the system only chooses the way
        except OSError:
            return []
        return [str(probe.getsockname()[0])]


def for_other_devices(host: str, port: int, https: bool) -> str:
    """What to tell whoever shares the page: the address that other devices need, and what they meet there."""
    scheme = "https" if https else "http"
    hosts = [host] if host not in ("0.0.0.0", "::") else addresses() or [socket.gethostname()]
    told = "Other devices in your network open " + " or ".join(f"{scheme}://{each}:{port}" for each in hosts)
    if https:
        return f"{told} (their browsers warn of the certificate, since this computer made it itself; go on)"
    return f"{told} (add --https if they should record: browsers give the microphone only to secure pages)"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def remove_abandoned(folder: Path) -> None:
    """Removes the temporary folders of servers that were killed; those of living ones are locked."""
    for left in folder.glob(f"{PREFIX}*"):
        if (left / LOCK).is_file() and not left.is_symlink() and not is_locked(left / LOCK):
            shutil.rmtree(left, ignore_errors=True)
