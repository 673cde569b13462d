"""Every voice recipe's loader on a small folder laid out like the real set, and its `--smoke` from there to a voice."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile

from recipes import voice_asterisk, voice_cmu_arctic, voice_pair, voice_vctk
from recipes.common.voice import TrainingConfig
from tests.signals import SAMPLE_RATE, hum
from voiceconv.errors import UserError
from voiceconv.voice.voice import Voice

ROOT = Path(__file__).parents[2]
BRIEF = 0.5  # seconds of each clip, enough for a loader


def write(path: Path, f0: float, seed: int = 0, seconds: float = BRIEF, rate: int = SAMPLE_RATE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, hum(f0, seconds, seed), rate)


def write_g722(path: Path, f0: float, seed: int = 0, seconds: float = BRIEF) -> None:
    """Raw G.722 at 16 kHz, as the Asterisk packages have it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = (0.9 * hum(f0, seconds, seed)[None] * 32767).astype(np.int16)
    with av.open(str(path), "w", format="g722") as container:
        stream = container.add_stream("g722", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="mono")
        frame.sample_rate = 16000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)


def arctic(root: Path, seconds: float = BRIEF) -> voice_cmu_arctic.ArcticConfig:
    for speaker, f0 in (("bdl", 110.0), ("slt", 210.0)):
        folder = root / "ARCTIC" / f"cmu_us_{speaker}_arctic"
        names = [f"arctic_{half}{number:04d}" for half in "ab" for number in range(1, 13)]
        for seed, name in enumerate(names):
            write(folder / "wav" / f"{name}.wav", f0, seed, seconds, rate=16000)
        (folder / "etc").mkdir()
        lines = [f'( {name} "Sentence {name[-5:]}, \\"with\\" quotes." )\n' for name in names]
        (folder / "etc" / "txt.done.data").write_text("".join(lines) + '( arctic_b0099 "Not recorded." )\n')
    return voice_cmu_arctic.ArcticConfig(data=root)


def vctk(root: Path, seconds: float = BRIEF) -> voice_vctk.VctkConfig:
    data = root / "VCTK-Corpus-0.92"
    for speaker, f0 in (("p225", 210.0), ("p226", 110.0)):
        for number in range(1, 13):
            name = f"{speaker}_{number:03d}"
            for mic in ("mic1", "mic2"):
                path = data / "wav48_silence_trimmed" / speaker / f"{name}_{mic}.flac"
                write(path, f0, number, seconds * 48000 / SAMPLE_RATE, rate=48000)
            text = data / "txt" / speaker / f"{name}.txt"
            text.parent.mkdir(parents=True, exist_ok=True)
            text.write_text(f"Sentence {number}.\n")
    return voice_vctk.VctkConfig(data=root)


def asterisk(root: Path, seconds: float = BRIEF) -> voice_asterisk.AsteriskConfig:
    prompts = {"activated": "Activated.", "digits/1": "one", "spy-iax2": 'IAX (note: does not say "2")'}
    prompts |= {f"vm-{number}": f"Prompt {number}: press {number}." for number in range(10)}
    noises = {"beep": "[this is a simple beep tone]", "silence/1": "(1 second of silence)"}
    for folder, language, f0 in (("en_US_f_Allison", "en", 210.0), ("fr_CA_f_June", "fr", 180.0)):
        for seed, name in enumerate(prompts | noises):
            write_g722(root / "sounds" / folder / f"{name}.g722", f0, seed, seconds)
        package = root / "doc" / f"asterisk-core-sounds-{language}"
        package.mkdir(parents=True)
        with gzip.open(package / f"core-sounds-{language}.txt.gz", "wt", encoding="utf-8") as file:
            file.write("; Core Asterisk Sounds\n\n")
            file.writelines(f"{name}: {text}\n" for name, text in (prompts | noises).items())
    return voice_asterisk.AsteriskConfig(data=root / "sounds", texts=root / "doc")


def pair(root: Path, seconds: float = BRIEF) -> voice_pair.PairConfig:
    for name, f0 in (("alice", 210.0), ("bob", 110.0)):
        for seed in range(12):
            write(root / name / f"{seed}.wav", f0, seed, seconds)
    return voice_pair.PairConfig(data=root)


RECIPES: dict[str, tuple[Any, Callable[..., Any], tuple[str, str]]] = {
    "voice_asterisk": (voice_asterisk, asterisk, ("allison", "june")),
    "voice_cmu_arctic": (voice_cmu_arctic, arctic, ("bdl", "slt")),
    "voice_pair": (voice_pair, pair, ("alice", "bob")),
    "voice_vctk": (voice_vctk, vctk, ("p225", "p226")),
}


def with_training(config: Any, **training: Any) -> Any:
    return type(config)(**{**vars(config), "training": TrainingConfig(**training)})


def test_every_voice_recipe_is_tested() -> None:
    assert {path.stem for path in (ROOT / "recipes").glob("voice_*.py")} == set(RECIPES)


@pytest.mark.slow
@pytest.mark.usefixtures("brief_training")
@pytest.mark.parametrize("name", RECIPES)
def test_smoke_leaves_a_voice(name: str, tmp_path: Path) -> None:
    recipe, lay_out, names = RECIPES[name]
    config = with_training(lay_out(tmp_path / "data", seconds=1.75), smoke=True, run=tmp_path / "run")
    recipe.main(config)
    voice = Voice.load(tmp_path / "run")
    assert voice.names == names
    if name != "voice_pair":
        assert all(speaker.licence and speaker.credits for speaker in voice.speakers)


