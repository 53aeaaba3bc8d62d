"""Where events come from, a module each: what a source answers is read at the edge, and made into events by a pure function."""
