"""Train a vocoder from folders of recordings."""
