"""The configuration: sections, overrides, presets, and the one recipe that they resolve to."""
