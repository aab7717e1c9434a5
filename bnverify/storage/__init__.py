"""Files: writing a file whole or not at all, and reading tables with the place of each field."""
