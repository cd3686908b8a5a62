from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.scaling import LEAST_MAP, rounded_channels, scaled_strides

STRIDES = st.lists(st.sampled_from((1, 2)), min_size=1, max_size=8).map(tuple)
SIZES = st.tuples(st.integers(1, 512), st.integers(1, 512))


@settings(deadline=None, max_examples=60)
@given(STRIDES, SIZES)
def test_the_last_strides_stay_while_a_map_is_left(published: tuple[int, ...], size: tuple[int, int]) -> None:
    kept = scaled_strides(published, size)
    first = next((layer for layer, stride in enumerate(kept) if stride > 1), len(kept))
    assert kept[first:] == published[first:]
    assert set(kept[:first]) <= {1}
    halvings = sum(stride > 1 for stride in kept)
    least = -(-min(size) // 2**halvings)
    assert halvings == 0 or least >= LEAST_MAP
    if kept != published:
        assert -(-min(size) // 2 ** (halvings + 1)) < LEAST_MAP


@settings(deadline=None, max_examples=60)
@given(st.floats(0.1, 4096), st.sampled_from((1, 4, 8)))
def test_channels_are_rounded_but_never_far_down(channels: float, divisor: int) -> None:
    rounded = rounded_channels(channels, divisor)
    assert rounded >= divisor
    assert rounded % divisor == 0
    assert rounded >= 0.9 * channels
    assert rounded < channels + divisor
