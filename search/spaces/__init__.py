"""Search spaces, one package each."""

from search.spaces.cars import CarsGenotype, CarsParams, CarsSpace

__all__ = ["CarsGenotype", "CarsParams", "CarsSpace"]
