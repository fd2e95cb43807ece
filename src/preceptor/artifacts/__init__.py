"""Trained things on disk: run folders, weights, exported files, and what they say of themselves."""
