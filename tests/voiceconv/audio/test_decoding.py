"""Every format people have, written here by soundfile and PyAV; and everything that can be wrong with a file."""

from __future__ import annotations

import os
import struct
import tempfile
import warnings
from functools import cache
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from voiceconv.audio.decoding import mono_blocks
from voiceconv.audio.files import load_audio
from voiceconv.errors import UserError

RATE = 22050
HZ, AMPLITUDE = 441.0, 0.4


def tone(seconds: float = 1.0, rate: int = RATE, channels: int = 1) -> NDArray[np.float32]:
    """A sine `(T, channels)`, the same in every channel."""
    wav = AMPLITUDE * np.sin(2 * np.pi * HZ * np.arange(round(seconds * rate)) / rate)
    return np.repeat(wav[:, None], channels, axis=1).astype(np.float32)


def encode(
    path: Path,
    codec: str,
    *,
    seconds: float = 1.0,
    rate: int = 48000,
    layout: str = "mono",
    container: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """The tone as PyAV writes it."""
    with av.open(str(path), "w", format=container, options=container_options or {}) as output:
        stream = output.add_stream(codec, rate=rate, layout=layout)
        assert isinstance(stream, av.AudioStream)
        samples = tone(seconds, rate, av.AudioLayout(layout).nb_channels)
        # Packed samples, since PyAV cannot fill planar frames of eight channels; the encoder takes what it needs.
        frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=layout)
        frame.sample_rate, frame.pts = rate, 0
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    return path


