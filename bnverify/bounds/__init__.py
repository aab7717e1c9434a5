"""Error bounds: how far a correct layer may be from the reference, and the comparison of numbers with those bounds."""
