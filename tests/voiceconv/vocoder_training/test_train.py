"""A whole training of a vocoder, small: it learns, leaves a folder that synthesises, and can be stopped and resumed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from generative_core.training.checkpoint import list_checkpoints
from tests.signals import hum
from voiceconv.audio.files import save_audio
from voiceconv.convert.converter import VoiceConverter
from voiceconv.errors import UserError
from voiceconv.features.mel import MelConfig
from voiceconv.vocoder.base import load_vocoder
from voiceconv.vocoder.istft import ISTFTVocoder
from voiceconv.vocoder_training.dataset import CropLoader, prepare_speech
from voiceconv.vocoder_training.preparation import converted_mels
from voiceconv.vocoder_training.presets import PRESETS
from voiceconv.vocoder_training.train import build_model, train_vocoder
from voiceconv.voice.speaker_info import SpeakerInfo


@pytest.fixture(scope="module")
def run(two_speakers: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "small"
    assert train_vocoder(two_speakers, folder, preset="smoke", device="cpu")
    return folder


@pytest.mark.slow
def test_training_leaves_a_vocoder_and_its_trail(run: Path) -> None:
    vocoder = load_vocoder(str(run), MelConfig())
    assert vocoder(torch.full((1, 80, 5), -5.0)).shape == (1, 1280)
    record = json.loads((run / "vocoder" / "vocoder.json").read_text())
    assert record["training"]["steps"] == PRESETS["smoke"].steps
    assert [info["name"] for info in record["speech"]] == ["high", "low"]
    split = json.loads((run / "split.json").read_text())
    assert set(split["train"]).isdisjoint(split["development"])
    assert [f"{name}#0" for name in record["development"]] == sorted(split["development"])
    (scores,) = [json.loads(line) for line in (run / "scores.jsonl").read_text().splitlines()]
    assert {"high/log_mel_distance", "low/stft_distance", "step"} <= set(scores)
    page = (run / "report.html").read_text()
    assert "audio/flac" in page
    assert "adversarial_after" in page


@pytest.mark.slow
def test_a_stopped_training_resumes_to_the_same_weights(
    run: Path, two_speakers: tuple[Path, Path], tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    assert not train_vocoder(two_speakers, folder, preset="smoke", device="cpu", budget_seconds=0.0)
    with pytest.raises(UserError, match=r"already holds a run. Add --resume"):
        train_vocoder(two_speakers, folder, preset="smoke", device="cpu")
    with pytest.raises(UserError, match=r"other settings \(seed\)"):
        train_vocoder(two_speakers, folder, preset="smoke", device="cpu", seed=5, resume=True)
    with pytest.raises(UserError, match="recordings are not those"):
        train_vocoder(two_speakers[:1], folder, preset="smoke", device="cpu", resume=True)
    other = Path(shutil.copytree(two_speakers[0], tmp_path / "other" / "high"))
    save_audio(other / "01.wav", hum(200.0, 2.5), 22050)
    with pytest.raises(UserError, match="recordings are not those"):
        train_vocoder([other, two_speakers[1]], folder, preset="smoke", device="cpu", resume=True)
    assert train_vocoder(two_speakers, folder, preset="smoke", device="cpu", resume=True)
    states = [torch.load(list_checkpoints(path / "checkpoints")[-1], weights_only=True) for path in (folder, run)]
    for key, value in states[0]["model"].items():
        assert torch.equal(value, states[1]["model"][key]), key
    vocoders = [(path / "vocoder" / "weights.safetensors").read_bytes() for path in (folder, run)]
    assert vocoders[0] == vocoders[1]


@pytest.mark.slow
def test_fine_tuning_starts_from_a_vocoder_and_from_converted_mels(
    run: Path, two_speakers: tuple[Path, Path], tiny_voice: Path, tmp_path: Path
) -> None:
    folders = [Path(shutil.copytree(two_speakers[i], tmp_path / name)) for i, name in enumerate(("allison", "joe"))]
    tuned = tmp_path / "tuned"
    options = {"preset": "smoke", "device": "cpu", "start_from": str(run), "mels_from": str(tiny_voice)}
    assert not train_vocoder(folders, tuned, budget_seconds=0.0, **options)
    before, after = (ISTFTVocoder.load(path / "vocoder").generator.state_dict() for path in (run, tuned))
    moved = max(float((after[key] - before[key]).abs().max()) for key in before)
    assert 0 < moved < 0.01  # one step from where the other ended
    settings = json.loads((tuned / "config.json").read_text())["settings"]
    assert settings["gan"]["adversarial_after"] == 0
    assert settings["steps"] == settings["decay_steps"] == PRESETS["smoke"].fine_tuning_steps
    with pytest.raises(UserError, match=r"tiny converts between allison and joe, but the folders are of high"):
        train_vocoder(two_speakers, tmp_path / "other", **options)


def test_restored_mels_are_what_the_generator_of_their_own_speaker_makes(
    two_speakers: tuple[Path, Path], tiny_voice: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    speech = prepare_speech(two_speakers, tmp_path, MelConfig())
    infos = [SpeakerInfo("joe"), SpeakerInfo("somebody else")]
    read: list[tuple[torch.Tensor, str]] = []

    def copy(converter: VoiceConverter, x: torch.Tensor, target: str) -> torch.Tensor:
        read.append((x, target))
        return converter.voice.speakers[converter.voice.index(target)].denormalise(x)

    monkeypatch.setattr(VoiceConverter, "generate", copy)
    mels = converted_mels(speech, two_speakers, infos, str(tiny_voice), MelConfig(), 0)
    assert set(mels) == {name for name in speech.train if name.startswith("high/")}
    assert all(mel.shape[1] == len(speech.wavs[name]) // 256 for name, mel in mels.items())
    assert {target for _, target in read} == {"joe"}
    frames = torch.cat([x for x, _ in read], dim=1)
    torch.testing.assert_close(frames.mean(1), torch.zeros(80), atol=1e-3, rtol=0)
    torch.testing.assert_close(frames.std(1), torch.ones(80), atol=1e-3, rtol=0)


@pytest.mark.slow
def test_it_learns(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    speech = prepare_speech(two_speakers, tmp_path, MelConfig())
    model = build_model(PRESETS["smoke"], MelConfig(), seed=0)
    # One batch: over changing crops, a small network's loss is mostly a matter of how hard the last crops were.
    batch = next(CropLoader(speech, MelConfig(), batch_size=2, frames=16))
    optimizers = model.configure_optimizers()
    optimizers["generator"].param_groups[0]["lr"] = 2e-3
    losses = [float(model.training_step(batch, optimizers, 0)["generator/mel"]) for _ in range(80)]
    assert sum(losses[-5:]) < 0.6 * sum(losses[:5])


def test_what_cannot_be_trained_is_refused(two_speakers: tuple[Path, Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="among the recordings"):
        train_vocoder([two_speakers[0]], two_speakers[0] / "run")
    with pytest.raises(UserError, match="preset 'fast' is not one of cpu, gpu, smoke"):
        train_vocoder(two_speakers, tmp_path / "run", preset="fast")


@pytest.mark.parametrize(("name", "megabytes"), [("cpu", 20.0), ("gpu", 20.0)])
def test_a_preset_fits_on_twenty_megabytes_at_half_precision(name: str, megabytes: float) -> None:
    generator = ISTFTVocoder.build(MelConfig(), PRESETS[name].generator).generator
    assert 2 * sum(p.numel() for p in generator.parameters()) < megabytes * 1e6
