"""The recipe of speech in many voices: what it plans, what it writes and where it goes on, spoken by a tiny network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import soundfile
from onnx import TensorProto, helper, numpy_helper

from recipes import many_voices
from recipes.common.corpus import Recording, frame_labels, read_corpus
from recipes.many_voices import DURATIONS, PROSODY, ManyVoicesConfig, Utterance, cast, cut, plan, style_of, to_symbols
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig

SENTENCES = ["The old radio plays again.", "Nobody knew where the river came from.", "Bring seven apples."]
VOCABULARY = {symbol: number for number, symbol in enumerate(" ,.ˈˌːabdefhijklmnopstuvwzæðŋɐɑɔəɛɜɡɪɹʃʊʌʒθ", 1)}


def tiny_model() -> bytes:
    """A network with the names of Kokoro's: durations from the style's prosody, the pitch of its hum from what the
    nodes named F0 read."""

    def constant(name: str, value: np.ndarray) -> onnx.TensorProto:
        return numpy_helper.from_array(value, name)

    quantised = [f"{PROSODY}_{part}" for part in ("dynamic_quantized", "scale", "zero_point")]
    nodes = [
        helper.make_node("Slice", ["style", "start", "end", "axis"], [PROSODY]),
        helper.make_node("DynamicQuantizeLinear", [PROSODY], quantised, name=f"{PROSODY}_QuantizeLinear"),
        helper.make_node("DequantizeLinear", quantised, ["prosody"], name="/encoder/durations"),
        helper.make_node("ReduceMax", ["prosody"], ["slow"], keepdims=0),
        helper.make_node("Cast", ["tokens"], ["counted"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["counted", "nothing"], ["none"]),
        helper.make_node("Add", ["none", "slow"], ["long"]),
        helper.make_node("Div", ["long", "speed"], ["faster"]),
        helper.make_node("Round", ["faster"], [DURATIONS]),
        helper.make_node("ReduceSum", [DURATIONS], ["frames"], keepdims=0),
        helper.make_node("Mul", ["frames", "hop"], ["samples"]),
        helper.make_node("Range", ["zero", "samples", "one"], ["time"]),
        helper.make_node("DequantizeLinear", quantised, ["melody_read"], name="/encoder/F0.0/read"),
        helper.make_node("ReduceMax", ["melody_read"], ["pitch"], keepdims=0),
        helper.make_node("Mul", ["pitch", "time"], ["phase"]),
        helper.make_node("Mul", ["phase", "step"], ["angle"]),
        helper.make_node("Sin", ["angle"], ["audio"]),
    ]
    constants = [
        constant(name, np.array([value], np.int64)) for name, value in (("start", 128), ("end", 256), ("axis", 1))
    ]
    values = {"nothing": 0.0, "hop": 600.0, "zero": 0.0, "one": 1.0, "step": 0.02}
    constants += [constant(name, np.array(value, np.float32)) for name, value in values.items()]
    inputs = [
        helper.make_tensor_value_info("tokens", TensorProto.INT64, [1, None]),
        helper.make_tensor_value_info("style", TensorProto.FLOAT, [1, 256]),
        helper.make_tensor_value_info("speed", TensorProto.FLOAT, [1]),
    ]
    outputs = [helper.make_tensor_value_info("audio", TensorProto.FLOAT, None)]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    return bytes(model.SerializeToString())


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ManyVoicesConfig:
    """The tiny network in place of Kokoro's 92 MB, four voices, three sentences, and a few seconds to speak."""
    monkeypatch.setattr(many_voices, "read_model", tiny_model)
    monkeypatch.setattr(many_voices, "read_vocabulary", lambda: VOCABULARY)
    (tmp_path / "voices").mkdir()
    for number, name in enumerate(("af_one", "am_two", "bf_three", "bm_four")):
        np.full((64, 256), 1.0 + number, np.float32).tofile(tmp_path / "voices" / f"{name}.bin")
    (tmp_path / "sentences.txt").write_text("\n".join(SENTENCES), encoding="utf-8")
    return ManyVoicesConfig(tmp_path / "sentences.txt", tmp_path / "voices", tmp_path / "out", hours=20 / 3600)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_an_utterance_depends_on_the_seed_and_its_number_only() -> None:
    names = ["a", "b", "c", "d"]
    speakers = cast(3, names, 20)

    def planned(seed: int) -> list[Utterance]:
        return [plan(seed, number, SENTENCES, names, speakers) for number in range(300)]

    utterances = planned(3)
    assert plan(3, 7, SENTENCES, names, speakers) == utterances[7]
    assert planned(4) != utterances
    assert len({u.text for u in utterances}) > 50  # beside the three sentences their words in other orders
    assert sum(u.text in SENTENCES for u in utterances) > 150
    assert {u.language for u in utterances} > {"en-us", "it", "cs"}
    assert {len(u.voices) for u in utterances} == {1, 3}
    assert all(u.voices[0] == u.rhythm for u in utterances)
    assert {voice for u in utterances for voice in u.voices} == set(speakers)


def test_speakers_are_all_voices_and_blends_of_them() -> None:
    names = ["a", "b", "c", "d"]
    speakers = cast(0, names, 50)
    assert speakers == cast(0, names, 50)
    assert cast(0, names, 60)[:50] == speakers
    assert speakers[:4] == names
    assert {name.count("*") for name in speakers[4:]} == {2, 3}


