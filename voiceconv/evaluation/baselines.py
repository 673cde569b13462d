"""Converts without learning anything: copy-synthesis and two baselines that a conversion is measured beside.

The last two need WORLD (Morise et al. 2016, doi:10.1587/transinf.2015EDP7457; the package `pyworld`, extra `world`),
which takes speech apart into pitch, spectral envelope and aperiodicity and puts it together again.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import scipy.signal
import torch
from numpy.typing import NDArray

from voiceconv.audio.loudness import normalise_loudness
from voiceconv.convert.converter import VoiceConverter
from voiceconv.features.pitch import F_MIN, PitchStatistics, extract_f0
from voiceconv.voice.speaker import Speaker

Wav = NDArray[np.float32]
Array = NDArray[np.float64]


def has_world() -> bool:
    return find_spec("pyworld") is not None


@torch.inference_mode()
def copy_synthesis(converter: VoiceConverter, wav: Wav) -> Wav:
    """`wav` `(T,)` through mel-spectrogram and vocoder: what a conversion could sound like at best."""
    out = converter.vocoder(converter.mel(torch.from_numpy(wav).to(converter.device))[None])
    return _as_long_as(wav, out[0].float().cpu().numpy().astype(np.float64))


def world_pitch_shift(converter: VoiceConverter, source: Speaker, target: Speaker, wav: Wav) -> Wav:
    """`wav` `(T,)` with all of its pitch moved by the distance of the two speakers; nothing else changes."""
    ratio = target.pitch.median_hz / source.pitch.median_hz
    return _through_world(converter, wav, lambda f0, envelope: (f0 * ratio, envelope))


def world_statistics(converter: VoiceConverter, source: Speaker, target: Speaker, wav: Wav) -> Wav:
    """`wav` `(T,)` with log F0 mapped as a Gaussian to the target's, and every mel band to its mean and variance."""
    mel = converter.mel(torch.from_numpy(wav).to(converter.device)).cpu()
    moved = target.denormalise(source.normalise(mel)) - mel
    config, filters = converter.mel.config, converter.mel.filters.cpu().numpy()
    centres = filters.argmax(axis=0) * config.sample_rate / config.n_fft
    # Bands under the pitch of a voice are empty, which says nothing about its envelope.
    known = centres >= max(source.pitch.median_hz, target.pitch.median_hz)

    def change(f0: Array, envelope: Array) -> tuple[Array, Array]:
        frequencies = np.linspace(0, config.sample_rate / 2, envelope.shape[1])
        gain = np.stack([np.interp(frequencies, centres[known], frame) for frame in moved.T.double().numpy()[:, known]])
        return map_f0(f0, source.pitch, target.pitch), envelope * np.exp(2 * gain)  # of power, and `gain` of magnitude

    return _through_world(converter, wav, change)


def map_f0(f0: Array, source: PitchStatistics, target: PitchStatistics) -> Array:
    """F0 in Hz, 0 where unvoiced, with the mean and the deviation of its logarithm moved to the target's."""
    log_f0 = np.log(np.where(f0 > 0, f0, 1.0))
    return np.where(f0 > 0, np.exp((log_f0 - source.mean) / source.std * target.std + target.mean), 0.0)


def _through_world(converter: VoiceConverter, wav: Wav, change: Callable[[Array, Array], tuple[Array, Array]]) -> Wav:
    """Analysis, `change` of F0 `(frames,)` and power envelope `(frames, frequencies)`, synthesis at speech level."""
    import pyworld

    rate, hop_length = converter.sample_rate, converter.mel.config.hop_length
    x = wav.astype(np.float64)
    f0 = extract_f0(wav, rate, hop_length).astype(np.float64)
    times = (np.arange(len(f0)) + 0.5) * hop_length / rate
    fft_size = pyworld.get_cheaptrick_fft_size(rate, F_MIN)
    envelope = pyworld.cheaptrick(x, f0, times, rate, f0_floor=F_MIN, fft_size=fft_size)
    aperiodicity = pyworld.d4c(x, f0, times, rate, fft_size=fft_size)
    f0, envelope = change(f0, envelope)
    spoken = pyworld.synthesize(
        f0, np.ascontiguousarray(envelope), aperiodicity, rate, frame_period=1000 * hop_length / rate
    )
    # The envelope goes on under F0, where recordings have nothing: without this filter the result hums and rumbles.
    spoken = scipy.signal.sosfiltfilt(scipy.signal.butter(4, F_MIN, "highpass", fs=rate, output="sos"), spoken)
    # WORLD takes the first frame to lie at 0 and not half a hop later.
    return normalise_loudness(_as_long_as(wav, np.pad(spoken, (hop_length // 2, 0))), rate)


def _as_long_as(wav: Wav, out: Array) -> Wav:
    """`out` cut or padded with silence to the length of `wav`."""
    out = np.pad(out, (0, max(0, len(wav) - len(out))))[: len(wav)]
    return np.clip(out, -1.0, 1.0).astype(np.float32)
