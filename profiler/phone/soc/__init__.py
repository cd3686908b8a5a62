"""The law of an emulated phone's processors: what each step of a network costs on them, free of noise.

Latencies follow from a phone's own numbers (clusters, vector width, caches, bandwidth, hidden efficiencies of its
kernels), never from features that a predictor could share.  There is no clock and no chance here: those are the
phone's, which spends what this law says.
"""

from profiler.phone.soc._law import FULL_SPEED, call_overhead_s, power_w, step_latencies_s
from profiler.phone.soc._node_types import HIDING_DELEGATES
from profiler.phone.soc._placement import Delegate, Placement
from profiler.phone.soc._schema import (
    Accelerator,
    BatteryLaw,
    ClusterLaw,
    Governor,
    Memory,
    Noise,
    Power,
    Routine,
    RoutineName,
    Soc,
    Thermal,
    Threading,
    ThrottleStep,
)
from profiler.phone.soc._step import Step
from profiler.phone.soc._steps import steps_of
from profiler.phone.soc._table import StepTable

__all__ = [
    "FULL_SPEED",
    "HIDING_DELEGATES",
    "Accelerator",
    "BatteryLaw",
    "ClusterLaw",
    "Delegate",
    "Governor",
    "Memory",
    "Noise",
    "Placement",
    "Power",
    "Routine",
    "RoutineName",
    "Soc",
    "Step",
    "StepTable",
    "Thermal",
    "Threading",
    "ThrottleStep",
    "call_overhead_s",
    "power_w",
    "step_latencies_s",
    "steps_of",
]
