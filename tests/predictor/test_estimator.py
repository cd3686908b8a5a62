import numpy as np
import pytest
from sklearn.base import clone

from predictor import KernelPredictor, NetworkPredictor
from predictor.errors import NotFittedError
from profiler.kernels import FUSION_RULES, FusionRules
from tests.predictor._synthetic import law_table, some_network


@pytest.mark.parametrize("kind", [KernelPredictor, NetworkPredictor])
def test_parameters_are_kept_under_their_names(kind: type[KernelPredictor | NetworkPredictor]) -> None:
    rules = FUSION_RULES["onnxruntime"]
    estimator = kind(rules=rules, seed=3)
    assert estimator.get_params() == {"rules": rules, "seed": 3}
    assert estimator.set_params(seed=5) is estimator
    assert kind(**estimator.get_params()).get_params() == {"rules": rules, "seed": 5}
    assert "seed=5" in repr(estimator)
    with pytest.raises(ValueError, match="no parameter"):
        estimator.set_params(sede=1)


def test_scikit_learn_can_clone_a_fitted_predictor(network_predictor: NetworkPredictor) -> None:
    copy = clone(network_predictor)
    assert copy.get_params() == network_predictor.get_params()
    with pytest.raises(NotFittedError):
        _ = copy.card


def test_rules_that_were_found_are_those_gone_by() -> None:
    table = law_table(80, networks=5)
    unfused = NetworkPredictor(rules=FusionRules(frozenset())).fit(table)
    network = some_network(np.random.default_rng(0))
    assert all("+" not in part.kind for part in unfused.predict(network, allow_unknown=True).kernels)
    assert (unfused.card.fusion.how, unfused.fusion.chains) == ("evidence", frozenset())
    usual = NetworkPredictor().fit(table)
    assert any("+" in part.kind for part in usual.predict(network).kernels)
    assert (usual.card.fusion.how, usual.fusion) == ("rules", FUSION_RULES["litert"])
