"""Least values of settings."""

from __future__ import annotations

from profiler.errors import ConfigError


def require_at_least(settings: object, **least: int) -> None:
    """Refuse settings of which one is too small.

    Args:
        settings: What has them as attributes.
        least: The least value of each, by attribute.

    Raises:
        ConfigError: One is below; it carries the attribute's name as key.
    """
    for key, bound in least.items():
        if getattr(settings, key) < bound:
            raise ConfigError(f"{getattr(settings, key)} is too small; give at least {bound}", key=key)
