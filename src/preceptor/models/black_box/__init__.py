"""Teachers that are no PyTorch modules: they return logits, and nothing in them can be looked at."""
