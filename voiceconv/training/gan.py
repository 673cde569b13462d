"""Builds the CycleGAN that converts between two speakers, with the losses that make it a voice converter."""

from __future__ import annotations

import torch

from generative_core.families.cyclegan import CycleGAN
from voiceconv.features.mel import MelConfig
from voiceconv.recognisers.phonemes import PhonemeRecogniser
from voiceconv.training.presets import Preset
from voiceconv.training.rendering import HeardPhonemes, HeardSpeech
from voiceconv.vocoder.base import load_vocoder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import build_generator


def build_model(preset: Preset, speakers: tuple[Speaker, Speaker], mel: MelConfig, seed: int) -> CycleGAN:
    """The CycleGAN of a preset for these speakers, the same for the same seed."""
    recognisers = None
    if preset.cyclegan.lambda_content:
        recogniser = PhonemeRecogniser.load()
        recognisers = HeardPhonemes(recogniser, speakers[0]), HeardPhonemes(recogniser, speakers[1])
    renderers = None
    if preset.cyclegan.render_from is not None:
        vocoder = load_vocoder("istft", mel)
        assert isinstance(vocoder, ISTFTVocoder)
        renderers = HeardSpeech(vocoder, speakers[0]), HeardSpeech(vocoder, speakers[1])
    generator = preset.describe_generator(mel.n_mels)
    torch.manual_seed(seed)
    return CycleGAN(
        preset.cyclegan,
        generator=lambda: build_generator(generator),
        discriminator=preset.discriminator.build,
        classifier=preset.classifier.build if preset.cyclegan.lambda_classifier else None,
        recognisers=recognisers,
        renderers=renderers,
    )
