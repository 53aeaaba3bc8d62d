"""Formats of text: bytes in whatever encoding and compression in, batches of rows out."""
