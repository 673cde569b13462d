"""Load, check, save and share a trained voice."""
