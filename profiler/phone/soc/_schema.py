"""The numbers of an emulated phone's processors: the schema of `soc:` in data/phones/*.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, model_validator

Text = Annotated[str, StringConstraints(min_length=1, max_length=200, strict=True)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]
Count = Annotated[int, Field(strict=True, ge=1)]

RoutineName = Literal[
    "gemm", "gemv", "depthwise", "pool", "elementwise", "activation", "exponential", "copy", "permute", "reduce",
    "resize", "view",
]  # fmt: skip
"""Kinds of inner loop that a runtime's kernels are made of."""

ROUTINE_NAMES: tuple[RoutineName, ...] = (
    "gemm", "gemv", "depthwise", "pool", "elementwise", "activation", "exponential", "copy", "permute", "reduce",
    "resize", "view",
)  # fmt: skip


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class Routine(_Part):
    """One kind of inner loop, as a processor's library has it.

    Attributes:
        tile_rows: Output rows (pixels) that one pass of the loop computes; a last, partial tile costs a whole one.
        tile_columns: Output columns (channels) of a pass; likewise.
        efficiency: Multiply-accumulates a cycle, as a share of the core's widest, in the middle of a long loop.
        prologue: Inner iterations that a tile costs besides its own: clearing, clamping and storing accumulators.
        weight_passes: How often the weights cross the caches: 1 to use them, more where each call packs them anew.
        burst_ns: What one contiguous run of a copy costs besides its bytes, at the core's highest frequency.
        overhead_us: What one call costs besides its work, at the core's highest frequency.
        parallel: Share of the work that threads divide among them.
        int8_gain: How many times more multiply-accumulates a cycle int8 gets than float32.
    """

    tile_rows: Count = 1
    tile_columns: Count = 4
    efficiency: Positive
    prologue: NonNegative = 0.0
    weight_passes: Positive = 1.0
    burst_ns: NonNegative = 0.0
    overhead_us: NonNegative
    parallel: Share = 0.0
    int8_gain: Positive = 1.0


Routines = Annotated[Mapping[RoutineName, Routine], AfterValidator(lambda routines: _complete(routines))]


def _complete(routines: Mapping[RoutineName, Routine]) -> Mapping[RoutineName, Routine]:
    if missing := [name for name in ROUTINE_NAMES if name not in routines]:
        raise ValueError(f"lacks {', '.join(missing)}")
    return routines


class ClusterLaw(_Part):
    """Cores of one kind, as the law sees them.

    Attributes:
        name: The cluster's name in the phone's description.
        cores: Numbers of its cores.
        frequency_hz: Highest clock.
        macs_per_cycle: Widest float32 multiply-accumulates a cycle (two 128-bit pipes: 8).
        pipeline: How well it keeps its pipes busy beside the core that the routines' efficiencies are of.
        l1_bytes: First-level data cache of a core.
        l2_bytes: Second-level cache of a core.
        l2_bytes_per_cycle: What a core streams from its second level.
        l3_bytes_per_s: What a core streams from the shared level.
        dram_bytes_per_s: What a core streams from memory.
        active_w: What one core draws under load at the highest clock.
    """

    name: Text
    cores: Annotated[tuple[Annotated[int, Field(ge=0, lt=64)], ...], Field(min_length=1)]
    frequency_hz: Positive
    macs_per_cycle: Positive
    pipeline: Positive = 1.0
    l1_bytes: Positive
    l2_bytes: Positive
    l2_bytes_per_cycle: Positive
    l3_bytes_per_s: Positive
    dram_bytes_per_s: Positive
    active_w: Positive


class Memory(_Part):
    """What all cores share.

    Attributes:
        l3_bytes: The shared cache.
        dram_bytes_per_s: What all cores together stream from memory.
        overlap: How well arithmetic hides traffic: the sharpness p of (compute^p + traffic^p)^(1/p); 1 not at all.
    """

    l3_bytes: Positive
    dram_bytes_per_s: Positive
    overlap: Annotated[float, Field(ge=1)] = 2.0


class Threading(_Part):
    """What several threads cost.

    Attributes:
        sync_us: Waking and joining one more thread, a step, at the leading core's highest clock.
        oversubscription: Slow-down for each thread more than there are cores, relative to the work.
    """

    sync_us: NonNegative
    oversubscription: NonNegative


