"""Owns how the front door's JSON files are written and read: whole or not at all, checked, with clear errors."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from profiler.errors import ConfigError, SchemaMismatchError
from profiler.whole_file import write_whole_file

SCHEMA: Literal[1] = 1


class Part(BaseModel):
    """A piece of a JSON file: immutable, and without room for keys that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class JsonFile(Part):
    """A JSON file with a fixed name in the folder of a search.

    Attributes:
        file_name: Its name.
        made_by: The command that writes it, for the message when it is not there.
        schema_version: Changes when a field changes its meaning.
    """

    file_name: ClassVar[str]
    made_by: ClassVar[str]

    schema_version: Literal[1] = Field(default=SCHEMA, alias="schema")

    def to_json(self) -> dict[str, object]:
        """Return the content as it stands in the file."""
        return self.model_dump(mode="json", by_alias=True)

    def save(self, folder: Path) -> Path:
        """Write the file into a folder, whole or not at all, and return its path."""
        path = folder / self.file_name
        write_whole_file(path, (self.model_dump_json(by_alias=True, indent=2) + "\n").encode())
        return path

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the file of a folder.

        Raises:
            ConfigError: There is none, or its content is something else.
            SchemaMismatchError: Another version of pocketnas wrote it.
        """
        path = folder / cls.file_name
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError as error:
            raise ConfigError(f"not there; `{cls.made_by}` writes it", path=path) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"cannot be read: {error}", path=path) from error
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(str(part) for part in first["loc"])
            if key == "schema":
                problem = f"{path}: written by another version of pocketnas"
                raise SchemaMismatchError(first["input"], SCHEMA, problem) from error
            raise ConfigError(
                f"not as `{cls.made_by}` writes it: {first['msg']}", path=path, key=key or None
            ) from error
