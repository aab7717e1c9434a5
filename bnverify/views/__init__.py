"""How results are shown: terminal, JSON, JUnit, notebook. Values in, text out; only the terminal view prints."""
