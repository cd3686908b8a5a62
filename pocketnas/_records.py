"""Owns how measurements, networks and predictors become parts of the result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from pathlib import Path

from pocketnas._binomial import accuracy_interval
from pocketnas.baselines import Scaled
from pocketnas.export import Exported
from pocketnas.result import (
    Baseline,
    CalibrationPoint,
    Candidate,
    DataInfo,
    DeviceLatency,
    Dropped,
    Finalist,
    HeldOutAccuracy,
    KernelCost,
    MeasurementInfo,
    PredictorInfo,
)
from predictor import Accuracy, NetworkPredictor
from profiler.backends import Backend
from profiler.measure import Measurement, Protocol
from profiler.network import Network
from profiler.workload import Dtype
from search.images import ImageData
from search.training import TrainedNetwork


def slowest(measured: Mapping[str, Measurement]) -> tuple[str, Measurement]:
    """Return on which device a network takes longest, by the upper end of the interval, and its measurement there.

    A device that could not measure it comes before all others.
    """
    return max(measured.items(), key=lambda item: (item[1].verdict == "INVALID", item[1].high_ms))


def dropped_record(candidate: Candidate, measurement: Measurement, reason: str) -> Dropped:
    """Return a candidate that is not in the result, with its latency where it ran."""
    ran = measurement.interval is not None
    return Dropped(
        **candidate.model_dump(),
        reason=reason,
        measured_ms=measurement.median_ms if ran else None,
        measured_low_ms=measurement.low_ms if ran else None,
        measured_high_ms=measurement.high_ms if ran else None,
    )


def finalist_record(
    candidate: Candidate,
    trained: TrainedNetwork,
    exported: Exported,
    measured: Mapping[str, Measurement],
    data: ImageData,
    folder: Path,
) -> Finalist:
    """Return a finalist whose accuracy is that of the exported .tflite on the test images.

    Args:
        candidate: As the search found it.
        trained: With its own weights.
        exported: Its files.
        measured: Its measurements by device, in the order of the devices; the slowest device's counts.
        data: Images that its accuracy is of.
        folder: Folder of the result.
    """
    cost, accuracy = trained.network.cost(), _accuracy(exported, data)
    low, high = accuracy_interval(accuracy, len(data.test_y))
    device, worst = slowest(measured)
    return Finalist(
        **candidate.model_dump(),
        tflite=exported.paths["tflite"].relative_to(folder).as_posix(),
        onnx=exported.paths["onnx"].relative_to(folder).as_posix(),
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
        validation_accuracy=trained.validation_accuracy,
        measured_ms=worst.median_ms,
        measured_low_ms=worst.low_ms,
        measured_high_ms=worst.high_ms,
        macs=cost.macs,
        parameters=cost.parameters,
        largest_difference=exported.largest_difference,
        verdict=worst.verdict,
        reasons=tuple(str(reason) for reason in worst.reasons),
        device=device,
        latencies=tuple(device_latency(name, found) for name, found in measured.items()),
    )


def baseline_record(
    scaled: Scaled,
    trained: TrainedNetwork,
    exported: Exported,
    measurement: Measurement,
    data: ImageData,
    folder: Path,
) -> Baseline:
    """Return a known network beside a finalist; its figures are had as the finalist's are."""
    cost, accuracy = trained.network.cost(), _accuracy(exported, data)
    low, high = accuracy_interval(accuracy, len(data.test_y))
    latency = device_latency(scaled.rival.device, measurement)
    return Baseline(
        **latency.model_dump(),
        name=scaled.name,
        family=scaled.family,
        width=scaled.width,
        against=scaled.rival.name,
        tflite=exported.paths["tflite"].relative_to(folder).as_posix(),
        onnx=exported.paths["onnx"].relative_to(folder).as_posix(),
        accuracy=accuracy,
        accuracy_low=low,
        accuracy_high=high,
        validation_accuracy=trained.validation_accuracy,
        macs=cost.macs,
        parameters=cost.parameters,
    )


def device_latency(device: str, measurement: Measurement) -> DeviceLatency:
    """Return the latency that a device showed, with where it comes from."""
    return DeviceLatency(
        device=device,
        source=measurement.campaign.configuration.source,
        measured_ms=measurement.median_ms,
        measured_low_ms=measurement.low_ms,
        measured_high_ms=measurement.high_ms,
    )


