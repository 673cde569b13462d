"""The phoneme recognisers: what they hear in real speech, and how their files and paths behave."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from voiceconv.audio.files import load_audio
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import PitchStatistics, extract_f0
from voiceconv.features.source_filter import move
from voiceconv.recognisers.phonemes import PhonemeRecogniser, phoneme_errors
from voiceconv.training.rendering import RecognisedPhonemes
from voiceconv.voice.speaker import Speaker
from voiceconv.voice.voice import VOICES


class Told(PhonemeRecogniser):
    """Hears what it is shown: band n is phoneme n."""

    def forward(self, mel: torch.Tensor) -> torch.Tensor:
        return mel


def test_transcription_joins_runs_and_skips_silence_and_blips() -> None:
    recogniser = Told(["_", "a", "b"], bands=3, channels=4, blocks=1)
    shown = torch.tensor([0, 0, 1, 1, 1, 2, 1, 1, 0, 0, 1, 1, 2, 2, 0])
    clear = torch.nn.functional.one_hot(shown, 3).T.float()
    assert recogniser.transcribe(20 * clear) == ["a", "b", "a", "a", "b"]
    assert recogniser.transcribe(3 * clear) == ["a", "a", "b"]  # one frame of b gains too little


def test_errors_are_the_edit_distance() -> None:
    assert phoneme_errors(list("kitten"), list("sitting")) == 3
    assert phoneme_errors([], ["a"]) == 1
    assert phoneme_errors(["a", "b"], ["a", "b"]) == 0


def test_a_saved_recogniser_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recogniser = PhonemeRecogniser(["_", "ʃ", "aɪ"], channels=8, blocks=2, kernel_size=5).eval()
    recogniser.save(tmp_path / "r.safetensors")
    again = PhonemeRecogniser.load(tmp_path / "r.safetensors")
    mel = torch.randn(1, 80, 40) - 5
    torch.testing.assert_close(again(mel), recogniser(mel), atol=2e-2, rtol=1e-2)  # half precision
    assert again.phonemes == ["_", "ʃ", "aɪ"]
    assert not any(p.requires_grad for p in again.parameters())


def test_a_stride_works_on_every_second_frame_and_answers_for_each(tmp_path: Path) -> None:
    torch.manual_seed(0)
    recogniser = PhonemeRecogniser(["_", "a"], channels=8, blocks=1, kernel_size=3, stride=2).eval()
    for frames in (40, 41):
        mel = torch.randn(2, 80, frames) - 5
        assert recogniser(mel).shape == (2, 2, frames)
        heard = recogniser.features(mel)
        assert heard.shape == (2, 8, frames)
        torch.testing.assert_close(heard[..., 0:40:2], heard[..., 1:40:2])
    recogniser.save(tmp_path / "r.safetensors")
    assert PhonemeRecogniser.load(tmp_path / "r.safetensors").stride == 2


@pytest.mark.parametrize("name", ["training", "scoring"])
def test_shipped_recognisers_hear_words_in_either_voice(name: str) -> None:
    """The same clip with pitch and formants moved is heard alike, another clip is not."""
    recogniser, mel = PhonemeRecogniser.load(name), MelSpectrogram()
    clips = [sorted((VOICES / "allison-joe" / "examples" / s).glob("*.flac"))[0] for s in ("allison", "joe")]
    wavs = [torch.from_numpy(load_audio(clip, 22050)) for clip in clips]
    heard = [recogniser.transcribe(mel(wav)) for wav in wavs]
    contours = [torch.from_numpy(extract_f0(wav.numpy(), 22050)) for wav in wavs]
    moved = [
        recogniser.transcribe(move(mel, wav, f0, pitch=4.0, formants=-1.5))
        for wav, f0 in zip(wavs, contours, strict=True)
    ]
    for own, other, again in zip(heard, reversed(heard), moved, strict=True):
        assert len(own) > 8
        assert phoneme_errors(own, again) / len(own) < 0.5
        assert phoneme_errors(own, other) / len(own) > 0.6


def test_normalised_samples_are_heard_as_their_speech() -> None:
    recogniser = PhonemeRecogniser.load("training")
    statistics = torch.linspace(-6, -3, 80), torch.linspace(1, 3, 80)
    speaker = Speaker("a", PitchStatistics(5.0, 0.2), *statistics, *statistics, None)
    mel = torch.randn(2, 80, 50) - 5
    torch.testing.assert_close(
        RecognisedPhonemes(recogniser, speaker)(speaker.normalise(mel)[:, None]), recogniser(mel), atol=1e-3, rtol=1e-3
    )
