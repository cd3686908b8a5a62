"""Networks survive JSON, and JSON that is no network is refused with our own error."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profiler.errors import CycleError, NetworkError, UnknownOperatorError
from profiler.network import Conv2d, Network, Opaque, Pad, Relu, Split, TensorSpec

NETWORK = Network(
    "every form",
    [TensorSpec("x", (1, 8, 8, 4))],
    [
        Conv2d("c", ("x",), 6, (3, 5), stride=(2, 1), use_bias=False),
        Pad("p", ("c",), ((0, 0), (1, 1), (0, 2), (0, 0))),
        Split("s", ("p",), 2),
        Opaque("o", ("s:0",), "NMS", (TensorSpec("boxes", (3, 4)),)),
        Relu("r", ("s:1",)),
    ],
    ["r", "boxes"],
)


def test_round_trip() -> None:
    again = Network.from_json(NETWORK.to_json())
    assert again == NETWORK
    assert again.key == NETWORK.key


def test_unknown_kind_is_named() -> None:
    text = NETWORK.to_json().replace('"relu"', '"warp_drive"')
    with pytest.raises(UnknownOperatorError) as caught:
        Network.from_json(text)
    assert (caught.value.kind, caught.value.operator) == ("warp_drive", "r")


def test_cycle_is_found() -> None:
    document = json.loads(NETWORK.to_json())
    document["operators"][0][2] = ["r"]
    with pytest.raises(CycleError):
        Network.from_json(json.dumps(document))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        "[" * 100_000,
        '{"schema": 2}',
        '{"schema": 1}',
        '{"schema":1,"name":"n","inputs":3}',
        b"\xff\xfe",
    ],
)
def test_text_that_is_no_network(text: str | bytes) -> None:
    with pytest.raises(NetworkError):
        Network.from_json(text)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=5,
)


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_any_value_in_any_place_gives_a_network_or_our_error(data: st.DataObject) -> None:
    document = json.loads(NETWORK.to_json())
    place: object = document
    while isinstance(place, dict | list) and place:
        key = data.draw(st.sampled_from(list(place)) if isinstance(place, dict) else st.integers(0, len(place) - 1))
        if data.draw(st.booleans()):
            place[key] = data.draw(VALUES)
            break
        place = place[key]
    try:
        network = Network.from_json(json.dumps(document))
    except NetworkError:
        return
    assert network.key
    assert network.cost().bytes_moved > 0
