"""How results are shown: terminal, JSON, JUnit, notebook. A view turns values into text; only the terminal view prints."""