def assert_is_the_tone(wav: NDArray[np.float32], seconds: float, tolerance: float, padding: float = 0.0) -> None:
    """The frequency and the level of the tone, little else, and at most `padding` seconds too many."""
    assert wav.dtype == np.float32
    assert wav.ndim == 1
    assert -1 <= len(wav) - seconds * RATE <= padding * RATE + 1
    middle = wav[len(wav) // 4 : -len(wav) // 4].astype(np.float64)
    time = np.arange(len(middle)) / RATE
    basis = np.stack([np.sin(2 * np.pi * HZ * time), np.cos(2 * np.pi * HZ * time)], axis=1)
    weights = np.linalg.lstsq(basis, middle, rcond=None)[0]
    assert np.hypot(*weights) == pytest.approx(AMPLITUDE, rel=tolerance)
    assert np.sqrt(np.mean((middle - basis @ weights) ** 2)) < tolerance * AMPLITUDE


# Formats


@pytest.mark.parametrize(
    ("name", "subtype", "tolerance"),
    [
        ("a.wav", "PCM_U8", 0.01),
        ("a.wav", "PCM_16", 1e-3),
        ("a.wav", "PCM_24", 1e-3),
        ("a.wav", "PCM_32", 1e-3),
        ("a.wav", "FLOAT", 1e-3),
        ("a.wav", "DOUBLE", 1e-3),
        ("a.wav", "ALAW", 0.05),
        ("a.wav", "IMA_ADPCM", 0.05),
        ("a.flac", "PCM_16", 1e-3),
        ("a.flac", "PCM_24", 1e-3),
        ("a.ogg", "VORBIS", 0.02),
        ("a.aiff", "PCM_16", 1e-3),
        ("a.caf", "PCM_16", 1e-3),
        ("a.mp3", "MPEG_LAYER_III", 0.02),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats_of_soundfile(tmp_path: Path, name: str, subtype: str, tolerance: float, channels: int) -> None:
    soundfile.write(tmp_path / name, tone(channels=channels, rate=44100), 44100, subtype=subtype)
    padding = 0.06 if subtype == "IMA_ADPCM" else 0.0  # its blocks are filled up
    assert_is_the_tone(load_audio(tmp_path / name, RATE, loudness=None), 1.0, tolerance, padding)


def test_opus_in_ogg(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "voice.opus", tone(rate=48000), 48000, format="OGG", subtype="OPUS")
    assert_is_the_tone(load_audio(tmp_path / "voice.opus", RATE, loudness=None), 1.0, 0.03)


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("channels", [3, 4, 6, 8])
def test_surround_is_averaged(tmp_path: Path, channels: int, subtype: str) -> None:
    """Speech in one of the channels only, as the centre of a 5.1 film has it."""
    samples = tone(channels=channels)
    samples[:, :-1] = 0
    soundfile.write(tmp_path / "film.wav", samples, RATE, subtype=subtype)
    assert_is_the_tone(channels * load_audio(tmp_path / "film.wav", RATE, loudness=None), 1.0, 0.01)


FRAGMENTED = {"movflags": "frag_keyframe+empty_moov"}
WRITTEN_BY_PYAV: dict[str, dict[str, Any]] = {
    # A phone's recorder, a web page's download, Safari's MediaRecorder, a music shop, films.
    "phone.m4a": {"codec": "aac", "rate": 44100},
    "web.m4a": {"codec": "aac", "layout": "stereo", "container_options": {"movflags": "faststart"}},
    "safari.mp4": {"codec": "aac", "layout": "stereo", "container_options": FRAGMENTED},
    "lossless.m4a": {"codec": "alac", "rate": 44100},
    "film.m4a": {"codec": "aac", "layout": "5.1"},
    "cinema.m4a": {"codec": "aac", "layout": "7.1"},
    "cinema.mka": {"codec": "libopus", "layout": "7.1"},
    "raw.aac": {"codec": "aac", "rate": 44100, "container": "adts"},
    # A finished WebM file, and one as Chrome and Firefox record it, without a length.
    "finished.webm": {"codec": "libopus"},
    "browser.webm": {"codec": "libopus", "layout": "stereo", "container_options": {"live": "1"}},
    "voice.mp3": {"codec": "libmp3lame", "rate": 44100},
    "old.wav": {"codec": "libmp3lame", "rate": 44100, "container": "wav"},
    "audio.mka": {"codec": "flac", "rate": 44100},
}


@pytest.mark.parametrize("name", WRITTEN_BY_PYAV)
def test_formats_of_pyav(tmp_path: Path, name: str) -> None:
    encode(tmp_path / name, **WRITTEN_BY_PYAV[name])
    wav = load_audio(tmp_path / name, RATE, loudness=None)
    wav *= {"film.m4a": 6 / 5, "cinema.m4a": 8 / 7}.get(name, 1)  # AAC's channel for deep tones ends at 120 Hz
    assert_is_the_tone(wav, 1.0, 0.06, padding=0.05)  # LAME writes 5 % less


@pytest.mark.parametrize("name", ["phone.m4a", "finished.webm", "voice.mp3"])
def test_a_wrong_extension_does_not_matter(tmp_path: Path, name: str) -> None:
    path = encode(tmp_path / name, **WRITTEN_BY_PYAV[name])
    for other in ("renamed.wav", "renamed.raw", "renamed"):
        assert_is_the_tone(load_audio(path.rename(tmp_path / other), RATE, loudness=None), 1.0, 0.06, padding=0.05)
        path = tmp_path / other


def test_mp3_without_a_length_is_read_to_its_end(tmp_path: Path) -> None:
    """Its bit rate varies and no header gives the length, which libsndfile then guesses, and stops there."""
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3 * 44100)).astype(np.float32)
    samples[:, 44100:] *= 1e-3
    with av.open(str(tmp_path / "a.mp3"), "w", options={"write_xing": "0"}) as output:
        stream = output.add_stream("libmp3lame", rate=44100, layout="mono")
        stream.codec_context.qscale = True
        stream.codec_context.global_quality = 2 * 118
        frame = av.AudioFrame.from_ndarray(samples, format="fltp", layout="mono")
        frame.sample_rate = 44100
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    assert soundfile.info(tmp_path / "a.mp3").duration < 2
    assert len(load_audio(tmp_path / "a.mp3", RATE)) >= 3 * RATE


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFF000, 0x7FFFFFFF - 36, 0x80000000])
def test_wav_written_to_a_pipe(tmp_path: Path, length: int) -> None:
    """Browsers, FFmpeg, SoX and arecord leave such lengths when they cannot go back to the header."""
    path = tmp_path / "pipe.wav"
    soundfile.write(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    struct.pack_into("<I", content, 4, (length + 36) & 0xFFFFFFFF)
    struct.pack_into("<I", content, content.index(b"data") + 4, length)
    path.write_bytes(content)
    assert_is_the_tone(load_audio(path, RATE, loudness=None), 1.0, 1e-3)


def test_flac_written_to_a_pipe(tmp_path: Path) -> None:
    path = tmp_path / "pipe.flac"
    soundfile.write(path, tone(), RATE)
    content = bytearray(path.read_bytes())
    content[21] &= 0xF0  # the number of samples: the last 36 bits before the checksum in STREAMINFO
    content[22:26] = bytes(4)
    path.write_bytes(content)
    assert_is_the_tone(load_audio(path, RATE, loudness=None), 1.0, 1e-3)


def test_names_that_ffmpeg_would_take_for_something_else(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.m4a", "http:a.m4a", "-", "ünï %d #?.m4a"):
        encode(tmp_path / "phone.m4a", "aac", rate=44100).rename(tmp_path / name)
        assert_is_the_tone(load_audio(name, RATE, loudness=None), 1.0, 0.03, padding=0.05)


# Files that are refused


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.wav", b"", r"empty\.wav is empty \(0 bytes\)"),
        ("letter.wav", b"Dear Joe,\nhow are you?\n" * 50, r"letter\.wav cannot be read as audio\. Expected WAV, FLAC"),
        ("zeros.mp3", bytes(5000), r"zeros\.mp3 cannot be read as audio"),
        ("noise.m4a", np.random.default_rng(0).bytes(5000), r"noise\.m4a cannot be read as audio"),
        ("header.wav", b"RIFF\x24\x00\x00\x00WAVE", r"header\.wav cannot be read as audio"),
        ("byte.flac", b"f", r"byte\.flac has no sound in it: 0 samples"),
    ],
)
def test_not_audio(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message):
        load_audio(tmp_path / name, RATE)


