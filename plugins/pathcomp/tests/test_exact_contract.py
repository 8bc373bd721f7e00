"""The complete search and the adaptive algorithm against the contract."""

import pytest
from dpb_pathcomp.adaptive import Adaptive
from dpb_pathcomp.bast import Bast
from dpb_pathcomp.exact import Exact
from dpb_pathcomp.weights import COSTS

from dpb_framework.contracts.algorithm import Algorithm
from dpb_framework.testing.algorithm import AlgorithmContract


@pytest.mark.parametrize("name", COSTS)
class TestExact(AlgorithmContract):
    @pytest.fixture
    def algorithm(self, name: str) -> Algorithm:
        return Exact(cost=name)


class TestExactWithLittleWork(AlgorithmContract):
    """It gives up where it would have to look at more; what it does answer still holds."""

    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return Exact(cost="hops", work=400)


class TestAdaptive(AlgorithmContract):
    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return Adaptive()


class LittleAdaptive(Adaptive):
    constraints = False  # with so little work it keeps them, but finds nothing


class TestAdaptiveWithLittleWork(AlgorithmContract):
    """Nearly all answers are bast's."""

    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return LittleAdaptive(work=1)


class Alone(Bast):
    constraints = False  # likewise


class TestBastAlone(AlgorithmContract):
    """Without the complete search."""

    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return Alone(complete=False)
