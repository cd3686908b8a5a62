"""Owns result.json: what a search found, as it was measured, for scripts and for the report.

The file is the contract with everybody outside; its fields only ever grow, and `schema` changes when one
changes its meaning.  All latencies are in ms, all accuracies between 0 and 1, all paths relative to the file.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, FiniteFloat

from pocketnas._json_file import JsonFile, Part
from predictor import Bound
from profiler.measure import Verdict
from profiler.workload import Source


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
    """

    name: str
    genotype: dict[str, object]
    network_key: str
    search_accuracy: FiniteFloat
    predicted_ms: FiniteFloat
    predicted_low_ms: FiniteFloat
    predicted_high_ms: FiniteFloat
    on_front: bool = False


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


class SearchResult(JsonFile):
    """All of result.json.

    Attributes:
        device: Name of the device.
        source: Where its latencies come from: "measured" or "emulated".
        budget_ms: The latency budget.
        budget_reason: Who chose the budget, and how.
        finalists: Best validation accuracy first; the first is the chosen one.
        dropped: Candidates that did not make it.
        front: Candidates of the search as they were predicted, before any of them was measured: its front, and
            what makes up the number; `on_front` tells which is which.
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

    @property
    def chosen(self) -> Finalist:
        """The finalist that the budget buys: the most accurate one on validation images."""
        return self.finalists[0]
