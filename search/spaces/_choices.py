"""Which of a space's operations its settings allow."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TypeVar

from search.errors import SearchError

Word = TypeVar("Word", bound=str)


def allowed(
    space: str, wanted: Collection[Word], known: Sequence[Word], *, cuts: Collection[str] = ()
) -> tuple[Word, ...]:
    """Return the operations that a space may choose from, in the order of all there are.

    Args:
        space: The space, for the message.
        wanted: Those that its settings name, in any order.
        known: All there are.
        cuts: Those that let nothing through: there must be another one.

    Raises:
        SearchError: One is unknown or named twice, or there is none that lets anything through.
    """
    chosen = tuple(operation for operation in known if operation in wanted)
    if len(chosen) < len(wanted) or not set(chosen) - set(cuts):
        beside = f" and one of them not {', '.join(cuts)}" if cuts else ""
        raise SearchError(
            f"operations of the {space} space must be some of {', '.join(known)}, each once{beside}, "
            f"not {', '.join(wanted) or 'no one'}"
        )
    return chosen
