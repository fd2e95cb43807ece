"""Features by name: hooks that return them, their layout as maps, and the search for them where a network names none."""
