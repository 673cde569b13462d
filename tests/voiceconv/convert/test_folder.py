"""A folder converted into another one: skipped, resumed, reported; with real processes that are really killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.signals import SAMPLE_RATE, hum
from tests.waiting import PATIENCE, wait_for
from voiceconv.convert.controls import Controls, Pitch
from voiceconv.convert.folder import LOCK, MANIFEST, Request, convert_folder
from voiceconv.convert.outputs import plan_outputs
from voiceconv.errors import UserError
from voiceconv.locks import try_lock
from voiceconv.vocoder.base import vocoder_folder
from voiceconv.vocoder.istft import ISTFTVocoder

ROOT = Path(__file__).parents[3]


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    soundfile.write(folder / "a.wav", hum(150.0, 0.5), SAMPLE_RATE)
    soundfile.write(folder / "deep" / "b.flac", hum(180.0, 0.5), SAMPLE_RATE)
    soundfile.write(folder / "deep" / "c.ogg", hum(180.0, 0.5), SAMPLE_RATE)
    return folder


def convert(source: Path, output: Path, voice: Path, *, target: str = "joe", pitch: Pitch = "auto") -> int:
    request = Request(str(voice), target, Controls(pitch), "griffin-lim")
    return convert_folder(source, output, plan_outputs(source, output), request)


def rows(output: Path) -> dict[str, dict[str, object]]:
    lines = (output / MANIFEST).read_text(encoding="utf-8").splitlines()
    return {row["source"]: row for row in map(json.loads, lines)}


def times(output: Path) -> dict[str, int]:
    return {
        path.name: path.stat().st_mtime_ns for path in output.rglob("*.*") if path.suffix in (".wav", ".flac", ".ogg")
    }


def test_formats_stay_and_the_manifest_says_what_was_made(recordings: Path, tiny_voice: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    assert convert(recordings, output, tiny_voice) == 0
    kinds = {
        path.name: soundfile.info(path).format
        for path in output.rglob("*.*")
        if path.name in ("a.wav", "b.flac", "c.ogg")
    }
    assert kinds == {"a.wav": "WAV", "b.flac": "FLAC", "c.ogg": "OGG"}
    assert list(rows(output)) == ["a.wav", "deep/b.flac", "deep/c.ogg"]
    row = rows(output)["deep/b.flac"]
    assert (row["status"], row["output"], row["voice"], row["target"]) == ("done", "deep/b.flac", "tiny", "joe")
    assert (row["vocoder"], row["pitch"], row["seconds"]) == ("griffin-lim", "auto", 0.5)
    assert row["output_bytes"] == (output / "deep" / "b.flac").stat().st_size


def test_only_what_changed_is_converted_again(
    recordings: Path, tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    convert(recordings, output, tiny_voice)
    before = times(output)
    assert convert(recordings, output, tiny_voice) == 0
    assert times(output) == before
    assert "3 of 3 recordings are done" in capsys.readouterr().out

    soundfile.write(recordings / "a.wav", hum(140.0, 0.6), SAMPLE_RATE)  # another recording
    (output / "deep" / "b.flac").unlink()  # a result that was lost
    soundfile.write(output / "deep" / "c.ogg", np.zeros(99), SAMPLE_RATE)  # and one that somebody replaced
    assert convert(recordings, output, tiny_voice) == 0
    assert soundfile.info(output / "a.wav").frames == round(0.6 * SAMPLE_RATE)
    assert soundfile.info(output / "deep" / "c.ogg").frames > 99
    after = times(output)
    assert all(after[name] != before[name] for name in before)

    os.utime(recordings / "a.wav", (0, 0))  # an older time is another time as well
    convert(recordings, output, tiny_voice)
    assert {name for name, moment in times(output).items() if moment != after[name]} == {"a.wav"}
    after = times(output)
    for other in ({"pitch": 2.0}, {"target": "allison"}):
        convert(recordings, output, tiny_voice, **other)  # type: ignore[arg-type]
        assert all(moment != after[name] for name, moment in times(output).items())
        after = times(output)


def test_a_failure_is_told_and_tried_again(
    recordings: Path, tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "out"
    convert(recordings, output, tiny_voice)
    good = (recordings / "a.wav").read_bytes()
    (recordings / "a.wav").write_text("no longer a recording")
    assert convert(recordings, output, tiny_voice) == 2
    assert "1 of 3 recordings failed" in capsys.readouterr().err
    assert not (output / "a.wav").exists(), "the result of a recording that is no more"
    row = rows(output)["a.wav"]
    assert row["status"] == "failed"
    assert "cannot be read as audio" in str(row["reason"])
    (recordings / "a.wav").write_bytes(good)
    assert convert(recordings, output, tiny_voice) == 0
    assert rows(output)["a.wav"]["status"] == "done"
    shutil.rmtree(recordings / "deep")
    convert(recordings, output, tiny_voice)
    assert list(rows(output)) == ["a.wav"]


def test_a_torn_manifest_and_leftovers_do_no_harm(recordings: Path, tiny_voice: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    convert(recordings, output, tiny_voice)
    before = times(output)
    lines = (output / MANIFEST).read_text().splitlines(keepends=True)
    (output / MANIFEST).write_text(lines[0] + "not json\n[1]\n" + lines[1] + lines[2][:20])
    (output / "deep" / ".0123456789abcdef.part").write_bytes(b"half of a recording")
    assert convert(recordings, output, tiny_voice) == 0
    changed = {name for name, moment in times(output).items() if moment != before[name]}
    assert changed == {"c.ogg"}
    assert not list(output.rglob("*.part"))


def test_other_weights_of_a_vocoder_speak_anew(recordings: Path, tiny_voice: Path, tmp_path: Path) -> None:
    output, other = tmp_path / "out", tmp_path / "other"
    vocoder = ISTFTVocoder.load(vocoder_folder("istft"))
    vocoder.generator.noise.bias.data -= 1
    vocoder.save(other)

    def changed(with_vocoder: str) -> bool:
        before = times(output)
        request = Request(str(tiny_voice), "joe", vocoder=with_vocoder)
        assert convert_folder(recordings, output, plan_outputs(recordings, output), request) == 0
        return times(output) != before

    assert changed("istft")
    assert not changed(str(vocoder_folder("istft")))
    assert changed(str(other))
    assert rows(output)["a.wav"]["vocoder_weights"] == ISTFTVocoder.load(other).weights_sha256


def test_files_of_others_are_left_alone(recordings: Path, tiny_voice: Path, tmp_path: Path) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / ".upload.part").write_bytes(b"of another program")
    for content in (
        '{"audio_filepath": "a.wav", "source": "a corpus"}',
        "[1]",
        "a list\n",
        '{"source": [], "output": 1}',
    ):
        (output / MANIFEST).write_text(content)
        with pytest.raises(UserError, match=r"manifest\.jsonl was not written by this program"):
            convert(recordings, output, tiny_voice)
        assert (output / MANIFEST).read_text() == content
    (output / MANIFEST).write_text('{"source": "a.wav", "outp')  # our own, cut off in its first line
    assert convert(recordings, output, tiny_voice) == 0
    assert (output / ".upload.part").is_file()


def test_two_processes_do_not_share_a_folder(recordings: Path, tiny_voice: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    lock = try_lock(tmp_path / "out" / LOCK)
    assert lock is not None
    with lock, pytest.raises(UserError, match="Another process"):
        convert(recordings, tmp_path / "out", tiny_voice)
    assert convert(recordings, tmp_path / "out", tiny_voice) == 0


# A test run in the background of a script is started with Ctrl-C ignored, and so are its children.
VOICECONV = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from voiceconv.__main__ import main
sys.exit(main())
"""


