"""A disk that is full: real processes that may write no more than so many bytes to a file, and what they leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
import torch

from tests.signals import SAMPLE_RATE, hum
from voiceconv.voice.voice import Voice

ROOT = Path(__file__).parents[3]


def with_little_space(code: str, *words: object, limit: int) -> subprocess.CompletedProcess[str]:
    """Runs Python code in a process where writing beyond `limit` bytes of a file fails, as on a full disk."""
    code = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))\n{code}"
    command = [sys.executable, "-c", code, *map(str, words)]
    return subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)


COMMAND = "import sys\nfrom voiceconv.__main__ import main\nsys.exit(main(sys.argv[1:]))"


@pytest.mark.slow
def test_a_folder_goes_on_when_there_is_room_again(tiny_voice: Path, tmp_path: Path) -> None:
    """A short recording meets the limit when its result is written, a long one when it is read."""
    source, output = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    output.mkdir()
    for name, seconds in (("a.wav", 0.3), ("b.wav", 3.0), ("c.wav", 0.3), ("long.flac", 61.0)):
        soundfile.write(source / name, hum(150.0, seconds), SAMPLE_RATE)
    (output / "b.wav").write_bytes(b"the result of yesterday")
    arguments = "convert", source, output, "--to", "joe", "--model", tiny_voice
    process = with_little_space(COMMAND, *arguments, limit=50_000)
    assert process.returncode == 2
    told = process.stderr.splitlines()
    expected = ("2 of 4 recordings failed", "b.wav could not be written", "long.flac is long, and converting it needs")
    assert len(told) == 3
    assert all(words in line for words, line in zip(expected, told, strict=True)), told
    assert sorted(os.listdir(output)) == [".voiceconv.lock", "a.wav", "b.wav", "c.wav", "manifest.jsonl"]
    assert (output / "b.wav").read_bytes() == b"the result of yesterday"
    process = with_little_space(COMMAND, *arguments, limit=50_000_000)
    assert process.returncode == 0, process.stderr
    assert "2 of 4 recordings are done and unchanged" in process.stdout
    assert soundfile.info(output / "b.wav").frames == 3 * SAMPLE_RATE
    assert soundfile.info(output / "long.flac").frames == 61 * SAMPLE_RATE


@pytest.mark.slow
def test_a_voice_that_cannot_be_saved_stays_as_it_was(tiny_voice: Path, tmp_path: Path) -> None:
    Voice.load(tiny_voice).save(tmp_path / "voice")
    code = (
        "import sys\nfrom pathlib import Path\nfrom voiceconv.cli.terminal import run_in_terminal\n"
        "from voiceconv.voice.voice import Voice\nvoice = Voice.load(sys.argv[1])\n"
        "next(voice.generator_ab.parameters()).data.add_(1)\n"
        "sys.exit(run_in_terminal(lambda: voice.save(Path(sys.argv[1])) or 0))"
    )
    process = with_little_space(code, tmp_path / "voice", limit=10_000)
    assert process.returncode == 2
    assert "space left on the disk" in process.stderr
    assert len(process.stderr.splitlines()) == 1
    assert sorted(os.listdir(tmp_path / "voice")) == ["voice.json", "weights.safetensors"]
    weights = [Voice.load(folder).generator_ab.state_dict() for folder in (tiny_voice, tmp_path / "voice")]
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
