"""The command line as people meet it: what it writes, and one sentence with exit status 2 for what cannot be done."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.signals import SAMPLE_RATE as RATE
from tests.signals import hum
from tests.waiting import PATIENCE
from voiceconv import __version__
from voiceconv.__main__ import main
from voiceconv.cli.app import App
from voiceconv.cli.arguments import duration, parse
from voiceconv.convert.outputs import WHOLE_SECONDS, plan_outputs
from voiceconv.errors import UserError
from voiceconv.features.mel import MelSpectrogram
from voiceconv.training.presets import PRESETS, Preset
from voiceconv.voice.voice import voice_with

ROOT = Path(__file__).parents[3]


@pytest.fixture
def speech(tmp_path: Path) -> Path:
    path = tmp_path / "speech.wav"
    soundfile.write(path, hum(150.0, 1.0), RATE)
    return path


@pytest.fixture
def command(
    tiny_voice: Path,
    capsys: pytest.CaptureFixture[str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., tuple[int, str, str]]:
    """Runs a command line in this process: exit status, output, errors. `convert` speaks with the tiny voice."""
    monkeypatch.chdir(tmp_path_factory.mktemp("desk"))

    def run(*words: object) -> tuple[int, str, str]:
        argv = [str(word) for word in words]
        if argv[:1] == ["convert"]:
            argv += ["--vocoder", "griffin-lim"] if "--vocoder" not in argv else []
            argv += ["--model", str(tiny_voice)] if "--model" not in argv else []
        capsys.readouterr()
        try:
            status = main(argv)
        except SystemExit as stop:  # after help and mistakes
            status = int(stop.code or 0)
        out, err = capsys.readouterr()
        return status, out, err

    return run


def in_python(code: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_converted_file_is_as_long_and_says_where_it_comes_from(command, speech: Path, tmp_path: Path) -> None:
    status, out, err = command("convert", speech, tmp_path / "new" / "out.flac", "--to", "joe")
    assert (status, err) == (0, "")
    assert "out.flac" in out
    with soundfile.SoundFile(tmp_path / "new" / "out.flac") as file:
        assert (file.samplerate, file.frames, file.channels) == (RATE, RATE, 1)
        assert file.copy_metadata()["comment"] == f"converted by voiceconv {__version__}, voice tiny/joe"
        assert np.abs(file.read()).max() > 0.01


def test_pitch_is_a_number_or_auto(command, speech: Path, tmp_path: Path) -> None:
    results = {}
    for pitch in ("auto", "-4", "0"):
        assert command("convert", speech, tmp_path / f"{pitch}.wav", "--to", "joe", "--pitch", pitch)[0] == 0
        results[pitch] = soundfile.read(tmp_path / f"{pitch}.wav")[0]
    assert np.abs(results["0"] - results["-4"]).max() > 0.01
    status, _, err = command("convert", speech, tmp_path / "x.wav", "--to", "joe", "--pitch", "higher")
    assert status == 2
    assert "'higher' is neither 'auto' nor a number of semitones" in err


def test_controls_change_the_result(command, speech: Path, tmp_path: Path) -> None:
    results = {}
    for name, words in {"usual": (), "flat": ("--melody", "0"), "half": ("--strength", "0.5", "--denoise")}.items():
        assert command("convert", speech, tmp_path / f"{name}.wav", "--to", "joe", *words)[0] == 0
        results[name] = soundfile.read(tmp_path / f"{name}.wav")[0]
    assert np.abs(results["usual"] - results["flat"]).max() > 0.01
    assert np.abs(results["usual"] - results["half"]).max() > 0.01
    status, _, err = command("convert", speech, tmp_path / "x.wav", "--to", "joe", "--formants", "12")
    assert status == 2
    assert "'12' is not a number of semitones from -6 to 6" in err


def test_a_voice_is_found_by_its_speaker() -> None:
    assert [voice_with(speaker) for speaker in ("joe", "allison", "carlo")] == [
        "allison-joe",
        "allison-joe",
        "allison-carlo",
    ]
    assert voice_with("allison", first="allison-carlo") == "allison-carlo"
    with pytest.raises(UserError, match="No voice has a speaker 'carl'; did you mean 'carlo'"):
        voice_with("carl")


def test_folder_is_mirrored_and_failures_come_last(command, speech: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    (folder / "deep").mkdir(parents=True)
    soundfile.write(folder / "a.wav", hum(150.0, 0.5), RATE)
    soundfile.write(folder / "deep" / "b.flac", hum(150.0, 0.7), RATE)
    (folder / "broken.wav").write_text("not audio")
    soundfile.write(folder / "deep" / "c.wav", np.zeros(RATE), RATE)
    (folder / "notes.txt").write_text("left alone")
    status, out, err = command("convert", folder, tmp_path / "out", "--to", "joe")
    assert status == 2
    written = sorted(path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*.*"))
    assert written == [".voiceconv.lock", "a.wav", "deep/b.flac", "manifest.jsonl"]
    assert soundfile.info(tmp_path / "out" / "deep" / "b.flac").frames == round(0.7 * RATE)
    assert len(out.splitlines()) == 2
    first, *failures = err.splitlines()
    assert first.startswith("2 of 4 recordings failed")
    assert [name in line for name, line in zip(["broken.wav", "c.wav"], failures, strict=True)] == [True, True]


def write_text(path: Path) -> None:
    path.write_text("This is a letter, not a recording.\n" * 100)


def write_truncated(path: Path) -> None:
    soundfile.write(path, hum(150.0, 2.0), RATE)
    path.write_bytes(path.read_bytes()[:30_000])


def write_not_a_number(path: Path) -> None:
    wav = hum(150.0, 1.0)
    wav[100] = np.nan
    soundfile.write(path, wav, RATE, subtype="FLOAT")


BAD = {
    "missing": (lambda path: None, "no file"),
    "empty": (lambda path: path.write_bytes(b""), "empty"),
    "text": (write_text, "audio"),
    "truncated": (write_truncated, "cut off"),
    "silent": (lambda path: soundfile.write(path, np.zeros(RATE), RATE), "silent"),
    "short": (lambda path: soundfile.write(path, hum(150.0, 0.1), RATE), "0.2 s"),
    "long": (
        lambda path: soundfile.write(path, np.full(4000 * (int(WHOLE_SECONDS) + 1), 0.1), 4000),
        f"at most {WHOLE_SECONDS:g} s",
    ),
    "not a number": (write_not_a_number, "NaN"),
}


@pytest.mark.parametrize("problem", BAD)
def test_bad_recording_is_one_sentence(command, tmp_path: Path, problem: str) -> None:
    write, expected = BAD[problem]
    source, target = tmp_path / "bad.wav", tmp_path / "out.wav"
    write(source)
    status, out, err = command("convert", source, target, "--to", "joe")
    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert expected in err
    assert str(source) in err
    assert not target.exists()


def test_unknown_names_are_met_with_the_nearest(command, speech: Path, tmp_path: Path) -> None:
    status, _, err = command("convert", speech, tmp_path / "out.wav", "--to", "jo")
    assert status == 2
    assert "did you mean 'joe'?" in err
    status, _, err = command("convert", speech, tmp_path / "out.wav", "--to", "joe", "--vocoder", "grifin-lim")
    assert status == 2
    assert "did you mean 'griffin-lim'?" in err
    status, _, err = command("convert", speech, tmp_path / "out.wav", "--to", "joe", "--model", "nobody-knows-this")
    assert status == 2
    assert "nobody-knows-this" in err
    status, _, err = command("resynth", speech, tmp_path / "out.wav", "--vocodr", "griffin-lim", "--vocoder", "x")
    assert status == 2
    assert "did you mean --vocoder?" in err
    status, _, err = command("convrt")
    assert status == 2
    assert "did you mean convert?" in err


def test_unknown_voice_for_a_folder_is_one_mistake(command, speech: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "second.wav", hum(150.0, 1.0), RATE)
    status, _, err = command("convert", tmp_path, tmp_path / "out", "--to", "jo")
    assert status == 2
    assert len(err.splitlines()) == 1


def test_folder_without_audio(command, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    status, _, err = command("convert", tmp_path / "in", tmp_path / "out", "--to", "joe")
    assert status == 2
    assert "no recordings" in err
    assert not (tmp_path / "out").exists()


def test_output_that_cannot_be_written(command, speech: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    for target, words in {
        tmp_path / "file" / "out.wav": "cannot be made",
        tmp_path / "out.mp3": "should end in .wav, .flac, .ogg",
        speech: "overwrite",
        Path("/proc/voiceconv.wav"): "could not be written",
    }.items():
        status, _, err = command("convert", speech, target, "--to", "joe")
        assert status == 2
        assert words in err
    status, _, err = command("convert", tmp_path, tmp_path / "file", "--to", "joe")
    assert status == 2
    assert "must be one too" in err
    assert soundfile.info(speech).frames == RATE


def test_plan_keeps_the_tree_and_every_recording(tmp_path: Path) -> None:
    names = ("a.mp3", "a.wav", "a.mp3.wav", "b/a.wav", "b/B.M4A", "converted/a.wav", "c.d.OGG")
    for name in (f"in/{name}" for name in names):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    source, output = tmp_path / "in", tmp_path / "in" / "converted"
    plan = {
        before.relative_to(source).as_posix(): after.relative_to(output).as_posix()
        for before, after in plan_outputs(source, output)
    }
    assert plan == {
        "a.mp3": "a.mp3.wav.wav",
        "a.mp3.wav": "a.mp3.wav",
        "a.wav": "a.wav",
        "b/B.M4A": "b/B.wav",
        "b/a.wav": "b/a.wav",
        "c.d.OGG": "c.d.OGG",
    }
    with pytest.raises(UserError, match="overwrite"):
        plan_outputs(source, source / "b" / "..")
    assert plan_outputs(source / "a.mp3", tmp_path / "new") == [(source / "a.mp3", tmp_path / "new" / "a.wav")]


def test_what_lies_beside_a_recording_is_not_overwritten_unasked(command, speech: Path) -> None:
    recording = speech.with_suffix(".flac")
    soundfile.write(recording, hum(200.0, 1.0), RATE)
    before = speech.read_bytes()
    for folder in (speech.parent, speech.parent / "." / ""):
        status, _, err = command("convert", recording, folder, "--to", "joe")
        assert status == 2
        assert "would overwrite" in err
        assert "speech.wav, which lies beside speech.flac" in err
    linked = recording.parent / "links"
    linked.mkdir()
    (linked / "speech.flac").symlink_to(recording)
    (linked / "speech.wav").write_bytes(before)
    assert command("convert", linked / "speech.flac", linked, "--to", "joe")[0] == 2
    assert speech.read_bytes() == (linked / "speech.wav").read_bytes() == before
    assert command("convert", recording, speech, "--to", "joe")[0] == 0, "asked for by name it is"


def test_names_that_no_encoding_has_can_be_told(
    speech: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    try:
        speech.rename(folder / os.fsdecode(b"caf\xe9.wav"))
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    output = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    monkeypatch.setattr("sys.stdout", output)
    assert main(["inspect", str(folder)]) == 0
    assert capsys.readouterr().err == ""
    output.seek(0)
    assert "caf\\udce9.wav: cannot be used" in output.read()


def test_resynth_is_the_same_sound_again(command, speech: Path, tmp_path: Path) -> None:
    status, _, err = command("resynth", speech, tmp_path / "again.wav", "--vocoder", "griffin-lim")
    assert (status, err) == (0, "")
    wav, rate = soundfile.read(tmp_path / "again.wav")
    assert (len(wav), rate) == (RATE, RATE)
    mels = [MelSpectrogram()(torch.as_tensor(x, dtype=torch.float32)) for x in (wav, soundfile.read(speech)[0])]
    assert (mels[0] - mels[1]).abs().mean() < 0.5


def test_voices_lists_speakers_with_their_licences(command, tiny_voice: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceconv.voice.voice.VOICES", tiny_voice.parent)
    status, out, _ = command("voices")
    assert status == 0
    assert out.splitlines()[0] == tiny_voice.name
    assert len(out.splitlines()) == 3


def test_a_voice_is_handed_on_as_one_file(command, tiny_voice: Path, speech: Path, tmp_path: Path, home: Path) -> None:
    status, out, err = command("voices", "export", tiny_voice, tmp_path / "ours.voice")
    assert (status, err) == (0, "")
    assert "ours.voice" in out
    status, out, _ = command("voices", "import", tmp_path / "ours.voice", "--name", "ours")
    assert status == 0
    assert "--model ours" in out
    assert (home / "voices" / "ours" / "voice.json").is_file()
    assert "ours" in command("voices", "list")[1].splitlines()
    (home / "voices" / "broken").mkdir()
    (home / "voices" / "broken" / "voice.json").write_text("{")
    status, out, _ = command("voices")
    assert status == 0
    assert "cannot be used" in out.split("broken")[1]
    assert command("convert", speech, tmp_path / "out.wav", "--to", "joe", "--model", "ours")[0] == 0
    elsewhere = tmp_path / "elsewhere"
    assert command("--home", elsewhere, "voices", "import", tmp_path / "ours.voice")[0] == 0
    assert (elsewhere / "voices" / "tiny" / "weights.safetensors").is_file()


def test_inspect_prints_and_writes_a_page(command, speech: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    soundfile.write(tmp_path / "nothing.wav", np.zeros(RATE), RATE)
    status, out, _ = command("inspect", tmp_path, "--html", page)
    assert status == 0
    assert "nothing.wav" in out
    assert "nothing.wav" in page.read_text(encoding="utf-8")
    assert str(page) in out


def test_inspect_compares_two_speakers(command, two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    status, out, _ = command("inspect", *two_speakers, "--html", tmp_path / "both.html")
    written = (tmp_path / "both.html").read_text()
    assert all(f">{heading}</h2>" in written for heading in (two_speakers[0].name, two_speakers[1].name, "As a pair"))
    assert written.count("<svg") == 8
    assert status == 0
    assert "low speaks 11." in out.split("As a pair")[1]  # 210 and 110 Hz are 11.2 semitones apart


@pytest.mark.slow
@pytest.mark.usefixtures("brief_training")
def test_train_resume_convert(command, two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    high, low = two_speakers
    train = ("train", high, low, "--run", tmp_path / "run", "--preset", "smoke")
    status, out, _ = command(*train, "--budget", "0.01s")
    assert status == 0
    assert "--resume" in out
    status, _, err = command(*train)
    assert status == 2
    assert "--resume" in err
    status, _, err = command(*train, "--resume", "--cyclegan.lambda-cycle", "3")
    assert status == 2
    assert "other settings (cyclegan.lambda_cycle)" in err
    status, out, _ = command(*train, "--resume")
    assert status == 0
    assert "--resume" not in out
    source, target = high / "00.wav", tmp_path / "as-low.wav"
    assert command("convert", source, target, "--to", "low", "--model", tmp_path / "run")[0] == 0
    assert soundfile.info(target).frames == soundfile.info(source).frames
    status, _, err = command("train", high, tmp_path / "nobody", "--run", tmp_path / "other")
    assert status == 2
    assert "nobody" in err


@pytest.mark.slow
def test_train_vocoder_and_hear_it(command, two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    run = tmp_path / "run"
    train = ("train-vocoder", *two_speakers, "--run", run, "--preset", "smoke")
    status, out, _ = command(*train, "--budget", "0.01s")
    assert status == 0
    assert "--resume" in out
    status, out, _ = command(*train, "--resume")
    assert status == 0
    assert str(run / "vocoder") in out
    source = two_speakers[0] / "00.wav"
    assert command("resynth", source, tmp_path / "again.wav", "--vocoder", run)[0] == 0
    assert soundfile.info(tmp_path / "again.wav").frames == soundfile.info(source).frames
    status, _, err = command("train-vocoder", tmp_path / "nobody", "--run", tmp_path / "other")
    assert status == 2
    assert "nobody" in err


def test_live_speech_never_replaces_the_recording(command, speech: Path, tiny_voice: Path) -> None:
    before = speech.read_bytes()
    status, _, err = command("live", "--model", tiny_voice, "--to", "joe", "--file", speech, "--out", speech)
    assert (status, speech.read_bytes()) == (2, before)
    assert "would overwrite the recording" in err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("live --to joe --gate 10000", "'10000' is not a level from -120 to 0 dB"),
        ("evaluate v --source a --target b --out c --seconds 2 inf", "'inf' is not a length in seconds"),
        ("evaluate v --source a --target b --out c --seconds nan 5", "'nan' is not a length in seconds"),
        ("train a b --run r --seed -1", "'-1' is not a whole number from 0 to 4294967295"),
        ("train-vocoder a b --run r --seed 4294967296", "is not a whole number"),
        ("train a b", "--run is missing"),
        ("convert in.wav out.wav --to", "--to needs VOICE"),
        ("evaluate v --source a --target b --out c --all-clips --clips-from d", "exclude each other"),
        ("--home somewhere", "a command is missing; choose from app, convert"),
    ],
)
def test_mistakes_are_one_sentence(command, words: str, message: str) -> None:
    status, _, err = command(*words.split())
    assert status == 2
    first, second = err.splitlines()
    assert message in first
    own = "voiceconv" if words.startswith("--") else f"voiceconv {words.split()[0]}"
    assert first.startswith(f"{own}: ")
    assert second == f"See `{own} --help`."


@pytest.mark.parametrize("name", ["train", "train_vocoder"])
def test_another_seed_reaches_the_training(
    command, name: str, two_speakers: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def learn(*_: object, seed: int, **__: object) -> bool:
        asked["seed"] = seed
        return True

    module = {"train": "training", "train_vocoder": "vocoder_training"}[name]
    monkeypatch.setattr(f"voiceconv.{module}.train.{name}", learn)
    assert command(name.replace("_", "-"), *two_speakers, "--run", tmp_path / "run", "--seed", "7")[0] == 0
    assert asked == {"seed": 7}


@pytest.mark.parametrize("words", ["--steps 7 {a} {b}", "{a} {b} --steps=7 --cyclegan.lambda-cycle 0 2 5 0.5"])
def test_every_setting_is_an_option(
    command, words: str, two_speakers: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {}

    def learn(*folders: Path, settings: Preset, **_: object) -> bool:
        asked.update(folders=folders[:2], settings=settings)
        return True

    monkeypatch.setattr("voiceconv.training.train.train", learn)
    line = words.format(a=two_speakers[0], b=two_speakers[1]).split()
    assert command("train", *line, "--run", tmp_path / "run", "--preset", "maskcyclegan-vc")[0] == 0
    cycle = ((0, 2.0), (5, 0.5)) if "cycle" in words else 10.0
    preset = PRESETS["maskcyclegan-vc"]
    expected = replace(preset, steps=7, cyclegan=replace(preset.cyclegan, lambda_cycle=cycle))
    assert asked == {"folders": two_speakers, "settings": expected}


def test_settings_are_checked_and_listed(command) -> None:
    status, _, err = command("train", "a", "b", "--run", "r", "--cyclegan.lambda-cycl", "3")
    assert status == 2
    assert "did you mean --cyclegan.lambda-cycle?" in err
    assert "'x' is not a whole number" in command("train", "a", "b", "--run", "r", "--steps", "x")[2]
    assert "not one of cpu, cpu-from" in command("train", "a", "b", "--run", "r", "--preset", "fast")[2]
    assert [line.split(":")[0] for line in command("presets")[1].splitlines()] == list(PRESETS)
    assert "--teacher.steps" in command("presets", "cpu")[1]
    assert "--lambda-mel" in command("presets", "--vocoder", "gpu")[1]


def test_every_origin_of_a_page_is_kept() -> None:
    app = parse(App, ["--origin", "https://a.example.org", "--origin", "https://b.example.org"], "voiceconv app")
    assert app.origin == ("https://a.example.org", "https://b.example.org")


def test_budget_is_a_time(command) -> None:
    assert [duration(text) for text in ("90s", "60m", "1h30m", "1.5h", "2H")] == [90, 3600, 5400, 5400, 7200]
    for text in ("60", "", "0m", "-5m", "five minutes"):
        status, _, err = command("train", "a", "b", "--run", "r", f"--budget={text}")
        assert status == 2
        assert "write it like 90s, 60m or 1h30m" in err


def test_alone_it_shows_its_help(command) -> None:
    status, out, _ = command()
    assert status == 0
    assert out.startswith("usage: voiceconv ")
    assert command("--version")[:2] == (0, f"voiceconv {__version__}\n")


def test_a_terminal_that_calls_itself_one_column_wide(command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "1")
    status, _, err = command("convert", "in.wav")
    assert (status, "is missing" in err or "are missing" in err) == (2, True)
    assert command("train", "--help")[0] == 0


def test_help_is_light() -> None:
    """Help and mistakes must not wait for torch."""
    code = (
        "import sys\nfrom voiceconv.__main__ import main\n"
        "try: main(['--help'])\nexcept SystemExit as stop: assert stop.code == 0\n"
        "assert main(['convert', 'nowhere.wav', 'out.wav', '--to', 'joe']) == 2\n"
        "heavy = {'torch', 'gradio', 'scipy', 'librosa'} & set(sys.modules)\nassert not heavy, heavy"
    )
    process = in_python(code)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    assert "convert" in out
    assert "Traceback" not in err


@pytest.mark.slow
def test_convert_loads_nothing_that_it_does_not_need(tiny_voice: Path, tmp_path: Path) -> None:
    """Each of these takes from half a second to three."""
    soundfile.write(tmp_path / "in.wav", hum(150.0, 1.0), RATE)
    words = ["convert", str(tmp_path / "in.wav"), str(tmp_path / "out.wav"), "--to", "joe", "--model", str(tiny_voice)]
    code = (
        f"import sys\nfrom voiceconv.__main__ import main\nassert main({words!r}) == 0\n"
        "heavy = {'gradio', 'librosa', 'matplotlib', 'numba', 'scipy.signal', 'scipy.stats', 'tensorboard'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)"
    )
    process = in_python(code)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err


def test_module_ends_with_the_status() -> None:
    process = subprocess.run(
        [sys.executable, "-m", "voiceconv", "convert", "nowhere.wav", "out.wav", "--to", "joe"],
        cwd=ROOT,
        text=True,
        capture_output=True,
    )
    assert process.returncode == 2
    assert process.stderr.splitlines() == [
        "There is no file or folder nowhere.wav. Check the spelling and the folder you are in."
    ]


def test_ctrl_c_and_a_reader_that_left() -> None:
    stopped = in_python(
        "import signal, sys, time\nfrom voiceconv.cli.terminal import run_in_terminal\n"
        # A test run in the background of a script is started with Ctrl-C ignored, and so are its children.
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def command():\n    print('ready', flush=True)\n    time.sleep(3600)\n    return 0\n"
        "sys.exit(run_in_terminal(command))"
    )
    assert stopped.stdout is not None
    assert stopped.stdout.readline() == "ready\n"
    stopped.send_signal(signal.SIGINT)
    _, err = stopped.communicate(timeout=PATIENCE)
    assert (stopped.returncode, err.strip()) == (130, "Stopped.")

    left = in_python(
        "import sys\nfrom voiceconv.cli.terminal import run_in_terminal\n"
        "sys.exit(run_in_terminal(lambda: [print('line') for _ in range(100_000)] and 0))"
    )
    assert left.stdout is not None
    left.stdout.close()
    assert left.stderr is not None
    assert left.stderr.read() == ""
    left.stderr.close()
    assert left.wait(timeout=PATIENCE) == 141


@pytest.mark.slow
def test_out_of_memory(tiny_voice: Path, tmp_path: Path) -> None:
    """A process that may not have the memory a long recording needs says so."""
    soundfile.write(tmp_path / "long.wav", hum(150.0, 60.0), RATE)
    code = f"""
import resource, sys
from voiceconv.__main__ import main
words = ["convert", {str(tmp_path / "long.wav")!r}, {str(tmp_path / "out.wav")!r}, "--to", "joe"]
words += ["--model", {str(tiny_voice)!r}, "--vocoder", "griffin-lim"]
import voiceconv.audio.files, voiceconv.convert.converter
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + 60_000_000,) * 2)
sys.exit(main(words))
"""
    process = in_python(code)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2, err
    assert "more memory than is free" in err
    assert len(err.splitlines()) == 1
    assert not (tmp_path / "out.wav").exists()
