"""How good a voice is, on clips it was not trained on, beside what costs nothing.

    python -m benchmarks.voice_quality allison-joe --source data/allison --target data/joe --both --out results

`--source` and `--target` are folders of recordings with a `metadata.csv` (`clip|text|seconds`) and a folder `wavs`.
The clips are those that `voice.json` lists as kept from training ("development"), or those in the file given by
`--clips-from`: `{"allison": ["wavs/clip.flac", ...], "joe": [...]}`, paths in the speakers' folders.
Writes `voice_quality.md` (the table) and `voice_quality.json` (the same with the scores of each clip) into `--out`.
"""

from __future__ import annotations

import csv
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import librosa
import numpy as np
import torch
import tyro
from numpy.typing import NDArray

from voiceconv import metrics
from voiceconv.audio import load_audio
from voiceconv.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.metrics import ErrorCount, Interval
from voiceconv.pitch import PitchStatistics, extract_f0, semitones_between
from voiceconv.terminal import run_in_terminal
from voiceconv.voice import Speaker, Voice

Wav = NDArray[np.float32]
Values = NDArray[np.float64]
Split = dict[str, list[str]]


@dataclass(frozen=True)
class Config:
    """Measures a voice against copy-synthesis, a pitch shift and moved mel statistics."""

    model: tyro.conf.Positional[str]
    """Name or folder of the voice."""
    source: Path
    """Recordings of the speaker to convert."""
    target: Path
    """Recordings of the speaker to become."""
    out: Path
    """Folder for the results."""
    both: bool = False
    """Measure the way back as well."""
    clips: int = 40
    """Clips per direction."""
    seconds: tuple[float, float] = (2.0, 5.0)
    """Shortest and longest clip taken."""
    clips_from: Path | None = None
    """A file that lists the clips to use, instead of those that the voice was not trained on."""
    language: str = "en"
    """What is spoken (ISO 639-1)."""
    vocoder: str | None = None
    """The converter's default if not given."""


@dataclass(frozen=True)
class Clip:
    """A recording `(T,)` at the voice's sample rate, and what is said in it."""

    name: str
    text: str
    wav: Wav


@dataclass(frozen=True)
class Heard:
    """What the yardsticks say of one waveform."""

    embedding: NDArray[np.float32]
    characters: ErrorCount
    words: ErrorCount
    f0: NDArray[np.float32]
    dnsmos: float


class Way(NamedTuple):
    """Names of the speaker who is converted and of the one to become."""

    source: str
    target: str


class Judge:
    """All yardsticks, loaded once."""

    def __init__(self, sample_rate: int, language: str) -> None:
        self.sample_rate = sample_rate
        self.language = language
        self.encode = metrics.SpeakerEncoder()
        self.transcribe = metrics.Transcriber(language, threads=torch.get_num_threads())

    def hear(self, wav: Wav, text: str) -> Heard:
        """Scores `wav` `(T,)`, which should say `text`."""
        heard = self.transcribe(wav, self.sample_rate)
        return Heard(
            embedding=self.encode(wav, self.sample_rate),
            characters=metrics.character_errors(text, heard, self.language),
            words=metrics.word_errors(text, heard, self.language),
            f0=extract_f0(wav, self.sample_rate),
            dnsmos=metrics.dnsmos(wav, self.sample_rate).overall,
        )


def read_clips(folder: Path, config: Config, split: Split, sample_rate: int) -> tuple[str, list[Clip]]:
    """The speaker whose recordings lie in `folder`, and those that are measured: held out from training, of the
    length asked for, and spread evenly over the list, so that the same ones are taken every time."""
    metadata = folder / "metadata.csv"
    if not metadata.is_file():
        raise UserError(f"{metadata} was expected to list the recordings as clip|text|seconds, but is not there.")
    with metadata.open(encoding="utf-8", newline="") as file:
        rows = {row[0]: row for row in csv.reader(file, delimiter="|", quoting=csv.QUOTE_NONE) if len(row) == 3}
    held_out = {name: [PurePosixPath(path) for path in paths] for name, paths in split.items()}
    speaker = next((name for name, paths in held_out.items() if any((folder / path).is_file() for path in paths)), None)
    if speaker is None:
        raise UserError(
            f"None of the development clips of {' or '.join(split)} is in {folder}. Give the folder the voice was "
            "trained from, or a list of clips with --clips-from."
        )
    shortest, longest = config.seconds
    paths = [
        path
        for path in sorted(held_out[speaker])
        if path.stem in rows and shortest <= float(rows[path.stem][2]) <= longest
    ]
    if len(paths) < 2:
        raise UserError(
            f"{metadata} has {len(paths)} development clips of {shortest:g} to {longest:g} s; at least 2 are needed."
        )
    chosen = np.unique(np.linspace(0, len(paths) - 1, min(config.clips, len(paths))).round().astype(int))
    return speaker, [
        Clip(path.stem, rows[path.stem][1], load_audio(folder / path, sample_rate))
        for path in (paths[i] for i in chosen)
    ]


