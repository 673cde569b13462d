"""Run the commands of the terminal."""