class Accelerator(_Part):
    """A GPU or another accelerator behind a delegate.

    Attributes:
        macs_per_s: Its widest multiply-accumulates in the precision that its delegate uses for float models.
        bytes_per_s: What it streams from memory.
        element_bytes: Bytes of an element in that precision.
        wave: Outputs (of four channels each) that it computes at once; a last, partial wave costs a whole one.
        routines: Its kernels; `overhead_us` is a launch.
        overlap: As of Memory.
        call_us: What one invocation costs besides its kernels: upload, download, waiting.
        active_w: What it draws under load.
    """

    macs_per_s: Positive
    bytes_per_s: Positive
    element_bytes: Positive = 2.0
    wave: Count
    routines: Routines
    overlap: Annotated[float, Field(ge=1)] = 2.0
    call_us: NonNegative
    active_w: Positive


class Noise(_Part):
    """How latencies scatter around the law; the phone draws them.

    Attributes:
        run_sigma: Standard deviation of the logarithm from run to run.
        process_sigma: The same from process to process.
        spike_share: Share of runs that something else delays.
        spike_factor: How many times longer such a run takes.
    """

    run_sigma: NonNegative
    process_sigma: NonNegative
    spike_share: Share
    spike_factor: Annotated[float, Field(ge=1)]


class ThrottleStep(_Part):
    """What the phone does when it is hot.

    Attributes:
        status: Android's name of it.
        above_c: Skin temperature from which it holds.
        frequency_share: What is left of each cluster's highest clock.
    """

    status: Literal["LIGHT", "MODERATE", "SEVERE", "CRITICAL", "EMERGENCY", "SHUTDOWN"]
    above_c: float
    frequency_share: Annotated[float, Field(gt=0, le=1)]


class Thermal(_Part):
    """The phone as one thermal mass: C dT/dt = P - (T - ambient) / R.

    Attributes:
        ambient_c: Temperature around it.
        resistance_c_per_w: R.
        capacity_j_per_c: C.
        hysteresis_c: How far below a step's temperature it must be before the step ends.
        steps: What it does when hot; temperatures rise.
    """

    ambient_c: float
    resistance_c_per_w: Positive
    capacity_j_per_c: Positive
    hysteresis_c: NonNegative = 1.0
    steps: tuple[ThrottleStep, ...]

    @model_validator(mode="after")
    def _rising(self) -> Thermal:
        temperatures = [step.above_c for step in self.steps]
        if temperatures != sorted(set(temperatures)):
            raise ValueError("the temperatures of steps must rise")
        return self


class Governor(_Part):
    """How clocks follow load.

    Attributes:
        ramp_s: Time constant of the way up from an idle clock under load.
        decay_s: Time constant of the way down when idle.
    """

    ramp_s: Positive
    decay_s: Positive


class Power(_Part):
    """What the phone draws besides loaded cores.

    Attributes:
        idle_w: Screen on at its lowest, radios, memory: always drawn.
        exponent: Power of a core grows with its share of the highest clock to this power (voltage squared times clock).
    """

    idle_w: Positive
    exponent: Annotated[float, Field(ge=1, le=4)] = 2.5


class BatteryLaw(_Part):
    """How the battery empties and fills; its capacity is in the description.

    Attributes:
        voltage_v: Its nominal voltage.
        level_percent: What it holds when the phone starts.
        charging_w: What the cable brings.
    """

    voltage_v: Positive = 3.85
    level_percent: Annotated[int, Field(strict=True, ge=0, le=100)]
    charging_w: NonNegative


class Soc(_Part):
    """A phone's processors, memory, heat and battery, in numbers.

    Attributes:
        clusters: Its cores, the slowest first.
        memory: What all cores share.
        threading: What several threads cost.
        call_us: What one invocation costs besides its steps, at the leading core's highest clock.
        routines: Its CPU kernels.
        gpu: Its GPU, for the delegate "gpu"; None where there is no driver for it.
        nnapi: Its accelerator behind "nnapi"; None where there is none.
        noise: How latencies scatter.
        thermal: How it heats.
        governor: How clocks follow load.
        power: What it draws.
        battery: How the battery empties and fills.
    """

    clusters: Annotated[tuple[ClusterLaw, ...], Field(min_length=1)]
    memory: Memory
    threading: Threading
    call_us: NonNegative
    routines: Routines
    gpu: Accelerator | None = None
    nnapi: Accelerator | None = None
    noise: Noise
    thermal: Thermal
    governor: Governor
    power: Power
    battery: BatteryLaw

    @property
    def cores(self) -> Mapping[int, ClusterLaw]:
        """The cluster of each core, by the core's number, rising."""
        return dict(
            sorted(((core, cluster) for cluster in self.clusters for core in cluster.cores), key=lambda pair: pair[0])
        )
