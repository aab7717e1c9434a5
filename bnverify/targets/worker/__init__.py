"""The worker: builds a layer, makes the calls of a case, and records the results. It judges nothing.

The worker needs only the standard library, NumPy and the framework under test. It runs on Python 3.6 and newer, with Keras 2.1
and newer. It runs in this process (`observing.Worker`), or as a process of its own that is started by path (`python worker
KERAS`). That process reads requests from standard input and writes answers to standard output, in the format of `wire`. KERAS
is "keras", "tf_keras", "tf.keras", or the name of a function target (see `functions`).

This docstring is the whole protocol. Arrays travel as arrays; bfloat16 arrays travel as float32. "or null" marks what may be
null. "?" marks a field that may be missing; it then counts as null, false or empty.

A worker process first sends one message with these fields:

    environment: where the worker runs
    interface: what the layer's class declares
    error?: text; why the framework cannot be imported, or the layer not be made. The process then ends.
    layer?: true if the error is of the user's layer (module:Name, the second argument), and not of the framework

It then answers requests until its input ends. Before each stage of a request it sends {"stage": text}, so that the other side
knows where it died. The stages of a request are "constructor", "build", "loading",
"setting weights", and "step N" for step N, from 0. The stages of a user's layer before the first message are "import" and
"constructor".

Environment:

    target?: text; the function target, if there is one
    module: "keras", "tf_keras" or "tf.keras"
    keras: text; the version
    backend: text; Keras' name for it
    backend_version: text
    device: "CPU", "GPU" or what the backend calls it
    float64: true if the backend computes in float64 when asked to
    numpy: text; the version
    python: text; the version
    cpu: text; the model name of the processor

Interface:

    arguments: {name: default as text}; of the constructor, in order; "" if there is no default
    call: [names]; the arguments of a call
    config?: {name: value}; get_config() of a layer with defaults, plain values only
    weights?: [texts]; of that layer built for (2, 3), each as "gamma float32 trainable"

Request:

    layer: {name: value}; arguments of the constructor, without dtype
    policy: text; the dtype policy
    shape: [sizes]; of the inputs. The layer is built for it; null stands for an unknown size
    dtype: text; of the inputs
    weights: {name: array} to set after building, or null to keep the initial ones
    steps: [steps]; see below
    mode?: text; how the calls are made (see `registry`); "call" if missing
    layout?: "plain", "fortran", "strided" or "reversed"; how inputs lie in memory
    made?: true to get the weights of two new layers before any are set
    network?: text; the network to train instead of one layer (see `networks`), or null. `shape` is the shape of its batches
    momentum?: number; the layer's momentum during the request, for mode "existing", or null
    start?: {"format": text, "bytes": uint8 array}; a file; the layer in it replaces the built layer

Step that calls:

    do: "call"
    training: true, false, or null to leave the argument out
    x: array; the input
    mask: array, any other value that must be refused, or null
    upstream: array or null; the gradient of a loss with respect to y. The call is then differentiated
    direction: array or null; the gradient of x is then differentiated once more, in this direction
    rate: number or null; the learning rate of a step of gradient descent after the call
    labels?: array or null; what a network learns, one-hot

Step that freezes:

    do: "trainable"
    value: true or false; what `trainable` is set to

Step that saves:

    do: "file"
    format: text; see `saving`
    keep?: true to save only, and get the bytes

Answer:

    weights: [weights]; as the built layer lists them
    initial: {name: array}; before the first step
    made: [{name: array}, {name: array}] or null
    config: {name: value}; get_config(), plain values only, or null if the layer has none
    steps: [answers]; one for each step that was finished
    failure: the exception that ended the request, or null
    inner?: [inner calls]; calls that were watched inside the steps, of networks and replicas

Weight:

    name: text; without the layer's name and ":0"
    shape: [sizes]
    dtype: text
    trainable: true if the layer lists it as trainable

Answer to a step:

    y: array; the output, or null if the step is not a call
    y_dtype: text; its dtype, or null
    weights: {name: array}; after the step
    trainable: [names]; the trainable weights after the step
    gradients?: {"x", "second" or a weight's name: array or null if the framework gives none}
    dtypes?: {the same names: text}; the dtypes of the gradients
    losses?: [numbers]; of the layer's regularizers
    config?: {name: [text, text]}; get_config() before a layer was saved, and of the loaded layer
    hidden?: [names]; which of "weights", "gradients", "losses" and "y_dtype" cannot be observed in this mode
    file?: uint8 array; the bytes that were saved

Inner call:

    label: text; which layer of the network, or which replica
    step: the index of the step
    training: true, false or null
    trainable: true or false
    policy: text
    dtype: text; of the input
    x: array; the input
    mask: array or null
    before: {name: array}; the weights before the call
    after: the answer to this call, as for a step
    arguments?: {name: value}; the layer's arguments

Failure:

    stage: text; a stage as above, or "start" if nothing was tried
    type: text; the exception's class; "NotHere" if this environment cannot do what was requested
    text: text; the exception's message on one line
    kinds?: [texts]; the classes that the exception's class is derived from
"""
