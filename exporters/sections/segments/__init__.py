"""Values of a declared column, each measured separately."""
