"""Predicts latencies of whole networks from their operator lists, learning from whole networks' latencies only."""

from predictor.operator_lists._kernels import OperatorLists
from predictor.operator_lists._predictor import NetworkLatencies, WholeNetworkPredictor

__all__ = ["NetworkLatencies", "OperatorLists", "WholeNetworkPredictor"]
