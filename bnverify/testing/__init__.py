"""Testing a layer with pytest: the parameterized harness and the plugin."""
