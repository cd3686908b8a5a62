"""Owns result.json: what a search found, as it was measured, for scripts and for the report.

The file is the contract with everybody outside; its fields only ever grow, and `schema` changes when one
changes its meaning.  All latencies are in ms, all accuracies between 0 and 1, all paths relative to the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, FiniteFloat

from pocketnas._json_file import JsonFile, Part
from predictor import Bound
from profiler.measure import Verdict
from profiler.workload import Source


class DevicePrediction(Part):
    """The predicted latency of a candidate on one of several devices.

    Attributes:
        device: Name of the device.
        predicted_ms: Predicted latency, and the ends of its interval.
        predicted_low_ms: Lower end.
        predicted_high_ms: Upper end.
    """

    device: str
    predicted_ms: FiniteFloat
    predicted_low_ms: FiniteFloat
    predicted_high_ms: FiniteFloat


class DeviceLatency(Part):
    """The latency of a network as one device showed it.

    Attributes:
        device: Name of the device.
        source: "measured" or "emulated".
        measured_ms: Median latency, and the ends of its interval.
        measured_low_ms: Lower end.
        measured_high_ms: Upper end.
    """

    device: str
    source: Source
    measured_ms: FiniteFloat
    measured_low_ms: FiniteFloat
    measured_high_ms: FiniteFloat


class Candidate(Part):
    """What the search proposes to train and measure; all its numbers are predictions.

    Attributes:
        name: Short name, unique in the result.
        genotype: The encoding in its search space, as JSON.
        network_key: Key of the network that it lowers to.
        search_accuracy: Accuracy on the validation images under the shared weights.
        predicted_ms: Predicted latency, and the ends of its interval.
        predicted_low_ms: Lower end.
        predicted_high_ms: Upper end; the search compared this one with the budget.
        on_front: Whether nothing else that the search ended with is predicted to be as fast and is as accurate.
            The others make up the number where its front is small. False in files from before it was recorded.
        predictions: On each device of the search, where there are several; `predicted_ms` is then of the one on which
            the network takes longest of those that it is meant for.
    """

    name: str
    genotype: dict[str, object]
    network_key: str
    search_accuracy: FiniteFloat
    predicted_ms: FiniteFloat
    predicted_low_ms: FiniteFloat
    predicted_high_ms: FiniteFloat
    on_front: bool = False
    predictions: tuple[DevicePrediction, ...] = ()


class Finalist(Candidate):
    """A candidate that was trained alone, measured on the device within the budget, and exported.

    Attributes:
        tflite: Path of the .tflite file.
        onnx: Path of the .onnx file.
        accuracy: Accuracy of the exported .tflite on the test images.
        validation_accuracy: Accuracy of the trained network on the validation images; orders the finalists.
        measured_ms: Median latency on the device, and the ends of its interval.
        measured_low_ms: Lower end.
        measured_high_ms: Upper end; not above the budget.
        macs: Multiply-accumulate operations of one inference.
        parameters: Number of weights.
        largest_difference: Largest difference between outputs of the exported files and the trained network.
        verdict: Of the measurement; None in files written before it was recorded.
        reasons: Why the verdict is no better, "ID: detail" each.
        accuracy_low: Lower end of the 95 % binomial interval of `accuracy`; None in files from before it was recorded.
        accuracy_high: Upper end.
        device: Device that `measured_ms` is of: the one on which it takes longest of those that it must keep to the
            budget on. None in files from before there were several.
        latencies: On each device that it was measured on; empty in files from before it was recorded.
    """

    tflite: str
    onnx: str
    accuracy: FiniteFloat
    validation_accuracy: FiniteFloat
    measured_ms: FiniteFloat
    measured_low_ms: FiniteFloat
    measured_high_ms: FiniteFloat
    macs: int
    parameters: int
    largest_difference: FiniteFloat
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    accuracy_low: FiniteFloat | None = None
    accuracy_high: FiniteFloat | None = None
    device: str | None = None
    latencies: tuple[DeviceLatency, ...] = ()


class Target(Part):
    """What one network is searched for: a budget, and the devices that it must keep to it on.

    Attributes:
        devices: Names; on all of them the network must keep to the budget.
        budget_ms: The latency budget.
        budget_reason: Who chose the budget, and how.
    """

    devices: tuple[str, ...] = Field(min_length=1)
    budget_ms: FiniteFloat = Field(gt=0)
    budget_reason: str

    def describe(self) -> str:
        """Return the target in a few words, as in "0.5 ms on pixel4"."""
        return f"{self.budget_ms:.4g} ms on {' and '.join(self.devices)}"


class Choice(Target):
    """What was found for a target.

    Attributes:
        chosen: Name of the finalist that the budget buys.
        finalists: Names of all finalists that keep to it, best validation accuracy first.
    """

    chosen: str
    finalists: tuple[str, ...]


class Baseline(Part):
    """A known network with as much latency as a finalist, trained alike and measured beside it.

    Attributes:
        name: The network with its width.
        family: Which network it is scaled from.
        width: Multiplier of its channels: the smallest one with which it is not faster than the finalist.
        against: Name of the finalist.
        device: Device of the latencies.
        source: "measured" or "emulated".
        tflite: Path of the .tflite file.
        onnx: Path of the .onnx file.
        accuracy: Of the exported .tflite on the test images, and the ends of its 95 % binomial interval.
        accuracy_low: Lower end.
        accuracy_high: Upper end.
        validation_accuracy: Of the trained network on the validation images.
        measured_ms: Median latency on the device, and the ends of its interval.
        measured_low_ms: Lower end.
        measured_high_ms: Upper end.
        macs: Multiply-accumulate operations of one inference.
        parameters: Number of weights.
    """

    name: str
    family: str
    width: FiniteFloat
    against: str
    device: str
    source: Source
    tflite: str
    onnx: str
    accuracy: FiniteFloat
    accuracy_low: FiniteFloat
    accuracy_high: FiniteFloat
    validation_accuracy: FiniteFloat
    measured_ms: FiniteFloat
    measured_low_ms: FiniteFloat
    measured_high_ms: FiniteFloat
    macs: int
    parameters: int


class Dropped(Candidate):
    """A candidate that is not in the result, and why.

    Attributes:
        reason: Why it was dropped, for a person.
        measured_ms: Median latency on the device, and the ends of its interval; None if it never ran.
        measured_low_ms: Lower end.
        measured_high_ms: Upper end.
    """

    reason: str
    measured_ms: FiniteFloat | None = None
    measured_low_ms: FiniteFloat | None = None
    measured_high_ms: FiniteFloat | None = None


class CalibrationPoint(Part):
    """One network that was predicted before its own latency was known to the predictor.

    Attributes:
        name: The network.
        predicted_ms: Predicted latency, and the ends of its interval.
        predicted_low_ms: Lower end.
        predicted_high_ms: Upper end.
        measured_ms: Median latency on the device, and the ends of its interval.
        measured_low_ms: Lower end.
        measured_high_ms: Upper end.
    """

    name: str
    predicted_ms: FiniteFloat
    predicted_low_ms: FiniteFloat
    predicted_high_ms: FiniteFloat
    measured_ms: FiniteFloat
    measured_low_ms: FiniteFloat
    measured_high_ms: FiniteFloat

    @property
    def covered(self) -> bool:
        """Whether the measured median lies in the predicted interval."""
        return self.predicted_low_ms <= self.measured_ms <= self.predicted_high_ms


class KernelCost(Part):
    """The predicted share of one kernel in the latency of the chosen network.

    Attributes:
        kernel: Its description.
        predicted_ms: What it adds.
        in_domain: Whether configurations like it were measured.
        bound: What it waits for; None where the predictor's table does not tell.
    """

    kernel: str
    predicted_ms: FiniteFloat
    in_domain: bool
    bound: Bound | None = None


class OperatorCost(Part):
    """The measured latency of one operator inside the chosen network, by the runtime's own profiler.

    Attributes:
        name: The runtime's name of it.
        kind: The runtime's type of it.
        mean_ms: None where it is shorter than the microsecond that the profiler counts in.
    """

    name: str
    kind: str
    mean_ms: FiniteFloat | None


class Generation(Part):
    """Progress of the search after one generation.

    Attributes:
        generation: Counted from 1.
        evaluated: Candidates whose accuracy was evaluated.
        feasible: Survivors that keep to the budget.
        front_size: Survivors that no other beats in both accuracy and predicted latency.
        hypervolume: Share, 0 to 1, of the box of accuracies and latencies that the front dominates.
        best_accuracy: Best accuracy on the validation images among feasible survivors, shared weights.
    """

    generation: int
    evaluated: int
    feasible: int
    front_size: int
    hypervolume: FiniteFloat
    best_accuracy: FiniteFloat


class DataInfo(Part):
    """What the accuracies are about, so that any program can compute them again.

    Attributes:
        name: Name or path of the data set.
        classes: Number of classes.
        train_images: Images that weights were learnt from.
        validation_images: Images that the search ranked by.
        test_images: Images of the reported accuracy, never seen before.
        test_file: Path of an .npz with `images` (n, height, width, channels) and `labels` (n,). The images
            are ready for the models: float32, NHWC; feed them one at a time.
        layout: Order of the axes of the images.
        normalisation: What must be done to plain pixels before the models take them, in words.
        pixel_range: The values that stand for no light and for full light.
        class_names: Name of each class, by index; empty in files written before they were recorded.
    """

    name: str
    classes: int
    train_images: int
    validation_images: int
    test_images: int
    test_file: str
    layout: Literal["NHWC"] = "NHWC"
    normalisation: str = "none: the models take plain pixels from 0 to 1"
    pixel_range: tuple[FiniteFloat, FiniteFloat] = (0.0, 1.0)
    class_names: tuple[str, ...] = ()


class MeasurementInfo(Part):
    """Where and how latencies were measured.

    Attributes:
        processor: Processor or SoC.
        system: Operating system.
        runtime: Runtime that ran the models, with its version.
        runtime_version: Its version.
        threads: Threads that it used.
        accelerator: Delegate or execution provider.
        dtype: Numeric type of the models.
        protocol: The rounds, runs and warm-up in words.
        interval: What the interval is, in words.
        checks: Conditions that made the measurements doubtful, "ID: detail" each.
    """

    processor: str
    system: str
    runtime: str
    runtime_version: str
    threads: int
    accelerator: str
    dtype: str
    protocol: str
    interval: str
    checks: tuple[str, ...] = ()


class HeldOutAccuracy(Part):
    """How well the predictor did on rows that were left out of its fit, in turn.

    Attributes:
        what: Which rows.
        rows: How many were measured.
        mape_percent: Mean absolute error in percent; None when too few rows could be left out.
        within_10_percent: Share with an error of at most 10 %; None likewise.
        coverage: Share of latencies within the interval; None likewise.
    """

    what: str
    rows: int
    mape_percent: FiniteFloat | None
    within_10_percent: FiniteFloat | None
    coverage: FiniteFloat | None


class PredictorInfo(Part):
    """What the predictor rests on, and how good it was where it had not been fitted.

    Attributes:
        kernels: Rows of kernels that it was fitted on.
        networks: Rows of whole networks that it was fitted on.
        held_out: Its cross-validated accuracy, by kind of kernel and for whole networks.
        nominal_coverage: Share of latencies that its intervals are meant to hold.
        calibration: Networks that it predicted before they were measured.
    """

    kernels: int
    networks: int
    held_out: tuple[HeldOutAccuracy, ...]
    nominal_coverage: FiniteFloat
    calibration: tuple[CalibrationPoint, ...]


class DeviceResult(Part):
    """What belongs to one of several devices.

    Attributes:
        device: Name of the device.
        source: Where its latencies come from.
        measurement: Where and how was measured.
        predictor: What its latencies were predicted by.
    """

    device: str
    source: Source
    measurement: MeasurementInfo
    predictor: PredictorInfo


class TrainingInfo(Part):
    """How the finalists, and the known networks beside them, were trained.

    Attributes:
        epochs: Passes over the training images, the same for all.
        reason: Who chose them, and how.
        settings: All settings, in words.
    """

    epochs: int
    reason: str
    settings: str


class SearchResult(JsonFile):
    """All of result.json.

    A search for several budgets or devices has a line of `choices` for each; the fields for one device and one
    budget are then those of the first device and the largest budget.

    Attributes:
        device: Name of the device.
        source: Where its latencies come from: "measured" or "emulated".
        budget_ms: The latency budget.
        budget_reason: Who chose the budget, and how.
        finalists: Best validation accuracy first; the first is the chosen one. Of several choices, those of the first
            choice come first.
        dropped: Candidates that did not make it.
        front: Candidates of the search as they were predicted, before any of them was measured: its front, and
            what makes up the number; `on_front` tells which is which.
        choices: The network for each budget and device; empty in files from before there were several.
        devices: What belongs to each device, where there are several.
        baselines: Known networks of as much latency beside finalists.
        training: How all of these were trained; None in files from before it was recorded.
        algorithm: What searched.
    """

    file_name: ClassVar[str] = "result.json"
    made_by: ClassVar[str] = "pocketnas verify"

    pocketnas: str
    created_at: str
    device: str
    source: Source
    budget_ms: FiniteFloat = Field(gt=0)
    budget_reason: str
    seed: int
    space: str
    finalists: tuple[Finalist, ...]
    dropped: tuple[Dropped, ...]
    front: tuple[Candidate, ...]
    data: DataInfo
    measurement: MeasurementInfo
    predictor: PredictorInfo
    generations: tuple[Generation, ...]
    kernels: tuple[KernelCost, ...]
    operators: tuple[OperatorCost, ...]
    operators_note: str
    durations_s: dict[str, float]
    choices: tuple[Choice, ...] = ()
    devices: tuple[DeviceResult, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    training: TrainingInfo | None = None
    algorithm: str = "cars"

    @property
    def chosen(self) -> Finalist:
        """The finalist that the budget buys: the most accurate one on validation images."""
        return self.finalists[0]

    def finalist(self, name: str) -> Finalist:
        """Return a finalist by its name."""
        return next(finalist for finalist in self.finalists if finalist.name == name)

    def latencies(self, finalist: Finalist, devices: Sequence[str]) -> list[DeviceLatency]:
        """Return what a finalist takes on each of some devices, in their order."""
        only = DeviceLatency(
            device=finalist.device or self.device,
            source=self.source,
            measured_ms=finalist.measured_ms,
            measured_low_ms=finalist.measured_low_ms,
            measured_high_ms=finalist.measured_high_ms,
        )
        known = {latency.device: latency for latency in finalist.latencies or (only,)}
        return [known[device] for device in devices if device in known]
