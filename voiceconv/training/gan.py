"""Builds the CycleGAN that converts between two speakers, with the objectives that make it a voice converter."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import nn

from generative_core.families.cyclegan import CycleGAN, Objective
from generative_core.families.cyclegan_variants import (
    MaskCycleGAN,
    MaskCycleGANConfig,
    Rendering,
    WarmUpCycleGAN,
    WarmUpCycleGANConfig,
)
from generative_core.objectives import Content, DomainClassifier, PseudoTargets, SecondAdversarial, Texture
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.recognisers.phonemes import PhonemeRecogniser
from voiceconv.training.presets import Preset
from voiceconv.training.rendering import RecognisedPhonemes, RenderedSpeech
from voiceconv.vocoder.base import load_vocoder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import build_generator


def build_model(preset: Preset, speakers: tuple[Speaker, Speaker], mel: MelConfig, seed: int) -> CycleGAN:
    """The CycleGAN of a preset (`require_consistent`) for these speakers, the same for the same seed."""
    config, family = preset.cyclegan, CycleGAN
    if isinstance(config, MaskCycleGANConfig):
        family = MaskCycleGAN
    if isinstance(config, WarmUpCycleGANConfig):
        family = WarmUpCycleGAN
    # Loading a network draws random numbers too, so what is loaded comes before the seed.
    render, recognisers = build_rendering(preset, speakers, mel), build_recognisers(preset, speakers)
    torch.manual_seed(seed)
    model = family(
        config,
        generator=partial(build_generator, preset.describe_generator(mel.n_mels)),
        discriminator=preset.discriminator.build,
        render=render,
    )
    model.objectives.extend(build_objectives(preset, recognisers))
    return model


def require_consistent(preset: Preset) -> None:
    """Raises `UserError` for settings that exclude each other: before anything is computed for them."""
    objectives, config = preset.objectives, preset.cyclegan
    warm_up = isinstance(config, WarmUpCycleGANConfig) and config.warm_up_steps > 0
    if preset.teacher is None and (objectives.pseudo_target or warm_up):
        raise UserError(
            "cyclegan.warm_up_steps and objectives.pseudo_target need a teacher, which is missing here: set both to 0."
        )
    if (preset.input == "mask") != isinstance(config, MaskCycleGANConfig):
        raise UserError(f"Generators that read {preset.input!r} do not go with this preset's CycleGAN: keep its input.")
    if objectives.second_adversarial and objectives.render_from is not None:
        raise UserError(
            "objectives.second_adversarial compares mel-spectrograms as they are, so it does not go with "
            "objectives.render_from: set one of them to 0 or to none."
        )


def build_rendering(preset: Preset, speakers: tuple[Speaker, Speaker], mel: MelConfig) -> Rendering | None:
    """What shows the vocoder's output to discriminators and objectives, if the preset asks for it."""
    if preset.objectives.render_from is None:
        return None
    vocoder = load_vocoder("istft", mel)
    assert isinstance(vocoder, ISTFTVocoder)
    a, b = (RenderedSpeech(vocoder, speaker) for speaker in speakers)
    return Rendering(a, b, start=preset.objectives.render_from)


def build_recognisers(preset: Preset, speakers: tuple[Speaker, Speaker]) -> list[nn.Module]:
    """One for each speaker, if the preset asks for content."""
    if not preset.objectives.content:
        return []
    recogniser = PhonemeRecogniser.load()
    return [RecognisedPhonemes(recogniser, speaker) for speaker in speakers]


def build_objectives(preset: Preset, recognisers: Sequence[nn.Module]) -> list[Objective]:
    """The objectives of which the preset has a weight, in the order in which they are added up."""
    weights, objectives = preset.objectives, list[Objective]()
    if weights.pseudo_target:
        objectives.append(PseudoTargets(weights.pseudo_target))
    if weights.texture:
        objectives.append(Texture(weights.texture))
    if weights.content:
        objectives.append(Content(weights.content, recognisers, tolerance=weights.content_tolerance))
    if weights.second_adversarial:
        objectives.append(SecondAdversarial(weights.second_adversarial, preset.discriminator.build))
    if weights.classifier:
        objectives.append(DomainClassifier(weights.classifier, preset.classifier.build()))
    return objectives
