"""Every fault is put into synthetic speech on purpose; the report has to name it, and nothing else."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import soxr

from voiceconv.audio.channels import CANCELLING
from voiceconv.errors import UserError
from voiceconv.inspection.comparison import compare
from voiceconv.inspection.folder import weighted_quantile
from voiceconv.inspection.inspect import Inspection, inspect_folder
from voiceconv.inspection.measures import clipped_share, find_bandwidth, find_speech, noise_floor
from voiceconv.inspection.report import save_report

RATE = 22050


def speech(seed: int, *, pitch: float = 120.0, rate: int = RATE, noise: float = -75.0) -> np.ndarray:
    """Four seconds of vowels with a moving pitch, a hiss after each, 0.5 s of pause in every 2 s; speech at about
    -18 dBFS with a peak of about 0.5, white noise at `noise` dBFS."""
    random = np.random.default_rng(seed)
    t = np.arange(4 * rate) / rate
    phase = 2 * np.pi * np.cumsum(pitch * 2 ** (np.sin(2 * np.pi * 0.7 * t + seed) / 6)) / rate
    vowels = sum(np.sin(k * phase) / k**1.2 for k in range(1, int(3500 / (1.2 * pitch))))
    wave = np.where(t % 0.5 < 0.35, vowels, random.normal(size=len(t)) * 0.3) * talking(t)
    return (wave * 0.12 + random.normal(size=len(t)) * 10 ** (noise / 20)).astype(np.float32)


def talking(t: np.ndarray) -> np.ndarray:
    return t % 2.0 < 1.5


def true_snr(wav: np.ndarray) -> float:
    chosen = talking(np.arange(len(wav)) / RATE)
    return float(20 * np.log10(wav[chosen].std() / wav[~chosen].std()))


def write(folder: Path, name: str, wav: np.ndarray, rate: int = RATE) -> None:
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(folder / name, wav, rate, subtype="PCM_16")


def inspected(folder: Path, *wavs: np.ndarray, rate: int = RATE) -> Inspection:
    for i, wav in enumerate(wavs):
        write(folder, f"{folder.name}{i}.wav", wav, rate)
    return inspect_folder(folder)


def together(*inspections: Inspection) -> Inspection:
    return replace(inspections[0], recordings=sum((i.recordings for i in inspections), ()))


def lengthened(inspection: Inspection, minutes: float) -> Inspection:
    """The same files as if each held more speech, with as much pitch; so much sound would take long to make."""
    factor = 60 * minutes / inspection.speech_seconds
    recordings = (
        replace(r, speech_seconds=r.speech_seconds * factor, f0=np.repeat(r.f0, round(factor)))
        for r in inspection.recordings
    )
    return replace(inspection, recordings=tuple(recordings))


def finding(inspection: Inspection, topic: str):
    (found,) = (finding for finding in inspection.findings if finding.topic == topic)
    return found


@pytest.fixture(scope="module")
def anna(tmp_path_factory) -> Inspection:
    return inspected(tmp_path_factory.mktemp("inspect") / "anna", *(speech(i, pitch=200.0) for i in range(3)))


@pytest.fixture(scope="module")
def bert(tmp_path_factory) -> Inspection:
    return inspected(tmp_path_factory.mktemp("inspect") / "bert", *(speech(i, pitch=100.0) for i in range(10, 13)))


@pytest.fixture(scope="module")
def noisy(tmp_path_factory) -> Inspection:
    wavs = [speech(i, pitch=200.0, noise=-33.0) for i in range(20, 23)]
    return inspected(tmp_path_factory.mktemp("inspect") / "noisy", *wavs)


FAULTS = {  # pattern for what each faulty file's problem begins with, in the order of the names
    "again/renamed.wav": None,  # the first of two alike is the one that stays
    "bert.wav": r"pitch (9|10)\d Hz, 1[12] semitones lower than most: another speaker\?",
    "cut.wav": "cannot be used: it",
    "empty.wav": "cannot be used: it",
    "good0.wav": "the same sound as again/renamed.wav",
    "loud.wav": "clipped: ",
    "noise.wav": "no voice in it",
    "noisy.wav": "noisy: the speech is only 1",
    "normalised.wav": None,
    "offset.wav": "silent",
    "packed.flac": "the same sound as good1.wav",
    "quieter.wav": "clipped: ",
    "short.wav": "too short: 0.20 s",
    "silent.wav": "silent",
    "telephone.wav": "dull: ends at 4.",
    "text.wav": "cannot be used: it",
}


@pytest.fixture(scope="module")
def faulty(tmp_path_factory) -> Inspection:
    folder = tmp_path_factory.mktemp("faulty")
    wavs = [speech(i, pitch=200.0) for i in range(7)]
    for i in range(3):
        write(folder, f"good{i}.wav", wavs[i])
    (folder / "text.wav").write_text("This is not a sound.")
    (folder / "empty.wav").touch()
    write(folder, "cut.wav", wavs[3])
    (folder / "cut.wav").write_bytes((folder / "cut.wav").read_bytes()[:20000])
    write(folder, "silent.wav", np.zeros(RATE))
    write(folder, "offset.wav", np.full(RATE, 0.2))
    write(folder, "short.wav", wavs[3][: RATE // 5])
    write(folder, "noise.wav", np.random.default_rng(0).normal(size=2 * RATE) * 0.1)
    write(folder, "loud.wav", np.clip(wavs[4] / np.abs(wavs[4]).max() * 1.5, -1, 1))
    write(folder, "quieter.wav", 0.3 * np.clip(wavs[5] / np.abs(wavs[5]).max() * 1.5, -1, 1))
    write(folder, "normalised.wav", wavs[6] / np.abs(wavs[6]).max())
    (folder / "again").mkdir()
    (folder / "again" / "renamed.wav").write_bytes((folder / "good0.wav").read_bytes())
    soundfile.write(folder / "packed.flac", soundfile.read(folder / "good1.wav", dtype="int16")[0], RATE)
    write(folder, "telephone.wav", soxr.resample(speech(7, pitch=200.0, rate=8000), 8000, RATE))
    write(folder, "noisy.wav", speech(8, pitch=200.0, noise=-33.0))
    write(folder, "bert.wav", speech(9, pitch=100.0))
    return inspect_folder(folder)


def test_channels_that_cancel_are_a_problem_to_look_at(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    wav = speech(0, pitch=200.0)
    soundfile.write(tmp_path / "a.wav", np.stack([wav, -wav], axis=1), RATE)
    assert inspect_folder(tmp_path).problems == {"a.wav": [CANCELLING]}
    assert not recwarn.list


def test_clean_speech_is_measured_and_has_no_problem(anna):
    assert anna.problems == {}
    assert anna.name == "anna"
    assert anna.seconds == pytest.approx(12.0, abs=0.01)
    assert anna.speech_seconds == pytest.approx(9.0, rel=0.05)  # three quarters of each file
    assert anna.pitch == pytest.approx(200, rel=0.03)
    assert anna.bandwidth == pytest.approx(11000, abs=200)
    assert anna.sample_rate == RATE
    assert anna.snr == pytest.approx(true_snr(speech(0, pitch=200.0)), abs=2)
    assert {f.grade for f in anna.findings if f.topic != "speech"} == {"good"}


def test_little_speech_is_poor_and_enough_is_good(anna):
    assert anna.grade == "poor"
    assert "1. Record more: 0.1 minutes of speech are here, 10 or more are wanted. A training" in anna.verdict
    assert lengthened(anna, 5).grade == "usable"
    plenty = lengthened(anna, 12)
    assert plenty.grade == "good"
    assert plenty.verdict == "Good: nothing here stands in the way of training."


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_named(faulty, name):
    expected, found = FAULTS[name], faulty.problems.get(name)
    if expected is None:
        assert found is None
    else:
        assert len(found) == 1
        assert re.match(expected, found[0])


def test_nothing_else_is_reported_or_lost(faulty):
    assert list(faulty.problems) == [name for name, fault in FAULTS.items() if fault]
    assert set(faulty.unreadable) == {"text.wav", "empty.wav", "cut.wav"}
    assert len(faulty.recordings) == len(FAULTS) + 2 - 3
    assert not {"good0.wav", "packed.flac", "silent.wav", "offset.wav", "short.wav", "noise.wav"} & {
        r.name for r in faulty.spoken
    }
    assert finding(faulty, "clipping").value == "2 of 9 files"
    assert dict(faulty.facts)["duplicates"] == "2 files"
    assert dict(faulty.facts)["files"] == "15, and 3 unreadable"


def test_the_terminal_report_is_narrow_and_limits_the_list(faulty):
    report, files = faulty.text().split("Files to look at (14):\n")
    assert max(len(line) for line in report.splitlines()[1:]) <= 100
    assert len(files.splitlines()) == 13
    assert files.splitlines()[0].startswith("  bert.wav: pitch ")
    assert files.splitlines()[-1] == "  ... and 2 more, all of them in the HTML report"


@pytest.mark.parametrize(("rate", "grade"), [(8000, "poor"), (16000, "good")])
def test_upsampled_recordings_are_seen_through(tmp_path, rate, grade):
    inspection = inspected(tmp_path, soxr.resample(speech(0, rate=rate), rate, 44100), rate=44100)
    assert inspection.bandwidth == pytest.approx(rate / 2, abs=300)
    bandwidth = finding(inspection, "bandwidth")
    assert bandwidth.grade == grade
    assert bandwidth.value.endswith("of the 22.1 kHz the files could hold: resampled or compressed")


def test_noise_added_after_upsampling_is_no_bandwidth(tmp_path):
    noise = np.random.default_rng(1).normal(size=4 * 44100) * 10 ** (-65 / 20)
    inspection = inspected(tmp_path, soxr.resample(speech(0, rate=8000), 8000, 44100) + noise, rate=44100)
    assert inspection.bandwidth == pytest.approx(4000, abs=300)


def test_noise_is_measured_and_graded(noisy):
    assert noisy.snr == pytest.approx(true_snr(speech(20, pitch=200.0, noise=-33.0)), abs=2)
    assert finding(noisy, "noise").grade == "poor"
    assert len(noisy.problems) == 3


def test_a_clean_half_does_not_hide_a_noisy_one(anna, noisy):
    assert finding(together(anna, noisy), "noise").grade == "poor"
    assert list(together(anna, noisy).problems) == ["noisy0.wav", "noisy1.wav", "noisy2.wav"]


def test_digital_silence_around_noisy_speech_does_not_make_it_clean(tmp_path):
    bare = speech(0, noise=-40.0)
    padded = np.pad(bare, RATE)
    first, *others = inspected(tmp_path, bare, padded, padded + np.float32(0.1)).recordings
    for recording in others:  # the last one with an offset
        assert recording.snr == pytest.approx(first.snr, abs=0.5)
        assert recording.speech_seconds == pytest.approx(first.speech_seconds, abs=0.1)


def test_two_speakers_in_equal_parts(anna, bert):
    both = together(anna, bert)
    assert len(both.problems) == 3
    assert finding(both, "pitch").grade == "poor"
    assert "3 files, 50 % of the speech, with a pitch more than 7 semitones from the rest" in both.verdict


def test_a_folder_without_audio_is_the_users_mistake(tmp_path):
    with pytest.raises(UserError, match=tmp_path.name):
        inspect_folder(tmp_path)
    with pytest.raises(UserError, match="missing"):
        inspect_folder(tmp_path / "missing")


def test_nothing_readable_still_makes_a_report(tmp_path):
    (tmp_path / "a.wav").write_text("no")
    inspection = inspect_folder(tmp_path)
    assert inspection.grade == "poor"
    assert "a.wav: cannot be used: it" in inspection.text()
    save_report([inspection], tmp_path / "report.html")
    assert "<td>a.wav</td>" in (tmp_path / "report.html").read_text()


def test_the_page_shows_four_pictures_and_escapes_names(anna, tmp_path):
    inspection = replace(anna, unreadable={"<b>&.wav": "no <sound> in it"})
    save_report([inspection], tmp_path / "report.html")
    html = (tmp_path / "report.html").read_text()
    assert html.count("<svg") == 4
    assert "&lt;b&gt;&amp;.wav" in html
    assert "<b>" not in html
    assert "<sound>" not in html
    for line in inspection.verdict.splitlines():
        assert line in html
    with pytest.raises(UserError, match="Choose another place"):
        save_report([inspection], tmp_path / "missing" / "report.html")


def test_words_without_pauses_make_a_report_too(tmp_path):
    inspection = inspected(tmp_path, *(speech(i)[: int(1.2 * RATE)] for i in range(2)))
    assert inspection.problems == {}
    assert inspection.snr is None
    assert finding(inspection, "noise").value.startswith("not measurable")
    save_report([inspection], tmp_path / "report.html")
    assert (tmp_path / "report.html").read_text().count("<svg") == 4


def test_compare_two_good_speakers(anna, bert):
    pitch, noise, bandwidth, amount, difficulty = compare(lengthened(anna, 12), lengthened(bert, 15))
    words = re.match(r"Pitch: bert speaks ([\d.]+) semitones lower than anna \((\d+) and (\d+) Hz\);", pitch)
    assert words
    assert [float(number) for number in words.groups()] == pytest.approx([12, 100, 200], rel=0.04)
    assert noise.endswith("dB in bert, 0 dB apart.")
    assert bandwidth == "Bandwidth: 11.0 kHz in anna, 11.0 kHz in bert."
    assert amount == "Speech: 12.0 minutes of anna, 15.0 of bert."
    assert difficulty.startswith("Expected difficulty: a good pair. If the two speak different languages")


def test_compare_names_what_differs(anna, bert):
    recordings = lengthened(bert, 12).recordings
    worse = replace(
        bert, recordings=tuple(replace(r, bandwidth=5500.0, noise_level=(r.noise_level or 0) + 27) for r in recordings)
    )
    for pair in ((lengthened(anna, 40), worse), (worse, lengthened(anna, 40))):
        _, noise, bandwidth, amount, difficulty = compare(*pair)
        assert "27 dB apart; what anna says will get the noise of bert" in noise
        assert "conversion to bert will sound dull" in bandwidth
        assert "record more of bert" in amount
        assert "a usable pair: bert alone is usable, the two differ in noise and bandwidth and amount" in difficulty


def test_compare_with_an_empty_side(anna, bert):
    empty = replace(bert, recordings=())
    for pair in ((anna, empty), (empty, anna)):
        assert compare(*pair) == [f"Nothing can be trained: there is no usable speech in {bert.folder}."]


def test_find_speech_closes_gaps_and_drops_clicks():
    levels = np.full(100, -70.0)
    levels[20:40] = levels[50:70] = -20  # a gap of 0.2 s between them belongs to the speech
    levels[90] = -20  # a click
    expected = np.zeros(100, dtype=bool)
    expected[20:70] = True
    assert np.array_equal(find_speech(levels), expected)
    assert not find_speech(np.full(50, -200.0)).any()


def test_noise_floor_leaves_digital_silence_out_and_needs_two_seconds():
    levels = np.r_[np.full(50, -200.0), np.full(50, -60.0), np.full(100, -20.0)]
    assert noise_floor(levels) == pytest.approx(-60)
    assert noise_floor(levels[:149]) is None
    assert noise_floor(np.full(200, -200.0)) is None


def test_clipped_share_by_hand():
    wav = np.zeros(1000, dtype=np.float32)
    wav[100:120] = 1.0
    assert clipped_share(wav) == pytest.approx(0.02)
    assert clipped_share(wav / 4) == pytest.approx(0.02)
    assert clipped_share(np.sin(np.arange(10000) * 0.03) * 0.9) == 0  # a round top stays a round top
    wav[:] = 0
    wav[[5, 50]] = 1.0  # normalised to full scale
    assert clipped_share(wav) == 0


def test_find_bandwidth_by_hand():
    spectrum = np.full(240, np.nan)
    spectrum[:110] = 1e-12
    spectrum[:50] = 1e-3
    assert find_bandwidth(spectrum, None) == 5000
    spectrum[80] = 1e-4  # the whine of a machine
    assert find_bandwidth(spectrum, None) == 5000
    pause = np.where(np.arange(240) < 30, 1e-9, 1e-3)
    assert find_bandwidth(spectrum, pause) == 3000
    assert find_bandwidth(np.full(240, np.nan), None) is None


def test_weighted_quantile_by_hand():
    assert weighted_quantile([(3.0, 1), (1.0, 1), (2.0, 1), (None, 9)], 0.5) == 2
    assert weighted_quantile([(1.0, 1), (5.0, 10)], 0.5) == 5
    assert weighted_quantile([(1.0, 3), (2.0, 1)], 0.75) == 1
    assert weighted_quantile([(None, 1)], 0.5) is None