def _accuracy(exported: Exported, data: ImageData) -> float:
    return float((exported.outputs.argmax(axis=1) == data.test_y).mean())


def predictor_info(
    predictor: NetworkPredictor,
    candidates: Sequence[Candidate],
    first: Mapping[str, Measurement],
    *,
    device: str,
    known: Set[str] = frozenset(),
) -> PredictorInfo:
    """Return what the predictor rests on, and its predictions of candidates beside what was then measured.

    Args:
        predictor: Of the device.
        candidates: What the search proposed.
        first: Measurements of candidates, by name.
        device: Name of the device in the predictions.
        known: Keys of networks that the predictor learned from: these prove nothing.
    """
    card = predictor.card
    new = [found for found in candidates if found.name in first and found.network_key not in known]
    calibration = tuple(
        CalibrationPoint(
            **_predicted(candidate, device),
            name=candidate.name,
            measured_ms=first[candidate.name].median_ms,
            measured_low_ms=first[candidate.name].low_ms,
            measured_high_ms=first[candidate.name].high_ms,
        )
        for candidate in new
        if first[candidate.name].verdict != "INVALID"
    )
    return PredictorInfo(
        kernels=sum(family.rows for family in card.families),
        networks=card.networks.cases,
        held_out=(
            *(_held_out(f"kernels of {family.family}", family.rows, family.held_out) for family in card.families),
            _held_out("whole networks", card.networks.cases, card.networks),
        ),
        nominal_coverage=card.nominal_coverage,
        calibration=calibration,
    )


def _predicted(candidate: Candidate, device: str) -> dict[str, float]:
    """Return what was predicted for a candidate on a device, as fields of the files."""
    own = next((found for found in candidate.predictions if found.device == device), candidate)
    return {name: getattr(own, name) for name in ("predicted_ms", "predicted_low_ms", "predicted_high_ms")}


def _held_out(what: str, rows: int, figures: Accuracy) -> HeldOutAccuracy:
    return HeldOutAccuracy(
        what=what,
        rows=rows,
        mape_percent=figures.mape_percent,
        within_10_percent=figures.within_10_percent,
        coverage=figures.coverage,
    )


def kernel_costs(predictor: NetworkPredictor, network: Network) -> tuple[KernelCost, ...]:
    """Return the predicted share of each kernel in a network's latency."""
    shares = predictor.predict(network).kernels
    return tuple(
        KernelCost(kernel=share.kernel, predicted_ms=share.latency_ms, in_domain=share.in_domain, bound=share.bound)
        for share in shares
    )


def data_info(name: str, data: ImageData, test_file: str) -> DataInfo:
    """Return what the accuracies are about."""
    return DataInfo(
        name=name,
        classes=data.classes,
        train_images=len(data.train_y),
        validation_images=len(data.val_y),
        test_images=len(data.test_y),
        test_file=test_file,
        class_names=data.class_names,
    )


def processor_check(fitted_on: str, measured_on: str) -> str | None:
    """Return what is to be said where a predictor learnt from another processor than was measured on, or None.

    A device keeps its name when the machine beneath it changes.
    """
    if fitted_on == measured_on:
        return None
    return (
        f"OTHER-PROCESSOR: the predictor was fitted on {fitted_on}, and measured was on {measured_on}; "
        "profile and fit again on this one"
    )


def measurement_info(backend: Backend, protocol: Protocol, dtype: Dtype) -> MeasurementInfo:
    """Return where and how was measured, with the conditions of this moment."""
    facts = backend.facts()
    return MeasurementInfo(
        processor=facts.processor,
        system=facts.system,
        runtime=facts.runtime,
        runtime_version=facts.runtime_version,
        threads=facts.threads,
        accelerator=facts.accelerator,
        dtype=dtype,
        protocol=(
            f"{protocol.rounds} to {protocol.max_rounds} rounds in shuffled order, in each {protocol.runs_per_block} "
            f"runs after {protocol.warmup_runs} for warm-up, corrected for drift by two reference kernels timed "
            "before and after"
        ),
        interval="95 % bootstrap interval of the median over rounds",
        checks=tuple(f"{check.id}: {check.detail}" for check in backend.checks()),
    )
