"""What is asked: cases, their ids, the fills that make their inputs, and the suites."""
