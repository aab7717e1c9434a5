"""The reference: what must come out, in NumPy with float64 or wider, as short as possible."""
