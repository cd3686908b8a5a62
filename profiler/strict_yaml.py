"""Reads small YAML files that people write, keeping line numbers and refusing what such files do not need.

No tags (so nothing is constructed), no anchors and aliases (so nothing expands), no repeated keys, and a
limit on size and depth that is checked before the text is parsed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from profiler.errors import ConfigError

MAX_BYTES = 128 * 1024
"""Some hundred devices.  PyYAML reads about 100 kB/s on a slow machine, and bad files must fail in 1 s."""
_MAX_DEPTH = 16

_LOADER: type[yaml.SafeLoader] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's, where PyYAML was built with it, is ten times as fast."""

Place = tuple[str, ...]

_SCALAR_TAGS = frozenset(f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null"))


@dataclass(frozen=True)
class Lines:
    """Where the keys of a file stand.

    Attributes:
        by_place: Line, counted from 1, of each key and each item of a list by its path from the top.
    """

    by_place: Mapping[Place, int]

    def line(self, place: Place) -> int:
        """Return the line of a key or an item, or of the nearest one around it."""
        while place and place not in self.by_place:
            place = place[:-1]
        return self.by_place.get(place, 1)


def read_strict_yaml(path: Path) -> tuple[Any, Lines]:
    """Return a file's content as dicts with text keys, tuples and scalars, and where its keys stand.

    Raises:
        ConfigError: The file cannot be read, is larger than MAX_BYTES, is no YAML, or uses a tag, an
            anchor, an alias, a repeated key or too deep a nesting.
    """
    text = _read_text(path)
    try:
        _check_events(text, path)
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as err:
        line = err.problem_mark.line + 1 if err.problem_mark else None
        raise ConfigError(f"not valid YAML: {err.problem or err.context}", path=path, line=line) from err
    except yaml.YAMLError as err:
        raise ConfigError(f"not valid YAML: {' '.join(str(err).split())}", path=path) from err
    lines: dict[Place, int] = {(): 1}
    content = None if node is None else _Reading(path, lines).value(node, ())
    return content, Lines(lines)


def _read_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as err:
        raise ConfigError(f"cannot be read: {err.strerror}", path=path) from err
    if len(data) > MAX_BYTES:
        raise ConfigError(f"larger than {MAX_BYTES // 1024} KiB, so it is not what it should be", path=path)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as err:
        raise ConfigError(f"not UTF-8 text (byte {err.start})", path=path) from err


def _check_events(text: str, path: Path) -> None:
    """Refuse aliases, tags and depth before anything is built from them."""
    depth = 0
    for event in yaml.parse(text, Loader=_LOADER):
        line = event.start_mark.line + 1 if event.start_mark else None
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _MAX_DEPTH:
            raise ConfigError(f"nested deeper than {_MAX_DEPTH} levels", path=path, line=line)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise ConfigError(
                "anchors and aliases (& and *) are not taken here; write the value out", path=path, line=line
            )
        tag = getattr(event, "tag", None)
        if tag:
            raise ConfigError(f"the tag {tag!r} is not taken here; plain values only", path=path, line=line)


@dataclass(frozen=True)
class _Reading:
    """One pass over a file's nodes that collects lines on its way."""

    path: Path
    lines: dict[Place, int]

    def value(self, node: yaml.Node, place: Place) -> Any:
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, place)
        if isinstance(node, yaml.SequenceNode):
            return tuple(self._item(item, (*place, str(index))) for index, item in enumerate(node.value))
        return self._scalar(node)

    def _item(self, node: yaml.Node, place: Place) -> Any:
        self.lines[place] = node.start_mark.line + 1
        return self.value(node, place)

    def _mapping(self, node: yaml.MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if not isinstance(key_node, yaml.ScalarNode):
                raise ConfigError("a key must be text", path=self.path, line=line)
            # The key as it is written: YAML would read a device named `no` as False.
            key = key_node.value
            if key in found:
                first = self.lines[(*place, key)]
                raise ConfigError(
                    f"repeated key; it stands in line {first} already", path=self.path, line=line, key=key
                )
            self.lines[(*place, key)] = line
            found[key] = self.value(value_node, (*place, key))
        return found

    def _scalar(self, node: yaml.Node) -> Any:
        line = node.start_mark.line + 1
        if node.tag not in _SCALAR_TAGS:
            kind = node.tag.rpartition(":")[2]
            raise ConfigError(f"{node.value[:100]!r} reads as a {kind}; put it in quotes", path=self.path, line=line)
        try:
            return yaml.constructor.SafeConstructor().construct_object(node)
        except (ValueError, yaml.YAMLError) as err:
            raise ConfigError(f"{node.value[:100]!r} cannot be read as a value", path=self.path, line=line) from err
