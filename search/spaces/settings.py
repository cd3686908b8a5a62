"""Search spaces as people write them: by name, or as a small YAML file, without the images that give input and classes.

A file holds `kind:` and any of that kind's settings; examples/spaces/ has some.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from profiler.errors import ConfigError
from profiler.near_names import nearest
from profiler.strict_yaml import Lines, read_strict_yaml
from search.space import SearchSpace
from search.spaces import cars, mobilenetv3, nasbench201, shufflenetv2

if TYPE_CHECKING:
    from search.images import ImageData

_FILE_ENDINGS = (".yaml", ".yml")
_SHOWN_CHARS = 60
_QUOTED = re.compile(r"'([^']*)'")

Word = TypeVar("Word")


def _listed(value: object) -> object:
    """Take one value for a list of it."""
    return (value,) if isinstance(value, (str, int, float)) else value


def _each_once(values: tuple[Word, ...]) -> tuple[Word, ...]:
    if len(set(values)) < len(values):
        raise ValueError("each may be there once")
    return values


def _lets_through(operations: tuple[Word, ...]) -> tuple[Word, ...]:
    if set(operations) == {"none"}:
        raise ValueError("must name an operation that lets something through")
    return operations


_Count = Annotated[int, Field(strict=True, ge=1, le=100)]
_Channels = Annotated[int, Field(strict=True, ge=1, le=4096)]
_Pixels = Annotated[int, Field(strict=True, ge=1, le=4096)]
_Factor = Annotated[float, Field(strict=True, gt=0, le=16)]
_List = (BeforeValidator(_listed), Field(min_length=1, max_length=100))
_Set = (*_List, AfterValidator(_each_once))


class SpaceOfKind(BaseModel):
    """A search space without its images; the base of one model for each kind.

    Attributes:
        kind: Which space.
        resolution: Height and width in pixels to which the images are scaled before; None for what they have.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    resolution: _Pixels | None = None

    @abstractmethod
    def space_for(self, data: ImageData) -> SearchSpace[Any]:
        """Return the space for networks that classify these images, which have the wanted resolution already.

        Raises:
            SearchError: A setting is out of range for them.
        """


class CarsSettings(SpaceOfKind):
    """The cells of DARTS and CARS; see `CarsParams`."""

    kind: Literal["cars"] = "cars"
    cells: Annotated[int, Field(strict=True, ge=3, le=100)] = 5
    channels: _Channels = 8
    nodes: Annotated[int, Field(strict=True, ge=1, le=8)] = 4
    operations: Annotated[tuple[cars.Operation, ...], *_Set, AfterValidator(_lets_through)] = cars.OPERATIONS

    def space_for(self, data: ImageData) -> cars.CarsSpace:
        """Return the space for networks that classify these images; see `SpaceOfKind.space_for`."""
        return cars.CarsSpace(cars.CarsParams(data.image_shape, data.classes, **_own(self)))


class NasBench201Settings(SpaceOfKind):
    """The cells of NAS-Bench-201; see `NasBench201Params`."""

    kind: Literal["nasbench201"] = "nasbench201"
    channels: _Channels = 16
    cells: _Count = 5
    stages: Annotated[int, Field(strict=True, ge=1, le=8)] = 3
    operations: Annotated[tuple[nasbench201.Operation, ...], *_Set, AfterValidator(_lets_through)] = (
        nasbench201.OPERATIONS
    )

    def space_for(self, data: ImageData) -> nasbench201.NasBench201Space:
        """Return the space for networks that classify these images; see `SpaceOfKind.space_for`."""
        params = nasbench201.NasBench201Params(data.image_shape, data.classes, **_own(self))
        return nasbench201.NasBench201Space(params)


class ShuffleNetV2Settings(SpaceOfKind):
    """The units of Single Path One-Shot; see `ShuffleNetV2Params`."""

    kind: Literal["shufflenetv2"] = "shufflenetv2"
    blocks: Annotated[tuple[_Count, ...], *_List] = (2, 4, 2)
    channels: Annotated[tuple[_Channels, ...], *_List, Field(validate_default=True)] = (32, 64, 128)
    stem: _Channels = 16
    head: _Channels = 256
    width: _Factor = 1.0
    ratios: Annotated[tuple[_Factor, ...], *_Set] = (0.5, 1.0, 1.5, 2.0)
    operations: Annotated[tuple[shufflenetv2.Operation, ...], *_Set] = shufflenetv2.OPERATIONS

    @field_validator("channels")
    @classmethod
    def _as_many_as_blocks(cls, channels: tuple[int, ...], info: ValidationInfo) -> tuple[int, ...]:
        blocks = info.data.get("blocks", channels)
        if len(channels) != len(blocks):
            raise ValueError(f"must have a number for each of the {len(blocks)} stages of `blocks`")
        return channels

    def space_for(self, data: ImageData) -> shufflenetv2.ShuffleNetV2Space:
        """Return the space for networks that classify these images; see `SpaceOfKind.space_for`."""
        params = shufflenetv2.ShuffleNetV2Params(data.image_shape, data.classes, **_own(self))
        return shufflenetv2.ShuffleNetV2Space(params)


