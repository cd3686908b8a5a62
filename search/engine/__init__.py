"""Where networks are scored and trained: in this process, or in workers beside it."""

from search.engine._base import Engine, EvaluationJob, OnTrainingEpoch, TrainingJob
from search.engine._in_process import InProcess
from search.engine._processes import Processes

__all__ = ["Engine", "EvaluationJob", "InProcess", "OnTrainingEpoch", "Processes", "TrainingJob"]
