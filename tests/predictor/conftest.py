import pytest

from predictor import KernelPredictor, NetworkPredictor
from tests.predictor._synthetic import law_table


@pytest.fixture(scope="session")
def kernel_predictor() -> KernelPredictor:
    return KernelPredictor().fit(law_table(300))


@pytest.fixture(scope="session")
def network_predictor() -> NetworkPredictor:
    return NetworkPredictor().fit(law_table(200, networks=25))
