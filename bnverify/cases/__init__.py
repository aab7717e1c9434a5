"""Test cases: their ids, the fills that make their inputs, and the suites."""