@pytest.mark.slow
@pytest.mark.usefixtures("brief_training")
def test_smoke_without_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    voice_pair.main(voice_pair.PairConfig(training=TrainingConfig(smoke=True)))
    assert list(tmp_path.iterdir()) == []


def metadata(folder: Path) -> dict[str, str]:
    lines = (folder / "metadata.csv").read_text(encoding="utf-8").splitlines()
    return dict(line.split("|", 1) for line in lines)


@pytest.fixture
def without_training(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Path, Path]]:
    """Collects the folders that a recipe hands to the training instead of training on them."""
    folders: list[tuple[Path, Path]] = []
    monkeypatch.setattr("recipes.common.voice.train", lambda a, b, *_, **__: folders.append((a, b)) or True)
    return folders


def test_arctic_gives_each_speaker_other_sentences(tmp_path: Path, without_training: list[tuple[Path, Path]]) -> None:
    voice_cmu_arctic.main(with_training(arctic(tmp_path / "data"), run=tmp_path / "run"))
    ((a, b),) = without_training
    texts_a, texts_b = metadata(a), metadata(b)
    assert len(texts_a) == len(texts_b) == 12
    assert not set(texts_a) & set(texts_b)
    assert texts_a["arctic_a0002"] == 'Sentence a0002, \\"with\\" quotes.'
    assert sorted(path.stem for path in (a / "wavs").iterdir()) == sorted(texts_a)
    assert soundfile.info(a / "wavs" / "arctic_a0002.wav").samplerate == 16000
    assert json.loads((a / "speaker.json").read_text())["name"] == "bdl"


def test_vctk_takes_one_microphone(tmp_path: Path, without_training: list[tuple[Path, Path]]) -> None:
    config = vctk(tmp_path / "data")
    voice_vctk.main(with_training(config, run=tmp_path / "run"))
    ((a, _),) = without_training
    assert metadata(a) == {f"p225_{number:03d}": f"Sentence {number}." for number in range(1, 13)}
    assert {path.resolve().stem[-4:] for path in (a / "wavs").iterdir()} == {"mic2"}
    with pytest.raises(UserError, match="its speakers: p225, p226"):
        voice_vctk.vctk_recordings(tmp_path / "data", "p999", "mic1")
    assert len(voice_vctk.vctk_recordings(tmp_path / "data" / "VCTK-Corpus-0.92", "p225", "mic1")) == 12


def test_asterisk_takes_speech_only(tmp_path: Path, without_training: list[tuple[Path, Path]]) -> None:
    voice_asterisk.main(with_training(asterisk(tmp_path / "data"), run=tmp_path / "run"))
    ((a, b),) = without_training
    texts = metadata(a)
    assert (texts["digits-1"], texts["spy-iax2"], texts["vm-3"]) == ("one", "IAX", "Prompt 3: press 3.")
    assert len(texts) == 13
    assert set(texts) == set(metadata(b))
    wav, rate = soundfile.read(a / "wavs" / "activated.wav")
    assert rate == 16000
    original = hum(210.0, BRIEF)
    # The codec delays by 22 samples.
    assert max(np.corrcoef(wav[lag : lag + 8000], original[:8000])[0, 1] for lag in range(40)) > 0.98


def test_asterisk_pairs_a_prompt_voice_with_a_folder(tmp_path: Path, without_training: list[tuple[Path, Path]]) -> None:
    config = asterisk(tmp_path / "data")
    write(tmp_path / "me" / "one.wav", 120.0)
    write(tmp_path / "me" / "more" / "one.wav", 120.0, seed=1)
    values = {**vars(config), "speaker_b": str(tmp_path / "me"), "training": TrainingConfig(run=tmp_path / "run")}
    voice_asterisk.main(voice_asterisk.AsteriskConfig(**values))
    ((_, b),) = without_training
    assert b.name == "me"
    assert len(metadata(b)) == len(list((b / "wavs").iterdir())) == 2


def test_missing_data_is_a_mistake_with_a_remedy(tmp_path: Path) -> None:
    smoke = TrainingConfig(run=tmp_path / "run")
    for recipe, config, remedy in (
        (voice_pair, voice_pair.PairConfig(training=smoke), "--data"),
        (voice_cmu_arctic, voice_cmu_arctic.ArcticConfig(training=smoke), "--data"),
        (voice_cmu_arctic, voice_cmu_arctic.ArcticConfig(data=tmp_path, training=smoke), "--download"),
        (voice_vctk, voice_vctk.VctkConfig(data=tmp_path, training=smoke), "--download"),
        (voice_asterisk, voice_asterisk.AsteriskConfig(data=tmp_path, training=smoke), "apt install asterisk"),
        (voice_asterisk, voice_asterisk.AsteriskConfig(speaker_a="nobody", training=smoke), "allison, carlo, june"),
    ):
        with pytest.raises(UserError, match=remedy):
            recipe.main(config)
    same = voice_pair.PairConfig(data=tmp_path, speaker_b="alice", training=smoke)
    with pytest.raises(UserError):
        voice_pair.main(same)
