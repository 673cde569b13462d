"""Trains a family: the loop, its data, checkpoints, precision and logs."""