def many(folder: Path, count: int) -> Path:
    """Recordings enough to be interrupted in the middle of."""
    folder.mkdir()
    for number in range(count):
        soundfile.write(folder / f"{number:02d}.wav", hum(150.0, 2.5, number), SAMPLE_RATE)
    return folder


def start(source: Path, output: Path, voice: Path, jobs: int) -> subprocess.Popen[str]:
    words = ["convert", source, output, "--to", "joe", "--model", voice, "--vocoder", "griffin-lim", "--jobs", jobs]
    command = [sys.executable, "-c", VOICECONV, *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finished(output: Path) -> int:
    path = output / MANIFEST
    return path.read_bytes().count(b"\n") if path.exists() else 0


def workers(process: subprocess.Popen[str]) -> list[int]:
    """The processes that convert: children of the command, without the one that multiprocessing tracks resources in."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,args="], capture_output=True, text=True, check=True
    ).stdout
    rows = [line.split(None, 2) for line in listed.splitlines()]
    return [int(pid) for pid, parent, *args in rows if int(parent) == process.pid and "spawn_main" in args[0]]


def alive(pid: int) -> bool:
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return bool(done.strip()) and not done.strip().startswith("Z")


@pytest.mark.slow
def test_ctrl_c_forgets_nothing_that_was_finished(tiny_voice: Path, tmp_path: Path) -> None:
    source, output = many(tmp_path / "in", 20), tmp_path / "out"
    process = start(source, output, tiny_voice, jobs=2)
    wait_for(lambda: finished(output) >= 2 or process.poll() is not None)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, err.strip()) == (130, "Stopped.")
    made = {path.name for path in output.glob("*.wav")}
    assert 2 <= len(made) < 20
    assert {name for name, row in rows(output).items() if row["status"] == "done"} == made
    assert not list(output.rglob("*.part"))


@pytest.mark.slow
def test_killed_workers_and_killed_parents_lose_nothing(tiny_voice: Path, tmp_path: Path) -> None:
    source, output = many(tmp_path / "in", 14), tmp_path / "out"

    process = start(source, output, tiny_voice, jobs=2)
    wait_for(lambda: finished(output) >= 2 or process.poll() is not None)
    at_work = workers(process)
    assert len(at_work) == 2
    process.kill()
    process.wait()
    before = times(output)
    done = finished(output)
    assert done >= 2
    wait_for(lambda: not any(alive(pid) for pid in at_work))  # workers do not outlive the command

    process = start(source, output, tiny_voice, jobs=2)
    wait_for(lambda: finished(output) >= done + 2 or process.poll() is not None)
    for pid in workers(process)[:1]:
        os.kill(pid, signal.SIGKILL)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "recordings are done and unchanged" in out
    after = rows(output)
    assert len(after) == 14
    assert {row["status"] for row in after.values()} == {"done"}
    assert len(times(output)) == 14
    again = sum(times(output)[name] != moment for name, moment in before.items())
    assert again <= 2, "only what was saved but not yet in the manifest is made again"
    assert not list(output.rglob("*.part"))
    # Nothing is different from what an undisturbed conversion makes.
    assert convert(source, tmp_path / "alone", tiny_voice) == 0
    for name in after:
        assert (output / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
