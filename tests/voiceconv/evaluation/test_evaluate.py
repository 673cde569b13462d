"""`voiceconv evaluate` from the command line to the page, on the shipped examples with a vocoder that takes no time."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile

from voiceconv.__main__ import main
from voiceconv.cli.arguments import parse
from voiceconv.cli.evaluate import Evaluate
from voiceconv.convert.converter import VoiceConverter
from voiceconv.evaluation.evaluate import doubts, load_rivals, markdown
from voiceconv.evaluation.rendering import audio_path
from voiceconv.evaluation.scores import SCORES
from voiceconv.voice.voice import VOICES

EXAMPLES = VOICES / "allison-joe" / "examples"
SYSTEMS = ["ground truth", "unconverted", "copy-synthesis", "pitch shift", "mean and variance", "baseline tiny"]
SYSTEMS += ["converted"]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips each of allison, joe and somebody else (who is Allison again); not a word is written down."""
    root = tmp_path_factory.mktemp("evaluation")
    for name, speaker, clips in (
        ("one", "allison", slice(2)),
        ("two", "joe", slice(2)),
        ("stranger", "allison", slice(2, 4)),
    ):
        (root / name / "wavs").mkdir(parents=True)
        for path in sorted((EXAMPLES / speaker).iterdir())[clips]:
            shutil.copy(path, root / name / "wavs")
    return root


@pytest.fixture(scope="module")
def report(folders: Path, tiny_voice: Path) -> Path:
    out = folders / "report"
    words = ["evaluate", "allison-joe", "--source", folders / "two", "--target", folders / "one", "--one-way"]
    words += ["--unseen", f"{folders / 'stranger'}:none", "--baseline", tiny_voice, "--all-clips", "--out", out]
    assert main([str(word) for word in [*words, "--vocoder", "griffin-lim"]]) == 0
    return out


@pytest.mark.slow
def test_json_holds_every_system_of_every_direction(report: Path) -> None:
    record = json.loads((report / "evaluation.json").read_text(encoding="utf-8"))
    assert (record["voice"], record["vocoder"]) == ("allison-joe", "griffin-lim")
    assert record["versions"]["Resemblyzer"]
    assert record["settings"]["source"] == "two:en"
    known, unseen = record["directions"]
    # Nobody said who is who: the recordings did.
    assert (known["source"], known["target"], known["unseen"]) == ("joe", "allison", False)
    assert (unseen["source"], unseen["target"], unseen["unseen"]) == ("stranger", "allison", True)
    for direction in (known, unseen):
        assert list(direction["scores"]) == SYSTEMS
        for system, scores in direction["scores"].items():
            assert {"similarity to target", "margin", "DNSMOS OVRL", "voiced share"} <= scores.keys() <= SCORES.keys()
            assert not {"CER", "WER", "MCD-DTW"} & scores.keys(), "without a transcript"
            for name, score in scores.items():
                values = [value for value in score["values"] if value is not None]
                assert len(values) == score["n"] > 0
                assert score["mean"] == pytest.approx(np.mean(values)), (system, name)
                assert score["low"] <= score["mean"] <= score["high"]
    scores = known["scores"]
    assert scores["converted"]["similarity to target"]["mean"] > scores["unconverted"]["similarity to target"]["mean"]
    # The stranger is Allison, whom the source of this direction is not.
    assert unseen["scores"]["unconverted"]["similarity to target"]["mean"] > 0.7


@pytest.mark.slow
def test_everything_rendered_is_kept(report: Path) -> None:
    found = {path.relative_to(report / "audio").as_posix() for path in report.rglob("*.flac")}
    joe = ["joe0251.flac", "joe0411.flac"]
    for system in ("joe/unconverted", "joe/copy-synthesis", "joe to allison/converted", "joe to allison/pitch shift"):
        assert {f"{system}/wavs/{name}" for name in joe} <= found
    assert "stranger to allison/baseline tiny/wavs/privacy-incorrect.flac" in found
    with soundfile.SoundFile(report / "audio/joe to allison/converted/wavs" / joe[0]) as file:
        assert file.frames == soundfile.info(EXAMPLES / "joe" / joe[0]).frames
        assert re.match(r"converted by voiceconv .*, voice allison-joe/allison", file.copy_metadata()["comment"])


@pytest.mark.slow
def test_page_says_it_in_words_and_plays_a_few(report: Path) -> None:
    page = (report / "evaluation.html").read_text(encoding="utf-8")
    for words in ("joe to allison: 2 clips", "stranger to allison: 2 clips, a speaker it was not trained on", "MMD²"):
        assert words in page
    assert "The recordings in two are taken for joe" in page
    assert "no language was given" in page
    # The median and the worst clip of the pair, the median of the stranger: seven sounds each.
    assert page.count("<audio") == 3 * 7
    assert len(page) < 8e6
    assert "nan" not in re.sub(r"base64,[^\"]+|<svg.*?</svg>", "", page, flags=re.DOTALL)