class MobileNetV3Settings(SpaceOfKind):
    """The choices of once-for-all; see `MobileNetV3Params`.

    By default without the last two stages and at a quarter of the width, for images of some 30 pixels.
    """

    kind: Literal["mobilenetv3"] = "mobilenetv3"
    stages: Annotated[int, Field(strict=True, ge=1, le=5)] = 3
    width: _Factor = 0.25
    depths: Annotated[tuple[_Count, ...], *_Set] = (2, 3, 4)
    kernels: Annotated[tuple[_Count, ...], *_Set] = (3, 5, 7)
    expansions: Annotated[tuple[_Count, ...], *_Set] = (3, 4, 6)
    resolutions: Annotated[tuple[_Pixels, ...], BeforeValidator(_listed), AfterValidator(_each_once)] = ()
    squeeze_excite: mobilenetv3.SqueezeExcite = "published"

    def space_for(self, data: ImageData) -> mobilenetv3.MobileNetV3Space:
        """Return the space for networks that classify these images; see `SpaceOfKind.space_for`."""
        params = mobilenetv3.MobileNetV3Params(data.image_shape, data.classes, **_own(self))
        return mobilenetv3.MobileNetV3Space(params)


SpaceSettings = Annotated[
    CarsSettings | NasBench201Settings | ShuffleNetV2Settings | MobileNetV3Settings, Field(discriminator="kind")
]
"""Settings of any space, told apart by `kind`; for the fields of pydantic models."""

SPACES: Mapping[str, type[CarsSettings | NasBench201Settings | ShuffleNetV2Settings | MobileNetV3Settings]] = (
    MappingProxyType(
        {
            "cars": CarsSettings,
            "nasbench201": NasBench201Settings,
            "shufflenetv2": ShuffleNetV2Settings,
            "mobilenetv3": MobileNetV3Settings,
        }
    )
)
"""The settings of each kind of space."""


def load_space(name_or_path: str, overrides: Mapping[str, object] | None = None) -> SpaceSettings:
    """Return a space by its name at its defaults, or as a file describes it.

    Args:
        name_or_path: A name in SPACES, or the path of a YAML file.
        overrides: Settings that go before those of the file, e.g. from the command line. Texts stand for the numbers
            they spell, and with commas for lists; None is no setting.

    Raises:
        ConfigError: There is no such space, the file cannot be read, or a key or a value is unknown or out of range;
            it carries the line and names the nearest one that is known.

    Example:
        >>> load_space("cars", {"cells": "8", "operations": "none,sep_conv_3x3"}).cells
        8
    """
    given = {key: _read(value) for key, value in (overrides or {}).items() if value is not None}
    if name_or_path in SPACES:
        return _validated(name_or_path, {}, given, path=None, lines=None)
    path = Path(name_or_path)
    if path.suffix not in _FILE_ENDINGS:
        shown = name_or_path[:_SHOWN_CHARS]
        raise ConfigError(f"unknown space {shown!r}{nearest(shown, SPACES)}; or give the path of a .yaml file")
    content, lines = read_strict_yaml(path)
    if not isinstance(content, dict):
        raise ConfigError("the file holds settings of one space, `kind:` among them", path=path, line=1)
    kind = content.pop("kind", None)
    if kind is None:
        raise ConfigError(f"`kind:` is missing{nearest('', SPACES)}", path=path, line=1)
    if not isinstance(kind, str) or kind not in SPACES:
        shown = str(kind)[:_SHOWN_CHARS]
        problem = f"unknown space {shown!r}{nearest(shown, SPACES)}"
        raise ConfigError(problem, path=path, line=lines.line(("kind",)), key="kind")
    return _validated(kind, content, given, path=path, lines=lines)


def _validated(
    kind: str, content: Mapping[str, object], given: Mapping[str, object], *, path: Path | None, lines: Lines | None
) -> SpaceSettings:
    model = SPACES[kind]
    try:
        if "kind" in given:
            raise ConfigError("the kind of a space cannot be changed beside its name or file", key="kind")
        return model.model_validate({**content, **given})
    except ValidationError as err:
        first = err.errors(include_url=False)[0]
        location = tuple(str(part) for part in first["loc"])
        key = location[0] if location else None
        problem = _problem(first["type"], first["msg"], first["input"], first.get("ctx", {}), key, model.model_fields)
        if lines is None or key in given:
            raise ConfigError(problem, key=key) from err
        raise ConfigError(problem, path=path, line=lines.line(location), key=key) from err


def _problem(
    kind: str,
    message: str,
    value: object,
    context: Mapping[str, Any],
    key: str | None,
    keys: Sequence[str] | Mapping[str, Any],
) -> str:
    """Return what is wrong with a value in one line, and which known word is near."""
    shown = repr(value)[:_SHOWN_CHARS]
    if kind == "extra_forbidden":
        return f"unknown key{nearest(key or '', set(keys) - {'kind'})}"
    if kind == "literal_error":
        noun = "operation" if key == "operations" else "value"
        return f"unknown {noun} {shown}{nearest(str(value), _QUOTED.findall(context['expected']))}"
    return f"{message.removeprefix('Value error, ')}, not {shown}"


def _read(value: object) -> object:
    """Return what a text from the command line stands for."""
    if not isinstance(value, str):
        return value
    parts = tuple(_number(part.strip()) for part in value.split(",") if part.strip())
    return parts if "," in value else _number(value.strip())


def _number(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return text


def _own(settings: SpaceOfKind) -> dict[str, Any]:
    """Return the settings that the space's own parameters have, too."""
    return {name: getattr(settings, name) for name in type(settings).model_fields if name not in ("kind", "resolution")}
