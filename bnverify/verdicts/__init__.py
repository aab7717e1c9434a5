"""The pipeline: compare an observation with the expectation, excuse known deviations, and name the cause of a failure."""
