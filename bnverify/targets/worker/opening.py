"""Which way of running a request names."""

from . import held, models, replicas, ways

WAYS = dict(ways.WAYS, held=held.Held, **dict(models.WAYS, **replicas.WAYS))


def open_way(framework, factory, request):
    """The way that a request names; NotHere where this environment has none."""
    return WAYS[request.get("mode") or "call"](framework, factory, request)
