"""Compute what is known of a waveform: mel-spectrogram, F0, harmonics and envelope."""
