"""Benchmarks: every figure beside a peer's or a floor's, measured in the same run on the same data."""
