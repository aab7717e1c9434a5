"""One batch over several devices of this machine."""

WAYS = {}
