"""Targets: the layers under test. This is the only room that imports Keras."""