def test_missing_folder_and_device(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nothing\.wav does not exist"):
        load_audio(tmp_path / "nothing.wav", RATE)
    with pytest.raises(UserError, match=r" is a folder\. Give one recording"):
        load_audio(str(tmp_path), RATE)
    with pytest.raises(UserError, match=r"null is not an ordinary file"):
        load_audio(os.devnull, RATE)
    os.mkfifo(tmp_path / "pipe.wav")
    with pytest.raises(UserError, match=r"pipe\.wav is not an ordinary file"):
        load_audio(tmp_path / "pipe.wav", RATE)


def test_a_film_without_sound(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "film.mp4"), "w") as output:
        stream = output.add_stream("mpeg4", rate=10, width=32, height=32)
        frame = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8))
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            output.mux(packet)
    with pytest.raises(UserError, match=r"film\.mp4 has no sound in it, only pictures"):
        load_audio(tmp_path / "film.mp4", RATE)


def test_no_samples(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "a.wav", np.zeros(0), RATE)
    with pytest.raises(UserError, match=r"a\.wav has no sound in it: 0 samples"):
        load_audio(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
def test_samples_that_are_not_numbers(tmp_path: Path, value: float) -> None:
    samples = tone().astype(np.float64)
    samples[12345] = value
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        soundfile.write(tmp_path / "a.wav", samples, RATE, subtype="DOUBLE")
        with pytest.raises(UserError, match=r"a\.wav holds samples that are not numbers \(NaN or infinite\)"):
            load_audio(tmp_path / "a.wav", RATE)


@pytest.mark.parametrize("rate", [1, 3999, 800_000])
def test_rates_that_no_recorder_has(tmp_path: Path, rate: int) -> None:
    soundfile.write(tmp_path / "a.wav", tone(), rate)
    with pytest.raises(UserError, match=rf"a\.wav claims {rate} samples per second; expected 4000 to 768000"):
        load_audio(tmp_path / "a.wav", RATE)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"\xff\xfe.wav")
    try:
        path.write_bytes(b"RIFF")
    except OSError:
        return  # macOS allows no such names
    with pytest.raises(UserError, match=r"udcff.*is not valid UTF-8. Rename it"):
        load_audio(path, RATE)


