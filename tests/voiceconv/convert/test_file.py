"""Files of any length: piece by piece they become what they become as a whole, and nothing is left half done."""

from __future__ import annotations

import math
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from benchmarks import long
from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import load_audio, save_audio
from voiceconv.audio.loudness import measure_loudness
from voiceconv.convert import file as file_conversion
from voiceconv.convert.controls import USUAL, Controls
from voiceconv.convert.converter import VoiceConverter, soften_peaks
from voiceconv.convert.file import LONG_SECONDS, convert_file
from voiceconv.errors import UserError
from voiceconv.features.pitch import extract_f0
from voiceconv.studio.session import NICENESS, Limits, Studio
from voiceconv.vocoder.griffin_lim import GriffinLim

Wav = NDArray[np.float32]
CLOSE = 0.02  # of the loudest sample: what rounding makes of a conversion in other pieces


@pytest.fixture
def short_is_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_conversion, "LONG_SECONDS", 0.3)


def speech(seconds: float = 3.0, f0: float = 190.0) -> Wav:
    wav = hum(f0, seconds) + np.float32(0.02)  # a recorder's offset
    wav[SAMPLE_RATE // 2 : SAMPLE_RATE] = 0.02
    return wav


def converted(converter: VoiceConverter, source: Path, controls: Controls = USUAL, **options: float) -> Wav:
    output = source.with_name("out.wav")
    seconds = convert_file(converter, source, output, "joe", controls, comment="a test", **options)  # type: ignore[arg-type]
    wav = soundfile.read(output, dtype="float32")[0]
    assert seconds == len(wav) / SAMPLE_RATE
    return wav


def whole(converter: VoiceConverter, source: Path, pitch: float = 0.0) -> Wav:
    return converter.convert(load_audio(source, SAMPLE_RATE, loudness=None), "joe", pitch)


def assert_same(result: Wav, expected: Wav) -> None:
    assert result.shape == expected.shape
    assert expected.any()
    np.testing.assert_allclose(result, expected, atol=CLOSE * np.abs(expected).max())


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(block=st.floats(0.003, 4.0), total=st.floats(0.31, 3.0), gain=st.floats(0.01, 4.0))
def test_pieces_of_any_length_give_the_whole(
    streaming: VoiceConverter, tmp_path: Path, short_is_long: None, block: float, total: float, gain: float
) -> None:
    source = tmp_path / "in.wav"
    soundfile.write(source, gain * speech(total), SAMPLE_RATE, subtype="FLOAT")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_conversion, "BLOCK_SECONDS", block)
        result = converted(streaming, source)
    expected = whole(streaming, source)
    assert_same(result, expected)


def test_a_file_is_what_the_stream_makes_of_it_at_once(
    streaming: VoiceConverter, tmp_path: Path, short_is_long: None
) -> None:
    source = tmp_path / "in.wav"
    soundfile.write(source, speech(), SAMPLE_RATE, subtype="FLOAT")
    wav = load_audio(source, SAMPLE_RATE)  # at the usual loudness, as the networks hear it
    stream = streaming.stream("joe", streaming.adapt(wav, "joe"))
    at_once = np.concatenate([stream.push(wav), stream.flush()])
    result = converted(streaming, source)
    gain = np.linalg.norm(result) / np.linalg.norm(at_once)
    assert_same(result, soften_peaks(at_once * gain))


def test_noise_is_removed_before_the_pieces_are_converted(
    streaming: VoiceConverter, tmp_path: Path, short_is_long: None
) -> None:
    source = tmp_path / "in.wav"
    noise = 0.03 * np.random.default_rng(0).standard_normal(3 * SAMPLE_RATE)
    soundfile.write(source, 3 * speech() + noise, SAMPLE_RATE, subtype="FLOAT")  # over full scale
    result = converted(streaming, source, Controls(denoise=True))
    expected = streaming.convert(load_audio(source, SAMPLE_RATE, loudness=None), "joe", denoise=True)
    assert_same(result, expected)
    assert np.abs(converted(streaming, source) - result).max() > 0.05 * np.abs(result).max()