def systems(converter: VoiceConverter, source: Speaker, target: Speaker) -> dict[str, Callable[[Wav], Wav]]:
    """What is compared with the unconverted clip: name -> function of its waveform `(T,)`."""
    semitones = semitones_between(source.pitch.median_hz, target.pitch.median_hz)

    @torch.inference_mode()
    def resynthesise(wav: Wav, move: Callable[[torch.Tensor], torch.Tensor]) -> Wav:
        out = converter.vocoder(move(converter.mel(torch.from_numpy(wav)))[None])
        return np.clip(out[0].numpy(), -1.0, 1.0)

    return {
        "copy-synthesis": lambda wav: resynthesise(wav, lambda mel: mel),
        "pitch shift": lambda wav: librosa.effects.pitch_shift(wav, sr=converter.sample_rate, n_steps=semitones),
        "per-bin mean and variance": lambda wav: resynthesise(
            wav, lambda mel: target.denormalise(source.normalise(mel))
        ),
        "converted": lambda wav: converter.convert(wav, target.name),
    }


def compare(
    judge: Judge, converter: VoiceConverter, clips: dict[str, list[Clip]], original: dict[str, list[Heard]], way: Way
) -> dict[str, list[Heard]]:
    """One direction: system -> what is heard of each clip, with the target's own clips as ground truth."""
    speakers = {speaker.name: speaker for speaker in converter.voice.speakers}
    heard = {"unconverted": original[way.source]}
    for name, convert in systems(converter, speakers[way.source], speakers[way.target]).items():
        print(f"{way.source} -> {way.target}: {name}", file=sys.stderr, flush=True)
        heard[name] = [judge.hear(convert(clip.wav), clip.text) for clip in clips[way.source]]
    return heard | {"ground truth": original[way.target]}


def score(heard: dict[str, list[Heard]]) -> dict[str, dict[str, Values]]:
    """What `compare` heard -> system -> score -> one value per clip `(N,)`, NaN where it does not apply."""
    source, target = heard["unconverted"], heard["ground truth"]
    pitch = PitchStatistics.from_f0([h.f0 for h in target])
    scores = {}
    for name, clips in heard.items():
        own = clips is target
        to_target = similarity(clips, target, leave_one_out=own)
        to_source = similarity(clips, source, leave_one_out=not own)
        scores[name] = {
            "similarity to target": to_target,
            "similarity to source": to_source,
            "margin": to_target - to_source,
            "CER": error_rates([h.characters for h in clips]),
            "CER over copy-synthesis": np.full(len(clips), np.nan),
            "WER": error_rates([h.words for h in clips]),
            "F0 offset (semitones)": np.array([metrics.f0_offset(h.f0, pitch.mean) for h in clips]),
            "F0 correlation": np.full(len(clips), np.nan),
            "DNSMOS OVRL": np.array([h.dnsmos for h in clips]),
        }
    for name in heard.keys() - {"ground truth"}:  # whose sentences are others than the source's
        scores[name]["CER over copy-synthesis"] = scores[name]["CER"] - scores["copy-synthesis"]["CER"]
        pairs = zip(heard[name], source, strict=True)
        scores[name]["F0 correlation"] = np.array([metrics.f0_correlation(h.f0, s.f0) for h, s in pairs])
    return scores


