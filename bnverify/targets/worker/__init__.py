"""The worker: builds a layer, makes the calls of a case and records what came back. It decides nothing.

Self-contained: the standard library, NumPy and the framework under test, on Python 3.6 and newer, from Keras 2.1 on. It runs
in this process (`observing.Worker`) and, started by its path in any environment (`python worker KERAS`), as a subprocess that
reads requests from standard input and writes answers to standard output (`wire`). What differs between generations of Keras
is in `frameworks`.

In place of the name of a Keras it takes that of a route (`routes`): a function that computes a part of the same.

The worker first says where it runs: {"environment": {...}, "interface": {"arguments": {name: default}, "call": [names],
"weights": [texts], "config": {...}}}, or
{"error": text} where the framework cannot be imported. A request for a case:
    {"layer": {constructor arguments}, "policy": dtype policy, "shape": [...], "dtype": input dtype,
     "weights": {name: array} or null,
     "steps": [{"do": "call", "training": true|false|null, "x": array, "mask": array or null, "upstream": array or null,
                "direction": array or null, "rate": number or null} or {"do": "trainable", "value": true|false}]}
With `upstream`, the gradient of a loss with respect to y, a call is differentiated with respect to x and the trainable weights;
with `direction`, the gradient of x once more; with `rate`, a step of gradient descent on the weights follows.
Before each stage of it the worker says {"stage": text}, so that whoever waits knows where it died; its answer is
    {"weights": [{"name", "shape", "dtype", "trainable"}], "initial": {name: array}, "config": {...} or null,
     "steps": [{"y": array, "y_dtype": text, "weights": {name: array}, "trainable": [names],
                "gradients": {"x" or weight or "second": array or null}, "dtypes": {the same: text}, "losses": [numbers]}],
     "failure": null or {"stage", "type", "text", "kinds": [names of the types that the type is derived from]}}
"""
