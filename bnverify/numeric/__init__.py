"""Numeric helpers: floating-point formats, and working through large arrays block by block."""
