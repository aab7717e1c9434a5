"""How far a correct layer may be from the reference, and comparing numbers with that."""
