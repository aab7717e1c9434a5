"""The worker as a process: `python worker KERAS [module:Name [probe]]` answers requests until standard input ends.

module:Name is a user's layer in place of Keras' own; with "probe" one is made before the first request.
"""

import os
import sys
import threading
import time


def end_with(parent):
    """Ends this process once its parent is gone, even if a case hangs: a killed run leaves no worker behind."""
    while os.getppid() == parent:
        time.sleep(2)
    os._exit(1)


def main():
    # A layer may print, and may close any stream: its text goes to standard error, and messages use descriptors of their own.
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    threading.Thread(target=end_with, args=(os.getppid(),), daemon=True).start()

    def send(document):
        answers.write(wire.pack(document))
        answers.flush()

    try:
        tell = lambda stage: send({"stage": stage})  # noqa: E731
        path = sys.argv[2] if len(sys.argv) > 2 else ""
        if path:
            tell("import")
        layer = layers.load_layer(path) if path else None
        worker = observing.Worker(sys.argv[1], layer, tell, path)
        if sys.argv[3:] == ["probe"]:
            tell("constructor")
            layers.probe(layer, path, worker.keras.layers.Layer)
        send({"environment": worker.environment(), "interface": worker.interface()})
    except layers.BadLayer as error:
        send({"error": str(error), "layer": True})
        return
    except Exception as error:
        send({"error": "%s: %s" % (type(error).__name__, observing.one_line(error))})
        return
    while True:
        request = wire.unpack(requests)
        if request is None:
            return
        send(worker.observe(request))


if __name__ == "__main__":
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[0] = os.path.dirname(here)  # the folder that holds this package; it may not be on the path
    from worker import layers, observing, wire

    sys.path.pop(0)
    main()
