"""What must come out: NumPy in float64 or wider, the shortest correct text."""
