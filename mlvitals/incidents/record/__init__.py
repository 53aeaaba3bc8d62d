"""An incident as data: its entries, what may be added to them, and the files that keep them."""
