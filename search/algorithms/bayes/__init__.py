"""Bayesian search by expected hypervolume improvement, with the latency predictor as the second model."""

from search.algorithms.bayes._bayes import Bayes, BayesParams

__all__ = ["Bayes", "BayesParams"]
