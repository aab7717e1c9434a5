"""Running: the loop over cases, and the self-test."""
