"""Features by name: taps, stages, the classifier."""
