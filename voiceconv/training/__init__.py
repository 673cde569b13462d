"""Train a voice from two folders of recordings."""