def similarity(clips: list[Heard], speaker: list[Heard], *, leave_one_out: bool) -> Values:
    """Cosine of each clip with the centroid of the speaker's clips; with `leave_one_out`, of all but the clip that it
    is or was made from."""
    embeddings = np.array([h.embedding for h in speaker])
    if leave_one_out:
        centroids = metrics.centroids_without_each(embeddings)
    else:
        centroids = np.tile(metrics.centroid(embeddings), (len(clips), 1))
    return np.array([metrics.cosine(h.embedding, c) for h, c in zip(clips, centroids, strict=True)])


def error_rates(counts: list[ErrorCount]) -> Values:
    """Errors per unit of the reference, per clip."""
    return np.array([count.errors / count.length for count in counts])


def summarise(scores: dict[str, Values], clips: list[Heard]) -> dict[str, Interval | None]:
    """Mean and 95 % interval of each score; error rates are those of the corpus, so long clips count for more."""
    lengths = {"CER": [h.characters.length for h in clips], "WER": [h.words.length for h in clips]}
    summary: dict[str, Interval | None] = {}
    for name, values in scores.items():
        weights = np.array(lengths.get(name.split()[0], np.ones(len(clips))), dtype=np.float64)
        known = np.isfinite(values)
        summary[name] = metrics.bootstrap_interval(values[known], weights[known]) if known.any() else None
    return summary


def markdown(way: Way, rows: dict[str, dict[str, Interval | None]], n_clips: int) -> str:
    """A table: a row per system, mean and interval of each score."""
    columns = list(next(iter(rows.values())))
    lines = [
        f"### {way.source} to {way.target}, {n_clips} clips",
        "",
        f"| system | {' | '.join(columns)} |",
        f"|---|{'---|' * len(columns)}",
    ]
    for system, summary in rows.items():
        cells = [f"{s.mean:.3f} ({s.low:.3f} to {s.high:.3f})" if s else "-" for s in summary.values()]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def load_split(config: Config, voice: Voice) -> Split:
    """The recordings that the voice was not trained on, or those given, by speaker."""
    if config.clips_from is None:
        try:
            return voice.metadata["development"]
        except KeyError:
            raise UserError(
                f"{voice.name} does not say what it was trained on; name clips with --clips-from."
            ) from None
    try:
        return json.loads(config.clips_from.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{config.clips_from} was expected to list clips, but cannot be read ({error}).") from error


def run(config: Config) -> None:
    """Measures, prints the table, writes both files."""
    started = time.monotonic()
    converter = VoiceConverter.from_pretrained(config.model, vocoder=config.vocoder, device="cpu")
    split = load_split(config, converter.voice)
    read = dict(read_clips(folder, config, split, converter.sample_rate) for folder in (config.source, config.target))
    if len(read) < 2:
        raise UserError(
            f"{config.source} and {config.target} hold the same speaker, {next(iter(read))}; give one of each."
        )
    judge = Judge(converter.sample_rate, config.language)
    original = {name: [judge.hear(clip.wav, clip.text) for clip in clips] for name, clips in read.items()}
    source, target = read
    tables, results = [], []
    for way in [Way(source, target), Way(target, source)][: 2 if config.both else 1]:
        heard = compare(judge, converter, read, original, way)
        scores = score(heard)
        rows = {name: summarise(scores[name], heard[name]) for name in heard}
        tables.append(markdown(way, rows, len(read[way.source])))
        results.append(
            {
                "source": way.source,
                "target": way.target,
                "summary": {name: {k: v and v._asdict() for k, v in row.items()} for name, row in rows.items()},
                "clips": {"source": [c.name for c in read[way.source]], "target": [c.name for c in read[way.target]]},
                "values": {name: {k: v.tolist() for k, v in row.items()} for name, row in scores.items()},
            }
        )
    seconds = time.monotonic() - started
    about = f"Voice {converter.name}, vocoder {converter.vocoder.name}; 95 % intervals; measured in {seconds:.0f} s."
    document = "\n".join([*tables, about, ""])
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "voice_quality.md").write_text(document, encoding="utf-8")
    record = {"voice": converter.name, "vocoder": converter.vocoder.name, "seconds": seconds, "directions": results}
    (config.out / "voice_quality.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    print(document)


def main(config: Config) -> int:
    """Exit status 0; mistakes of the user end as in the command line."""
    run(config)
    return 0


if __name__ == "__main__":
    sys.exit(run_in_terminal(lambda: main(tyro.cli(Config, description=__doc__))))