def test_recordings_that_differ_in_their_ending_alone_are_kept_apart() -> None:
    kept = [audio_path(Path(), "joe/converted", clip) for clip in ("wavs/a.flac", "wavs/a.wav", "wavs/a.mp3")]
    assert [path.name for path in kept] == ["a.flac", "a.wav.flac", "a.mp3.flac"]
    assert {path.parent.as_posix() for path in kept} == {"audio/joe/converted/wavs"}


def mistakes(folders: Path, tiny_voice: Path) -> dict[str, tuple[list[object], str]]:
    one, two, out = folders / "one", folders / "two", folders / "never"
    pair = ["--source", one, "--target", two, "--out", out]
    return {
        "same folder": (["--source", one, "--target", one / "wavs" / "..", "--out", out], "is given twice"),
        "unseen twice": ([*pair, "--unseen", two], "is given twice"),
        "no folder": (["--source", folders / "no", "--target", two, "--out", out, "--all-clips"], "does not exist"),
        "a file": (["--source", one, "--target", two, "--out", EXAMPLES / "joe" / "joe0251.flac"], "is a file"),
        "among the recordings": (["--source", one, "--target", two, "--out", two / "report"], "among the recordings"),
        "too short": ([*pair, "--all-clips", "--seconds", "0.1", "0.2"], "--seconds"),
        "nothing held out": (["--source", one, "--target", two, "--out", out], "names no recordings that were kept"),
        "too few": ([*pair, "--clips", "1"], "2 or more"),
    }


@pytest.mark.parametrize("mistake", mistakes(Path(), Path()))
def test_mistakes_are_one_sentence(
    mistake: str, folders: Path, tiny_voice: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words, expected = mistakes(folders, tiny_voice)[mistake]
    argv = ["evaluate", tiny_voice, *words, "--vocoder", "griffin-lim"]
    try:
        status = main([str(word) for word in argv])
    except SystemExit as stop:  # argparse
        status = int(stop.code or 0)
    assert status == 2
    assert expected in capsys.readouterr().err
    assert not list((folders / "never").glob("*"))


def test_baseline_of_other_speakers_is_refused(
    folders: Path, tiny_voice: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(tiny_voice, tmp_path / "other")
    described = tmp_path / "other" / "voice.json"
    described.write_text(described.read_text().replace('"joe"', '"jane"'))
    words = ["evaluate", tiny_voice, "--source", folders / "one", "--target", folders / "two", "--all-clips"]
    words += ["--out", tmp_path / "report", "--vocoder", "griffin-lim", "--baseline", tmp_path / "other"]
    assert main([str(word) for word in words]) == 2
    assert "between allison and jane, but tiny between allison and joe" in capsys.readouterr().err


def test_folders_carry_their_language(tmp_path: Path) -> None:
    (tmp_path / "odd:it").mkdir()
    words = ["voice", "--source", "a:it", "--target", str(tmp_path / "odd:it"), "--out", "x"]
    args = parse(Evaluate, [*words, "--unseen", "b", "--unseen", "c/d:none"], "voiceconv evaluate")
    assert args.source == (Path("a"), "it")
    assert args.target == (tmp_path / "odd:it", None)
    assert args.unseen == ((Path("b"), None), (Path("c/d"), "none"))
    assert args.language == "en"


def direction(cer: float) -> dict[str, object]:
    score = {"mean": cer, "low": 0.0, "high": 1.0, "n": 2, "values": [cer, cer]}
    scores = {"unconverted": {"CER": score}, "converted": {}}
    return {"source": "a", "target": "b", "language": "cs", "clips": {"source": ["x", "y"]}, "scores": scores}


def test_a_recogniser_that_fails_on_originals_is_doubted() -> None:
    assert doubts({"directions": [direction(0.05)]}) == []
    (doubt,) = doubts({"directions": [direction(0.6), direction(0.6)]})
    assert "60 % of the characters of a's own recordings" in doubt
    assert "'cs'" in doubt


def test_markdown_has_a_row_per_system() -> None:
    first, _, *rows = markdown(direction(0.25)).splitlines()
    assert first.startswith("| a to b, 2 clips | similarity to target |")
    assert rows[0].startswith("| unconverted | - | - | 0.250 (0.000 to 1.000) | - |")
    assert rows[1] == f"| converted |{' - |' * 7}"


def test_baselines_speak_through_the_vocoder_of_the_voice(tiny_voice: Path) -> None:
    converter = VoiceConverter.from_pretrained(tiny_voice, vocoder="griffin-lim", device="cpu")
    (rival,) = load_rivals([str(tiny_voice)], converter).values()
    assert rival.vocoder is converter.vocoder
