"""Devices: the processor offered as several, over which a batch can be spread. Only while the framework has not started.

A process in which it already runs, or whose user has asked for devices, is left as it is: then there are no replicas.
"""

import importlib
import os

COUNT = 4
FLAG = "xla_force_host_platform_device_count"


def offer_devices(backend):
    """Called before the first computation, when the framework has been imported."""
    if backend == "tensorflow":
        offer_tensorflow(importlib.import_module("tensorflow").config)
    elif backend == "jax":
        offer_jax(importlib.import_module("jax").config)


def offer_tensorflow(config):
    try:
        cpu = config.list_physical_devices("CPU")[0]
        if config.get_logical_device_configuration(cpu) is None:
            config.set_logical_device_configuration(cpu, [config.LogicalDeviceConfiguration()] * COUNT)
    except (RuntimeError, ValueError, IndexError):  # it runs already, or sees no processor
        pass


def offer_jax(config):
    flags = os.environ.get("XLA_FLAGS", "")
    if FLAG in flags:
        return
    if getattr(config, "jax_num_cpu_devices", None) is None:  # JAX before 0.5
        os.environ["XLA_FLAGS"] = ("%s --%s=%d" % (flags, FLAG, COUNT)).strip()
    elif config.jax_num_cpu_devices == -1:
        try:
            config.update("jax_num_cpu_devices", COUNT)
        except RuntimeError:  # it runs already
            pass
