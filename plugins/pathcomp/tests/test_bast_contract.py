"""The default algorithm against the contract."""

import pytest
from dpb_pathcomp.bast import Bast

from dpb_framework.contracts.algorithm import Algorithm
from dpb_framework.testing.algorithm import AlgorithmContract


class TestBast(AlgorithmContract):
    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return Bast()


class TestBastWithLittleWork(AlgorithmContract):
    """One round only: it gives up early, and what it does answer still holds."""

    @pytest.fixture
    def algorithm(self) -> Algorithm:
        return Bast(seed=3, work=1)
