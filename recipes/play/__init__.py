"""Opens the lecture's ideas as small pages to play with, from shipped weights: `python -m recipes.play`."""
