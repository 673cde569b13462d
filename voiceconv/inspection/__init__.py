"""Report on a folder of recordings before a voice is trained on it."""
