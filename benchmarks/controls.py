"""Measures what the controls of a conversion do to the voice, the words, the pitch and the formants.

    python -m benchmarks.controls DATA/allison DATA/joe

DATA/allison and DATA/joe hold the recordings that the voice was trained on; those are taken that were kept from its
training. The speaker encoder scores the voice and the phoneme recogniser the words, those that score trainings and take
part in none. With `--words`, PocketSphinx (Debian's `pocketsphinx` and `pocketsphinx-en-us`) counts wrong words too.
Noise is added to the recordings at so many dB under the speech.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import tyro
from numpy.typing import NDArray
from rapidfuzz.distance import Levenshtein
from tyro.conf import Positional

from voiceconv.audio.files import resample, save_audio
from voiceconv.cli.terminal import run_in_terminal
from voiceconv.convert.controls import Controls
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.evaluation.held_out_clips import Clip, Folder, held_out, load_split, read_clips
from voiceconv.evaluation.text import normalise_text
from voiceconv.features.mel import cosine_series
from voiceconv.features.pitch import extract_f0
from voiceconv.features.source_filter import FORMANT_TERMS, move_formants
from voiceconv.recognisers.phonemes import PhonemeRecogniser, phoneme_errors
from voiceconv.recognisers.speaker_encoder import SpeakerEncoder

CONTROLS = {
    "none": Controls(),
    "pitch -4": Controls(pitch=-4.0),
    "pitch +4": Controls(pitch=4.0),
    "strength 0": Controls(strength=0.0),
    "strength 0.25": Controls(strength=0.25),
    "strength 0.5": Controls(strength=0.5),
    "strength 0.75": Controls(strength=0.75),
    "melody 0.5": Controls(melody=0.5),
    "melody 0": Controls(melody=0.0),
    "formants -4": Controls(formants=-4.0),
    "formants -2": Controls(formants=-2.0),
    "formants +2": Controls(formants=2.0),
    "formants +4": Controls(formants=4.0),
    "denoise": Controls(denoise=True),
}
DENOISE = Controls(denoise=True)
SNRS = (5, 10, 15)  # dB
MODEL = Path("/usr/share/pocketsphinx/model/en-us")

Wav = NDArray[np.float32]


@dataclass(frozen=True)
class Config:
    """Measures the controls of a conversion."""

    a: Annotated[Positional[Path], tyro.conf.arg(metavar="DIR")]
    """The recordings of one speaker."""
    b: Annotated[Positional[Path], tyro.conf.arg(metavar="DIR")]
    """The recordings of the other."""
    model: str = "allison-joe"
    """Name or folder of the voice."""
    clips: int = 12
    """Held-out clips of each speaker."""
    words: bool = False
    """Whether PocketSphinx counts wrong words, too."""
    threads: int = 1
    """Threads for the networks."""


class Judges:
    """The networks that score, and what they say of real recordings."""

    def __init__(self, converter: VoiceConverter, clips: dict[str, list[Clip]], words: bool) -> None:
        self.converter, self.clips, self.words = converter, clips, words
        self.recogniser, self.encoder = PhonemeRecogniser.load("scoring"), SpeakerEncoder.load()
        self.said = {s: [self.recogniser.transcribe(self.mel(c.wav)) for c in clips[s]] for s in clips}
        copies = {s: [converter.vocoder(self.mel(c.wav)[None])[0].numpy() for c in clips[s]] for s in clips}
        self.centroids = {s: self.encoder.centroid([self.mel(wav) for wav in copies[s]]) for s in clips}

    def mel(self, wav: Wav) -> torch.Tensor:
        hop = self.converter.voice.mel.hop_length
        return self.converter.mel(torch.from_numpy(np.ascontiguousarray(wav[: len(wav) // hop * hop])))

    def row(self, source: str, target: str, results: list[Wav], usual: list[Wav]) -> dict[str, float]:
        """The scores of the results of `source`'s clips; `usual` are those without any control."""
        mels = [self.mel(wav) for wav in results]
        ways = torch.stack([self.encoder.of_clip(mel) for mel in mels])
        wrong = [phoneme_errors(s, self.recogniser.transcribe(m)) for s, m in zip(self.said[source], mels, strict=True)]
        semitones = [12 * np.log2(f0[f0 > 0]) for f0 in map(self._f0, results) if (f0 > 0).sum() > 20]
        row = {
            "target": float((ways @ self.centroids[target]).mean()),
            "source": float((ways @ self.centroids[source]).mean()),
            "phonemes": sum(wrong) / sum(map(len, self.said[source])),
            "pitch": float(2 ** (np.mean([np.median(each) for each in semitones]) / 12)),
            "spread": float(np.mean([each.std() for each in semitones])),
            "formants": self._formants(mels, [self.mel(wav) for wav in usual]),
        }
        if self.words:
            row["words"] = word_errors(results, [c.text or "" for c in self.clips[source]], self.converter.sample_rate)
        return row

    def _f0(self, wav: Wav) -> NDArray[np.floating]:
        return extract_f0(wav, self.converter.sample_rate, self.converter.voice.mel.hop_length)

    def _formants(self, mels: list[torch.Tensor], usual: list[torch.Tensor]) -> float:
        """How far the formants are from the usual ones, in semitones: what the usual ones best match if moved by it."""
        a, b = (
            torch.cat([cosine_series(mel, FORMANT_TERMS)[:, mel.mean(0) > -6] for mel in x], 1) for x in (mels, usual)
        )
        if a.shape != b.shape:
            a, b = (torch.cat([cosine_series(mel, FORMANT_TERMS) for mel in x], 1) for x in (mels, usual))
        steps = np.arange(-8, 8.01, 0.25)
        distances = [float((a - move_formants(self.converter.mel, b, float(s)))[:60].square().mean()) for s in steps]
        return float(steps[int(np.argmin(distances))])


