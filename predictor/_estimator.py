"""Parameters of an estimator by name, as scikit-learn's clone and searches ask for them; scikit-learn is not needed."""

from __future__ import annotations

import inspect
from typing import Any, Self


class Estimator:
    """Base of what is made with keyword parameters, each kept under its name, and learns with `fit`."""

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the constructor's parameters and their values; `deep` changes nothing, none holds estimators."""
        return {name: getattr(self, name) for name in self._names()}

    def set_params(self, **values: Any) -> Self:
        """Set parameters; what was learned stays as it is until the next fit.

        Raises:
            ValueError: A name is no parameter.
        """
        for name, value in values.items():
            if name not in self._names():
                raise ValueError(f"{name!r} is no parameter of {type(self).__name__}; it has {self._names()}")
            setattr(self, name, value)
        return self

    @classmethod
    def _names(cls) -> list[str]:
        return sorted(set(inspect.signature(cls).parameters))

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.get_params().items())
        return f"{type(self).__name__}({values})"
