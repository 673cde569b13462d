"""Speech that is still being spoken: the pieces are those of the whole, however it is cut, and come when promised."""

from __future__ import annotations

import contextlib
import copy
import re
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import load_audio, resample, save_audio
from voiceconv.cli.live import Live
from voiceconv.cli.live_devices import AtRate, Delay, speak, speak_file
from voiceconv.convert.adaptation import Adaptation
from voiceconv.convert.controls import Controls
from voiceconv.convert.converter import VoiceConverter
from voiceconv.convert.streaming import SILENCE_DB, LiveConversion, gate, keep_unvoiced
from voiceconv.errors import UserError

LENGTH = 33_333  # no multiple of anything


@pytest.fixture(scope="module")
def converter(streaming: VoiceConverter) -> VoiceConverter:
    return streaming


def speech() -> np.ndarray:
    wav = hum(180.0, 2.0)[:LENGTH]
    wav[9_000:13_000] = 0  # silence in the middle
    return wav


def whole(converter: VoiceConverter, wav: np.ndarray, target: str, adaptation: Adaptation | None = None) -> np.ndarray:
    spoken = converter._speak(wav, target, adaptation or Adaptation(converter.onward(target)))
    return spoken * gate(converter._loud(wav), 0, len(wav), 256)


def in_pieces(stream: LiveConversion, wav: np.ndarray, lengths: Iterable[int]) -> np.ndarray:
    out, position = [], 0
    for length in lengths:
        out.append(stream.push(wav[position : position + length]))
        position += length
    out += [stream.push(wav[position:]), stream.flush()]
    return np.concatenate(out)


