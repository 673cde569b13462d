"""Prepares a vocoder's training: a network that reads the pitch from mels, and mels that a converter has made."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.features.pitch import semitones_between
from voiceconv.training.dataset import mel_statistics
from voiceconv.training.disguise import disguise
from voiceconv.vocoder.base import load_vocoder
from voiceconv.vocoder.pitch_estimator import PitchEstimator
from voiceconv.vocoder_training.dataset import Speech
from voiceconv.voice.speaker_info import SpeakerInfo

PITCH_RATE = 1e-3
PITCH_SEMITONES = 6.0  # either way


def train_pitch(speech: Speech, config: MelConfig, steps: int, seed: int) -> dict[str, Tensor]:
    """The weights of a `PitchEstimator` that has learned the training segments' F0 from their mels.

    It reads them at other pitches as well (pitch and formants moved together), and at other levels.
    """
    mel = MelSpectrogram(config)
    hop, frames = config.hop_length, 96
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = PitchEstimator(config.n_mels)
        optimizer = torch.optim.AdamW(network.parameters(), PITCH_RATE)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, PITCH_RATE, total_steps=max(steps, 2))
        for _ in range(steps):
            wavs, contours = [], []
            for index in torch.randint(len(speech.train), (16,)).tolist():
                name = speech.train[index]
                f0 = speech.f0[name]
                first = int(torch.randint(max(1, len(f0) - frames), ()))
                missing = max(0, frames - (len(f0) - first))
                wav = speech.wav(name)[first * hop : (first + frames) * hop]
                wavs.append(F.pad(wav, (0, frames * hop - len(wav))))
                contours.append(F.pad(f0[first : first + frames], (0, missing)))
            semitones, gain = torch.rand(2).tolist()
            semitones = (2 * semitones - 1) * PITCH_SEMITONES
            read = mel(torch.stack(wavs) * 10 ** (-gain), semitones)
            loss = network.loss(read, torch.stack(contours) * 2 ** (semitones / 12))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return network.state_dict()


@torch.inference_mode()
def converted_mels(
    speech: Speech, folders: Sequence[Path], speakers: Sequence[SpeakerInfo], voice: str, mel: MelConfig, seed: int
) -> dict[str, Tensor]:
    """The training segments' log-mels after the generator of `voice` that speaks as their own speaker, by segment name.

    They are aligned with the real waveforms, and blurred in the ways of that converter: what it makes of their own
    speech, disguised as the other's, or, if it reads speech at any pitch, as it was recorded. Folders of other speakers
    have none; one at least must be of a speaker of the voice, by its name or its `speaker.json`.
    """
    from voiceconv.convert.converter import VoiceConverter

    converter = VoiceConverter.from_pretrained(voice, vocoder="griffin-lim")
    mel.require_same(converter.voice.mel, f"The voice {converter.name}")
    names = {
        folder.resolve().name: info.name
        for folder, info in zip(folders, speakers, strict=True)
        if info.name in converter.voices
    }
    if not names:
        raise UserError(
            f"{converter.name} converts between {' and '.join(converter.voices)}, but the folders are of "
            f"{', '.join(info.name for info in speakers)}. Give those of these two, named after them or with "
            "a speaker.json."
        )
    to_mel, generator, vocoder = MelSpectrogram(mel), torch.Generator().manual_seed(seed), load_vocoder("istft", mel)
    converted = {}
    for folder, speaker in names.items():
        own = [name for name in speech.train if name.split("/", 1)[0] == folder]
        if converter.voice.input == "moved":
            here = converter.voice.index(speaker)
            pitch, other = (converter.voice.speakers[i].pitch.median_hz for i in (here, 1 - here))
            away = semitones_between(pitch, other)
            read = [disguise(speech.wav(name), speech.f0[name], to_mel, generator, vocoder, away)[1] for name in own]
        else:
            read = [to_mel(speech.wav(name)) for name in own]
        mean, std = mel_statistics(read)
        for name, log_mel in zip(own, read, strict=True):
            x = (log_mel - mean[:, None]) / std[:, None]
            converted[name] = converter.generate(x.to(converter.device), speaker).cpu()
    return converted
