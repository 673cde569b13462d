"""One runnable task per file: `python -m recipes.NAME --help`."""
