"""A new device from few labels: what other devices know of a catalogue, and what the labels add."""

from predictor.transfer._device_transfer import DeviceTransfer
from predictor.transfer._labels import Labels
from predictor.transfer._source_devices import SourceDevices

__all__ = ["DeviceTransfer", "Labels", "SourceDevices"]
