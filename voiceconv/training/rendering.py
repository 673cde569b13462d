"""Renders mel-spectrograms through the vocoder and back, so that discriminators see what listeners hear."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from generative_core.training.precision import autocast_where_fast
from voiceconv.features.mel import FULL_SCALE_MEL, MelSpectrogram
from voiceconv.recognisers.phonemes import PhonemeRecogniser
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder.pitch_estimator import hold, phases
from voiceconv.voice.speaker import Speaker


class RenderedSpeech(nn.Module):
    """Samples `(B, 1, n_mels, T)`, normalised for a speaker, -> the same of the vocoder's output for them.

    Differentiable but for the pitch, which the vocoder reads from the mel, and the voicing. Draws the source's noise
    from torch's random state.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, vocoder: ISTFTVocoder, speaker: Speaker) -> None:
        super().__init__()
        self.generator, self.to_mel = vocoder.generator, MelSpectrogram(vocoder.mel)
        self.register_buffer("mean", speaker.mel_mean[:, None].float(), persistent=False)
        self.register_buffer("std", speaker.mel_std[:, None].float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        # Generators that have not learned yet write louder ones, whose exponentials overflow.
        mel, config = (x[:, 0] * self.std + self.mean).clamp_max(FULL_SCALE_MEL), self.to_mel.config
        with torch.no_grad():
            f0 = self.generator.pitch.contour(mel)
            held, voiced = hold(f0), (f0 > 0).float()
            phase = phases(held, voiced, config.hop_length, config.sample_rate).float()
            noise = torch.randn(len(mel), self.generator.noise_length(mel.shape[-1]), device=mel.device)
        with autocast_where_fast(mel.device):
            wav = self.generator.synthesise(mel, held, voiced, phase, noise)
        return ((self.to_mel(wav.float().clamp(-1, 1)) - self.mean) / self.std)[:, None]


class RecognisedPhonemes(nn.Module):
    """Samples `(B, 1, n_mels, T)`, normalised for a speaker, -> a recogniser's logits of phonemes `(B, classes, T)`."""

    mean: Tensor
    std: Tensor

    def __init__(self, recogniser: PhonemeRecogniser, speaker: Speaker) -> None:
        super().__init__()
        self.recogniser = recogniser
        self.register_buffer("mean", speaker.mel_mean[:, None].float(), persistent=False)
        self.register_buffer("std", speaker.mel_std[:, None].float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.recogniser(x[:, 0] * self.std + self.mean)
