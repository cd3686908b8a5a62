"""A complete result with plausible numbers, for tests of what reads results."""

from __future__ import annotations

from pocketnas.result import (
    Baseline,
    CalibrationPoint,
    Candidate,
    Choice,
    DataInfo,
    Dropped,
    Finalist,
    Generation,
    HeldOutAccuracy,
    KernelCost,
    MeasurementInfo,
    OperatorCost,
    PredictorInfo,
    SearchResult,
    TrainingInfo,
)


def sample_result(*, name: str = "cars-3f2a9c", device: str = "host") -> SearchResult:
    """A result with two finalists, one dropped candidate and every optional part present."""
    front = tuple(
        Candidate(
            name=f"{name}-{i}" if i else name,
            genotype={"normal": [[0, "sep_conv_3x3"]], "reduction": [[1, "skip_connect"]]},
            network_key=f"{i:032x}",
            search_accuracy=0.91 + 0.012 * (i if i < 3 else 1),
            predicted_ms=0.55 + 0.11 * i,
            predicted_low_ms=0.51 + 0.10 * i,
            predicted_high_ms=0.60 + 0.12 * i,
            on_front=i < 3,
        )
        for i in range(4)
    )
    finalists = tuple(
        Finalist(
            **c.model_dump(),
            tflite=f"finalists/{c.name}.tflite",
            onnx=f"finalists/{c.name}.onnx",
            accuracy=c.search_accuracy + 0.03,
            validation_accuracy=c.search_accuracy + 0.035,
            measured_ms=c.predicted_ms * 1.04,
            measured_low_ms=c.predicted_ms * 1.02,
            measured_high_ms=c.predicted_ms * 1.06,
            macs=2_310_000 + 400_000 * i,
            parameters=48_210 + 9_000 * i,
            largest_difference=3e-6,
            verdict="SEMI_VALID" if i else "VALID",
            reasons=("CPU-SHARED: others took 4 % of the time",) if i else (),
        )
        for i, c in enumerate(front[1:3])
    )
    dropped = Dropped(
        **front[3].model_dump(),
        reason="measured 0.96 ms, above the budget",
        measured_ms=0.93,
        measured_low_ms=0.91,
        measured_high_ms=0.96,
    )
    return SearchResult(
        pocketnas="0.1.0",
        created_at="2026-01-31T12:00:00Z",
        device=device,
        source="measured",
        budget_ms=0.9,
        budget_reason="given by --budget-ms",
        seed=0,
        space="cars cells=3 channels=8",
        finalists=finalists,
        dropped=(dropped,),
        front=front,
        data=DataInfo(
            name="digits",
            classes=10,
            train_images=1077,
            validation_images=360,
            test_images=360,
            test_file="test_images.npz",
            class_names=tuple("0123456789"),
        ),
        measurement=MeasurementInfo(
            processor="Example CPU @ 2.40 GHz",
            system="Linux 6.1",
            runtime="litert",
            runtime_version="2.3.0",
            threads=1,
            accelerator="XNNPACK",
            dtype="float32",
            protocol="6 shuffled rounds of 20 runs after 5 warm-up runs, corrected by two reference kernels",
            interval="95 % bootstrap interval of the median over rounds",
            checks=("NOT-PINNED: cores are shared",),
        ),
        predictor=PredictorInfo(
            kernels=120,
            networks=12,
            nominal_coverage=0.9,
            held_out=(
                HeldOutAccuracy(
                    what="kernels of conv2d", rows=60, mape_percent=4.1, within_10_percent=0.93, coverage=0.9
                ),
                HeldOutAccuracy(
                    what="kernels of dense", rows=4, mape_percent=None, within_10_percent=None, coverage=None
                ),
                HeldOutAccuracy(what="whole networks", rows=12, mape_percent=2.2, within_10_percent=1, coverage=0.92),
            ),
            calibration=tuple(
                CalibrationPoint(
                    name=f"random {i}",
                    predicted_ms=0.5 + 0.09 * i,
                    predicted_low_ms=0.45 + 0.085 * i,
                    predicted_high_ms=0.55 + 0.1 * i,
                    measured_ms=0.52 + 0.088 * i + 0.03 * (i % 3),
                    measured_low_ms=0.51 + 0.088 * i + 0.03 * (i % 3),
                    measured_high_ms=0.53 + 0.088 * i + 0.03 * (i % 3),
                )
                for i in range(10)
            ),
        ),
        generations=tuple(
            Generation(
                generation=i,
                evaluated=32,
                feasible=min(16, 8 + i),
                front_size=5,
                hypervolume=1 - 0.5 / i,
                best_accuracy=0.95 - 0.3 / i,
            )
            for i in range(1, 9)
        ),
        kernels=tuple(
            KernelCost(kernel=f"depthwise_conv2d 1x16x16x{8 * i} k5x5 s1", predicted_ms=0.4 / i, in_domain=True)
            for i in range(1, 22)
        ),
        operators=tuple(
            OperatorCost(name=f"node_{i}", kind="Convolution (NHWC, F32) IGEMM", mean_ms=0.3 / i) for i in range(1, 9)
        ),
        operators_note="Profiled over 50 runs by LiteRT; profiling slows the network by some percent.",
        choices=tuple(
            Choice(
                devices=(device,),
                budget_ms=budget_ms,
                budget_reason="given by --budget-ms",
                chosen=chosen.name,
                finalists=(chosen.name,),
            )
            for budget_ms, chosen in zip((0.9, 0.8), finalists, strict=True)
        ),
        baselines=tuple(
            Baseline(
                name=f"{family}-0.25",
                family=family,
                width=0.25,
                against=finalists[0].name,
                device=device,
                source="measured",
                tflite=f"baselines/{family}-0.25.tflite",
                onnx=f"baselines/{family}-0.25.onnx",
                accuracy=0.9,
                accuracy_low=0.86,
                accuracy_high=0.93,
                validation_accuracy=0.91,
                measured_ms=0.7,
                measured_low_ms=0.69,
                measured_high_ms=0.71,
                macs=2_000_000,
                parameters=90_000,
            )
            for family in ("shufflenet_v2", "mobilenet_v3_small")
        ),
        training=TrainingInfo(epochs=20, reason="given by the user", settings="TrainingParams(epochs=20)"),
        durations_s={"measure": 63.2, "fit": 4.1, "search": 88.0, "verify": 70.3},
    )
