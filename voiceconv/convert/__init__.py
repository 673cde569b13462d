"""Convert waveforms, streams, files and folders with a trained voice."""
