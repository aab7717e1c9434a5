"""Devices: split the processor into several devices, so that a batch can be spread over them, before the framework starts.

If the framework already runs, or the user has set devices, nothing is changed and there are no replicas.
"""

import importlib
import os

COUNT = 4
FLAG = "xla_force_host_platform_device_count"


def offer_devices(backend):
    """Call this after the import of the framework and before its first computation."""
    if backend == "tensorflow":
        offer_tensorflow(importlib.import_module("tensorflow").config)
    elif backend == "jax":
        offer_jax(importlib.import_module("jax").config)


def offer_tensorflow(config):
    try:
        cpu = config.list_physical_devices("CPU")[0]
        if config.get_logical_device_configuration(cpu) is None:
            config.set_logical_device_configuration(cpu, [config.LogicalDeviceConfiguration()] * COUNT)
    except (RuntimeError, ValueError, IndexError):  # it already runs, or finds no processor
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
        except RuntimeError:  # it already runs
            pass
