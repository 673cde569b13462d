"""The page as a visitor meets it: the program in a process of its own, a real Chromium, a file as its microphone."""

from __future__ import annotations

import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import numpy as np
import pytest
import soundfile
import torch
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.browser import browsing
from tests.serving import ROOT, WAIT, serving
from voiceconv.audio.files import load_audio, save_audio
from voiceconv.audio.loudness import measure_loudness
from voiceconv.convert.converter import VoiceConverter
from voiceconv.features.pitch import extract_f0
from voiceconv.studio.page import about
from voiceconv.studio.session import Limits
from voiceconv.studio.tabs.voices import introduce

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
    assert introduce(joe) == "<strong>Joe</strong>: Whoever trained this voice left no description."
    assert "1.5 min" in about(Limits(clip_seconds=90))


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
    proxies: dict[str, Any] = {
        name: proxy for key in ("http_proxy", "https_proxy", "all_proxy") for name in (key, key.upper())
    }
    options = ("--model", VOICE, "--max-seconds", MAX_SECONDS, "--home", tmp_path_factory.mktemp("home"))
    with serving(tmp_path_factory.mktemp("server"), *options, **proxies, no_proxy="", NO_PROXY="") as address:
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
    expect(page.locator(".card").first).to_be_visible(timeout=WAIT)
    yield page
    page.close()
    assert foreign == []


def upload(page: Page, path: Path) -> None:
    """Which converts it."""
    page.locator("#convert input[type=file]").set_input_files(path)


def choose(page: Page, speaker: str) -> None:
    page.get_by_role("radio", name=speaker).check()


def result(page: Page, title: str) -> Locator:
    found = page.locator(".result.latest", has=page.get_by_role("heading", name=title))
    expect(found).to_be_visible(timeout=WAIT)
    return found


def download(result: Locator, folder: Path, format_: str = "WAV") -> Path:
    with result.page.expect_download() as event:
        result.get_by_role("button", name=format_, exact=True).click()
    path = folder / event.value.suggested_filename
    event.value.save_as(path)
    return path


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
def test_record_hear_and_download(page: Page, server: str, tmp_path: Path, converter: VoiceConverter) -> None:
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#convert .hint")).to_contain_text(re.compile(r"0:0[3-9]"), timeout=WAIT)
    page.wait_for_function("document.querySelector('.level').ariaValueNow > 0", timeout=WAIT)
    with page.expect_response(lambda response: "/upload" in response.url) as uploaded:
        page.get_by_role("button", name="Stop", exact=True).click()
    shown = result(page, "Your recording → Joe")
    page.wait_for_function("document.querySelectorAll('.result audio')[1].currentTime > 0", timeout=WAIT)

    (name,) = uploaded.value.json()
    heard = page.request.get(f"{server}/gradio_api/file={name}")
    (tmp_path / "heard.wav").write_bytes(heard.body())
    recorded = load_audio(tmp_path / "heard.wav", converter.sample_rate, loudness=None)
    assert len(recorded) > 2 * converter.sample_rate
    for format_ in ("WAV", "FLAC", "MP3"):
        path = download(shown, tmp_path, format_)
        assert path.name == f"recording-joe.{format_.lower()}"
        assert "converted by voiceconv" in soundfile.SoundFile(path).comment
    converted = load_audio(tmp_path / "recording-joe.wav", converter.sample_rate, loudness=None)
    assert_spoken_by("joe", converted, recorded, converter)

    # The button does what its label says also while somebody speaks.
    page.get_by_role("button", name="Record", exact=True).click()
    expect(page.locator("#convert .hint")).to_contain_text("0:01", timeout=WAIT)
    page.get_by_role("button", name="Convert", exact=True).click()
    expect(page.locator(".result")).to_have_count(2, timeout=WAIT)


@slow
def test_the_result_is_compared_with_the_recording(page: Page, tmp_path: Path, converter: VoiceConverter) -> None:
    choose(page, "Allison")
    source = converter.voice.examples["joe"][0]
    upload(page, source)
    shown = result(page, f"{source.name} → Allison")
    recorded = load_audio(source, converter.sample_rate, loudness=None)
    converted = load_audio(download(shown, tmp_path), converter.sample_rate, loudness=None)
    assert_spoken_by("allison", converted, recorded, converter)

    playing = "[...document.querySelectorAll('.latest audio')].map(each => [each.paused, each.currentTime])"
    page.evaluate("document.querySelectorAll('.latest audio').forEach(each => each.pause())")
    page.evaluate("document.querySelectorAll('.latest audio')[1].currentTime = 0.5")
    shown.get_by_role("button", name="Play", exact=True).click()
    shown.get_by_role("button", name="You", exact=True).click()
    page.wait_for_function(f"(([[paused, at], [other]]) => !paused && at >= 0.5 && other)({playing})", timeout=WAIT)
    page.get_by_role("button", name="Hear Joe").click()
    page.wait_for_function(f"({playing}).every(([paused]) => paused)", timeout=WAIT)

    shown.get_by_text("Details").click()
    expect(shown.locator("img")).to_have_count(2, timeout=WAIT)
    assert min(shown.locator("img").evaluate_all("all => all.map(each => each.naturalWidth)")) > 300
    expect(shown.locator(".facts")).to_contain_text(re.compile(r"\d+%.*\d+ Hz", re.DOTALL))


