"""Measure a trained voice on clips that were kept from its training."""
