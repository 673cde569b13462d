"""Makes recordings that are damaged or odd, in every container and codec that can be written here."""

from __future__ import annotations

import io
import random
from functools import cache

import numpy as np

from benchmarks.fuzzing.mutations import is_gentle, mutate

LIBSNDFILE_EXTENSIONS = {"WAVEX": "wav", "RF64": "wav", "MAT4": "mat", "MAT5": "mat", "NIST": "sph", "IRCAM": "sf"}
LAYOUTS = ("mono", "stereo", "2.1", "4.0", "5.0", "5.1", "6.1", "7.1")
PCM = ("pcm_u8", "pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_f64le", "pcm_alaw", "pcm_mulaw")
FFMPEG = (
    ("m4a", "mp4", ("aac", "alac", "libmp3lame", "libopus", "flac", "ac3")),
    ("m4b", "ipod", ("aac", "alac")),
    ("mp4", "mp4", ("aac", "mp2")),
    ("mov", "mov", ("aac", "alac", "adpcm_ima_qt", "pcm_s16be", *PCM)),
    ("mkv", "matroska", ("aac", "flac", "libopus", "mp2", "vorbis", "ac3", "eac3", "tta", "wavpack", *PCM)),
    ("mka", "matroska", ("aac", "flac", "libopus")),
    ("webm", "webm", ("libopus", "vorbis")),
    ("ogg", "ogg", ("libopus", "flac", "vorbis")),
    ("opus", "opus", ("libopus",)),
    ("mp3", "mp3", ("libmp3lame",)),
    ("mp2", "mp2", ("mp2",)),
    ("aac", "adts", ("aac",)),
    ("amr", "amr", ("libopencore_amrnb",)),
    ("3gp", "3gp", ("libopencore_amrnb", "aac")),
    ("wma", "asf", ("wmav1", "wmav2")),
    ("wav", "wav", ("adpcm_ms", "adpcm_ima_wav", "adpcm_yamaha", "adpcm_swf", "g722", "g726", *PCM)),
    ("w64", "w64", PCM),
    ("aiff", "aiff", ("pcm_s16be", "pcm_s24be", "pcm_f32be", "pcm_mulaw")),
    ("aifc", "aiff", ("pcm_s16le", "pcm_alaw")),
    ("au", "au", ("pcm_s16be", "pcm_f32be", "pcm_mulaw")),
    ("caf", "caf", ("pcm_s16le", "alac", "libopus", "flac")),
    ("flac", "flac", ("flac",)),
    ("wv", "wv", ("wavpack",)),
    ("tta", "tta", ("tta",)),
    ("ac3", "ac3", ("ac3",)),
    ("avi", "avi", ("libmp3lame", "pcm_s16le")),
)  # fmt: skip


def audio_case(number: int) -> tuple[str, bytes]:
    """File name and content of a mutated recording."""
    chance = random.Random(f"audio {number}")
    if is_gentle(number):
        return odd_recording(chance)
    names = sorted(recordings())
    name, other = chance.choice(names), chance.choice(names)
    return name, mutate(recordings()[name], chance, recordings()[other])


