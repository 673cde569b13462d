"""Defines families of generative models, one file each: configuration, networks and training step."""
