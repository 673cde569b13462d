"""That HiFi-GAN is the published network, and that chunks are heard as one pass."""

from __future__ import annotations

import importlib.util
import json
from types import SimpleNamespace

import pytest
import torch

from tests.signals import hum
from voiceconv.features.mel import MelSpectrogram
from voiceconv.vocoder.hifigan import HiFiGAN

to_mel = MelSpectrogram()


def test_hifigan_is_the_network_its_weights_were_trained_in() -> None:
    weights_file = HiFiGAN.weights_file()
    assert weights_file is not None
    spec = importlib.util.spec_from_file_location("reference_hifigan", weights_file.parents[1] / "models.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    reference = module.Generator(SimpleNamespace(**json.loads((weights_file.parent / "config.json").read_text())))
    reference.load_state_dict(torch.load(weights_file, map_location="cpu", weights_only=True)["generator"])
    mel = to_mel(torch.from_numpy(hum(140, 0.2)))[None]
    with torch.no_grad():
        torch.testing.assert_close(HiFiGAN()(mel), reference(mel)[:, 0], atol=5e-4, rtol=0)


@pytest.mark.slow
def test_hifigan_in_chunks_is_hifigan_at_once() -> None:
    hifigan = HiFiGAN()
    mel = to_mel(torch.from_numpy(hum(140, 0.5)))[None]
    at_once = hifigan(mel)
    hifigan.chunk = 17
    torch.testing.assert_close(hifigan(mel), at_once, atol=1e-4, rtol=0)
    hifigan.context = 8
    assert (hifigan(mel) - at_once).abs().max() > 1e-3  # the context is needed, so the comparison above sees seams
