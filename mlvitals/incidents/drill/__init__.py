"""A drill: an alert that means nothing goes the way of a real one, to see whether it arrives and is answered."""
