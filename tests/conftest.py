"""A tiny voice with random networks and synthetic recordings: everything runs, nothing needs training."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.convert.converter import VoiceConverter
from voiceconv.features.mel import MelConfig
from voiceconv.features.pitch import PitchStatistics
from voiceconv.user_data import HOME
from voiceconv.vocoder.base import vocoder_folder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder.istft_generator import GeneratorConfig
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import Voice, build_generator, build_speaker_classifier

# One thread here and in the processes that tests start: they run beside each other, and threads that wait for a turn on
# a busy machine cost more than they bring.
torch.set_num_threads(1)
os.environ.setdefault("OMP_NUM_THREADS", "1")
# The same examples in every run: looking for new ones is what benchmarks/fuzz.py is for.
settings.register_profile("tests", derandomize=True, deadline=None, database=None)
settings.load_profile("tests")


@pytest.fixture(autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's data folder of the test's own."""
    folder = tmp_path_factory.mktemp("home")
    monkeypatch.setenv(HOME, str(folder))
    return folder


@pytest.fixture(scope="session")
def tiny_voice(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a voice of two speakers, allison and joe, whose networks are small and untrained."""
    folder = tmp_path_factory.mktemp("voices") / "tiny"
    torch.manual_seed(0)
    description = {"kind": "convnext", "bands": 80, "planes": 1, "channels": 16, "blocks": 1}
    speakers = tuple(
        Speaker(
            name,
            PitchStatistics(float(np.log(f0)), 0.2),
            torch.full((80,), -5.0),
            torch.full((80,), 2.0),
            torch.full((80,), -5.0),
            torch.full((80,), 2.0),
            torch.linspace(-2.0, -6.0, 80),
            "a test tone",
            "CC0",
            "nobody",
        )
        for name, f0 in (("allison", 200.0), ("joe", 110.0))
    )
    Voice(
        "tiny",
        (speakers[0], speakers[1]),
        MelConfig(),
        description,
        "moved",
        build_generator(description),
        build_generator(description),
        build_speaker_classifier(),
    ).save(folder)
    for name, f0 in (("allison", 200.0), ("joe", 110.0)):
        (folder / "examples" / name).mkdir(parents=True)
        save_audio(folder / "examples" / name / "hum.wav", hum(f0, 1.0), SAMPLE_RATE)
    return folder


@pytest.fixture(scope="session")
def streaming(tiny_voice: Path) -> VoiceConverter:
    """Small and untrained, but every part depends on all that it sees, in the proportions of a shipped voice."""
    torch.manual_seed(1)
    voice = Voice.load(tiny_voice)
    size = {"kind": "convnext", "bands": 80, "planes": 1, "channels": 16, "blocks": 3, "lookahead": 3}
    voice.generator = size
    voice.generator_ab, voice.generator_ba = build_generator(size), build_generator(size)
    vocoder = ISTFTVocoder.build(MelConfig(), GeneratorConfig(channels=16, blocks=2, lookahead=1))
    filters = vocoder.generator
    for layer in (filters.harmonics, filters.noise, filters.rotation, filters.correction):
        torch.nn.init.normal_(layer.weight, std=0.05)
    vocoder.generator.noise.bias.data.fill_(-2.0)  # so that a pitch is heard, which the shipped network reads
    vocoder.generator.pitch = ISTFTVocoder.load(vocoder_folder("istft")).generator.pitch
    vocoder.generator.eval().requires_grad_(False)
    return VoiceConverter(voice, vocoder, torch.device("cpu"))


@pytest.fixture(scope="session")
def two_speakers(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two folders with twelve short recordings each, high and low: just enough to train on."""
    root = tmp_path_factory.mktemp("recordings")
    for name, f0 in (("high", 210.0), ("low", 110.0)):
        (root / name).mkdir()
        for number in range(12):
            save_audio(root / name / f"{number:02d}.wav", hum(f0, 1.75, number), SAMPLE_RATE)
    return root / "high", root / "low"


def shorten_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on, trainings prepare and score few segments; how it is done stays."""
    monkeypatch.setattr("voiceconv.training.disguise.ALTERED_VERSIONS", 1)
    monkeypatch.setattr("voiceconv.training.preview.COMPARED_CLIPS", 3)
    monkeypatch.setattr("voiceconv.training.preview.CENTROID_CLIPS", 3)
    monkeypatch.setattr("voiceconv.training.preview.HEARD_CLIPS", 1)


@pytest.fixture
def brief_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trainings take seconds: they write no report, and their classifier of the two speakers has learned nothing."""
    shorten_training(monkeypatch)
    monkeypatch.setattr("voiceconv.training.preview.write_voice_report", lambda run_dir: None)
    monkeypatch.setattr("voiceconv.training.speaker_classifier.STEPS", 2)
