"""The version matrix: make environments, run the cases in each, record the results, and compare the records."""
