"""An emulated phone that real ADB clients can talk to: protocol, files, shell and commands."""

from profiler.phone.clock import PhoneClock
from profiler.phone.content_pool import ContentPool
from profiler.phone.description import Battery, Cluster, PhoneDescription, load_phone
from profiler.phone.fault_file import load_faults
from profiler.phone.faults import EFFECTS, Effect, Fault, FaultKind, FaultScript
from profiler.phone.phone import FEATURES, Phone
from profiler.phone.server import PhoneServer
from profiler.phone.state import PhoneState

__all__ = [
    "EFFECTS",
    "FEATURES",
    "Battery",
    "Cluster",
    "ContentPool",
    "Effect",
    "Fault",
    "FaultKind",
    "FaultScript",
    "Phone",
    "PhoneClock",
    "PhoneDescription",
    "PhoneServer",
    "PhoneState",
    "load_faults",
    "load_phone",
]
