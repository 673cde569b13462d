"""The tabs beside Convert as a visitor meets them, and the server as somebody meets it who means no good."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from email.message import Message
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import pytest
import soundfile
from gradio_client import Client, handle_file
from playwright.sync_api import Browser, Page, expect

from tests.browser import browsing
from tests.serving import ROOT, WAIT, serving
from tests.signals import SAMPLE_RATE, hum
from tests.waiting import PATIENCE, wait_for
from voiceconv.errors import UserError
from voiceconv.studio import curves
from voiceconv.studio.server import LOCK, for_other_devices, listening_host, remove_abandoned
from voiceconv.studio.session import Studio
from voiceconv.studio.tabs.train_view import RESUMES, status_html
from voiceconv.studio.tabs.voices import _record_card
from voiceconv.training.jobs import Plan, Status

slow = pytest.mark.slow
CLIENTS = 50


@pytest.fixture(scope="module")
def home_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studio-home")


@pytest.fixture(scope="module")
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("studio-server")


@pytest.fixture(scope="module")
def server(tiny_voice: Path, home_folder: Path, temporary: Path) -> Iterator[str]:
    options = ("--model", tiny_voice, "--vocoder", "griffin-lim", "--home", home_folder, "--max-seconds", 20)
    with serving(temporary, *options) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with browsing() as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, server: str) -> Iterator[Page]:
    with browser.new_context(viewport={"width": 1280, "height": 900}) as context:
        context.set_default_timeout(WAIT)
        page = context.new_page()
        page.goto(server)
        expect(page.get_by_role("button", name="Convert", exact=True)).to_be_visible(timeout=WAIT)
        yield page


def open_tab(page: Page, name: str) -> None:
    page.get_by_role("tab", name=name, exact=True).click()


def choose(page: Page, box: str, option: str) -> None:
    page.locator(f"#{box} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def write(folder: Path, name: str, seconds: float = 0.5, f0: float = 150.0) -> Path:
    soundfile.write(folder / name, hum(f0, seconds), SAMPLE_RATE)
    return folder / name


def test_curves_keep_within_their_frame_and_leave_out_what_is_no_number() -> None:
    rows = [{"step": 0.0, "a": 1.0}, {"step": 10.0, "a": float("nan")}, {"step": 20.0, "a": 3.0, "b": 2.0}]
    picture = curves.draw("<Losses>", rows, ["a", "b", "c"])
    assert "&lt;Losses&gt;" in picture
    assert "nan" not in picture
    first, second, third = re.findall(r'polyline points="([^"]*)"', picture)
    assert (len(first.split()), len(second.split()), len(third.split())) == (2, 1, 0)
    (x0, y0), (x1, y1) = (map(float, point.split(",")) for point in first.split())
    assert x0 < x1 <= curves.WIDTH
    assert 0 < y1 < y0 < curves.HEIGHT  # 3 lies above 1
    assert curves.draw("Nothing", rows, ["c"]) == ""
    assert "polyline" in curves.draw("Level", [{"step": 1.0, "a": 0.0}, {"step": 2.0, "a": 0.0}], ["a"])


def test_what_a_voice_says_of_itself_is_no_part_of_the_page() -> None:
    evil = "<script>alert(1)</script>"
    record = {
        "name": evil,
        "speakers": [{"name": evil, "description": evil}, {"name": "b"}],
        "training": {evil: evil},
        "measured": {evil: {evil: 1, "x": evil, "y": float("nan"), "z": True}, "clips": evil, "n": 7},
    }
    card = _record_card(record)
    assert "<script" not in card
    assert "1.00" in card


def test_other_computers_are_let_in_only_on_demand() -> None:
    assert listening_host(None, share=False) == "127.0.0.1"
    assert listening_host("localhost", share=False) == "localhost"
    assert listening_host("::1", share=False) == "::1"
    assert listening_host(None, share=True) == "0.0.0.0"
    assert listening_host("192.0.2.7", share=True) == "192.0.2.7"
    for host in ("0.0.0.0", "192.0.2.7", "::", "example.org"):
        with pytest.raises(UserError, match="Add --share"):
            listening_host(host, share=False)


def test_other_devices_are_told_the_address_and_what_they_need() -> None:
    told = for_other_devices("192.0.2.7", 7860, https=False)
    assert "http://192.0.2.7:7860" in told
    assert "add --https" in told
    told = for_other_devices("0.0.0.0", 7860, https=True)
    assert re.search(r"https://[^:]+:7860", told)
    assert "0.0.0.0" not in told


def test_folders_of_killed_servers_are_removed(tmp_path: Path) -> None:
    from voiceconv.locks import try_lock

    for name in ("voiceconv-dead", "voiceconv-alive", "voiceconv-other", "else"):
        (tmp_path / name).mkdir()
        if name != "voiceconv-other":
            (tmp_path / name / LOCK).touch()
    alive = try_lock(tmp_path / "voiceconv-alive" / LOCK)
    remove_abandoned(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["else", "voiceconv-alive", "voiceconv-other"]
    assert alive is not None
    alive.lock.release()


@slow
def test_batch_takes_many_and_gives_a_zip(page: Page, tmp_path: Path) -> None:
    open_tab(page, "Batch")
    page.locator("#batch-convert").click()
    expect(page.locator(".toast-body")).to_contain_text("add some recordings")
    page.locator(".toast-close").click()
    paths = [write(tmp_path, "one.wav"), write(tmp_path, "two.flac"), tmp_path / "letter.mp3"]
    paths[2].write_text("not a recording " * 100)
    page.locator("#batch-files input[type=file]").set_input_files(paths)
    expect(page.locator("#batch-files")).to_contain_text("letter")
    page.locator("#batch-voice").get_by_label("Allison", exact=True).check()
    page.locator("#batch-convert").click()
    expect(page.locator("#batch-progress")).to_contain_text("3 of 3 recordings", timeout=WAIT)
    expect(page.locator("#batch-progress li")).to_contain_text("letter.mp3 cannot be read as audio")
    with page.expect_download() as event:
        page.get_by_text("Download the zip").click()
    assert event.value.suggested_filename == "as-allison.zip"
    event.value.save_as(tmp_path / "result.zip")
    with zipfile.ZipFile(tmp_path / "result.zip") as archive:
        assert archive.testzip() is None
        assert sorted(archive.namelist()) == ["manifest.json", "one-allison.wav", "two-allison.flac"]
        rows = json.loads(archive.read("manifest.json"))
        archive.extract("two-allison.flac", tmp_path / "out")
    assert [row["recording"] for row in rows] == ["one.wav", "two.flac", "letter.mp3"]
    assert [("result" in row, "not_converted_because" in row) for row in rows] == [
        (True, False),
        (True, False),
        (False, True),
    ]
    assert soundfile.info(tmp_path / "out" / "two-allison.flac").frames == round(0.5 * SAMPLE_RATE)


@slow
def test_compare_plays_every_voice_and_vocoder(page: Page, server: str, tmp_path: Path) -> None:
    open_tab(page, "Compare")
    page.locator("#compare-source").get_by_role("button", name="Upload file").click()
    page.locator("#compare-source input[type=file]").set_input_files(write(tmp_path, "clip.wav"))
    expect(page.locator("#compare-source").get_by_role("button", name="Clear")).to_be_visible()
    page.locator("#compare").click()
    rows = page.locator("#comparison article")
    expect(rows.locator("h2")).to_contain_text(["Your recording", "Allison", "Joe", "Smallfish"], timeout=WAIT)
    expect(page.locator("#compare-stop")).to_be_hidden(timeout=WAIT)
    address = rows.nth(1).locator("audio").get_attribute("src")
    assert address is not None
    (tmp_path / "heard.flac").write_bytes(page.request.get(f"{server}/{address}").body())
    assert soundfile.info(tmp_path / "heard.flac").frames == round(0.5 * SAMPLE_RATE)
    rows.nth(1).get_by_role("button", name="Use this voice").click()
    expect(page.get_by_role("radio", name="Allison", exact=True)).to_be_checked()


@slow
def test_a_voice_is_taken_away_and_brought_back(page: Page, tmp_path: Path, home_folder: Path) -> None:
    open_tab(page, "Voices")
    expect(page.locator("#voices")).to_contain_text("Licence: CC0")
    expect(page.locator("#voices h2").last).to_have_text("tiny")
    choose(page, "voice-chosen", "allison-joe")
    page.locator("#voice-export").click()
    with page.expect_download() as event:
        page.get_by_text("Download allison-joe.voice").click()
    event.value.save_as(tmp_path / "taken.voice")

    page.locator("#voice-file input[type=file]").set_input_files(tmp_path / "taken.voice")
    expect(page.locator("#voice-file")).to_contain_text("taken")
    page.locator("#voice-import").click()
    expect(page.locator(".toast-body")).to_contain_text("already is a voice 'allison-joe'", timeout=WAIT)
    page.locator(".toast-close").click()
    page.locator("#voice-name input, #voice-name textarea").fill("brought")
    page.locator("#voice-import").click()
    expect(page.locator("#voices article h2", has_text="brought")).to_be_visible(timeout=WAIT)
    assert (home_folder / "voices" / "brought" / "weights.safetensors").is_file()
    open_tab(page, "Convert")
    page.locator("#convert").get_by_role("radio", name="Joe (brought)").check(timeout=WAIT)
    page.locator("#convert").get_by_role("searchbox", name="Find a voice").fill("brought")  # there are nine by now
    expect(page.locator("#convert .card strong")).to_have_text(["Allison (brought)", "Joe (brought)"])

    with zipfile.ZipFile(tmp_path / "evil.voice", "w") as archive:
        archive.writestr("../../evil.txt", "x")
    open_tab(page, "Voices")
    page.locator("#voice-file input[type=file]").set_input_files(tmp_path / "evil.voice")
    expect(page.locator("#voice-file")).to_contain_text("evil")
    page.locator("#voice-import").click()
    evil = page.locator(".toast-body", has_text="evil.voice is refused: '../../evil.txt'")
    expect(evil).to_be_visible(timeout=WAIT)

    choose(page, "voice-chosen", "brought")
    page.locator("#voice-new-name input, #voice-new-name textarea").fill("renamed")
    page.locator("#voice-new-name input, #voice-new-name textarea").press("Enter")
    expect(page.locator("#voices h2", has_text="renamed")).to_be_visible(timeout=WAIT)
    page.locator("#voice-delete").click()
    page.locator("#voice-delete-it").click()
    expect(page.locator("#voices h2", has_text="renamed")).to_have_count(0, timeout=WAIT)
    assert list((home_folder / "voices").glob("*/voice.json")) == []


def test_a_failed_training_says_why_and_what_helps() -> None:
    job = SimpleNamespace(name="a-b", folder=Path("/runs/a-b"), plan=Plan("a-b", ("a", "b")))
    failed = Status("failed", 1200, 1900, 3000.0, "The disk is full: /runs/a-b/checkpoint.pt <here>")
    shown = status_html(job, failed)  # type: ignore[arg-type]
    assert "The disk is full: checkpoint.pt &lt;here&gt;" in shown
    assert "step 1,200 of 1,900" in shown
    assert RESUMES in shown
    assert RESUMES not in status_html(job, Status("finished", 1900, 1900, 4500.0))  # type: ignore[arg-type]


@slow
def test_a_voice_is_trained_from_the_page(
    page: Page, two_speakers: tuple[Path, Path], home_folder: Path, tmp_path: Path
) -> None:
    open_tab(page, "Train")
    page.locator("#inspect").click()
    expect(page.locator(".toast-body")).to_contain_text("Give both speakers a name and recordings")
    page.locator(".toast-close").click()
    for letter, folder in zip("ab", two_speakers, strict=True):
        page.locator(f"#speaker-{letter} input, #speaker-{letter} textarea").fill(folder.name)
        page.locator(f"#recordings-{letter} input[type=file]").set_input_files(sorted(folder.glob("*.wav")))
        expect(page.locator(f"#recordings-{letter}")).to_contain_text("11")
    page.locator("#inspect").click()
    expect(page.locator("#inspection")).to_contain_text("low speaks 11.", timeout=WAIT)
    choose(page, "preset", "Trial run: seconds, no real voice")
    page.locator("#start").click()
    expect(page.locator(".toast-body")).to_contain_text("must have agreed")
    page.locator(".toast-close").click()
    page.get_by_label("Both speakers have agreed").check()
    page.locator("#start").click()
    status = page.locator("#training-status")
    expect(status).to_contain_text("high-low training", timeout=WAIT)
    page.locator("#pause").click()
    expect(status).to_contain_text("high-low paused", timeout=WAIT)
    plan = json.loads((home_folder / "runs" / "high-low" / "job.json").read_text())
    assert "confirmed on the page" in plan["consent"]
    assert len(list((home_folder / "runs" / "high-low" / "recordings" / "low").glob("*.wav"))) == 12

    # Another visit finds it; nothing of it is in the page that was closed.
    page.reload()
    open_tab(page, "Train")
    expect(status).to_contain_text("high-low paused", timeout=WAIT)
    page.locator("#resume").click()
    expect(status).to_contain_text("high-low finished; step 20 of 20", timeout=2 * WAIT)
    expect(page.locator("#curves svg").first).to_be_visible()
    expect(page.locator("#previews audio")).to_have_count(4)
    page.wait_for_function(
        "() => [...document.querySelectorAll('#previews img')].every(each => each.naturalWidth > 300)", timeout=WAIT
    )
    assert page.locator("#previews img").count() == 4

    # What it made: each way a recording, its conversion and the voice it should have.
    trained = page.locator("#trained article")
    expect(trained).to_have_count(2, timeout=WAIT)
    expect(trained.first.locator("h2")).to_have_text("High → Low")
    page.wait_for_function(
        "() => [...document.querySelectorAll('#trained audio')].filter(each => each.duration > 1).length === 6",
        timeout=WAIT,
    )
    expect(status.get_by_role("button", name="Use this voice: Low")).to_be_visible()

    page.get_by_text("Try the voice as it is now").click()
    page.locator("#try-source").get_by_role("button", name="Upload file").click()
    page.locator("#try-source input[type=file]").set_input_files(write(tmp_path, "clip.wav"))
    expect(page.locator("#try-source").get_by_role("button", name="Clear")).to_be_visible()
    page.locator("#try").click()
    expect(page.locator("#try-result")).to_contain_text("0:00", timeout=WAIT)
    open_tab(page, "Voices")
    expect(page.locator("#voices article h2", has_text="high-low")).to_be_visible(timeout=WAIT)
    assert page.context.browser is not None
    with page.context.browser.new_context(locale="de-DE") as german:
        other = german.new_page()
        other.goto(page.url)
        open_tab(other, "Trainieren")
        expect(other.locator("#training-status")).to_contain_text("high-low fertig; Schritt 20 von 20", timeout=WAIT)
        expect(other.locator("#trained h2").first).to_have_text("Was daraus wurde", timeout=WAIT)
    assert (home_folder / "voices" / "high-low" / "examples" / "low").is_dir()


@slow
def test_a_speaker_is_recorded_on_the_page(page: Page, two_speakers: tuple[Path, Path]) -> None:
    open_tab(page, "Train")
    page.get_by_text("Or record here").first.click()
    takes = page.locator("#takes-a")
    expect(takes.locator("li")).to_have_count(10)
    taken = page.locator("#taken-a input, #taken-a textarea")
    for number in (1, 2):
        takes.get_by_role("button", name="Record").click()
        page.wait_for_function("document.querySelector('#takes-a .level').ariaValueNow > 0", timeout=WAIT)
        expect(takes.locator(".counter")).not_to_have_text("0:00", timeout=WAIT)
        takes.get_by_role("button", name="Stop").click()
        expect(taken).to_have_value(re.compile(f"take {number}.wav"), timeout=WAIT)
    takes.get_by_role("button", name="Take back").click()
    expect(taken).not_to_have_value(re.compile("take 2.wav"))
    page.locator("#speaker-a input, #speaker-a textarea").fill("visitor")
    page.locator("#speaker-b input, #speaker-b textarea").fill("high")
    page.locator("#recordings-b input[type=file]").set_input_files(sorted(two_speakers[0].glob("*.wav")))
    expect(page.locator("#recordings-b")).to_contain_text("11")
    page.locator("#inspect").click()
    expect(page.locator("#inspection h2", has_text="visitor")).to_be_visible(timeout=WAIT)
    page.get_by_label("Both speakers have agreed").check()
    page.locator("#start").click()
    expect(page.locator(".toast-body")).to_contain_text("Training needs at least 20")


def test_only_uploads_are_trained_on(tmp_path: Path) -> None:
    studio = Studio.__new__(Studio)
    studio.cache = tmp_path / "files"
    write(tmp_path, "outside.wav")
    studio.cache.mkdir()
    inside = write(studio.cache, "inside.wav")
    (studio.cache / "link.wav").symlink_to(tmp_path / "outside.wav")
    asked = [
        str(inside),
        str(tmp_path / "outside.wav"),
        f"{studio.cache}/../outside.wav",
        f"{studio.cache}/link.wav",
        3,
    ]
    assert studio.uploaded(json.dumps(asked[:4])) == [str(inside)]
    for nonsense in (json.dumps(asked), "x", "3", "[" * 100_000, json.dumps(["\0"])):
        assert studio.uploaded(nonsense) == []


@slow
def test_every_tab_is_reached_by_keyboard_and_fits_a_phone(browser: Browser, server: str) -> None:
    with browser.new_context(viewport={"width": 390, "height": 844}, color_scheme="dark") as context:
        page = context.new_page()
        page.goto(server)
        expect(page.get_by_role("button", name="Convert", exact=True)).to_be_visible(timeout=WAIT)
        for _ in range(3):
            page.keyboard.press("Tab")
            if page.evaluate("document.activeElement.getAttribute('role')") == "tab":
                break
        assert page.evaluate("document.activeElement.getAttribute('role')") == "tab"
        page.get_by_role("tab", name="Batch", exact=True).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#batch-convert")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        page.get_by_role("tab", name="Train", exact=True).focus()
        page.keyboard.press("Enter")
        expect(page.locator("#inspect")).to_be_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


def answer(address: str, body: bytes | None = None) -> tuple[int, bytes]:
    kind = {"Content-Type": "application/json"} if body is not None else {}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, kind), timeout=PATIENCE) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def raw(address: str, path: str) -> bytes:
    """The answer to a path exactly as written: clients tidy `..` away."""
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=PATIENCE) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode())
        return b"".join(iter(lambda: connection.recv(65536), b""))


@slow
def test_no_other_file_can_be_read(server: str, home_folder: Path, temporary: Path, tmp_path: Path) -> None:
    secret = home_folder / "secret.txt"
    secret.write_text("do not read me")
    (cache,) = temporary.glob("voiceconv-*/files")
    (cache / "link.txt").symlink_to(secret)
    (cache / "folder").symlink_to(home_folder)
    weights = ROOT / "voiceconv" / "pretrained" / "voices" / "allison-joe" / "weights.safetensors"
    assert weights.is_file()
    forbidden = [
        str(secret),
        "/etc/passwd",
        str(ROOT / "app.py"),
        str(weights),
        f"{cache}/link.txt",
        f"{cache.parent}/.lock",
    ]
    forbidden += [
        f"{cache}/folder/secret.txt",
        f"{cache}/../../../../../../../../../../etc/passwd",
        "app.py",
        "./app.py",
    ]
    forbidden += [f"file://{secret}", f"//localhost{secret}", "..%2f..%2fapp.py", f"{cache}/%2e%2e/log.txt"]
    readable = {}
    for prefix in ("/file=", "/file/", "/gradio_api/file=", "/gradio_api/file/", "/static/", "/assets/", "/svelte/"):
        for path in forbidden:
            for written in {path, quote(path), quote(path, safe="")}:
                if written.isascii() and " " not in written:
                    head, _, body = raw(server, prefix + written).partition(b"\r\n\r\n")
                    if head.split(b" ")[1] == b"200" and b"<!doctype html>" not in body.lower():
                        readable[prefix + written] = body[:80]
    for path in (
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/gradio_api/custom_component/1/client/component/../../app.py",
    ):
        assert answer(server + path)[0] in (403, 404)
    for path in (
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/vibe-code",
        "/gradio_api/file=http://127.0.0.1:1/x",
    ):
        assert answer(server + path)[0] in (403, 404, 405), path
    (cache / "link.txt").unlink()
    (cache / "folder").unlink()
    assert readable == {}, readable


@slow
def test_requests_cannot_name_files_or_addresses_of_the_server(server: str, home_folder: Path, temporary: Path) -> None:
    wav = write(home_folder, "private.wav")
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(0.5)
    inside = f"http://127.0.0.1:{listening.getsockname()[1]}/x.wav"
    for path in (
        str(wav),
        "/etc/passwd",
        "../app.py",
        f"{temporary}/log.txt",
        inside,
        "https://example.org/x.wav",
        f"file://{wav}",
    ):
        file = {"path": path, "meta": {"_type": "gradio.FileData"}}
        request = json.dumps({"data": [file, "joe", "auto"], "fn_index": 0, "session_hash": "x"}).encode()
        for endpoint in ("call/convert", "queue/join", "run/convert", "api/convert"):
            status, said = answer(f"{server}/gradio_api/{endpoint}", request)
            assert status == 400, (endpoint, path)
            assert b"reads no files but those that were uploaded" in said
    with pytest.raises(TimeoutError):
        listening.accept()
    listening.close()
    status, said = answer(f"{server}/gradio_api/call/convert", b"[" * (3 * 2**20))
    assert (status, said) == (413, b"This request is over 2 MB; only uploads may be.")


def told(server: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Message, bytes]:
    """Status, headers and content of an answer, whatever it is; redirections are not followed."""
    host = server.removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=PATIENCE)
    named = {"Host": host, **{name.replace("_", "-"): value for name, value in headers.items()}}
    connection.request("GET" if body is None else "POST", path, body, named)
    with connection.getresponse() as response:
        return response.status, response.headers, response.read()


@slow
@pytest.mark.parametrize(
    "origin", ["https://example.org", "null", "http://localhost.example.org", "http://127.0.0.1:1"]
)
@pytest.mark.parametrize("host", [None, "localhost", "studio.example.org"])
def test_other_pages_get_no_answer(server: str, origin: str, host: str | None, tmp_path: Path) -> None:
    """CVE-2024-47084, CVE-2024-47165, CVE-2025-5320: Gradio compares origins only where it is called localhost."""
    headers = {"Origin": origin, "Cookie": "access-token=1"} | ({"Host": host} if host else {})
    for path, body in (
        ("/config", None),
        ("/gradio_api/info", None),
        ("/gradio_api/call/convert", b'{"data": [null, "joe", "auto"]}'),
        ("/gradio_api/upload", b"a form"),
    ):
        kind = {"Content_Type": "multipart/form-data; boundary=x" if "upload" in path else "application/json"}
        status, _, content = told(server, path, body, **headers, **kind)
        assert status == 403, path
        assert b"start the server with --origin" in content
    own = {"Origin": "https://studio.example.org", "Sec_Fetch_Site": "same-origin"}  # as behind a proxy
    assert told(server, "/config", **own)[0] == 200
    assert told(server, "/config", Origin=server)[0] == 200


@slow
def test_published_advisories_on_gradio(server: str, tmp_path: Path) -> None:
    """What each was about is not there, or refused; docs/robustness.md lists them."""
    for path, host in (
        ("/gradio_api/run-history/buckets", "localhost"),  # Gradio keeps runs with the token of whoever serves
        ("/gradio_api/run-history/records?limit=1", "localhost"),
        ("/login/huggingface?_target_url=https://example.org", ""),  # CVE-2026-27167, CVE-2026-28415
        ("/login/callback?_target_url=https://example.org", ""),
        ("//example.org/%2e%2e", ""),  # CVE-2024-8021
        ("/gradio_api/file=https://example.org/x", ""),  # CVE-2026-59806
        ("/gradio_api/proxy=https://x.hf.space/", ""),  # CVE-2026-28416, CVE-2026-48545
        ("/static//etc/passwd", ""),  # CVE-2026-28414
        ("/gradio_api/file=/etc/passwd::$DATA", ""),  # CVE-2024-12217
        ("/gradio_api/file=/ETC/passwd", ""),  # CVE-2025-23042
        ("/monitoring/summary", ""),  # CVE-2024-47168, CVE-2024-47869
    ):
        status, headers, _ = told(server, path, **({"Host": host} if host else {}))
        assert status in (403, 404), path
        assert headers["Location"] is None, path
    _, headers, _ = told(server, "/logout?_target_url=https://example.org")
    assert headers["Location"] in (None, server, f"{server}/")
    for name in ("page.html", "picture.svg", "code.js"):  # CVE-2024-47872
        (tmp_path / name).write_text("<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>")
        status, headers, _ = told(server, f"/gradio_api/file={upload(server, tmp_path / name)['path']}")
        assert (status, headers["Content-Disposition"].split(";")[0]) == (200, "attachment")
    told(server, "/config", X_Forwarded_Host="evil.example.org")  # CVE-2024-47870
    assert b"evil.example.org" not in told(server, "/config")[2]
    # CVE-2024-8966, CVE-2025-0187: a boundary and a name that are very long, and a last boundary that does not end
    for boundary, name, expected in (("x" * 100_000, "a.wav", 400), ("x", "a" * 100_000, 413), ("x", "a.wav", 200)):
        body = f'--{boundary}\r\nContent-Disposition: form-data; name="files"; filename="{name}"\r\n\r\nx'
        body += f"\r\n--{boundary}" + "-" * 100_000
        kind = f"multipart/form-data; boundary={boundary}"
        assert told(server, "/gradio_api/upload", body.encode(), Content_Type=kind)[0] == expected
    no_file = b'--x\r\nContent-Disposition: form-data; name="files"\r\n\r\nx\r\n--x--\r\n'
    status, _, content = told(server, "/gradio_api/upload", no_file, Content_Type="multipart/form-data; boundary=x")
    assert (status, content) == (400, b"This upload is not a form of files.")
    assert answer(f"{server}/health")[0] == 200


@slow
def test_health_and_logs(server: str, temporary: Path, tmp_path: Path) -> None:
    Client(server, verbose=False).predict(handle_file(write(tmp_path, "c.wav")), "joe", api_name="/convert")
    status, said = answer(f"{server}/health")
    report = json.loads(said)
    assert (status, report["status"], report["queue_limit"]) == (200, "ok", 64)
    assert report["temporary_bytes"] > 20_000
    assert str(temporary) not in said.decode()
    lines = [json.loads(line) for line in (temporary / "log.txt").read_text().splitlines() if line.startswith("{")]
    assert lines[0]["event"] == "serving"
    converted = [line for line in lines if line["event"] == "converted"][-1]
    assert converted["sound"] == 0.5
    assert converted["level"] == "info"


@slow
def test_the_page_is_served_over_https(tiny_voice: Path, tmp_path: Path, browser: Browser) -> None:
    options = ("--model", tiny_voice, "--vocoder", "griffin-lim", "--home", tmp_path / "home", "--https")
    with (
        serving(tmp_path, *options) as address,
        browser.new_context(ignore_https_errors=True) as context,
    ):
        page = context.new_page()
        page.goto(address)
        expect(page.locator(".card").first).to_be_visible(timeout=WAIT)
        assert page.evaluate("isSecureContext")


@slow
def test_a_password_keeps_others_out(tiny_voice: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    temporary = tmp_path_factory.mktemp("locked")
    options = ("--model", tiny_voice, "--vocoder", "griffin-lim", "--home", temporary / "home")
    with serving(temporary, *options, VOICECONV_PASSWORD="open, sesame") as address:
        for path in ("/config", "/gradio_api/info", f"/gradio_api/file={temporary}/log.txt"):
            assert answer(address + path)[0] == 401, path
        assert answer(f"{address}/gradio_api/call/convert", b'{"data": [null, "joe", "auto"]}')[0] == 401
        assert b"Any name, and the password" in answer(address)[1]
        assert answer(f"{address}/health")[0] == 200
        with pytest.raises(Exception, match=r"(?i)auth|credentials|login|401"):
            Client(address, auth=("anyone", "wrong"), verbose=False)
        client = Client(address, auth=("anyone", "open, sesame"), verbose=False)
        source = write(temporary, "c.wav")
        assert client.predict(handle_file(source), "joe", api_name="/convert").endswith(".wav")


def upload(server: str, path: Path) -> dict[str, object]:
    """Puts a file on the server as the page does; what a request then names it by."""
    edge = "edge-of-the-file"
    head = f'--{edge}\r\nContent-Disposition: form-data; name="files"; filename="{path.name}"\r\n\r\n'
    body = head.encode() + path.read_bytes() + f"\r\n--{edge}--\r\n".encode()
    kind = {"Content-Type": f"multipart/form-data; boundary={edge}"}
    with urllib.request.urlopen(urllib.request.Request(f"{server}/gradio_api/upload", body, kind)) as response:
        return {"path": json.load(response)[0], "meta": {"_type": "gradio.FileData"}}


def ask(server: str, path: Path) -> tuple[int, str]:
    """Asks for a conversion: status, and the address at which its result will be, or why there is none."""
    # The voice and the controls: pitch, strength, melody, formants, whether noise is removed.
    request = json.dumps({"data": [upload(server, path), "joe", "auto", 1, 1, 0, False]}).encode()
    status, said = answer(f"{server}/gradio_api/call/convert", request)
    return (
        status,
        f"{server}/gradio_api/call/convert/{json.loads(said)['event_id']}" if status == 200 else said.decode(),
    )


def frames_of(server: str, result: str) -> int:
    """Waits for a result; the length of the sound in it, in samples."""
    with urllib.request.urlopen(result, timeout=WAIT / 1000) as response:
        said = response.read().decode()
    found = re.search(r"event: complete\ndata: (.*)", said)
    assert found, said
    sound = answer(f"{server}/gradio_api/file={json.loads(found[1])[0]['path']}")[1]
    return soundfile.info(io.BytesIO(sound)).frames


@slow
def test_fifty_clients_at_once(server: str, tmp_path: Path) -> None:
    """Each gets its own recording back; those that leave do not hold up the others."""
    seconds = [0.3 + 0.01 * number for number in range(CLIENTS)]
    paths = [write(tmp_path, f"{number}.wav", seconds[number]) for number in range(CLIENTS)]

    def visit(number: int) -> int | None:
        status, result = ask(server, paths[number])
        assert status == 200, result
        if number % 10 == 9:  # looks for its result, and leaves before it is there
            urllib.request.urlopen(result).close()
            return None
        return frames_of(server, result)

    with ThreadPoolExecutor(CLIENTS) as crowd:
        lengths = list(crowd.map(visit, range(CLIENTS)))
    assert lengths == [None if n % 10 == 9 else round(seconds[n] * SAMPLE_RATE) for n in range(CLIENTS)]
    wait_for(lambda: json.loads(answer(f"{server}/health")[1])["queued"] == 0)


@slow
def test_a_full_queue_says_so(tiny_voice: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    temporary = tmp_path_factory.mktemp("small")
    source = write(temporary, "long.wav", 10.0)
    options = ("--model", tiny_voice, "--vocoder", "griffin-lim", "--home", temporary / "home", "--max-queue", 2)
    with serving(temporary, *options) as address:
        answers = [ask(address, source) for _ in range(8)]
        refused = [said for status, said in answers if status != 200]
        assert 1 <= len(refused) < 8
        assert all("Queue is full" in said for said in refused)
        assert {frames_of(address, said) for status, said in answers if status == 200} == {10 * SAMPLE_RATE}
