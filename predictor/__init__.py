"""Learns: kernel and network predictors with intervals and a domain; reads tables, never touches a device."""

from predictor._card import Accuracy, FamilyCard, ModelCard
from predictor._kernel_predictor import KernelPredictor
from predictor._network_predictor import NetworkPredictor
from predictor._prediction import KernelPredictions, KernelShare, Prediction

__all__ = [
    "Accuracy",
    "FamilyCard",
    "KernelPredictions",
    "KernelPredictor",
    "KernelShare",
    "ModelCard",
    "NetworkPredictor",
    "Prediction",
]
