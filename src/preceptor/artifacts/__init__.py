"""Trained networks on disk: run folders, weights, exported files, and the metadata in them."""