@slow
def test_every_result_is_named_by_what_was_converted(page: Page) -> None:
    """Whatever is clicked in whatever haste, and examples leave the choice of voice alone."""
    examples = page.locator(".examples")
    choose(page, "Joe")
    examples.get_by_role("button", name="Allison").click()
    examples.get_by_role("button", name="Carlo").click()
    result(page, "Carlo 1 → Joe")
    expect(page.get_by_role("radio", name="Joe")).to_be_checked()
    page.get_by_role("radio", name="Joe").press("ArrowUp")  # converts again, as Allison
    result(page, "Carlo 1 → Allison")
    page.get_by_text("Adjust").click()
    page.get_by_role("slider", name="Pitch").press("ArrowRight")
    expect(page.locator(".result.latest")).to_contain_text("Pitch +0.5", timeout=WAIT)
    titles = [title.splitlines()[0] for title in page.locator(".result h3").all_inner_texts()]
    assert titles[:3] == ["Carlo 1 → Allison", "Carlo 1 → Allison", "Carlo 1 → Joe"]
    assert titles[3:] in ([], ["Allison 1 → Joe"])  # unless it was overtaken by the next click


@slow
def test_voices_are_cards(page: Page) -> None:
    names = page.locator(".card strong").all_inner_texts()
    assert sorted(names) == ["Allison", "Bigfish", "Carlo", "Joe", "Smallfish"]
    assert page.locator(".voices legend").all_inner_texts() == ["US English", "Italian", "Czech"]
    joe = page.locator(".card", has_text="Joe")
    expect(joe).to_contain_text("man, US English")
    expect(joe).to_contain_text("Words: good")
    expect(joe.locator(".warning")).to_have_count(0)
    expect(page.locator(".card", has_text="Bigfish").locator(".warning")).to_contain_text("Words get lost")
    expect(page.locator(".voices input[type=search]")).to_be_hidden()


@slow
def test_mistakes_are_told_in_words(page: Page, tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("These are words, not sound.\n" * 100)
    save_audio(tmp_path / "silence.wav", np.zeros(22050), 22050)
    save_audio(tmp_path / "long.wav", np.full(22050 * (MAX_SECONDS + 1), 0.1), 22050)
    cases = {
        None: "nothing to convert",
        "text.wav": "text.wav",
        "silence.wav": "silent",
        "long.wav": f"{MAX_SECONDS} s",
    }
    problem = page.locator("#convert .speak > .problem")
    for name, words in cases.items():
        if name is None:
            page.get_by_role("button", name="Convert", exact=True).click()
        else:
            upload(page, tmp_path / name)
        expect(problem).to_contain_text(words, timeout=WAIT)
        everything = page.locator("body").inner_text()
        assert "Traceback" not in everything
        assert "voiceconv-" not in everything, "the name of the server's folder shows"
        expect(page.locator(".result")).to_have_count(0)
    page.locator(".examples button").first.click()
    expect(page.locator(".result")).to_have_count(1, timeout=WAIT)
    expect(problem).to_be_hidden()


@slow
def test_a_microphone_that_does_not_open_says_why(page: Page) -> None:
    problem = page.locator("#convert .speak > .problem")
    reasons = {"NotAllowedError": "blocked", "NotFoundError": "no microphone", "NotReadableError": "Another program"}
    for error, words in reasons.items():
        refuse = f"navigator.mediaDevices.getUserMedia = async () => {{ throw new DOMException('', '{error}'); }}"
        page.evaluate(f"() => {{ {refuse} }}")
        page.get_by_role("button", name="Record", exact=True).click()
        expect(problem).to_contain_text(words)
    page.evaluate("() => { Object.defineProperty(navigator, 'mediaDevices', {value: undefined}) }")
    page.get_by_role("button", name="Record", exact=True).click()
    expect(problem).to_contain_text("--https")


@slow
def test_fits_a_phone_in_the_dark_and_names_its_controls(browser: Browser, server: str) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(server)
        expect(page.locator(".card").first).to_be_visible(timeout=WAIT)
        page.locator(".examples button").first.click()
        expect(page.locator(".result")).to_be_in_viewport(timeout=WAIT)
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
def test_visitors_are_met_in_their_language(browser: Browser, server: str) -> None:
    with browser.new_context(locale="de-DE") as context:
        page = context.new_page()
        page.goto(server)
        expect(page.get_by_role("heading", name="Sprich mit einer anderen Stimme")).to_be_visible(timeout=WAIT)
        expect(page.get_by_role("tab", name="Umwandeln", exact=True)).to_be_visible()
        expect(page.get_by_role("radio", name="Joe, Mann, US-Englisch")).to_be_visible(timeout=WAIT)
        assert "__i18n__" not in page.locator("body").inner_text()


@slow
def test_endpoint(server: str, tmp_path: Path, converter: VoiceConverter) -> None:
    client = Client(server, verbose=False, download_files=tmp_path)
    source = converter.voice.examples["allison"][0]
    recorded = load_audio(source, converter.sample_rate, loudness=None)
    for pitch in ({}, {"pitch": "auto"}, {"pitch": 2.5}):
        result = client.predict(handle_file(source), "joe", **pitch, api_name="/convert")
        converted = load_audio(result, converter.sample_rate, loudness=None)
        assert_spoken_by("joe", converted, recorded, converter)
    assert client.predict(handle_file(source), "carlo", api_name="/convert").endswith("-carlo.wav")
    with pytest.raises(AppError, match="'joe'"):
        client.predict(handle_file(source), "jo", api_name="/convert")
    with pytest.raises(AppError, match="semitones"):
        client.predict(handle_file(source), "joe", "higher", api_name="/convert")
    for address in ("config", "gradio_api/info"):
        with urlopen(f"{server}/{address}") as response:
            assert str(ROOT) not in response.read().decode()
