"""Grids: cells, their graph, where they run, and the statistics over their results."""
