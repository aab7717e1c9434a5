"""The worker as a process: `python worker KERAS` answers requests until standard input ends."""

import os
import sys


def main():
    """the framework may print; its text goes to standard error, because standard output carries the answers"""
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)

    def send(document):
        answers.write(wire.pack(document))
        answers.flush()

    try:
        worker = observing.Worker(sys.argv[1], tell=lambda stage: send({"stage": stage}))
        send({"environment": worker.environment(), "interface": worker.interface()})
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
    from worker import observing, wire

    sys.path.pop(0)
    main()
