"""Carrying a recipe out: load, build, train, finish."""
