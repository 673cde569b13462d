"""Inputs for `benchmarks.fuzz`, each made from a number alone."""
