"""Networks of other libraries and of the user, and wrappers around a student."""
