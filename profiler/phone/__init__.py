"""An emulated phone that real ADB clients can talk to: protocol, files, shell and commands."""

from profiler.phone.description import Battery, Cluster, PhoneDescription, load_phone
from profiler.phone.faults import Fault, FaultKind, FaultScript
from profiler.phone.phone import FEATURES, Phone
from profiler.phone.server import PhoneServer
from profiler.phone.state import PhoneState

__all__ = [
    "FEATURES",
    "Battery",
    "Cluster",
    "Fault",
    "FaultKind",
    "FaultScript",
    "Phone",
    "PhoneDescription",
    "PhoneServer",
    "PhoneState",
    "load_phone",
]
