"""Objectives: what a network is trained to minimise, how terms add up, and how weights change over a run."""
