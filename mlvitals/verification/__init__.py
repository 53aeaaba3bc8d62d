"""Whether everything that was generated finds data on a live server."""