@pytest.mark.parametrize("text", ["ffconcat version 1.0\nfile {}\n", "#EXTM3U\n#EXTINF:1,\n{}\n#EXT-X-ENDLIST\n"])
def test_playlists_do_not_open_other_files(tmp_path: Path, text: str) -> None:
    encode(tmp_path / "private.m4a", "aac", rate=44100)
    for name in ("upload.wav", "upload.m3u8"):
        (tmp_path / name).write_text(text.format("private.m4a"))
        with pytest.raises(UserError, match=r"upload\..* cannot be read as audio"):
            load_audio(tmp_path / name, RATE)


def test_decoding_stops_at_the_limit(tmp_path: Path) -> None:
    """Ten minutes of silence are a few kilobytes of FLAC; whatever a file unpacks to, it is read so far only."""
    soundfile.write(tmp_path / "a.flac", np.zeros(600 * 8000, np.int16), 8000)
    encode(tmp_path / "a.webm", "libopus", seconds=2.0)
    assert (tmp_path / "a.flac").stat().st_size < 100_000
    for name in ("a.flac", "a.webm"):
        with pytest.raises(UserError, match=rf"{name} is longer than 0\.0005 hours, the most that is read"):
            list(mono_blocks(tmp_path / name, max_seconds=1.8))


# Files that are cut off


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_24", "FLOAT"])
@pytest.mark.parametrize("missing", [1, 2, 10_000, 40_000])
def test_cut_wav_is_refused_with_both_sizes(tmp_path: Path, subtype: str, missing: int) -> None:
    path = tmp_path / "a.wav"
    soundfile.write(path, tone(), RATE, subtype=subtype)
    content = path.read_bytes()
    promised = struct.unpack_from("<I", content, content.index(b"data") + 4)[0]
    path.write_bytes(content[:-missing])
    with pytest.raises(
        UserError, match=rf"a\.wav is cut off.*{promised} bytes of sound, but only {promised - missing}"
    ):
        load_audio(path, RATE)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
@pytest.mark.parametrize(
    ("name", "format_", "subtype", "rate"),
    [
        ("a.wav", "RF64", "PCM_16", 44100),
        ("a.aiff", "AIFF", "PCM_16", 44100),
        ("a.flac", "FLAC", "PCM_16", 44100),
        ("a.ogg", "OGG", "VORBIS", 44100),
        ("a.opus", "OGG", "OPUS", 48000),
        ("a.mp3", "MP3", "MPEG_LAYER_III", 44100),
    ],
)
def test_cut_files_of_soundfile_are_refused(
    tmp_path: Path, name: str, format_: str, subtype: str, rate: int, share: float
) -> None:
    path = tmp_path / name
    soundfile.write(path, tone(2.0, rate), rate, format=format_, subtype=subtype)
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    with pytest.raises(UserError, match=r"a\..* is (damaged or )?cut off"):
        load_audio(path, RATE)


# Cut at any byte, browser.webm is a shorter recording: it has no length and its blocks are independent.
@pytest.mark.parametrize("share", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("name", sorted(set(WRITTEN_BY_PYAV) - {"browser.webm", "old.wav"}))
def test_cut_files_of_pyav_are_refused(tmp_path: Path, name: str, share: float) -> None:
    path = encode(tmp_path / name, seconds=3.0, **WRITTEN_BY_PYAV[name])
    path.write_bytes(path.read_bytes()[: round(share * path.stat().st_size)])
    with pytest.raises(UserError, match=r"cut off|cannot be read as audio|incomplete"):
        load_audio(path, RATE)


def test_damage_in_the_middle_of_flac_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.flac"
    soundfile.write(path, tone(2.0), RATE)
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 20] = bytes(20)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"a\.flac is damaged or cut off"):
        load_audio(path, RATE)


