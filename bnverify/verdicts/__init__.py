"""How observation and expectation compare: judging, naming causes, known deviations."""