@pytest.mark.parametrize(("name", "rate", "channels"), [("a.flac", 44100, 2), ("a.ogg", 48000, 1), ("a.mp3", 16000, 1)])
def test_any_format_and_rate(
    streaming: VoiceConverter, tmp_path: Path, short_is_long: None, name: str, rate: int, channels: int
) -> None:
    source = tmp_path / name
    soundfile.write(source, np.repeat(hum(190.0, 2.0)[:, None], channels, axis=1), rate)
    assert_same(converted(streaming, source), whole(streaming, source))


@pytest.mark.slow
@pytest.mark.parametrize("pitch", [0.0, 24.0])
def test_pitch_and_loudness_are_those_of_the_whole(
    streaming: VoiceConverter, tmp_path: Path, short_is_long: None, pitch: float
) -> None:
    """A voice that is moved far: the tracker hears stretches here, and the whole there."""
    source = tmp_path / "in.wav"
    soundfile.write(source, np.concatenate([np.zeros(20 * SAMPLE_RATE), hum(90.0, 6.0)]), SAMPLE_RATE)
    result, expected = converted(streaming, source, Controls(pitch)), whole(streaming, source, pitch)
    assert measure_loudness(result, SAMPLE_RATE) == pytest.approx(measure_loudness(expected, SAMPLE_RATE), abs=0.3)
    medians = [np.median(f0[f0 > 0]) for f0 in (extract_f0(wav, SAMPLE_RATE) for wav in (result, expected))]
    assert 12 * abs(math.log2(medians[0] / medians[1])) < 0.5
    assert not result[: 19 * SAMPLE_RATE].any()


