"""Verification that every generated query finds data on a live server."""
