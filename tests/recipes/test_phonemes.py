"""The recipe of the phoneme recognisers: text to phonemes, frames from spikes, a smoke run, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from recipes.common.transcribed import Utterance, realign, to_phonemes
from recipes.phonemes import PhonemesConfig, align, main
from tests.signals import SAMPLE_RATE, hum
from voiceconv.audio.files import save_audio
from voiceconv.errors import UserError
from voiceconv.recognisers.phonemes import PhonemeRecogniser


def test_texts_become_phonemes_of_their_language() -> None:
    assert to_phonemes(["Ship, ahoy!", "..."], "en-us") == [["ʃ", "ɪ", "p", "ɐ", "h", "ɔɪ"], []]
    assert to_phonemes(["gli"], "it") == [["ʎ", "ɪ"]]
    with pytest.raises(UserError, match="no language 'klingon'"):
        to_phonemes(["x"], "klingon")


class Spiky(PhonemeRecogniser):
    """Hears phoneme 1 at frame 4 and phoneme 2 at frame 9, silence elsewhere."""

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        logits = torch.zeros(1, 3, mel.shape[-1])
        logits[:, 0] = 10.0
        for frame, phoneme in ((4, 1), (9, 2)):
            logits[:, phoneme, frame] = 30.0
        return logits


def test_frames_take_the_nearest_spike_and_quiet_ones_are_silent() -> None:
    network = Spiky(["_", "a", "b"], bands=4, channels=4, blocks=1)
    mel = torch.zeros(4, 14)
    mel[:, 12:] = -8.0
    frames = align(network, Utterance([mel], ["a", "b"], False), {"_": 0, "a": 1, "b": 2})
    assert frames.tolist() == [1] * 7 + [2] * 5 + [0] * 2


@pytest.mark.slow
def test_the_likeliest_path_goes_through_all_phonemes_in_order() -> None:
    def heard(best: list[int]) -> torch.Tensor:
        return F.one_hot(torch.tensor(best), 3).T[None] * 4.0

    def path(best: list[int], said: list[str]) -> list[int]:
        utterance = Utterance([torch.zeros(80, len(best))], said, False)
        return realign(lambda mel: heard(best), utterance, {"_": 0, "a": 1, "b": 2}).tolist()  # type: ignore[arg-type]

    assert path([0, 1, 1, 2, 2, 0], ["a", "b"]) == [0, 1, 1, 2, 2, 0]  # as it is heard
    assert path([1, 0, 0, 2], ["a", "b"]) == [1, 0, 0, 2]  # with silence between, and none around
    assert path([0, 1, 2, 1, 1, 2], ["a", "b"]) == [0, 1, 1, 1, 1, 2]  # never back
    assert path([1, 1, 1, 0], ["b"])[-1] == 0
    assert path([2, 2, 2], ["a", "b", "a"]) == [1, 2, 1]  # each a frame at least


def test_smoke_leaves_a_recogniser(tmp_path: Path) -> None:
    folder = tmp_path / "speaker"
    folder.mkdir()
    for number in range(12):
        save_audio(folder / f"{number}.wav", hum(150.0, 2.0, number), SAMPLE_RATE)
    lines = [f"{number}|an old man may sing|2.0\n" for number in range(12)]
    (folder / "metadata.csv").write_text("".join(lines), encoding="utf-8")
    out = tmp_path / "recogniser.safetensors"
    main(PhonemesConfig(data=(f"{folder}:en-us",), out=out, blocks=1, smoke=True))
    recogniser = PhonemeRecogniser.load(out)
    assert recogniser.phonemes[0] == "_"
    assert {"s", "ɪ", "ŋ"} <= set(recogniser.phonemes)


def test_what_cannot_be_learned_from_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--data FOLDER:LANGUAGE"):
        main(PhonemesConfig())
    with pytest.raises(UserError, match=r"should be FOLDER:LANGUAGE with a metadata.csv"):
        main(PhonemesConfig(data=(f"{tmp_path}:en-us",)))
    (tmp_path / "metadata.csv").write_text("clip|words\n", encoding="utf-8")
    save_audio(tmp_path / "other.wav", hum(150.0, 1.0), SAMPLE_RATE)
    with pytest.raises(UserError, match=r"None of the recordings .* is in its metadata.csv"):
        main(PhonemesConfig(data=(f"{tmp_path}:en-us",)))
