"""Converts speech into the voice of one of two speakers and keeps the words: `VoiceConverter`."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from generative_core.nets import ConvNeXtGenerator
from generative_core.training.trainer import choose_device
from voiceconv import __version__
from voiceconv.audio.files import require_numbers
from voiceconv.audio.loudness import LOUDNESS, SOFTEST, gain_to, measure_loudness, normalise_loudness
from voiceconv.convert.adaptation import Adaptation, tone_between
from voiceconv.convert.controls import MAX_SEMITONES, USUAL, Controls, Pitch
from voiceconv.convert.noise import remove_noise
from voiceconv.convert.streaming import SILENCE_DB, LiveConversion, gate, keep_unvoiced, require_finite, require_speech
from voiceconv.errors import UserError
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import PitchStatistics, extract_f0, semitones_between
from voiceconv.features.source_filter import move
from voiceconv.vocoder.base import Vocoder, load_vocoder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import Voice

IN_RANGE_SEMITONES = 2.0  # an input this close to the source speaker's pitch is left as it is
LIMIT = 0.7  # of full scale; above, peaks are rounded instead of cut


class VoiceConverter:
    """Converts between the two speakers of a voice; every other speaker is taken for the one that is not the target."""

    def __init__(self, voice: Voice, vocoder: Vocoder, device: torch.device) -> None:
        voice.mel.require_same(vocoder.mel, f"The vocoder {vocoder.name}")
        self.voice = voice
        self.vocoder = vocoder
        self.device = device
        self.mel = MelSpectrogram(voice.mel).to(device)
        for network in (voice.generator_ab, voice.generator_ba, voice.speaker_classifier):
            network.to(device).eval()

    @classmethod
    def from_pretrained(
        cls, name_or_folder: str | Path = "allison-joe", *, vocoder: str | None = None, device: str = "auto"
    ) -> VoiceConverter:
        """A shipped voice by name, or the folder that training wrote. `vocoder` None takes the best installed.

        Raises `UserError` for an unknown or damaged voice, an unknown vocoder, or one made for another mel.
        """
        chosen = choose_device(device)
        voice = Voice.load(name_or_folder)
        return cls(voice, load_vocoder(vocoder, voice.mel, chosen), chosen)

    @property
    def name(self) -> str:
        return self.voice.name

    @property
    def voices(self) -> tuple[str, ...]:
        """The names that `convert` takes as `target`."""
        return self.voice.names

    @property
    def sample_rate(self) -> int:
        """Of input and output, in Hz."""
        return self.voice.mel.sample_rate

    def comment(self, target: str) -> str:
        """What files with converted speech say of it in their tags."""
        return f"converted by voiceconv {__version__}, voice {self.name}/{target}"

    def convert(
        self,
        wav: NDArray[np.floating],
        target: str,
        pitch: Pitch = "auto",
        *,
        strength: float = 1.0,
        melody: float = 1.0,
        formants: float = 0.0,
        denoise: bool = False,
    ) -> NDArray[np.float32]:
        """`wav` `(T,)` in [-1, 1] at `sample_rate` -> `(T,)`, spoken by `target`, as loud as it was.

        `"auto"` moves the pitch of any speaker to where the target speaks; a number is added to that, in semitones.
        The tone of any speaker is brought nearer to that of the voice's own source speaker.
        Where the input is silent the output is digital silence. The other arguments are those of `Controls`.

        Raises `UserError` for an unknown target, a control out of range or that this voice does not have, samples that
        are not finite numbers, or a voice that does not turn them into sound.
        """
        return self.convert_with(wav, target, Controls(pitch, strength, melody, formants, denoise))

    @torch.inference_mode()
    def convert_with(self, wav: NDArray[np.floating], target: str, controls: Controls) -> NDArray[np.float32]:
        """`convert` with all that was asked for in one."""
        self.voice.index(target)
        wav = np.asarray(wav, dtype=np.float32)
        if wav.ndim != 1:
            raise ValueError(f"expected a waveform of shape (T,), got {wav.shape}")
        require_numbers(wav)
        if controls.denoise:
            wav = remove_noise(wav, self.sample_rate)
        loud = self._loud(wav)
        if not loud.any():
            return np.zeros_like(wav)
        level = measure_loudness(wav, self.sample_rate)
        source = wav * gain_to(LOUDNESS, level, float(np.abs(wav).max()))
        converted = self._speak(source, target, self.adapt(source, target, controls))
        converted *= gate(loud, 0, len(wav), self.voice.mel.hop_length)
        gain = gain_back(level, measure_loudness(converted, self.sample_rate), float(np.abs(converted).max()))
        return soften_peaks(converted * gain)

    def _speak(self, source: NDArray[np.float32], target: str, adaptation: Adaptation) -> NDArray[np.float32]:
        """Speech `(T,)` as `target`, `(T,)`: `stream` does it piece by piece."""
        wav, middles = self._frames_of(source)
        shift = adaptation.shift
        f0 = None
        if self.voice.input == "moved":
            f0 = self._pitch(wav, self.mel.from_magnitude(self.mel.magnitude_at(wav, middles)))
            moved = move(self.mel, wav, f0, pitch=shift, contour=adaptation.contour)
            f0 = adaptation.pitch_of(f0)
        else:
            moved = self.mel.from_magnitude(self.mel.magnitude_at(wav, middles, shift))
        mel, f0 = self.for_vocoder(adaptation.apply(moved), f0, target)
        mel = adaptation.finish(self.mel, moved, mel)
        require_speech(mel)
        converted = self.vocoder(mel[None], None if f0 is None else f0[None])
        require_finite(converted)
        return converted[0, : len(source)].float().cpu().numpy()

    def stream(
        self, target: str, adaptation: Adaptation | None = None, *, silence_db: float = SILENCE_DB
    ) -> LiveConversion:
        """A conversion of speech that is still being spoken, see `LiveConversion`.

        `adaptation` is what `adapt` finds for any speaker; `None` is right for the voice's own source speaker. Where
        the input stays under `silence_db` (of full scale) the output is digital silence; otherwise loudness stays as
        the converter makes it. Raises `UserError` for an unknown target, and for a voice or a vocoder that look at
        whole recordings.
        """
        index = self.voice.index(target)
        generator = self.voice.generator_ab if index == 1 else self.voice.generator_ba
        if not isinstance(generator, ConvNeXtGenerator) or self.voice.input != "moved":
            raise UserError(f"{self.name} converts whole recordings only; train a voice with the preset cpu or gpu.")
        if not isinstance(self.vocoder, ISTFTVocoder):
            raise UserError(
                f"The vocoder {self.vocoder.name!r} can only synthesise whole recordings; choose --vocoder istft."
            )
        source, speaker = self._to_device(self.voice.speakers[1 - index]), self._to_device(self.voice.speakers[index])
        adaptation = adaptation or Adaptation(self.onward(target))
        return LiveConversion(self.mel, source, speaker, generator, self.vocoder, adaptation, silence_db)

    @torch.inference_mode()
    def adapt(self, wav: NDArray[np.floating], target: str, controls: Controls = USUAL) -> Adaptation:
        """What brings a speaker near to the one who is not `target`, from some of their speech `(T,)`, and as near as
        `controls` ask for. Raises `UserError` for an unknown target, or a control that this voice does not have."""
        source = self.voice.speakers[1 - self.voice.index(target)]
        if controls.melody != 1 and self.voice.input != "moved":
            raise UserError(f"{self.name} cannot flatten a melody; train a voice with the preset cpu or gpu.")
        wav = np.asarray(wav, dtype=np.float32)
        f0 = extract_f0(wav, self.sample_rate, self.voice.mel.hop_length)
        middle = PitchStatistics.from_f0([f0]).median_hz if (f0 > 0).any() else source.pitch.median_hz
        shift = controls.semitones + controls.strength * self.source_shift(f0, target)
        if source.source_tone is None or self.voice.input != "moved" or not wav.any():
            return Adaptation(shift, None, middle, controls)
        padded, middles = self._frames_of(wav)
        plain = self.mel.from_magnitude(self.mel.magnitude_at(padded, middles))
        moved = move(self.mel, padded, self._pitch(padded, plain), pitch=shift)
        seconds_per_frame = self.voice.mel.hop_length / self.sample_rate
        tone = controls.strength * tone_between(moved, source.source_tone, seconds_per_frame)
        return Adaptation(shift, tone, middle, controls)

    def _pitch(self, wav: Tensor, mel: Tensor) -> Tensor:
        """The F0 in Hz `(frames,)` of speech `(T,)` with the log-mel `(n_mels, frames)`, 0 where unvoiced: what a
        vocoder reads in the mel, if it does, and otherwise the tracker's."""
        read = self.vocoder.pitch(mel[None])
        if read is not None:
            return read[0]
        tracked = extract_f0(wav.cpu().numpy(), self.sample_rate, self.voice.mel.hop_length)
        return torch.from_numpy(tracked).to(mel)

    def _frames_of(self, wav: NDArray[np.float32]) -> tuple[Tensor, Tensor]:
        """Samples up to a full frame `(T,)`, and the middles of their frames."""
        padded = torch.from_numpy(np.pad(wav, (0, -len(wav) % self.voice.mel.hop_length))).to(self.device)
        return padded, self.mel.middles(len(padded))

    @torch.inference_mode()
    def convert_mel(self, mel: Tensor, target: str) -> Tensor:
        """log-mel `(n_mels, frames)` of the source speaker, prepared as the voice reads it, -> that of the target."""
        source = self._to_device(self.voice.speakers[1 - self.voice.index(target)])
        return self.generate(source.normalise_source(mel.to(self.device)), target)

    @torch.inference_mode()
    def for_vocoder(self, read: Tensor, f0: Tensor | None, target: str) -> tuple[Tensor, Tensor | None]:
        """log-mel `(n_mels, frames)` as `convert_mel` takes it, and the F0 in Hz `(frames,)` that it was moved to, 0
        where unvoiced -> log-mel and F0 that the vocoder is to speak; without F0 it finds the pitch in the mel, as it
        has to where the network moved it."""
        converted = self.convert_mel(read, target)
        if f0 is None or self.voice.input != "moved":
            return converted, None
        f0 = f0.to(self.device)
        return keep_unvoiced(converted, self._in_bands_of(target, read.to(self.device)), f0), f0

    def _in_bands_of(self, target: str, mel: Tensor) -> Tensor:
        """A log-mel as `convert_mel` takes it, with the means and deviations of the target's bands and nothing else."""
        index = self.voice.index(target)
        source, speaker = (self._to_device(self.voice.speakers[i]) for i in (1 - index, index))
        return speaker.denormalise(source.normalise_source(mel))

    @torch.inference_mode()
    def generate(self, x: Tensor, target: str) -> Tensor:
        """What the generator that speaks as `target` makes of a log-mel `(n_mels, frames)` of zero mean and unit
        variance in every band: a log-mel."""
        index = self.voice.index(target)
        generator = self.voice.generator_ab if index == 1 else self.voice.generator_ba
        planes = x[None] if self.voice.input != "mask" else torch.stack([x, torch.ones_like(x)])
        return self._to_device(self.voice.speakers[index]).denormalise(generator(planes[None])[0, 0])

    def source_shift(self, f0: NDArray[np.floating], target: str) -> float:
        """Semitones by which speech of the F0 `f0` in Hz is moved before it is converted: into the range of the speaker
        who is not `target`, and on to that of `target` if the voice reads speech that has been moved there."""
        source, onward = self.voice.speakers[1 - self.voice.index(target)].pitch, self.onward(target)
        if not (f0 > 0).any():
            return onward
        into_range = semitones_between(PitchStatistics.from_f0([f0]).median_hz, source.median_hz)
        if abs(into_range) < IN_RANGE_SEMITONES:
            return onward
        return float(np.clip(into_range, -MAX_SEMITONES, MAX_SEMITONES)) + onward

    def source_mel(self, wav: Tensor, f0: Tensor, target: str) -> Tensor:
        """Speech `(T,)` of the speaker who is not `target`, and its F0 in Hz `(T // hop_length,)`, 0 where unvoiced, ->
        log-mel `(n_mels, frames)` as `convert_mel` reads it."""
        return move(self.mel, wav, f0, pitch=self.onward(target))

    def onward(self, target: str) -> float:
        """Semitones from the source speaker's range to that of `target`, if the voice reads speech moved there."""
        index = self.voice.index(target)
        source, speaker = self.voice.speakers[1 - index].pitch, self.voice.speakers[index].pitch
        return semitones_between(source.median_hz, speaker.median_hz) if self.voice.input == "moved" else 0.0

    @torch.inference_mode()
    def similarity(self, wav: NDArray[np.floating], target: str) -> float:
        """The probability, from 0 to 1, of `target` rather than the other speaker, by the voice's own classifier."""
        index = self.voice.index(target)
        padded = self._pad(normalise_loudness(np.asarray(wav, np.float32), self.sample_rate))
        mel = self.mel(torch.from_numpy(padded).to(self.device))
        return float(speaker_probabilities(self.voice, mel)[index])

    def _pad(self, wav: NDArray[np.float32]) -> NDArray[np.float32]:
        """Zeros at the end, up to a full frame, and short clips up to a length that can be reflected."""
        hop = self.voice.mel.hop_length
        return np.pad(wav, (0, max(-(-len(wav) // hop) * hop, self.voice.mel.n_fft) - len(wav)))

    def _loud(self, wav: NDArray[np.float32]) -> NDArray[np.bool_]:
        """For every hop of `wav` `(T,)` whether there is any sound in it."""
        hop = self.voice.mel.hop_length
        level = np.abs(np.pad(wav, (0, -len(wav) % hop))).reshape(-1, hop).max(axis=1)
        return np.asarray(level > 10 ** (SILENCE_DB / 20))

    def _to_device(self, speaker: Speaker) -> Speaker:
        on_device: dict[str, Any] = {name: values.to(self.device) for name, values in speaker.statistics.items()}
        return dataclasses.replace(speaker, **on_device)


def gain_back(level: float, loudness: float, peak: float) -> np.float32:
    """The factor that makes a conversion of `loudness` LUFS with this peak as loud as its recording was, `level` LUFS;
    limited, since `soften_peaks` would otherwise leave nothing but peaks."""
    gain = 10 ** ((max(level, SOFTEST) - max(loudness, SOFTEST)) / 20)
    return np.float32(min(gain, 2 / max(peak, 1e-9)))


def soften_peaks(wav: NDArray[np.float32]) -> NDArray[np.float32]:
    """Bends what exceeds `LIMIT` so that nothing reaches full scale, and leaves the rest as it is."""
    over = np.maximum(np.abs(wav) - LIMIT, 0) / (1 - LIMIT)
    return np.where(over > 0, np.sign(wav) * (LIMIT + (1 - LIMIT) * np.tanh(over)), wav).astype(np.float32)


def speaker_probabilities(voice: Voice, mel: Tensor) -> Tensor:
    """Probabilities `(2,)` of the two speakers for a log-mel `(n_mels, frames)`, by the voice's own classifier."""
    a, b = voice.speakers
    mean, std = (a.mel_mean + b.mel_mean) / 2, (a.mel_std + b.mel_std) / 2
    x = (mel - mean.to(mel)[:, None]) / std.to(mel)[:, None]
    x = F.pad(x, (0, max(0, 32 - x.shape[1])))
    return voice.speaker_classifier(x[None, None])[0].softmax(0).cpu()
