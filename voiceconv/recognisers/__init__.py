"""Recognise phonemes and speakers in mel-spectrograms, with small networks of our own."""
