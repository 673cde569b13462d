"""The speaker encoder: what it is to hear as one voice, and how its file behaves."""

from __future__ import annotations

from pathlib import Path

import torch

from voiceconv.audio.files import load_audio
from voiceconv.features.mel import MelSpectrogram
from voiceconv.features.pitch import extract_f0
from voiceconv.features.source_filter import move
from voiceconv.recognisers.speaker_encoder import WINDOW, SpeakerEncoder
from voiceconv.voice.voice import VOICES


def test_shipped_encoder_hears_the_speaker_not_the_level_or_the_words() -> None:
    encoder, mel = SpeakerEncoder.load(), MelSpectrogram()
    folder = VOICES / "allison-joe" / "examples"
    a, b = (
        [mel(torch.from_numpy(load_audio(path, 22050))) for path in sorted((folder / s).glob("*.flac"))]
        for s in ("allison", "joe")
    )
    assert min(len(a), len(b)) > 1
    for own, other in ((a, b), (b, a)):
        centroid, foreign = encoder.centroid(own[1:]), encoder.centroid(other)
        embedding = encoder.of_clip(own[0])
        assert embedding.norm() == torch.tensor(1.0) or abs(float(embedding.norm()) - 1) < 1e-5
        assert embedding @ centroid > 0.7
        assert embedding @ centroid > embedding @ foreign + 0.3
        assert encoder.of_clip(own[0] - 0.5) @ embedding > 0.9  # 4 dB quieter


def test_other_formants_are_another_voice() -> None:
    encoder, mel = SpeakerEncoder.load(), MelSpectrogram()
    path = sorted((VOICES / "allison-joe" / "examples" / "joe").glob("*.flac"))[0]
    samples = load_audio(path, 22050)
    wav, f0 = torch.from_numpy(samples), torch.from_numpy(extract_f0(samples, 22050))
    plain = encoder.of_clip(mel(wav))
    assert plain @ encoder.of_clip(move(mel, wav, f0, formants=4.0)) < 0.6


def test_short_clips_are_repeated_and_windows_averaged() -> None:
    torch.manual_seed(0)
    encoder = SpeakerEncoder(bands=8, channels=8, dimensions=4).eval()
    mel = torch.randn(8, WINDOW)
    torch.testing.assert_close(
        encoder.of_clip(mel[:, : WINDOW // 2]), encoder(mel[:, : WINDOW // 2].repeat(1, 2)[None])[0]
    )
    long = torch.randn(8, 2 * WINDOW)
    windows = torch.stack([long[:, start : start + WINDOW] for start in (0, WINDOW // 2, WINDOW)])
    mean = encoder(windows).mean(0)
    torch.testing.assert_close(encoder.of_clip(long), mean / mean.norm())


def test_a_saved_encoder_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    encoder = SpeakerEncoder().eval()
    encoder.save(tmp_path / "e.safetensors")
    mel = torch.randn(80, 200) - 5
    again = SpeakerEncoder.load(tmp_path / "e.safetensors")
    torch.testing.assert_close(again.of_clip(mel), encoder.of_clip(mel), atol=5e-3, rtol=0)  # half precision
    assert not any(p.requires_grad for p in again.parameters())
