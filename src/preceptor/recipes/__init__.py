"""Recipes: what to train as one frozen value, and the verbs that carry it out."""
