"""Devices are offered once, before the framework starts, and never against what the user has set."""

from __future__ import annotations

import os
from types import SimpleNamespace
from typing import Any

import pytest

from bnverify.targets.worker.devices import COUNT, FLAG, offer_jax, offer_tensorflow


class TensorFlow:
    """tf.config with one processor."""

    LogicalDeviceConfiguration = SimpleNamespace

    def __init__(self, processors: int = 1, already: Any = None, running: bool = False) -> None:
        self.processors, self.devices, self.running = processors, already, running

    def list_physical_devices(self, kind: str) -> list[str]:
        return ["cpu"] * self.processors

    def get_logical_device_configuration(self, cpu: str) -> Any:
        return self.devices

    def set_logical_device_configuration(self, cpu: str, devices: Any) -> None:
        if self.running:
            raise RuntimeError("cannot be modified after being initialized")
        self.devices = devices


def test_tensorflow_gets_four_devices() -> None:
    """Of one processor, unless the user has set some, it already runs, or finds none."""
    config = TensorFlow()
    offer_tensorflow(config)
    assert len(config.devices) == COUNT == 4
    for other in (TensorFlow(already=["mine"]), TensorFlow(running=True), TensorFlow(processors=0)):
        before = other.devices
        offer_tensorflow(other)
        assert other.devices is before


def jax(devices: int = -1, running: bool = False) -> Any:
    """jax.config; -1 means that nobody has set the number of devices."""
    config = SimpleNamespace(jax_num_cpu_devices=devices)

    def update(name: str, value: int) -> None:
        if running:
            raise RuntimeError("should be updated before backends are initialized")
        setattr(config, name, value)

    config.update = update
    return config


@pytest.mark.parametrize(("config", "after"), [(jax(), 4), (jax(2), 2), (jax(running=True), -1)])
def test_jax_gets_four_devices(config: Any, after: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By its configuration, unless the user has set some or it already runs; the environment stays as it is."""
    monkeypatch.setenv("XLA_FLAGS", "--other")
    offer_jax(config)
    assert (config.jax_num_cpu_devices, os.environ["XLA_FLAGS"]) == (after, "--other")


@pytest.mark.parametrize(
    ("flags", "after"), [("", f"--{FLAG}=4"), ("--other", f"--other --{FLAG}=4"), (f"--{FLAG}=2", f"--{FLAG}=2")]
)
def test_an_old_jax_gets_a_flag(flags: str, after: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before 0.5 it reads XLA_FLAGS; a flag of the user wins, over a new JAX, too."""
    monkeypatch.setenv("XLA_FLAGS", flags)
    offer_jax(SimpleNamespace())
    assert os.environ["XLA_FLAGS"] == after
    new = jax()
    offer_jax(new)
    assert new.jax_num_cpu_devices == -1
