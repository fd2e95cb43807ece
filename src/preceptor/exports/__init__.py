"""A student that leaves: files that answer without their run folder, the card beside them, and what asks them."""