def test_a_long_recording_that_cannot_be_cut_is_refused(
    streaming: VoiceConverter, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    soundfile.write(tmp_path / "in.wav", speech(2.0), SAMPLE_RATE)
    with pytest.raises(UserError, match=r"in\.wav is longer than 1\.5 s; at most 1\.5 s are allowed\. Cut"):
        converted(streaming, tmp_path / "in.wav", max_seconds=1.5)
    monkeypatch.setattr(file_conversion, "WHOLE_SECONDS", 1.0)
    other = VoiceConverter(streaming.voice, GriffinLim(streaming.voice.mel), torch.device("cpu"))
    with pytest.raises(UserError, match=r"in\.wav is longer than 1 s.*'griffin-lim' can only synthesise whole rec"):
        converted(other, tmp_path / "in.wav")
    assert os.listdir(tmp_path) == ["in.wav"]
    soundfile.write(tmp_path / "in.wav", speech(0.9), SAMPLE_RATE)
    monkeypatch.setattr(file_conversion, "LONG_SECONDS", 0.3)
    results = converted(other, tmp_path / "in.wav"), whole(other, tmp_path / "in.wav")
    assert np.corrcoef(*results)[0, 1] > 0.99  # its iterations enlarge what rounding differs in


def test_silence_and_nothing_are_refused(streaming: VoiceConverter, tmp_path: Path, short_is_long: None) -> None:
    for samples, words in ((SAMPLE_RATE, "silent"), (1000, "0.05 s long"), (0, "no sound")):
        soundfile.write(tmp_path / "in.wav", np.full(samples, 0.1), SAMPLE_RATE)
        with pytest.raises(UserError, match=rf"in\.wav.*{words}"):
            converted(streaming, tmp_path / "in.wav")
    assert os.listdir(tmp_path) == ["in.wav"]


def test_an_interrupted_conversion_leaves_what_was_there(
    streaming: VoiceConverter, tmp_path: Path, short_is_long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_conversion, "BLOCK_SECONDS", 0.5)
    source, output = tmp_path / "in.wav", tmp_path / "out.wav"
    soundfile.write(source, speech(), SAMPLE_RATE)
    output.write_bytes(b"the result of yesterday")
    calls: list[tuple[float, float]] = []

    def interrupt(done: float, total: float) -> None:
        calls.append((done, total))
        if done > 1.5 and total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_file(streaming, source, output, "joe", comment="a test", on_progress=interrupt)
    assert output.read_bytes() == b"the result of yesterday"
    assert sorted(os.listdir(tmp_path)) == ["in.wav", "out.wav"]
    assert calls[0][1] == 0.0
    assert {total for _, total in calls} == {0.0, 3.0}
    assert calls == sorted(calls, key=lambda call: (call[1], call[0]))


@pytest.mark.slow
def test_just_under_and_just_over_the_limit_sound_the_same(tmp_path: Path) -> None:
    """The shipped voice on real speech, converted as a whole and in pieces: mel and level of what both have."""
    converter = VoiceConverter.from_pretrained(device="cpu")
    clips = [load_audio(path, converter.sample_rate) for path in converter.voice.examples["allison"]]
    wav, rate = np.tile(np.concatenate(clips), 9), converter.sample_rate
    results = []
    for seconds in (LONG_SECONDS - 0.5, LONG_SECONDS + 0.5):
        assert len(wav) > seconds * rate
        save_audio(tmp_path / "in.flac", wav[: round(seconds * rate)], rate)
        convert_file(converter, tmp_path / "in.flac", tmp_path / "out.flac", "joe", comment="a test")
        out = load_audio(tmp_path / "out.flac", rate, loudness=None)
        assert len(out) == round(seconds * rate)
        results.append(out[: round((LONG_SECONDS - 2) * rate)])
    assert abs(measure_loudness(results[0], rate) - measure_loudness(results[1], rate)) < 0.1
    mels = [converter.mel(torch.from_numpy(result)) for result in results]
    assert (mels[0] - mels[1]).abs().mean() < 0.05  # of log-mels that vary by 2


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(capsys: pytest.CaptureFixture[str]) -> None:
    assert long.main(long.Config(minutes=(1.1, 3.0), may_grow=30.0)) == 0, capsys.readouterr().out


def test_the_page_converts_long_recordings_and_says_how_far_it_is(
    streaming: VoiceConverter, tmp_path: Path, short_is_long: None
) -> None:
    save_audio(tmp_path / "in.wav", hum(190.0, 3.0), SAMPLE_RATE)
    told: list[tuple[float, float]] = []

    def tell(done: float, total: float) -> None:
        told.append((done, total))

    studio = Studio(streaming, Limits(clip_seconds=4.0))
    sound, _ = studio.convert(streaming, tmp_path / "in.wav", "joe", USUAL, tmp_path / "out.wav", on_progress=tell)
    assert sound == 3.0
    assert told[-1] == (3.0, 3.0)
    assert_same(soundfile.read(tmp_path / "out.wav", dtype="float32")[0], whole(streaming, tmp_path / "in.wav"))
    with pytest.raises(UserError, match="longer than 2 s"):
        studio.convert(streaming, tmp_path / "in.wav", "joe", USUAL, tmp_path / "out.wav", max_seconds=2.0)


def test_conversions_of_the_page_give_way_to_live_speech(streaming: VoiceConverter, tmp_path: Path) -> None:
    save_audio(tmp_path / "in.wav", hum(190.0, 1.0), SAMPLE_RATE)
    studio = Studio(streaming)

    def priorities() -> tuple[int, int]:
        studio.convert(streaming, tmp_path / "in.wav", "joe", USUAL, tmp_path / "out.wav")
        own, main = (os.getpriority(os.PRIO_PROCESS, thread) for thread in (threading.get_native_id(), os.getpid()))
        return own, main

    before = os.getpriority(os.PRIO_PROCESS, os.getpid())
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(priorities).result() == (
            max(before, NICENESS) if sys.platform == "linux" else before,
            before,
        )
    assert priorities() == (before, before)
