"""A stack on this machine without Docker: for a first look."""
