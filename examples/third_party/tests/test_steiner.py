"""The algorithm, held to its contract."""

import pytest
from dpb_sample.steiner import Steiner

from dpb_framework.contracts import Algorithm
from dpb_framework.testing.algorithm import AlgorithmContract


class TestSteiner(AlgorithmContract):
    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return Steiner()
