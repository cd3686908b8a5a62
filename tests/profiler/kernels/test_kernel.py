import pytest

from profiler.kernels import Kernel
from profiler.network import Add, AvgPool2d, Conv2d, Dense, Network, Operator, Relu6, Softmax, TensorSpec


def kernel(operators: list[Operator], *shapes: tuple[int, ...]) -> Kernel:
    inputs = [TensorSpec(f"x{index}", shape) for index, shape in enumerate(shapes)]
    return Kernel(Network("kernel", inputs, operators, operators[-1].outputs))


@pytest.mark.parametrize(
    ("made", "described"),
    [
        (
            kernel([Conv2d("a", ("x0",), 48, (3, 3), (2, 2)), Relu6("b", ("a",))], (1, 56, 56, 24)),
            "conv2d 1x56x56x24 -> 48 k3x3 s2 +relu6",
        ),
        (
            kernel([Conv2d("a", ("x0",), 48, (1, 5), (1, 2), (1, 3), groups=4)], (1, 56, 56, 24)),
            "conv2d 1x56x56x24 -> 48 k1x5 s1x2 d1x3 g4",
        ),
        (kernel([Dense("a", ("x0",), 10)], (1, 64)), "dense 1x64 -> 1x10"),
        (kernel([Add("a", ("x0", "x1"))], (1, 7, 7, 8), (1, 1, 1, 8)), "add 1x7x7x8, 1x1x1x8 -> 1x7x7x8"),
        (kernel([AvgPool2d("a", ("x0",))], (1, 8, 8, 4)), "avg_pool2d 1x8x8x4 -> 1x4x4x4 k2x2 s2"),
        (kernel([Softmax("a", ("x0",))], (1, 10)), "softmax 1x10 -> 1x10"),
    ],
)
def test_describe_reads_as_a_person_would_say_it(made: Kernel, described: str) -> None:
    assert made.describe() == described
    assert described in repr(made)


def test_the_anchor_does_the_main_work() -> None:
    made = kernel([Conv2d("a", ("x0",), 4), Relu6("b", ("a",))], (1, 8, 8, 4))
    assert (made.anchor.kind, made.family, made.kind) == ("conv2d", "conv2d", "conv2d+relu6")
    alone = kernel([Relu6("b", ("x0",))], (1, 8, 8, 4))
    assert alone.family == "relu6"
