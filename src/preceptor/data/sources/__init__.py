"""One reader per kind of data (files, arrays, synthetic samples), each a `Source` for `assemble`; by name in `registry`."""
