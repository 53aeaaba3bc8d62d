"""Analysis of the evidence: the start of a fault, its severity, its likely causes and its impact. Pure."""
