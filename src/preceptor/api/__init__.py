"""The verbs of the library from Python."""
