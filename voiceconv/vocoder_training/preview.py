"""Synthesises development speech while a vocoder is trained, scores it, and saves the vocoder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import numpy as np

from generative_core.training.protocols import Training
from voiceconv.audio.files import save_audio
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import extract_f0, f0_correlation
from voiceconv.training.preview import PeriodicPreview
from voiceconv.training.report import draw_mels, write_run_report
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder_training.dataset import Speech
from voiceconv.vocoder_training.losses import log_mel_distance, stft_distance

SCORED_CLIPS = 3  # development segments of each folder
SCORE_MEANINGS = {
    "log_mel_distance": "mean difference of log-mels, lower is better (0.115 is 1 dB)",
    "stft_distance": "relative error of the magnitudes at three resolutions, lower is better",
    "f0_correlation": "pitch contour against the recording's, 1 is best",
    "voiced_share": "voiced frames against the recording's, 1 is best",
}


class VocoderPreview(PeriodicPreview):
    """Synthesises development segments from their mels, scores them, saves the vocoder to `vocoder/`."""

    def __init__(self, current_vocoder: Callable[[int], ISTFTVocoder], speech: Speech) -> None:
        self.current_vocoder = current_vocoder
        self.speech = speech

    def show(self, trainer: Training, folder: Path) -> dict[str, float]:
        vocoder = self.current_vocoder(trainer.step)
        vocoder.save(trainer.run_dir / "vocoder")
        scores: dict[str, float] = {}
        for speaker, names in scored_segments(self.speech).items():
            scores |= self._preview_speaker(vocoder, speaker, names, trainer, folder)
        return scores

    def _preview_speaker(
        self, vocoder: ISTFTVocoder, speaker: str, names: list[str], trainer: Training, folder: Path
    ) -> dict[str, float]:
        mel = vocoder.mel
        to_mel = MelSpectrogram(mel).to(trainer.device)
        measured = []
        for number, name in enumerate(names):
            real = self.speech.wav(name).to(trainer.device)
            real = real[: real.shape[0] // mel.hop_length * mel.hop_length]
            real_mel = to_mel(real)
            fake = vocoder(real_mel[None])[0]
            fake_mel = to_mel(fake)
            wav = fake.cpu().numpy()
            f0, wanted_f0 = (extract_f0(x, mel.sample_rate, mel.hop_length) for x in (wav, real.cpu().numpy()))
            measured.append(
                {
                    "log_mel_distance": log_mel_distance(fake_mel, real_mel),
                    "stft_distance": stft_distance(fake, real),
                    "f0_correlation": f0_correlation(f0, wanted_f0),
                    "voiced_share": float((f0 > 0).sum() / max(1, (wanted_f0 > 0).sum())),
                }
            )
            if number == 0:
                save_audio(folder / f"{speaker}.flac", wav, mel.sample_rate)
                drawn = draw_mels({"recording": real_mel.cpu().numpy(), "synthesised": fake_mel.cpu().numpy()})
                drawn.savefig(folder / f"{speaker}.png", dpi=70)
                self.board.add_figure(speaker, drawn, trainer.step)
                self.board.add_audio(speaker, wav, trainer.step, sample_rate=mel.sample_rate)
        finite = {key: [row[key] for row in measured if np.isfinite(row[key])] for key in measured[0]}
        return {f"{speaker}/{key}": fmean(values) for key, values in finite.items() if values}


def scored_segments(speech: Speech) -> dict[str, list[str]]:
    """The development segments that previews use, by folder: the longest, which were cut the least."""
    chosen: dict[str, list[str]] = {}
    for name in sorted(speech.development, key=lambda name: -len(speech.wavs[name])):
        clips = chosen.setdefault(name.split("/", 1)[0], [])
        if len(clips) < SCORED_CLIPS:
            clips.append(name)
    return chosen


def write_vocoder_report(run_dir: Path) -> None:
    """The report of a vocoder's run, as far as it has come."""
    write_run_report(run_dir, SCORE_MEANINGS, "Last preview: mel-spectrograms of recordings, back to sound")
