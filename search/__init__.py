"""Decides: spaces, supernet, algorithms, constraints, run; sees a predictor, never a backend."""
