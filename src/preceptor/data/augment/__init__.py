"""KD+ and its like: views, mixing, input policies."""