def test_trailing_bytes_are_no_damage(tmp_path: Path) -> None:
    """Tags and rubbish at the end are common."""
    for name, padding in (("a.wav", 0.0), ("a.flac", 0.0), ("a.ogg", 0.0), ("a.mp3", 0.05)):
        soundfile.write(tmp_path / name, tone(rate=44100), 44100)
        with (tmp_path / name).open("ab") as file:
            file.write(b"TAG" + bytes(125))
        assert_is_the_tone(load_audio(tmp_path / name, RATE, loudness=None), 1.0, 0.03, padding)


# Hostile files


@cache
def small_files() -> dict[str, bytes]:
    """A fifth of a second in every kind of container."""
    written = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, format_, subtype in [
            ("pcm16.wav", "WAV", "PCM_16"),
            ("float.wav", "WAV", "FLOAT"),
            ("adpcm.wav", "WAV", "IMA_ADPCM"),
            ("wide.wav", "RF64", "PCM_24"),
            ("a.flac", "FLAC", "PCM_16"),
            ("a.ogg", "OGG", "VORBIS"),
            ("a.opus", "OGG", "OPUS"),
            ("a.aiff", "AIFF", "PCM_16"),
            ("a.mp3", "MP3", "MPEG_LAYER_III"),
        ]:
            soundfile.write(Path(folder, name), tone(0.2, 16000, 2), 16000, format=format_, subtype=subtype)
        encode(Path(folder, "a.m4a"), "aac", seconds=0.2)
        encode(Path(folder, "fragments.mp4"), "aac", seconds=0.2, container_options=FRAGMENTED)
        encode(Path(folder, "a.aac"), "aac", seconds=0.2, container="adts")
        encode(Path(folder, "a.webm"), "libopus", seconds=0.2)
        for path in sorted(Path(folder).iterdir()):
            written[path.name] = path.read_bytes()
    return written


@st.composite
def damaged_files(draw: st.DrawFn) -> tuple[str, bytes]:
    """A file with bytes changed (half of them in its header), cut, or with a piece left out or repeated."""
    name = draw(st.sampled_from(sorted(small_files())))
    content = bytearray(small_files()[name])
    anywhere = st.integers(0, len(content) - 1)
    for position in draw(st.lists(st.integers(0, 200) | anywhere, max_size=8)):
        content[min(position, len(content) - 1)] = draw(st.sampled_from([0, 127, 128, 255]) | st.integers(0, 255))
    start, length, times = draw(st.tuples(anywhere, st.integers(0, 500), st.sampled_from([1, 0, 2])))
    content[start : start + length] *= times
    return name, bytes(content[: draw(st.none() | anywhere)])


def assert_loads_or_refuses(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    try:
        wav = load_audio(path, RATE)
    except UserError as error:
        message = str(error)
    else:
        message = path.name
        assert wav.dtype == np.float32
        assert wav.ndim == 1
        assert len(wav)
        assert np.isfinite(wav).all()
        assert np.abs(wav).max() <= 1.0
    assert path.name in message


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged_files())
def test_damaged_files_load_or_are_refused(tmp_path: Path, damaged: tuple[str, bytes]) -> None:
    """No other error, no crash; whatever is returned is a wav."""
    name, content = damaged
    assert_loads_or_refuses(tmp_path / name, content)


@pytest.mark.slow
@settings(max_examples=1000, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(damaged_files())
def test_many_damaged_files_load_or_are_refused(tmp_path: Path, damaged: tuple[str, bytes]) -> None:
    name, content = damaged
    assert_loads_or_refuses(tmp_path / name, content)


@pytest.mark.parametrize("content", [b"RIFF", b"OggS", b"ID3", b"\xff\xfb", b"fLaC", b"FORM", b"RF64"])
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rest=st.binary(max_size=300))
def test_rubbish_after_a_known_beginning(tmp_path: Path, content: bytes, rest: bytes) -> None:
    assert_loads_or_refuses(tmp_path / "rubbish.wav", content + rest)
