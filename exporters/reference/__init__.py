"""The baseline: the reference artifact, its versions, and where they are stored."""
