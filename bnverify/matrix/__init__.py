"""The version matrix: environments are made, the cases run in each, and what came out is recorded and compared."""
