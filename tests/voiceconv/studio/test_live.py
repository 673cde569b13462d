"""The Live tab: over the wire as a program, and in a real Chromium whose microphone is a file."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from playwright.sync_api import Browser, expect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from tests.browser import browsing
from tests.serving import WAIT, serving
from tests.signals import SAMPLE_RATE, hum
from tests.waiting import PATIENCE
from voiceconv.audio.files import save_audio
from voiceconv.features.mel import MelConfig
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder.istft_generator import GeneratorConfig

PROXY = Origin("https://studio.example.org")  # where a proxy would show the page
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def microphone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    save_audio(path, hum(190.0, 4.0), SAMPLE_RATE)
    return path


@pytest.fixture(scope="module")
def vocoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vocoder")
    ISTFTVocoder.build(MelConfig(), GeneratorConfig(channels=8, blocks=1, lookahead=1)).save(folder)
    return folder


@pytest.fixture(scope="module")
def server(tiny_voice: Path, vocoder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("live-server")
    options = ("--model", tiny_voice, "--vocoder", vocoder, "--home", tmp_path_factory.mktemp("home"))
    with serving(folder, *options, "--origin", PROXY) as address:
        yield address


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Browser]:
    with browsing(microphone) as browser:
        yield browser


def wire(server: str, query: str) -> str:
    return f"{server.replace('http', 'ws')}/live?{query}"


def test_samples_go_in_and_as_many_come_out(server: str) -> None:
    wav = hum(190.0, 5.0)
    with connect(wire(server, "voice=joe&pitch=0")) as socket:
        opened = json.loads(socket.recv())
        assert opened["rate"] == SAMPLE_RATE
        heard = []
        for start in range(0, len(wav), 2_000):
            socket.send(wav[start : start + 2_000].astype("<f4").tobytes())
            while isinstance(message := socket.recv(), str):
                opened |= json.loads(message)
            heard.append(np.frombuffer(message, "<f4"))
    spoken = np.concatenate(heard)
    missing = len(wav) - len(spoken)
    assert 0 < missing <= opened["latency"] * SAMPLE_RATE + 2_000
    learned = int(np.flatnonzero(spoken)[0])  # the pitch is known after a second or two
    assert SAMPLE_RATE / 2 < learned < 3 * SAMPLE_RATE
    assert np.abs(spoken[learned + SAMPLE_RATE :]).max() > 0.01


def test_voice_and_pitch_change_while_one_speaks(server: str) -> None:
    wav = hum(190.0, 3.0)
    with connect(wire(server, "voice=joe")) as socket:
        socket.recv()
        sent = received = 0
        for number in range(60):
            if number == 20:
                socket.send(json.dumps({"voice": "allison", "pitch": 2, "melody": 0.5, "strength": 0.8, "gate": -50}))
            if number == 40:
                socket.send(json.dumps({"voice": "nobody"}))
            piece = wav[(number % 30) * 2_000 :][:2_000]
            socket.send(piece.astype("<f4").tobytes())
            sent += len(piece)
            while isinstance(message := socket.recv(), str):
                if "error" in (said := json.loads(message)):
                    assert "nobody" in said["error"]
            received += len(message) // 4
        socket.send("nonsense")
        while isinstance(message := socket.recv(), bytes) or "error" not in message:
            received += len(message) // 4 if isinstance(message, bytes) else 0
        assert "as JSON" in message
    assert 0 < sent - received < SAMPLE_RATE / 2  # what is owed, and no more although the voice was changed


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("voice=jo", "did you mean 'joe'"),
        ("voice=joe&pitch=high", "pitch must be"),
        ("voice=joe&melody=2", "from 0 to 1"),
        ("voice=../x/joe", "no voice"),
    ],
)
def test_what_cannot_be_done_is_told(server: str, query: str, message: str) -> None:
    with connect(wire(server, query)) as socket:
        assert message in json.loads(socket.recv())["error"]
        with pytest.raises(ConnectionClosed):
            socket.recv()


def send_on(socket: ClientConnection, message: str | bytes) -> None:
    while True:
        socket.send(message)
        socket.recv(timeout=PATIENCE)


def test_nonsense_ends_the_conversation_and_not_the_server(server: str) -> None:
    for nonsense in ("text", b"\x00" * 4 * 22_051, np.full(8, np.nan, "<f4").tobytes() * 4_000):
        with connect(wire(server, "voice=joe")) as socket:
            socket.recv()
            with pytest.raises(ConnectionClosed):
                send_on(socket, nonsense)
    with connect(wire(server, "voice=joe")) as socket:
        assert "latency" in socket.recv()


def test_other_pages_and_a_third_visitor_are_turned_away(server: str) -> None:
    with pytest.raises(InvalidStatus):
        connect(wire(server, "voice=joe"), origin=Origin("https://example.org"))
    with connect(wire(server, "voice=joe"), origin=PROXY) as socket:
        assert "latency" in socket.recv()
    with connect(wire(server, "voice=joe")) as one, connect(wire(server, "voice=joe")) as two:
        assert "latency" in one.recv()
        assert "latency" in two.recv()
        with connect(wire(server, "voice=joe")) as three:
            assert "speaking already" in three.recv()


def test_the_password_guards_it(tiny_voice: Path, tmp_path: Path) -> None:
    options = ("--model", tiny_voice, "--vocoder", "griffin-lim", "--home", tmp_path / "home", "--password", "secret")
    with serving(tmp_path, *options) as server, pytest.raises(InvalidStatus):
        connect(wire(server, "voice=joe"))


def test_the_server_ends_quietly_while_somebody_speaks(tiny_voice: Path, vocoder: Path, tmp_path: Path) -> None:
    ended = threading.Event()

    def speak(socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            send_on(socket, hum(190.0, 0.1).astype("<f4").tobytes())
        ended.set()

    with ExitStack() as conversation:
        with serving(tmp_path, "--model", tiny_voice, "--vocoder", vocoder, "--home", tmp_path / "home") as server:
            socket = conversation.enter_context(connect(wire(server, "voice=joe")))
            assert "latency" in socket.recv()
            speaker = threading.Thread(target=speak, args=(socket,))
            speaker.start()
            assert not ended.wait(3)  # `serving` now asks it to end, and looks at what it printed
        assert ended.wait(30)
        speaker.join()


def test_speak_and_be_heard_in_a_browser(browser: Browser, server: str, tmp_path: Path) -> None:
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(WAIT)
        page = context.new_page()
        page.goto(server)
        page.get_by_role("tab", name="Live", exact=True).click()
        page.locator("#live").get_by_role("button", name="Start").click()
        expect(page.locator("#live .hint")).to_contain_text("heard as Joe", timeout=WAIT)
        expect(page.locator("#live .facts-line")).to_contain_text(re.compile(r"Heard \d+ ms later"), timeout=WAIT)
        page.wait_for_function("window.voiceconvLive.loudest > 0.01", timeout=WAIT)
        page.wait_for_function("document.querySelector('#live .in').ariaValueNow > 0", timeout=WAIT)
        page.locator("#live").get_by_role("radio", name="Allison").first.check()
        expect(page.locator("#live .hint")).to_contain_text("heard as Allison", timeout=WAIT)
        page.evaluate("() => { for (const _ of [1, 2]) document.querySelector('#live .keep').click(); }")
        expect(page.locator("#live .problem")).to_contain_text("Nothing was recorded yet")
        page.locator("#live").get_by_role("button", name="Record what is heard").click()
        recording = page.locator("#live").get_by_role("button", name=re.compile("Recording 0:0[1-9]"))
        expect(recording).to_be_visible(timeout=WAIT)
        with page.expect_download() as event:
            page.locator("#live .keep").click()  # whatever it says by now
        event.value.save_as(tmp_path / "kept.wav")
        assert soundfile.info(tmp_path / "kept.wav").samplerate == SAMPLE_RATE
        assert soundfile.info(tmp_path / "kept.wav").frames >= SAMPLE_RATE

        page.get_by_role("tab", name="Batch", exact=True).click()
        page.get_by_role("button", name="Live is still on").click()
        page.get_by_role("tab", name="Live", exact=True).click()
        expect(page.locator("#live .hint")).to_have_text("Stopped.")
        assert page.evaluate("window.voiceconvLive") is None
