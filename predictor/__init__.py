"""Learns: kernel and network predictors with intervals and a domain; reads tables, never touches a device."""

from predictor._batch import NetworkPredictions
from predictor._card import Accuracy, FamilyCard, ModelCard
from predictor._kernel_predictor import KernelPredictor
from predictor._network_predictor import NetworkPredictor
from predictor._prediction import KernelPredictions, KernelShare, Prediction
from predictor._roofline import Bound, Roofline
from predictor._rows import TrainingRows, training_rows
from predictor._table_transfer import Transfer

__all__ = [
    "Accuracy",
    "Bound",
    "FamilyCard",
    "KernelPredictions",
    "KernelPredictor",
    "KernelShare",
    "ModelCard",
    "NetworkPredictions",
    "NetworkPredictor",
    "Prediction",
    "Roofline",
    "TrainingRows",
    "Transfer",
    "training_rows",
]
