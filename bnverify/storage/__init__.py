"""Files: write a file whole or not at all, and read tables with the place of each field."""
