"""Which class makes the calls of a mode."""

from . import calling, existing, models, replicas

CALLERS = dict(calling.CALLERS_OF_LAYERS, existing=existing.Existing)
CALLERS.update(models.CALLERS_OF_MODELS, **replicas.CALLERS_OF_REPLICAS)


def open_caller(framework, factory, request):
    """The caller for the mode of a request. Raises NotHere where this environment does not have that mode."""
    return CALLERS[request.get("mode") or "call"](framework, factory, request)
