"""Grids of runs: the file, its cells and their order, the folder they share, and what runs them where."""
