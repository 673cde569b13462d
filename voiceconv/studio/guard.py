"""What stands between the network and Gradio: it refuses what the page never asks for, and says how the server is.

Gradio fetches addresses on behalf of visitors and relays them; this page needs neither, and its recordings are to
stay where they are. Uploads beyond the room there is are refused before they are read. Pages of other origins, which a
visitor may have open beside this one, get no answers.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import time
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from voiceconv import __version__
from voiceconv.studio.cleaning import contents
from voiceconv.studio.session import Limits, note

MOST_BODY = 2 * 2**20  # bytes of a request that is no upload: file names and settings
UPLOADS = re.compile(r"(/gradio_api)?/upload/?")
# Gradio's relays, its development tools and its counters: nothing here uses them.
REFUSED = re.compile(
    r"(/gradio_api)?/(proxy=.*|vibe-.*|undo-vibe.*|monitoring.*|custom_component/.*|dev/.*|deep_link.*)"
)
FOREIGN = (
    "Another page sent this request. If a proxy shows the studio under an address of its own, start the server with "
    "--origin and that address."
)
FILE = re.compile(r"(?:/gradio_api)?/file[=/](.*)", re.DOTALL)


class Guard:
    """ASGI middleware. `cache` is where uploads and results lie; `origins` are those under which a proxy shows this
    page, such as https://studio.example.org."""

    def __init__(self, app: ASGIApp, limits: Limits, cache: Path, origins: Collection[str] = ()) -> None:
        self.app, self.limits, self.cache, self.origins = app, limits, cache, origins

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        path = unquote(scope["path"])
        file = FILE.fullmatch(path)
        if REFUSED.fullmatch(path) or (file and _is_address(file[1])):
            await PlainTextResponse("There is nothing here.", 404)(scope, receive, send)
        elif not self._from_this_page(Headers(scope=scope)):
            await JSONResponse({"detail": FOREIGN}, 403)(scope, receive, send)  # whose detail Gradio's page shows
        elif UPLOADS.fullmatch(path) and (problem := self._no_room()):
            note("upload refused", reason=problem)
            await PlainTextResponse(problem, 507)(scope, receive, send)
        elif UPLOADS.fullmatch(path):
            await self._upload(scope, receive, send)
        elif scope["method"] == "POST":
            await self._with_small_body(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def _from_this_page(self, headers: Headers) -> bool:
        # No page can set this, and proxies leave it alone. Browsers send it to secure pages and to this computer.
        return headers.get("sec-fetch-site") == "same-origin" or from_this_page(headers, self.origins)

    async def _upload(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Gradio ends with an exception where a form has a very long boundary, or fields that are no files."""
        try:
            await self.app(scope, receive, send)
        except (ValueError, TypeError):
            note("upload refused", reason="not a form of files")
            await PlainTextResponse("This upload is not a form of files.", 400)(scope, receive, send)

    def _no_room(self) -> str:
        """A sentence if there is no room for an upload, otherwise nothing."""
        if shutil.disk_usage(self.cache).free < self.limits.free_bytes:
            return "The server's disk is almost full. Try again later, or ask whoever runs it to make room."
        if _used(self.cache) > self.limits.disk_bytes:
            return (
                "Too many recordings are waiting on the server. Try again in some minutes, when old ones are deleted."
            )
        return ""

    async def _with_small_body(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = b""
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body += message.get("body", b"")
            if len(body) > MOST_BODY:
                problem = f"This request is over {MOST_BODY // 2**20} MB; only uploads may be."
                await PlainTextResponse(problem, 413)(scope, receive, send)
                return
            if not message.get("more_body"):
                break
        if _names_other_files(body, self.cache):
            problem = "This server reads no files but those that were uploaded to it. Upload the recording itself."
            await PlainTextResponse(problem, 400)(scope, receive, send)
            return
        replayed = False

        async def replay() -> Message:
            nonlocal replayed
            if replayed:
                return await receive()
            replayed = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


def from_this_page(headers: Headers, origins: Collection[str]) -> bool:
    """Browsers tell which page asks: others must not use a visitor's microphone, password or computer."""
    origin = headers.get("origin")
    return (
        origin is None
        or urlsplit(origin).netloc == headers.get("host")
        or origin in (allowed.rstrip("/") for allowed in origins)
    )


def health(queued: Callable[[], int], cache: Path, limits: Limits) -> Callable[..., Any]:
    """The endpoint `/health`: 200 while there is room to work, 503 otherwise; nothing in it is about anybody."""
    started = time.monotonic()

    async def answer(request: Any) -> JSONResponse:
        free = shutil.disk_usage(cache).free
        healthy = free >= limits.free_bytes
        return JSONResponse(
            {
                "status": "ok" if healthy else "disk almost full",
                "version": __version__,
                "uptime_seconds": round(time.monotonic() - started),
                "queued": queued(),
                "queue_limit": limits.queue,
                "temporary_bytes": _used(cache),
                "free_bytes": free,
            },
            200 if healthy else 503,
        )

    return answer


def _used(cache: Path) -> int:
    """Bytes of all files."""
    return sum(found.st_size for found in contents(cache))


def _is_address(text: str) -> bool:
    return re.match(r"\s*[a-z][a-z0-9+.-]*:/", text, re.IGNORECASE) is not None or text.startswith("//")


def _names_other_files(body: bytes, cache: Path) -> bool:
    """Whether a request hands in a file that was not uploaded: an address, or another file of the server's."""
    inside = os.path.realpath(cache) + os.sep
    try:
        waiting: list[Any] = [json.loads(body)]
    except (ValueError, RecursionError):
        return False  # Gradio reads none of these
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            path = value.get("path")
            if isinstance(path, str) and ("\0" in path or not os.path.realpath(path).startswith(inside)):
                return True
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return False
