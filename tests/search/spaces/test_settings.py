from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pydantic import BaseModel

from profiler.errors import ConfigError
from search.errors import SearchError
from search.spaces import CarsSpace, ShuffleNetV2Space
from search.spaces.settings import (
    SPACES,
    CarsSettings,
    NasBench201Settings,
    ShuffleNetV2Settings,
    SpaceSettings,
    load_space,
)
from tests.search._stripes import stripes_data

DATA = stripes_data()
EXAMPLES = sorted((Path(__file__).parents[3] / "examples/spaces").glob("*.yaml"))


def written(tmp_path: Path, text: str) -> str:
    path = tmp_path / "space.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("name", SPACES)
def test_each_space_has_a_name_and_defaults(name: str) -> None:
    loaded = load_space(name)
    assert loaded == SPACES[name]() and loaded.kind == name and loaded.resolution is None
    space = loaded.space_for(DATA)
    assert space.name == name
    assert space.lower(space.sample(np.random.default_rng(0))).inputs[0].shape == (1, *DATA.image_shape)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_shipped_files_are_read(path: Path) -> None:
    loaded = load_space(str(path))
    assert path.stem.startswith(loaded.kind)
    assert loaded.space_for(DATA).size > 10_000


def test_a_file_s_settings_are_the_space_s(tmp_path: Path) -> None:
    text = "kind: cars\nresolution: 32\ncells: 4\noperations:\n  - none\n  - sep_conv_3x3\n"
    loaded = load_space(written(tmp_path, text))
    assert loaded == CarsSettings(resolution=32, cells=4, operations=("none", "sep_conv_3x3"))
    space = loaded.space_for(DATA)
    assert isinstance(space, CarsSpace)
    assert (space.params.cells, space.params.operations) == (4, ("none", "sep_conv_3x3"))
    assert space.params.image_shape == DATA.image_shape and space.params.classes == DATA.classes


def test_every_setting_reaches_its_space() -> None:
    settings = ShuffleNetV2Settings(
        blocks=(1, 2), channels=(8, 16), stem=4, head=12, width=0.5, ratios=(1, 3), operations=("xception",)
    )
    space = settings.space_for(DATA)
    assert isinstance(space, ShuffleNetV2Space)
    for name in set(ShuffleNetV2Settings.model_fields) - {"kind", "resolution"}:
        assert getattr(space.params, name) == getattr(settings, name)


def test_the_command_line_goes_before_the_file(tmp_path: Path) -> None:
    path = written(tmp_path, "kind: shufflenetv2\nwidth: 2\nblocks: [1, 1]\nchannels: [8, 8]\n")
    given = {
        "width": "0.5",
        "blocks": "3,2",
        "ratios": "1",
        "operations": "shuffle_3x3,",
        "stem": None,
        "resolution": 24,
    }
    assert load_space(path, given) == ShuffleNetV2Settings(
        width=0.5, blocks=(3, 2), channels=(8, 8), ratios=(1.0,), operations=("shuffle_3x3",), resolution=24
    )
    assert load_space("nasbench201", {"channels": "8", "stages": 2}) == NasBench201Settings(channels=8, stages=2)


REFUSED = {
    "operation": (
        "kind: cars\noperations: [none, sep_konv_3x3]",
        ":2: operations: .*'sep_konv_3x3'; did you mean 'sep_conv_3x3'",
    ),
    "operation in a list": (
        "kind: cars\noperations:\n- none\n- dilconv",
        ":4: operations: unknown operation 'dilconv'",
    ),
    "unit": ("kind: shufflenetv2\noperations: [shuffle_9x9]", ":2: operations: .*did you mean 'shuffle_"),
    "edge": ("kind: nasbench201\n\noperations: [nor_conv_5x5]", ":3: operations: .*did you mean 'nor_conv_"),
    "none alone": ("kind: cars\noperations: none", ":2: operations: .*lets something through"),
    "twice": ("kind: cars\noperations: [none, skip_connect, none]", ":2: operations: each may be there once"),
    "nothing": ("kind: cars\noperations: []", ":2: operations: .*at least 1"),
    "key": ("kind: cars\nchanels: 8", ":2: chanels: unknown key; did you mean 'channels'"),
    "word": ("kind: mobilenetv3\nsqueeze_excite: chioce", ":2: squeeze_excite: .*did you mean 'choice'"),
    "kind": ("kind: shufflenet", ":1: kind: unknown space 'shufflenet'; did you mean 'shufflenetv2'"),
    "list as kind": ("kind: [cars]", ":1: kind: unknown space"),
    "no kind": ("cells: 5", ":1: `kind:` is missing; known: cars, "),
    "no mapping": ("- kind: cars", ":1: the file holds settings of one space"),
    "empty": ("", ":1: the file holds settings of one space"),
    "no number": ("kind: cars\ncells: many", ":2: cells: .*integer, not 'many'"),
    "truth": ("kind: cars\ncells: yes", ":2: cells: .*integer, not True"),
    "too few": ("kind: cars\ncells: 2", ":2: cells: .*3, not 2"),
    "too many": ("kind: shufflenetv2\nhead: 1000000000", ":2: head: "),
    "not finite": ("kind: shufflenetv2\nwidth: .nan", ":2: width: "),
    "stages": ("kind: shufflenetv2\nchannels: [8, 8]", ":2: channels: .*each of the 3 stages"),
    "stages by default": ("kind: shufflenetv2\nblocks: [8, 8]", "channels: .*each of the 2 stages"),
    "code": ("kind: !!python/object/apply:os.system ['touch canary']", ":1: the tag"),
    "key twice": ("kind: cars\nkind: cars", ":2: kind: repeated key"),
}


@pytest.mark.parametrize(("text", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_what_a_file_may_not_say(tmp_path: Path, text: str, problem: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = written(tmp_path, text)
    with pytest.raises(ConfigError, match=problem) as caught:
        load_space(name)
    assert [path.name for path in tmp_path.iterdir()] == [Path(name).name], "a command would have left a canary"
    assert "\n" not in str(caught.value) and caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("name", "given", "problem"),
    [
        ("cras", {}, "unknown space 'cras'; did you mean 'cars'"),
        ("nowhere.yaml", {}, "nowhere.yaml: cannot be read"),
        ("cars", {"celsl": "3"}, "^celsl: unknown key; did you mean 'cells'"),
        ("cars", {"operations": "none,sep_conv"}, "^operations: unknown operation 'sep_conv'; did you mean 'sep_conv_"),
        ("cars", {"cells": "three"}, "^cells: .*not 'three'"),
        ("cars", {"kind": "nasbench201"}, "^kind: "),
    ],
)
def test_what_a_command_line_may_not_say(name: str, given: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        load_space(name, given)


def test_images_that_are_too_small_are_an_error_of_the_search() -> None:
    class Tiny:
        image_shape, classes = (2, 2, 1), 2

    with pytest.raises(SearchError, match="at least 4x4"):
        CarsSettings().space_for(Tiny())  # type: ignore[arg-type]


def test_settings_of_any_kind_go_through_json() -> None:
    class Holder(BaseModel):
        space: SpaceSettings

    for kind in SPACES.values():
        holder = Holder(space=kind(resolution=48))
        assert Holder.model_validate_json(holder.model_dump_json()) == holder
    # Files of earlier versions say nothing about operations.
    old = Holder.model_validate_json('{"space": {"kind": "cars", "cells": 5, "channels": 8, "nodes": 4}}')
    assert old.space == CarsSettings()
