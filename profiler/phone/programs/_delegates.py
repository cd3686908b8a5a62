"""Which delegates `benchmark_model` makes, what it says of them, and who runs the model in the end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from profiler.phone.description import PhoneDescription
from profiler.phone.programs._failure import ProgramFailedError
from profiler.phone.programs._flags import ParsedFlags
from profiler.phone.programs._log import Log
from profiler.phone.programs._plan import Plan
from profiler.phone.soc import Delegate


@dataclass(frozen=True)
class _Provider:
    """What the tool knows of a delegate: its flag, its names in the log, and how the runtime calls its nodes."""

    flag: str
    delegate: Delegate
    name: str
    announcement: str
    node: str


_PROVIDERS = (
    _Provider("use_gpu", "gpu", "GPU", "Created TensorFlow Lite delegate for GPU.", "TfLiteGpuDelegateV2"),
    _Provider("use_nnapi", "nnapi", "NNAPI", "Created TensorFlow Lite delegate for NNAPI.", "TfLiteNnapiDelegate"),
    _Provider(
        "use_xnnpack",
        "xnnpack",
        "XNNPACK",
        "Created TensorFlow Lite XNNPACK delegate for CPU.",
        "TfLiteXNNPackDelegate",
    ),
)
_NNAPI_REFERENCE = "nnapi-reference"
_VENDOR_ACCELERATORS: Mapping[str, str] = {
    "Qualcomm": "qti-default",
    "MediaTek": "mtk-neuron",
    "Google": "google-edgetpu",
}
_PREPARE_S: Mapping[Delegate, tuple[float, float]] = {
    "builtin": (0.0, 4e-6),
    "xnnpack": (1e-3, 25e-6),
    "gpu": (0.2, 9e-3),
    "nnapi": (0.05, 1.5e-3),
}
"""What preparing a model costs, by delegate: once, and for each of its nodes."""
_PACK_BYTES_PER_S = 1.2e9


@dataclass(frozen=True)
class Choice:
    """Who runs the model.

    Attributes:
        delegate: The delegate, or the runtime's own kernels.
        created: Delegates that flags asked for, in the order in which they are applied.
        missing: Those among the asked for that the phone does not have, by name.
    """

    delegate: Delegate
    created: tuple[_Provider, ...]
    missing: tuple[str, ...]


def accelerators_of(description: PhoneDescription) -> tuple[str, ...]:
    """Return what NNAPI offers on a phone."""
    maker = description.properties.get("ro.soc.manufacturer", "")
    own = (_VENDOR_ACCELERATORS.get(maker, "vendor-npu"),) if description.soc.nnapi else ()
    return (*own, _NNAPI_REFERENCE)


def choose(flags: ParsedFlags, description: PhoneDescription) -> Choice:
    """Return who runs the model; delegates apply in the order of their flags, and the first takes what it can."""
    wanted = [provider for provider in _PROVIDERS if flags.on(provider.flag)]
    wanted.sort(key=lambda provider: flags.positions[provider.flag])
    chips = {"gpu": description.soc.gpu, "nnapi": description.soc.nnapi}
    created = tuple(one for one in wanted if one.delegate not in chips or chips[one.delegate] is not None)
    missing = tuple(provider.name for provider in wanted if provider not in created)
    if created:
        return Choice(created[0].delegate, created, missing)
    # XNNPACK is there by default, unless its flag says anything.
    return Choice("builtin" if "use_xnnpack" in flags.positions else "xnnpack", (), missing)


async def announce_creation(choice: Choice, flags: ParsedFlags, description: PhoneDescription, log: Log) -> None:
    """Say which delegates were made.

    Raises:
        ProgramFailedError: One must run all of the model, or an accelerator is named, and cannot be had.
    """
    for name in choice.missing:
        await log.warning(f"{name} acceleration is unsupported on this platform.")
    for provider in choice.created:
        await log.info(provider.announcement)
        await log.info(f"{provider.name} delegate created.")
    if len(choice.created) > 1:
        await log.info(f"Going to apply {len(choice.created)} delegates one after another.")
    if not choice.created and flags.on("require_full_delegation"):
        await log.error("Disallowed CPU fallback detected.")
        raise ProgramFailedError
    if not choice.created and choice.delegate == "xnnpack":
        await log.info(_PROVIDERS[-1].announcement)
    name, known = flags.text("nnapi_accelerator_name"), accelerators_of(description)
    if choice.delegate == "nnapi" and name and name not in known:
        await log.error(
            f"Could not find the specified NNAPI accelerator: {name}. Must be one of: {{{','.join(known)}}}."
        )
        await log.error("Restored original execution plan after delegate application failure.")
        await log.error("Failed to apply NNAPI delegate.")
        raise ProgramFailedError


async def announce_extent(choice: Choice, plan: Plan, flags: ParsedFlags, log: Log) -> None:
    """Say how much of the model the delegates took.

    Raises:
        ProgramFailedError: Not all of it, though they must.
    """
    if plan.kernels:
        node = next(provider.node for provider in _PROVIDERS if provider.delegate == choice.delegate)
        await log.verbose(
            f"Replacing {plan.delegated_nodes} out of {plan.nodes} node(s) with delegate ({node}) node, "
            f"yielding {len(plan.partitions)} partitions for subgraph 0."
        )
    if choice.delegate == "gpu":
        await log.info(f"Initialized {'OpenGL' if flags.text('gpu_backend') == 'gl' else 'OpenCL'}-based API.")
        await log.info(f"Created {plan.kernels} GPU delegate kernels.")
    for place, provider in enumerate(choice.created):
        kernels = plan.kernels if place == 0 else 0
        complete = kernels == 1 and len(plan.partitions) == 1
        if flags.on("require_full_delegation") and not complete:
            await log.error("Disallowed CPU fallback detected.")
            raise ProgramFailedError
        await log.info(_extent(provider.name, kernels, complete=complete))


def _extent(name: str, kernels: int, *, complete: bool) -> str:
    applied = f"Explicitly applied {name} delegate, and the model graph will be"
    if complete:
        return f"{applied} completely executed by the delegate."
    if kernels:
        return f"{applied} partially executed by the delegate w/ {kernels} delegate kernels."
    return f"Though {name} delegate is explicitly applied, the model graph will not be executed by the delegate."


def preparation_s(plan: Plan, pace: float) -> float:
    """Return what preparing a model takes, in s.

    Args:
        plan: The model.
        pace: How fast the process's core is beside the phone's fastest one.
    """
    once_s, node_s = _PREPARE_S[plan.delegate]
    return (once_s + node_s * len(plan.steps) + plan.weight_bytes / _PACK_BYTES_PER_S) / pace
