"""Files: a layer is saved, and what was saved takes its place."""


def reload(way, step):
    raise NotImplementedError