@pytest.mark.parametrize("target", ["joe", "allison"])
@pytest.mark.parametrize("piece", [1_000, 256, 4_410, LENGTH])
def test_the_pieces_are_those_of_the_whole(converter: VoiceConverter, target: str, piece: int) -> None:
    wav = speech()
    expected = whole(converter, wav, target)
    assert np.abs(expected).max() > 0.01
    live = in_pieces(converter.stream(target), wav, [piece] * (LENGTH // piece))
    assert live.shape == wav.shape
    np.testing.assert_allclose(live, expected, atol=0.01 * np.abs(expected).max())


@settings(max_examples=15, deadline=None)
@given(lengths=st.lists(st.integers(0, 6_000), max_size=12), total=st.integers(1, LENGTH))
def test_however_it_is_cut(converter: VoiceConverter, lengths: list[int], total: int) -> None:
    wav = speech()[:total]
    expected = whole(converter, wav, "allison")
    live = in_pieces(converter.stream("allison"), wav, lengths)
    assert live.shape == wav.shape
    np.testing.assert_allclose(live, expected, atol=5e-3)


@pytest.mark.parametrize("target", ["joe", "allison"])
def test_anybody_is_the_same_live_and_as_a_whole(converter: VoiceConverter, target: str) -> None:
    wav = np.diff(hum(290.0, 2.0)[:LENGTH], prepend=0.0).astype(np.float32)  # of another pitch and tone
    adaptation = converter.adapt(wav, target)
    assert adaptation.tone is not None
    assert adaptation.tone.abs().max() > 0.1
    expected = whole(converter, wav, target, adaptation)
    live = in_pieces(converter.stream(target, adaptation), wav, [3_000] * 4)
    np.testing.assert_allclose(live, expected, atol=0.01 * np.abs(expected).max())
    plain = whole(converter, wav, target, Adaptation(adaptation.shift))
    assert np.abs(plain - expected).max() > 0.05 * np.abs(expected).max()


@pytest.mark.slow
def test_a_long_recording_stays_the_same_and_is_not_kept(converter: VoiceConverter) -> None:
    wav = np.tile(speech(), 20)
    stream = converter.stream("joe")
    live = in_pieces(stream, wav, [2_048] * (len(wav) // 2_048))
    np.testing.assert_allclose(live, whole(converter, wav, "joe"), atol=5e-3)
    kept = [stream.recording.size, stream.loud.size, stream.ready.size, stream.vocoder.waiting.numel()]
    assert max(kept) < 20_000


@pytest.mark.parametrize("target", ["joe", "allison"])
def test_every_sample_comes_when_promised(converter: VoiceConverter, target: str) -> None:
    stream = converter.stream(target)
    latency = round(stream.latency * SAMPLE_RATE)
    wav, sent = speech()[:14_000], 0
    for position in range(0, len(wav) - 100, 100):
        sent += len(stream.push(wav[position : position + 100]))
        assert sent >= position + 100 - latency
    assert sent < len(wav)  # it does not know the future


@pytest.mark.parametrize("target", ["joe", "allison"])
def test_nothing_depends_on_what_comes_after_the_latency(converter: VoiceConverter, target: str) -> None:
    wav = speech()
    changed = wav.copy()
    changed[20_000:] *= -0.5
    latency = round(converter.stream(target).latency * SAMPLE_RATE)
    a, b = (in_pieces(converter.stream(target), x, [5_000] * 6) for x in (wav, changed))
    first = int((np.abs(a - b) > 1e-6).argmax())
    assert 20_000 - latency <= first < 20_000


def test_silence_is_silent(converter: VoiceConverter) -> None:
    live = in_pieces(converter.stream("joe"), speech(), [700] * 40)
    assert not live[9_000 + 768 : 13_000 - 768].any()
    assert live[:8_000].any()


def test_the_gate_worked_out_by_hand() -> None:
    loud = np.array([1, 0, 0, 0, 0, 1], bool)  # open in hops 0 and 1, and in 4 and 5; their middles are 2, 6, ... 22
    expected = [1.0] * 7 + [0.75, 0.5, 0.25] + [0.0] * 5 + [0.25, 0.5, 0.75] + [1.0] * 6
    assert gate(loud, 0, 24, 4).tolist() == expected
    assert gate(loud, 7, 4, 4).tolist() == expected[7:11]


def test_half_of_the_source_is_kept_where_nothing_is_voiced() -> None:
    converted, source = torch.full((80, 3), -4.0), torch.full((80, 3), -2.0)
    kept = keep_unvoiced(converted, source, torch.tensor([0.0, 110.0, 0.0]))
    assert kept[0].tolist() == kept[79].tolist() == [-3.0, -4.0, -3.0]


def test_an_empty_stream_ends_empty(converter: VoiceConverter) -> None:
    stream = converter.stream("joe")
    assert stream.push(np.zeros(0, np.float32)).size == 0
    assert stream.flush().size == 0
    with pytest.raises(ValueError, match="was flushed"):
        stream.push(np.zeros(10, np.float32))


def test_what_cannot_be_streamed_is_refused(converter: VoiceConverter, tiny_voice: Path) -> None:
    with pytest.raises(UserError, match="did you mean 'joe'"):
        converter.stream("jo")
    with pytest.raises(UserError, match="semitones from -24 to 24"):
        converter.adapt(speech(), "joe", Controls(30.0))
    with pytest.raises(UserError, match="not numbers"):
        converter.stream("joe").push(np.array([0.0, np.nan]))
    other = VoiceConverter.from_pretrained(tiny_voice, vocoder="griffin-lim", device="cpu")
    with pytest.raises(UserError, match=r"'griffin-lim' can only synthesise whole recordings; choose --vocoder istft"):
        other.stream("joe")


@pytest.mark.parametrize("part", ["leave", "enter"])
@pytest.mark.parametrize("value", [1e6, 1e38, float("nan")])
def test_a_voice_that_makes_no_sound_is_refused_not_heard(converter: VoiceConverter, part: str, value: float) -> None:
    broken = copy.deepcopy(converter)
    getattr(broken.voice.generator_ab, part).bias.data[:] = value
    if part == "enter" and value == 1e6:
        getattr(broken.voice.generator_ab, part).weight.data[:] *= 1e38  # overflows
    with pytest.raises(UserError, match="values that are no sound"):
        broken.convert(speech(), "joe")
    with pytest.raises(UserError, match="values that are no sound"):
        in_pieces(broken.stream("joe"), speech(), [4_000] * 8)
    assert broken.convert(speech(), "allison").any()


def test_a_device_gets_a_block_for_a_block_with_a_fixed_delay(converter: VoiceConverter) -> None:
    wav = speech()[: 64 * 500]
    delayed = Delay(converter.stream("joe"), SAMPLE_RATE, block=500)
    heard = np.concatenate([delayed(wav[i : i + 500]) for i in range(0, len(wav), 500)])
    assert heard.shape == wav.shape
    expected = in_pieces(converter.stream("joe"), wav, [])
    assert not heard[: delayed.delay].any()
    np.testing.assert_allclose(heard[delayed.delay :], expected[: -delayed.delay], atol=5e-3)


def test_a_file_is_spoken_in_its_own_time(converter: VoiceConverter, tmp_path: Path) -> None:
    save_audio(tmp_path / "in.wav", speech(), SAMPLE_RATE)
    source, output = tmp_path / "in.wav", tmp_path / "out.wav"
    report = speak_file(converter.stream("joe"), source, output, SAMPLE_RATE, converter.comment("joe"))
    assert "ms after it was spoken" in report
    with soundfile.SoundFile(output) as file:
        assert re.fullmatch(r"converted by voiceconv [\d.]+, voice .+/joe", file.copy_metadata()["comment"])
    assert len(load_audio(tmp_path / "out.wav", SAMPLE_RATE)) == LENGTH


class Card:
    """A sound card that plays what is said into its microphone, and is pulled out at the end; it opens at one rate
    and with one number of channels only."""

    class CallbackAbort(Exception):
        pass

    class PortAudioError(Exception):
        pass

    def __init__(self, said: np.ndarray, rate: int = SAMPLE_RATE, channels: int = 1) -> None:
        self.said, self.rate, self.channels, self.active = said, rate, channels, False
        self.spoken: list[np.ndarray] = []

    def query_devices(self, device: object, kind: str) -> dict[str, float]:
        return {"default_samplerate": float(self.rate), "max_input_channels": 2, "max_output_channels": 2}

    def check_input_settings(self, *, samplerate: int, channels: int, **_: object) -> None:
        if not samplerate or (samplerate, channels) != (self.rate, self.channels):
            raise self.PortAudioError("Invalid sample rate")

    check_output_settings = check_input_settings

    def Stream(
        self, rate: int, block: int, *_: object, callback: Callable[..., None], channels: tuple[int, int], **__: object
    ) -> Card:
        self.block, self.callback, self.opened = block, callback, (rate, channels)
        return self

    def OutputStream(self, *_: object, callback: Callable[..., None], **__: object) -> contextlib.nullcontext[None]:
        self.monitor = callback
        return contextlib.nullcontext()

    def __enter__(self) -> Card:
        _, (inputs, outputs) = self.opened
        with contextlib.suppress(self.CallbackAbort):
            for start in range(0, len(self.said) - self.block + 1, self.block):
                spoken = np.ones((self.block, outputs), np.float32)
                heard = np.repeat(self.said[start : start + self.block, None], inputs, axis=1)
                self.callback(heard, spoken, None, None, "")
                self.spoken.append(spoken)
        return self

    def __exit__(self, *_: object) -> None: ...


@pytest.mark.parametrize(("breaks", "said"), [(True, "values that are no sound"), (False, "devices have stopped")])
def test_a_conversation_that_breaks_off_says_why(
    converter: VoiceConverter, monkeypatch: pytest.MonkeyPatch, breaks: bool, said: str
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Card(speech()[:512]))  # type: ignore[arg-type]
    stream = converter.stream("joe")
    if breaks:
        monkeypatch.setattr(stream, "push", lambda wav: (_ for _ in ()).throw(UserError("values that are no sound")))
    with pytest.raises(UserError, match=said):
        speak(stream, SAMPLE_RATE, None, None)


@pytest.mark.parametrize("card_rate", [48000, 44100, 16000])
def test_a_card_is_opened_at_its_own_rate_and_with_its_channels(
    converter: VoiceConverter, monkeypatch: pytest.MonkeyPatch, card_rate: int
) -> None:
    said = resample(speech(), SAMPLE_RATE, card_rate)
    card = Card(said, card_rate, channels=2)
    monkeypatch.setitem(sys.modules, "sounddevice", card)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="devices have stopped"):
        speak(converter.stream("joe"), SAMPLE_RATE, None, None)
    assert card.opened == (card_rate, (2, 2))
    left, right = np.concatenate(card.spoken).T
    assert np.array_equal(left, right)
    delay = Delay(AtRate(converter.stream("joe"), SAMPLE_RATE, card_rate), card_rate, card.block).delay
    expected = in_pieces(converter.stream("joe"), resample(said, card_rate, SAMPLE_RATE), [])
    expected = resample(expected, SAMPLE_RATE, card_rate)[: len(left) - delay]
    assert not left[:delay].any()
    assert np.abs(expected).max() > 0.01
    np.testing.assert_allclose(left[delay:][: len(expected)], expected, atol=0.01)


def test_what_is_heard_is_recorded_and_monitored(
    converter: VoiceConverter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card = Card(speech())
    monkeypatch.setitem(sys.modules, "sounddevice", card)  # type: ignore[arg-type]
    kept = tmp_path / "kept.wav"
    with pytest.raises(UserError, match="devices have stopped"):
        speak(converter.stream("joe"), SAMPLE_RATE, None, None, monitor="phones", record=kept, comment="a test")
    spoken = np.concatenate(card.spoken)[:, 0]
    with soundfile.SoundFile(kept) as file:
        assert file.comment == "a test"
        np.testing.assert_allclose(file.read(dtype="float32"), spoken, atol=1e-4)
    monitored = np.ones((card.block, 2), np.float32)
    card.monitor(monitored, card.block, None, None)
    assert np.array_equal(monitored[:, 0], spoken[-8 * card.block :][: card.block])  # it lags by eight blocks at most


def test_nothing_is_recorded_where_no_device_opens(
    converter: VoiceConverter, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    card = Card(speech())

    def refuse(*_: object, **__: object) -> None:
        raise card.PortAudioError("gone")

    monkeypatch.setattr(card, "Stream", refuse)
    monkeypatch.setitem(sys.modules, "sounddevice", card)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="gone"):
        speak(converter.stream("joe"), SAMPLE_RATE, None, None, record=tmp_path / "kept.wav")
    assert list(tmp_path.iterdir()) == []


def test_a_card_that_opens_at_no_rate_is_an_error_in_words(
    converter: VoiceConverter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "sounddevice", Card(speech(), rate=0))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"cannot be opened \(Invalid sample rate\)"):
        speak(converter.stream("joe"), SAMPLE_RATE, None, None)


def test_the_gate_of_the_terminal_is_that_of_the_library() -> None:
    assert Live().gate == SILENCE_DB


def test_the_gate_can_be_raised(converter: VoiceConverter) -> None:
    wav = 0.01 * speech()
    assert in_pieces(converter.stream("joe"), wav, []).any()
    assert not in_pieces(converter.stream("joe", silence_db=-20.0), wav, []).any()
