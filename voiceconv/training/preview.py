"""Converts development speech while a voice is trained, scores it, and keeps the best voice."""

from __future__ import annotations

import json
import math
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F
from torch.utils.tensorboard import SummaryWriter

from generative_core.files import drop_rows_after
from generative_core.training.callbacks import Callback
from generative_core.training.protocols import Training
from voiceconv.audio.files import save_audio
from voiceconv.convert.converter import VoiceConverter, speaker_probabilities
from voiceconv.features.mel import BROKEN_MEL, MelSpectrogram
from voiceconv.features.pitch import extract_f0, f0_correlation, f0_offset
from voiceconv.recognisers.phonemes import PhonemeRecogniser, phoneme_errors
from voiceconv.recognisers.speaker_encoder import SpeakerEncoder
from voiceconv.training.dataset import SpeakerData
from voiceconv.training.pair import Pair
from voiceconv.training.report import draw_mels, write_run_report
from voiceconv.training.two_sample_test import confusion
from voiceconv.vocoder.base import load_vocoder
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import Voice

T = TypeVar("T")
PREVIEW_SECONDS = 300.0
PREVIEW_SHARE = 0.25  # of the time, at most: large networks on a slow processor take minutes to be heard
SCORED_CLIPS = 8  # development segments per direction
CENTROID_CLIPS = 40  # training segments that a speaker's voice is taken from
HEARD_CLIPS = 2  # of these, kept as audio and pictures
COMPARED_CLIPS = 200  # training segments that a classifier learns to tell from as many conversions
COLLAPSE = 0.3  # a score that falls this far under the best, twice in a row, is no hesitation
SCORE_MEANINGS = {
    "score": "voice, up to 1, plus confusion minus phoneme errors, mean of both directions, as the vocoder says it: "
    "the voice with the highest is kept",
    "voice": "how far a speaker encoder of our own hears it come from the source's voice (0) to the target's (1)",
    "confusion": "how hard a classifier that learns it afresh finds telling it from copy-synthesis of the target's "
    "recordings, 0 to 1",
    "judge": "probability of the target by our own classifier, higher is better",
    "phoneme_errors": "phonemes that a recogniser of our own hears otherwise than in the source, lower is better",
    "cycle": "L1 distance of A -> B -> A, in standard deviations, lower is better",
    "f0_offset": "mean pitch against the target's, in semitones, 0 is best",
    "f0_correlation": "pitch contour against the source's, 1 is best",
}


class PeriodicPreview(Callback, ABC):
    """Every few minutes, or less often if it takes long, and at the end, with the averaged weights: `show`, whose
    scores go to `scores.jsonl` and TensorBoard. What it draws and says goes to a folder of its own in `previews/`."""

    @abstractmethod
    def show(self, trainer: Training, folder: Path) -> dict[str, float]:
        """The scores of the step."""

    def on_start(self, trainer: Training) -> None:
        self.due = time.monotonic() + PREVIEW_SECONDS
        self.board = SummaryWriter(str(trainer.run_dir / "tensorboard"), purge_step=trainer.step + 1)
        self.path = trainer.run_dir / "scores.jsonl"
        self.rows = drop_rows_after(self.path, trainer.step)
        self.shown = self.rows[-1]["step"] if self.rows else 0  # the last one may have been killed before it was done

    def on_step(self, trainer: Training, scalars: Mapping[str, float]) -> None:
        started = time.monotonic()
        if started > self.due:
            self.preview(trainer)
            ended = time.monotonic()
            self.due = ended + max(PREVIEW_SECONDS, (ended - started) * (1 / PREVIEW_SHARE - 1))

    def on_end(self, trainer: Training) -> None:
        if trainer.step != self.shown:
            self.preview(trainer)
        self.board.close()

    def preview(self, trainer: Training) -> None:
        self.shown = trainer.step
        folder = trainer.run_dir / "previews" / f"step_{trainer.step:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        with torch.no_grad(), trainer.averaged_weights():
            scores = self.show(trainer, folder)
        self.rows.append({"step": trainer.step, **scores})
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")
        for name, value in scores.items():
            self.board.add_scalar(f"development/{name}", value, trainer.step)


