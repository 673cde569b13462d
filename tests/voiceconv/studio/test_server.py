"""The page as a visitor meets it: the program in a process of its own, a real Chromium, a file as its microphone."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.request import urlopen

import numpy as np
import pytest
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.browser import browsing
from tests.serving import ROOT, WAIT, serving
from voiceconv.audio.files import load_audio, save_audio
from voiceconv.audio.loudness import measure_loudness
from voiceconv.convert.converter import VoiceConverter
from voiceconv.features.pitch import extract_f0
from voiceconv.studio.page import about
from voiceconv.studio.session import Limits
from voiceconv.studio.tabs.convert import introduce

VOICE = "allison-joe"
MAX_SECONDS = 20
slow = pytest.mark.slow


def test_help_and_import_load_nothing_heavy() -> None:
    probe = "import sys, app; print(sorted({'gradio', 'torch', 'matplotlib', 'librosa'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_mistake_on_the_command_line_is_told_in_words() -> None:
    command = [sys.executable, "app.py", "--modle", "x"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "--model" in done.stderr
    assert "Traceback" not in done.stderr


def test_voices_are_introduced_as_text() -> None:
    """A voice folder may come from anyone: what it says of itself must not become part of the page."""
    allison = {"name": "allison", "description": "<script>alert(1)</script>", "licence": "CC0.", "credits": ""}
    assert introduce(allison) == "<strong>Allison</strong>: &lt;script&gt;alert(1)&lt;/script&gt;. Licence: CC0."
    joe = {"name": "joe", "description": "", "licence": "", "credits": ""}
    assert introduce(joe) == "<strong>Joe</strong>: Whoever trained it left no description."
    assert "Up to 1.5 minutes" in about(Limits(clip_seconds=90))


@pytest.fixture(scope="module")
def converter() -> VoiceConverter:
    return VoiceConverter.from_pretrained(VOICE, vocoder="griffin-lim")  # only listens


@pytest.fixture(scope="module")
def outside() -> Iterator[socket.socket]:
    """A proxy that answers nobody: whoever connects to it wanted to reach another machine."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, outside: socket.socket) -> Iterator[str]:
    """The address of `app.py`, which must never have tried to go out."""
    proxy = f"http://127.0.0.1:{outside.getsockname()[1]}"
    proxies = {name: proxy for key in ("http_proxy", "https_proxy", "all_proxy") for name in (key, key.upper())}
    local = "127.0.0.1,localhost"
    options = ("--model", VOICE, "--max-seconds", MAX_SECONDS, "--home", tmp_path_factory.mktemp("home"))
    with serving(tmp_path_factory.mktemp("server"), *options, **proxies, no_proxy=local, NO_PROXY=local) as address:
        yield address


@pytest.fixture(scope="module")
def microphone(converter: VoiceConverter, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Allison, over and over."""
    path = tmp_path_factory.mktemp("microphone") / "microphone.wav"
    save_audio(path, load_audio(converter.voice.examples["allison"][0], 48000), 48000)
    return path


@pytest.fixture(scope="module")
def browser(microphone: Path) -> Iterator[Browser]:
    with browsing(microphone) as browser:
        yield browser


@pytest.fixture(scope="module")
def context(browser: Browser) -> Iterator[BrowserContext]:
    with browser.new_context(viewport={"width": 1280, "height": 800}) as context:
        context.set_default_timeout(WAIT)
        yield context


@pytest.fixture
def page(context: BrowserContext, server: str) -> Iterator[Page]:
    """The page, freshly opened; it must not have asked any other host for anything."""
    foreign: list[str] = []
    own = (server, "data:", "blob:")
    page = context.new_page()
    page.on("request", lambda request: None if request.url.startswith(own) else foreign.append(request.url))
    page.goto(server)
    expect(page.get_by_role("button", name="Convert", exact=True)).to_be_visible(timeout=WAIT)
    yield page
    page.close()
    assert foreign == []


def upload(page: Page, path: Path) -> None:
    page.get_by_role("button", name="Upload file").click()
    with page.expect_response(lambda response: "/upload" in response.url):
        page.locator("#source input[type=file]").set_input_files(path)
    expect(page.locator("#source").get_by_role("button", name="Clear")).to_be_visible()


def convert(page: Page) -> None:
    page.get_by_role("button", name="Convert", exact=True).click()


def download(page: Page, folder: Path, sample_rate: int) -> np.ndarray:
    """Waits for the result, checks what the page says of it, and gets it as a visitor would."""
    expect(page.locator("#pictures img")).to_have_count(2, timeout=WAIT)
    sizes = page.locator("#pictures img").evaluate_all("all => all.map(each => each.naturalWidth)")
    assert min(sizes) > 300
    expect(page.locator("#facts")).to_contain_text(re.compile(r"\d+%.*\d+ Hz.*\d+\.\d s", re.DOTALL))
    with page.expect_download() as event:
        page.get_by_text("Download as WAV").click()
    assert event.value.suggested_filename.endswith(".wav")
    path = folder / event.value.suggested_filename
    event.value.save_as(path)
    return load_audio(path, sample_rate, loudness=None)


def voiced_share(wav: np.ndarray, rate: int) -> float:
    return float(np.mean(extract_f0(wav, rate) > 0))


def own_voiced_share(speaker: str, converter: VoiceConverter) -> float:
    """Of the speaker's real recordings through the same vocoder: creaky voices are hardly voiced to a pitch tracker."""
    rate, shares = converter.sample_rate, []
    for path in converter.voice.examples[speaker]:
        mel = converter.mel(torch.from_numpy(load_audio(path, rate)))
        shares.append(voiced_share(converter.vocoder(mel[None])[0].numpy(), rate))
    return float(np.mean(shares))


def assert_spoken_by(target: str, wav: np.ndarray, like: np.ndarray, converter: VoiceConverter) -> None:
    """`wav` is speech, as long as `like`, and our classifier hears `target`."""
    assert abs(len(wav) - len(like)) <= converter.voice.mel.hop_length
    rate = converter.sample_rate
    assert abs(measure_loudness(wav, rate) - measure_loudness(like, rate)) < 10  # peaks may keep it from being as loud
    assert voiced_share(wav, rate) > own_voiced_share(target, converter) / 2
    assert converter.similarity(wav, target) > 0.5 > converter.similarity(like, target)


@slow
def test_record_convert_download(page: Page, server: str, tmp_path: Path, converter: VoiceConverter) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#source")).to_contain_text(re.compile(r"0:0[4-9]"), timeout=WAIT)
    with page.expect_response(lambda response: "/upload" in response.url) as uploaded:
        page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("#source").get_by_role("button", name="Clear")).to_be_visible()
    convert(page)
    converted = download(page, tmp_path, converter.sample_rate)

    (name,) = uploaded.value.json()
    heard = page.request.get(f"{server}/gradio_api/file={name}")
    (tmp_path / "heard").write_bytes(heard.body())
    recorded = load_audio(tmp_path / "heard", converter.sample_rate, loudness=None)
    assert len(recorded) > 3 * converter.sample_rate
    assert_spoken_by("joe", converted, recorded, converter)


