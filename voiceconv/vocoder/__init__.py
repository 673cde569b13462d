"""Turn mel-spectrograms back into waveforms."""