class Preview(PeriodicPreview):
    """Converts development segments, scores them, keeps the best voice in `voice/`, and stops a run whose score has
    collapsed."""

    def __init__(
        self,
        current_voice: Callable[[int], Voice],
        pair: Pair,
        mel: MelSpectrogram,
        two_sample_test_steps: int,
    ) -> None:
        """`current_voice` gives the voice of a step."""
        self.current_voice = current_voice
        self.data = pair.data
        self.mel = mel
        self.sources = [
            _spread_over([(mel, d.f0[name]) for mel, name in zip(mels, d.train, strict=True)], COMPARED_CLIPS)
            for mels, d in zip(pair.sources, pair.data, strict=True)
        ]
        self.two_sample_test_steps = two_sample_test_steps
        self.recogniser = PhonemeRecogniser.load("scoring")
        self.encoder = SpeakerEncoder.load()
        self.voices = [self.encoder.centroid([d.mels[name] for name in d.train[:CENTROID_CLIPS]]) for d in pair.data]

    def on_start(self, trainer: Training) -> None:
        super().on_start(trainer)
        self.mel.to(trainer.device)
        self.vocoder = load_vocoder(None, self.mel.config, trainer.device)
        # Conversions are heard through the vocoder, so recordings are, too: what it changes is no sign of a conversion.
        self.copies = [
            [
                [self._hear(d.mels[name], d.f0[name])[1] for name in names]
                for names in (_spread_over(d.train, COMPARED_CLIPS), d.development)
            ]
            for d in self.data
        ]

    def show(self, trainer: Training, folder: Path) -> dict[str, float]:
        voice = self.current_voice(trainer.step)
        converter = VoiceConverter(voice, self.vocoder, trainer.device)
        scores: dict[str, float] = {}
        for source in (0, 1):
            scores |= self._preview_direction(converter, source, trainer.step, folder)
        scores["score"] = fmean(
            min(scores[f"{way}/voice"], 1) + scores[f"{way}/confusion"] - scores[f"{way}/phoneme_errors"]
            for way in _ways(voice)
        )
        rows = [row for row in self.rows if "score" in row]  # not in a log that was damaged
        best = max(rows, key=lambda row: row["score"], default={"step": 0, "score": -math.inf})
        if scores["score"] >= best["score"]:
            voice.save(trainer.run_dir / "voice")
        latest = [row["score"] for row in rows[-1:]] + [scores["score"]]
        if len(rows) > 1 and all(score < best["score"] - COLLAPSE for score in latest):
            trainer.stop(
                f"the score on development speech fell from {best['score']:.2f} (step {best['step']:.0f}) to "
                f"{scores['score']:.2f}: the training collapsed. The voice that is kept is that of the best step; "
                "another seed may go further."
            )
        return scores

    def _preview_direction(self, converter: VoiceConverter, source: int, step: int, folder: Path) -> dict[str, float]:
        speaker, target = converter.voice.speakers[source], converter.voice.speakers[1 - source]
        data, rate = self.data[source], converter.sample_rate
        direction = f"{speaker.name}-to-{target.name}"
        rows, mels = [], []
        for number, name in enumerate(scored_segments(data)):
            own_f0 = data.f0[name]
            mel = _read(converter, data, name, target)
            there = target.normalise(converter.convert_mel(mel, target.name).cpu())
            back = converter.generate(there.to(converter.device), speaker.name).cpu()
            wav, heard = self._convert(converter, mel, own_f0, target)
            mels.append(heard)
            f0 = extract_f0(wav, rate, converter.voice.mel.hop_length)
            rows.append(
                {
                    "judge": float(speaker_probabilities(converter.voice, heard.to(converter.device))[1 - source]),
                    "phoneme_errors": self._phoneme_errors(data.mels[name], heard),
                    "cycle": float(F.l1_loss(speaker.normalise(back), speaker.normalise_source(mel.cpu()))),
                    "f0_offset": f0_offset(f0, target.pitch.mean),
                    "f0_correlation": f0_correlation(f0, own_f0.numpy()),
                }
            )
            if number < HEARD_CLIPS:
                save_audio(folder / f"{direction}-{number + 1}.flac", wav, rate)
                picture = draw_mels({speaker.name: mel.cpu().numpy(), target.name: heard.numpy()})
                picture.savefig(folder / f"{direction}-{number + 1}.png", dpi=70)
                self.board.add_figure(f"{direction}/{number + 1}", picture, step)
                self.board.add_audio(f"{direction}/{number + 1}", wav, step, sample_rate=rate)
        finite = {key: [row[key] for row in rows if np.isfinite(row[key])] for key in rows[0]}
        means = {key: fmean(values) if values else 0.0 for key, values in finite.items()}
        means["voice"] = self._voice(mels, source)
        means["confusion"] = self._confusion(converter, source)
        return {f"{direction}/{key}": value for key, value in means.items()}

    def _voice(self, converted: list[Tensor], source: int) -> float:
        """Where the log-mels `(n_mels, frames)` lie between the source's clips (0) and the target's own (1)."""
        goal = self.voices[1 - source]

        def similarity(mels: list[Tensor]) -> float:
            return fmean(float(self.encoder.of_clip(mel) @ goal) for mel in mels)

        own, other = self.data[source], self.data[1 - source]
        start = similarity([own.mels[name] for name in scored_segments(own)])
        end = similarity([other.mels[name] for name in scored_segments(other)])
        return (similarity(converted) - start) / max(end - start, 0.05)

    def _confusion(self, converter: VoiceConverter, source: int) -> float:
        own, target = self.data[source], converter.voice.speakers[1 - source]
        recorded, recorded_unheard = ([target.normalise(mel) for mel in mels] for mels in self.copies[1 - source])
        unheard = [(_read(converter, own, name, target), own.f0[name]) for name in own.development]
        made, made_unheard = (
            [target.normalise(self._convert(converter, mel, f0, target)[1]) for mel, f0 in clips]
            for clips in (self.sources[source], unheard)
        )
        return confusion(recorded, made, recorded_unheard, made_unheard, self.two_sample_test_steps)

    def _convert(
        self, converter: VoiceConverter, read: Tensor, f0: Tensor, target: Speaker
    ) -> tuple[NDArray[np.float32], Tensor]:
        """What is heard of a log-mel as the generator reads it, of speech whose F0 in Hz was `f0`: see `_hear`."""
        return self._hear(*converter.for_vocoder(read, f0 * 2 ** (converter.onward(target.name) / 12), target.name))

    def _hear(self, mel: Tensor, f0: Tensor | None) -> tuple[NDArray[np.float32], Tensor]:
        """A log-mel and its F0 through the vocoder: waveform `(T,)`, and the log-mel `(n_mels, frames)` of that."""
        # Generators that go astray write what no vocoder can speak.
        speakable = mel.to(self.mel.window.device).clamp(max=BROKEN_MEL)[None]
        wav = self.vocoder(speakable, None if f0 is None else f0.to(speakable)[None])[0]
        return wav.cpu().numpy(), self.mel(wav).cpu()

    def _phoneme_errors(self, source: Tensor, converted: Tensor) -> float:
        """Errors per phoneme of the source, both log-mels `(n_mels, frames)`; NaN where none is heard."""
        reference = self.recogniser.transcribe(source)
        errors = phoneme_errors(reference, self.recogniser.transcribe(converted))
        return errors / len(reference) if reference else float("nan")


def _spread_over(items: Sequence[T], count: int) -> Sequence[T]:
    """At most `count` of them, evenly spread."""
    return items[:: -(-len(items) // count)]


def _ways(voice: Voice) -> list[str]:
    a, b = voice.names
    return [f"{a}-to-{b}", f"{b}-to-{a}"]


def _read(converter: VoiceConverter, data: SpeakerData, name: str, target: Speaker) -> Tensor:
    """A segment's log-mel `(n_mels, frames)` as the generator that speaks as `target` reads it."""
    wav, f0 = (x[name].float().to(converter.device) for x in (data.wavs, data.f0))
    return converter.source_mel(wav, f0, target.name)


def scored_segments(data: SpeakerData) -> list[str]:
    """The development segments that previews use: the longest, at most 6 s of each kind of length first."""
    by_length = sorted(data.development, key=lambda name: (data.mels[name].shape[1] > 520, -data.mels[name].shape[1]))
    return by_length[:SCORED_CLIPS]


def write_voice_report(run_dir: Path) -> None:
    """The report of a voice's run, as far as it has come."""
    write_run_report(run_dir, SCORE_MEANINGS, "Last preview")
