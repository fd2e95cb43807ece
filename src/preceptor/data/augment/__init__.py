"""What becomes of samples before a network sees them: views of each one, and input policies for a whole batch."""
