"""Which caller of running a request names."""

from . import calling, existing, models, replicas

CALLERS = dict(calling.CALLERS, existing=existing.Existing, **dict(models.CALLERS, **replicas.CALLERS))


def open_caller(framework, factory, request):
    """The caller that a request names; NotHere where this environment has none."""
    return CALLERS[request.get("mode") or "call"](framework, factory, request)