def word_errors(wavs: list[Wav], texts: list[str], sample_rate: int) -> float:
    """The share of wrong words, as PocketSphinx recognises them."""
    with tempfile.TemporaryDirectory() as folder:
        for number, wav in enumerate(wavs):
            save_audio(Path(folder) / f"{number}.wav", resample(wav, sample_rate, 16000), 16000)
        control, heard = Path(folder) / "clips", Path(folder) / "heard"
        control.write_text("".join(f"{number}\n" for number in range(len(wavs))))
        model = ["-hmm", MODEL / "en-us", "-lm", MODEL / "en-us.lm.bin", "-dict", MODEL / "cmudict-en-us.dict"]
        files = ["-adcin", "yes", "-adchdr", "44", "-cepdir", folder, "-cepext", ".wav", "-ctl", control, "-hyp", heard]
        command = ["pocketsphinx_batch", *map(str, model), *map(str, files)]
        try:
            subprocess.run(command, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError) as error:
            raise UserError(f"PocketSphinx does not run ({error}). Install it, or leave --words out.") from error
        lines = [line.rsplit(" (", 1)[0].rsplit("(", 1)[0] for line in heard.read_text().splitlines()]
    pairs = [(normalise_text(text).split(), line.lower().split()) for text, line in zip(texts, lines, strict=True)]
    return sum(Levenshtein.distance(*pair) for pair in pairs) / sum(len(said) for said, _ in pairs)


def hiss(samples: int, rate: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Noise with less of the high frequencies, as rooms have (pink)."""
    freqs = np.fft.rfftfreq(samples, 1 / rate)
    return np.fft.irfft(np.fft.rfft(random.standard_normal(samples)) / np.sqrt(np.maximum(freqs, 20)), samples)


def fan(samples: int, rate: int, random: np.random.Generator) -> NDArray[np.float64]:
    """A motor: rumble, and seven harmonics of 120 Hz."""
    freqs, time = np.fft.rfftfreq(samples, 1 / rate), np.arange(samples) / rate
    rumble = np.fft.irfft(np.fft.rfft(random.standard_normal(samples)) / np.maximum(freqs, 60), samples)
    hum = sum(np.sin(2 * np.pi * 120 * k * time + k) / k for k in range(1, 8))
    return rumble / rumble.std() + 0.7 * hum / np.std(hum) + 0.2 * random.standard_normal(samples)


def with_noise(wav: Wav, noise: Callable[..., NDArray[np.float64]], snr: float, rate: int, seed: int) -> Wav:
    added = noise(len(wav), rate, np.random.default_rng(seed))
    return (wav + added / added.std() * wav.std() * 10 ** (-snr / 20)).astype(np.float32)


def run(config: Config) -> int:
    torch.set_num_threads(config.threads)
    converter = VoiceConverter.from_pretrained(config.model, device="cpu")
    split = load_split(None, converter.voice.metadata, converter.name)
    clips: dict[str, list[Clip]] = {}
    for path in (config.a, config.b):
        folder = Folder(path, "en" if config.words else None)
        speaker, names = held_out(folder, split)
        clips[speaker] = read_clips(folder, names, (1.5, 8.0), config.clips, converter.sample_rate)
    rate = converter.sample_rate
    with torch.inference_mode():
        judges = Judges(converter, clips, config.words)
        for source, target in (list(clips), list(clips)[::-1]):
            usual = [converter.convert(clip.wav, target) for clip in clips[source]]
            print(f"\n{len(usual)} clips, {source} to {target}\n")
            _print_head()
            for name, controls in CONTROLS.items():
                results = [converter.convert_with(clip.wav, target, controls) for clip in clips[source]]
                _print_row(name, judges.row(source, target, results, usual))
            for noise in (hiss, fan):
                for snr in SNRS:
                    noisy = [with_noise(clip.wav, noise, snr, rate, seed) for seed, clip in enumerate(clips[source])]
                    for told, controls in (("", Controls()), (", denoise", DENOISE)):
                        results = [converter.convert_with(wav, target, controls) for wav in noisy]
                        _print_row(f"{noise.__name__} {snr} dB{told}", judges.row(source, target, results, usual))
    return 0


HEADS = {"target": "similarity to target", "source": "to source", "phonemes": "phonemes wrong", "words": "words wrong"}
HEADS |= {"pitch": "pitch (Hz)", "spread": "spread of the pitch (semitones)", "formants": "formants (semitones)"}


def _print_head() -> None:
    print("| | " + " | ".join(HEADS.values()) + " |\n|" + "---|" * (len(HEADS) + 1))


def _print_row(name: str, row: dict[str, float]) -> None:
    digits = {"pitch": 0, "spread": 1, "formants": 1}
    cells = [f"{row[key]:.{digits.get(key, 2)}f}" if key in row else "-" for key in HEADS]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    raise SystemExit(run_in_terminal(lambda: run(tyro.cli(Config))))