def test_a_blend_is_the_mean_that_its_name_says() -> None:
    styles = {"a": np.zeros((2, 256), np.float32), "b": np.ones((2, 256), np.float32)}
    assert style_of("b", styles) is styles["b"]
    assert style_of("a*0.25+b*0.75", styles) == pytest.approx(np.full((2, 256), 0.75))
    assert style_of("a*0.33+b*0.66", styles) == pytest.approx(np.full((2, 256), 2 / 3))  # shares are rounded in names


def test_texts_are_read_in_their_language() -> None:
    assert to_symbols("Bring it.", "en-us", VOCABULARY) == "bɹˈɪŋ ɪt."
    assert to_symbols("gli", "it", {"ʎ", "ɪ"}) == "ʎɪ"


def test_melody_and_rhythm_come_from_different_voices() -> None:
    session = onnxruntime.InferenceSession(cut(tiny_model()))
    inputs = {"tokens": np.array([[0, 1, 2, 0]]), "speed": np.array([1.0], np.float32)}

    def say(prosody: float, melody: float) -> tuple[np.ndarray, np.ndarray]:
        style = np.full((1, 256), prosody, np.float32)
        wav, durations = session.run(
            ["audio", DURATIONS], {**inputs, "style": style, "melody": np.full((1, 128), melody, np.float32)}
        )
        return wav, durations

    plain, durations = say(3.0, 3.0)
    assert durations.tolist() == [[3.0] * 4]
    other, same = say(3.0, 5.0)
    assert same.tolist() == durations.tolist()
    assert len(other) == len(plain) == 4 * 3 * 600
    assert other == pytest.approx(np.sin(0.02 * 5 * np.arange(7200, dtype=np.float32)), abs=1e-2)
    assert say(2.0, 3.0)[1].tolist() == [[2.0] * 4]


def test_a_corpus_is_parallel_and_its_times_are_those_of_the_sound(config: ManyVoicesConfig) -> None:
    many_voices.main(config)
    recordings = read_corpus(config.out)
    assert sum(sum(r.durations) for r in recordings) >= 20
    lengths: dict[int, set[int]] = {}
    for recording in recordings:
        info = soundfile.info(config.out / recording.file)
        assert info.samplerate == 22050
        assert info.duration == pytest.approx(sum(recording.durations), abs=1e-3)
        assert len(recording.durations) == len(recording.phonemes) + 2
        lengths.setdefault(recording.number, set()).add(info.frames)
    assert all(len(frames) == 1 for frames in lengths.values())
    assert len(recordings) > len(lengths)


def test_what_was_stopped_ends_with_the_same_files(config: ManyVoicesConfig) -> None:
    many_voices.main(config)
    whole = contents(config.out)
    stopped = replace(config, out=config.out.with_name("stopped"), hours=8 / 3600)
    many_voices.main(stopped)
    index = stopped.out / "meta.jsonl"
    index.write_bytes(index.read_bytes()[:-20])  # killed in the middle of a line
    many_voices.main(replace(stopped, hours=config.hours))
    assert contents(stopped.out) == whole
    many_voices.main(replace(stopped, hours=config.hours))  # nothing is left to do
    assert contents(stopped.out) == whole


@pytest.mark.slow
def test_any_number_of_processes_writes_the_same_files(config: ManyVoicesConfig) -> None:
    many_voices.main(config)
    many_voices.main(replace(config, out=config.out.with_name("two"), workers=2))
    assert contents(config.out) == contents(config.out.with_name("two"))


def test_voices_left_out_are_never_heard(config: ManyVoicesConfig) -> None:
    many_voices.main(replace(config, leave_out=("am_two",), smoke=True))
    assert not any("am_two" in r.voice + r.rhythm for r in read_corpus(config.out))


def test_what_cannot_be_spoken_is_left_out() -> None:
    styles = {"a": np.ones((64, 256), np.float32), "silent": np.zeros((64, 256), np.float32)}
    kokoro = many_voices.Kokoro(cut(tiny_model()), VOCABULARY)

    def files(text: str) -> list[str]:
        utterance = Utterance(5, text, "en-us", "a", ("a", "silent", "a"), 1.0)
        return [recording.file for recording, _ in many_voices.render(utterance, styles, kokoro)]

    assert files("No.") == []
    assert files("much too long " * 40) == []
    assert files("An old man may sing.") == ["000005_0.flac", "000005_2.flac"]


def test_each_frame_has_the_phoneme_in_its_middle() -> None:
    recording = Recording(
        "x.flac", 0, "", "en-us", "tˈiː, a", (0.02, 0.02, 0.02, 0.02, 0.02, 0.03, 0.01, 0.02, 0.02), "a", "a", 1.0
    )
    mel = MelConfig(sample_rate=1000, hop_length=10)  # middles at 5, 15, 25, ... ms
    labels = frame_labels(recording, 20, mel)
    assert "".join(labels) == "__ttiiiiii___ aa____"


def test_what_cannot_be_made_is_refused(config: ManyVoicesConfig, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no voice 'am_tow' to leave out; .* has af_one, am_two"):
        many_voices.main(replace(config, leave_out=("am_tow",)))
    with pytest.raises(UserError, match=r"holds 2 voices .* 3 are the least"):
        many_voices.main(replace(config, leave_out=("am_two", "af_one")))
    (tmp_path / "empty.txt").write_text("\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"empty.txt holds no sentences"):
        many_voices.main(replace(config, sentences=tmp_path / "empty.txt"))
    with pytest.raises(UserError, match=r"holds no meta.jsonl: give a folder"):
        read_corpus(tmp_path)
    many_voices.main(config)
    with pytest.raises(UserError, match="was begun with other seed"):
        many_voices.main(replace(config, seed=1))