def odd_recording(chance: random.Random) -> tuple[str, bytes]:
    """File name and content of a recording with something odd about it: rate, channels, length, level or header."""
    rate = chance.choice((4000, 8000, 11025, 16000, 22050, 22051, 44100, 48000, 96000, 192000))
    samples = chance.choice((1, chance.randrange(2, rate // 5), *5 * (chance.randrange(rate // 5, 3 * rate // 2),)))
    wav = odd_channels(odd_sound(samples, rate, chance), chance)
    encode = chance.choice((by_libsndfile, by_libsndfile, by_ffmpeg))
    try:
        extension, encoded = encode(wav, rate, chance)
    except EncodingError:  # a rate, channels or a length that this format does not have
        extension, encoded = "wav", as_wav(wav, rate)
    content = bytearray(encoded)
    what = chance.randrange(8)
    if what == 0:
        del content[len(content) - chance.randrange(1, max(2, len(content) // 2)) :]
    elif what == 1:
        content += chance.randbytes(chance.randrange(1, 5000))
    elif what == 2 and content[:4] == b"RIFF":  # a field of the format: channels, rate, bytes a second, block, bits
        at, size = chance.choice(((22, 2), (24, 4), (28, 4), (32, 2), (34, 2)))
        field = int.from_bytes(content[at : at + size], "little")
        field = chance.choice((field + 1, field * 2, field // 2, field * 10, 0)) % 2 ** (8 * size)
        content[at : at + size] = field.to_bytes(size, "little")
    elif what == 3 and content[:4] == b"RIFF":  # a chunk that nobody knows, before the sound
        content[12:12] = b"odd " + (10).to_bytes(4, "little") + chance.randbytes(10)
    return f"odd.{extension}", bytes(content)


def odd_channels(wav: np.ndarray, chance: random.Random) -> np.ndarray:
    """`(samples, 1 to 8)` of a sound `(samples,)`: louder and softer, inverted, late, or not there at all."""
    channels = []
    for _ in range(chance.choice((1, 1, 2, 2, 3, 4, 5, 6, 7, 8))):
        late = chance.choice((0, 0, 0, chance.randrange(100)))
        with np.errstate(invalid="ignore"):  # infinity by nothing
            channels.append(np.roll(wav, late) * chance.choice((1, 1, 1, 0.01, -1, -0.9, 0)))
    return np.stack(channels, axis=1)


class EncodingError(Exception):
    """A library refuses to write such a recording."""


def as_wav(wav: np.ndarray, rate: int) -> bytes:
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, wav, rate, format="WAV", subtype="FLOAT")
    return buffer.getvalue()


def by_libsndfile(wav: np.ndarray, rate: int, chance: random.Random) -> tuple[str, bytes]:
    """Extension and content in any format and coding that libsndfile writes; raises `EncodingError`."""
    import soundfile

    # RAW has no header that says what it is; SD2 keeps it in a second file.
    form = chance.choice(sorted(soundfile.available_formats().keys() - {"RAW", "SD2"}))
    subtype = chance.choice(sorted(soundfile.available_subtypes(form)))
    if subtype not in ("FLOAT", "DOUBLE"):
        wav = np.nan_to_num(wav).clip(-1, 1)  # encoders end the process over what is no number
    buffer = io.BytesIO()
    try:
        soundfile.write(buffer, wav, rate, format=form, subtype=subtype)
    except (soundfile.LibsndfileError, AssertionError, ValueError) as error:
        raise EncodingError(f"{form} {subtype}") from error
    return LIBSNDFILE_EXTENSIONS.get(form, form.lower()), buffer.getvalue()


def by_ffmpeg(wav: np.ndarray, rate: int, chance: random.Random) -> tuple[str, bytes]:
    """Extension and content in a container and codec that PyAV writes, at a rate that the codec has and with its
    kind of samples; raises `EncodingError`."""
    import av

    if len(wav) < 32:
        raise EncodingError("some encoders end the process over a single sample")
    extension, form, codecs = chance.choice(FFMPEG)
    codec = chance.choice(codecs)
    known = av.Codec(codec, "w")
    rates = known.audio_rates
    if rates and rate not in rates:
        rate = min(rates, key=lambda other: abs(other - rate))
    layout = "mono" if codec == "libopencore_amrnb" else LAYOUTS[wav.shape[1] - 1]
    if codec == "libopencore_amrnb":
        rate = 8000
    buffer = io.BytesIO()
    try:
        with av.open(buffer, "w", format=form, options={"strict": "-2"}) as container:
            stream = container.add_stream(codec, rate=rate, options={"strict": "-2"})
            assert isinstance(stream, av.AudioStream)
            stream.layout = layout
            stream.format = (known.audio_formats or [av.AudioFormat("s16")])[0].name
            samples = np.nan_to_num(wav).clip(-1, 1).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(samples.reshape(1, -1), format="flt", layout=LAYOUTS[wav.shape[1] - 1])
            frame.sample_rate = rate
            frame.pts = 0
            resampler = av.AudioResampler(stream.format.name, layout, rate, frame_size=stream.frame_size or 0)
            for piece in [*resampler.resample(frame), *resampler.resample(None)]:
                container.mux(stream.encode(piece))
            container.mux(stream.encode(None))
    except (av.FFmpegError, ValueError, TypeError) as error:
        raise EncodingError(f"{form} {codec}") from error
    return extension, buffer.getvalue()


def odd_sound(samples: int, rate: int, chance: random.Random) -> np.ndarray:
    """`(samples,)` of something speech-like or not, at any level, perhaps with a value that is no number."""
    time = np.arange(samples) / rate
    noise = np.random.default_rng(chance.randrange(2**32)).standard_normal(samples)
    pitch = chance.choice((50, 90, 150, 300, 600, 2000))
    buzz = sum(np.sin(2 * np.pi * k * pitch * time) / k for k in range(1, 8)) * (0.2 + np.sin(4 * time) ** 2)
    bursts = noise * (np.sin(40 * time) > 0.9)
    click, nothing = np.eye(1, samples)[0], np.zeros(samples)
    wav = chance.choice((*3 * (buzz, buzz + 0.1 * noise), noise, bursts, np.sign(buzz), click, nothing, nothing + 1))
    wav = wav * chance.choice((*6 * (0.2,), 1e-6, 1e-3, 1.0, 30.0, 1e8, 1e30)) + chance.choice((0, 0, 0.5))
    if chance.random() < 0.1:
        wav[chance.randrange(samples)] = chance.choice((np.nan, np.inf, -np.inf))
    return wav


@cache
def recordings() -> dict[str, bytes]:
    """The same second of sound in every format that is read: name -> content."""
    import av
    import soundfile

    rate = 16000
    time = np.arange(rate) / rate
    wav = (0.3 * np.sign(np.sin(2 * np.pi * 140 * time)) * np.sin(np.pi * 3 * time)).astype(np.float32)
    files = {}
    for name, form, subtype in (
        ("a.wav", "WAV", "PCM_16"),
        ("b.wav", "WAV", "FLOAT"),
        ("c.flac", "FLAC", None),
        ("d.ogg", "OGG", "VORBIS"),
        ("e.aiff", "AIFF", None),
        ("f.caf", "CAF", None),
    ):
        buffer = io.BytesIO()
        soundfile.write(buffer, wav, rate, format=form, subtype=subtype)
        files[name] = buffer.getvalue()
    for name, form, codec in (("g.mp3", "mp3", "libmp3lame"), ("h.m4a", "mp4", "aac"), ("i.webm", "webm", "libopus")):
        buffer = io.BytesIO()
        with av.open(buffer, "w", format=form) as container:
            stream = container.add_stream(codec, rate=48000)
            assert isinstance(stream, av.AudioStream)
            stream.layout = "mono"
            frame = av.AudioFrame.from_ndarray(np.repeat(wav, 3)[None], format="flt", layout="mono")
            frame.sample_rate = 48000
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        files[name] = buffer.getvalue()
    return files
