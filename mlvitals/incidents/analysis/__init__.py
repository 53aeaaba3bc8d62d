"""What the evidence says: when the fault began, how bad it is, what may have caused it, whom it reached. Pure."""