@slow
def test_upload_convert_download(page: Page, tmp_path: Path, converter: VoiceConverter) -> None:
    source = converter.voice.examples["joe"][0]
    upload(page, source)
    page.get_by_label("Allison", exact=True).check()
    convert(page)
    converted = download(page, tmp_path, converter.sample_rate)
    recorded = load_audio(source, converter.sample_rate, loudness=None)
    assert_spoken_by("allison", converted, recorded, converter)


@slow
def test_example_needs_one_click_and_a_new_input_clears_the_result(
    page: Page, tmp_path: Path, converter: VoiceConverter
) -> None:
    page.get_by_label("Allison", exact=True).check()
    page.get_by_role("button", name="Allison 2").click()
    converted = download(page, tmp_path, converter.sample_rate)
    expect(page.get_by_label("Joe", exact=True)).to_be_checked()
    recorded = load_audio(converter.voice.examples["allison"][1], converter.sample_rate, loudness=None)
    assert_spoken_by("joe", converted, recorded, converter)
    page.locator("#source").get_by_role("button", name="Clear").click()
    expect(page.locator("#pictures img")).to_have_count(0)
    expect(page.get_by_text("Download as WAV")).to_be_hidden()


@slow
def test_mistakes_are_told_in_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("These are words, not sound.\n" * 100)
    save_audio(tmp_path / "silence.wav", np.zeros(22050), 22050)
    save_audio(tmp_path / "long.wav", np.full(22050 * (MAX_SECONDS + 1), 0.1), 22050)
    cases = {None: "record a voice", "text.wav": "text.wav", "silence.wav": "silent", "long.wav": f"{MAX_SECONDS} s"}
    for name, words in cases.items():
        if name is not None:
            upload(page, tmp_path / name)
        convert(page)
        expect(page.locator(".toast-body")).to_contain_text(words, timeout=WAIT)
        everything = page.locator("body").inner_text()
        assert "Traceback" not in everything
        assert "voiceconv-" not in everything, "the name of the server's folder shows"
        expect(page.locator("#pictures img")).to_have_count(0)
        page.locator(".toast-close").click()
        if name is not None:
            page.locator("#source").get_by_role("button", name="Clear").click()


@slow
def test_fits_a_phone_in_the_dark_and_names_its_controls(browser: Browser, server: str) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(server)
        expect(page.get_by_role("button", name="Convert", exact=True)).to_be_visible(timeout=WAIT)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        red, green, blue = map(
            int, re.findall(r"\d+", page.evaluate("getComputedStyle(document.body).backgroundColor"))[:3]
        )
        assert red + green + blue < 3 * 80
        nameless = "all => all.filter(e => !(e.innerText || e.ariaLabel || e.labels?.length)).map(e => e.outerHTML)"
        assert (
            page.locator("main").locator("button:visible, input:visible, select:visible").evaluate_all(nameless) == []
        )


@slow
def test_endpoint(server: str, tmp_path: Path, converter: VoiceConverter) -> None:
    client = Client(server, verbose=False, download_files=tmp_path)
    source = converter.voice.examples["allison"][0]
    recorded = load_audio(source, converter.sample_rate, loudness=None)
    for pitch in ({}, {"pitch": "auto"}, {"pitch": 2.5}):
        result = client.predict(handle_file(source), "joe", **pitch, api_name="/convert")
        converted = load_audio(result, converter.sample_rate, loudness=None)
        assert_spoken_by("joe", converted, recorded, converter)
    with pytest.raises(AppError, match="'joe'"):
        client.predict(handle_file(source), "jo", api_name="/convert")
    with pytest.raises(AppError, match="semitones"):
        client.predict(handle_file(source), "joe", "higher", api_name="/convert")
    for address in ("config", "gradio_api/info"):
        with urlopen(f"{server}/{address}") as response:
            assert str(ROOT) not in response.read().decode()
