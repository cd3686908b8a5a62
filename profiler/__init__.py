"""Measures: networks, devices, backends, protocol, statistics, latency table."""
