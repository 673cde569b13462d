"""Read, write and level recordings."""
