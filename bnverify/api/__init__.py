"""The Python interface. Users import these names from `bnverify` itself."""
