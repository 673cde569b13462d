from __future__ import annotations

import base64
import re

import numpy as np

from voiceconv.features.mel import MelConfig
from voiceconv.features.spectrogram_plot import as_img, draw_spectrogram

CONFIG = MelConfig()


def test_a_tone_is_drawn_at_its_frequency_and_its_pitch_where_it_is_voiced() -> None:
    time = np.arange(CONFIG.sample_rate) / CONFIG.sample_rate
    f0 = np.where(np.arange(len(time) // CONFIG.hop_length) < 40, 200.0, 0.0)
    figure = draw_spectrogram(np.sin(2 * np.pi * 1000 * time).astype(np.float32), f0, CONFIG)
    spectrogram, pitch = figure.axes
    ticks = {
        label.get_text(): y for label, y in zip(spectrogram.get_yticklabels(), spectrogram.get_yticks(), strict=True)
    }
    rows = np.asarray(spectrogram.images[0].get_array())
    assert abs(rows.mean(axis=1).argmax() + 0.5 - ticks["1"]) <= 1
    seconds, curve = np.asarray(pitch.lines[-1].get_data())
    assert np.array_equal(np.isfinite(curve), f0 > 0)
    assert set(curve[:40]) == {200.0}
    assert np.isclose(seconds[10], 10.5 * CONFIG.hop_length / CONFIG.sample_rate)


def test_img_carries_a_transparent_png_and_escapes_its_text() -> None:
    silence = np.zeros(CONFIG.sample_rate, np.float32)
    image = as_img(draw_spectrogram(silence, np.zeros(86), CONFIG), 'As "Joe" <b>')
    assert 'alt="As &quot;Joe&quot; &lt;b&gt;"' in image
    (data,) = re.findall(r'src="data:image/png;base64,([^"]+)"', image)
    png = base64.b64decode(data)
    assert png.startswith(b"\x89PNG")
    assert png[25] == 6, "the colour type of a PNG with transparency"
