"""What is asked of a switch, and told it, while other callers' commands change it."""

import pytest
from dpb_slicer import first
from dpb_slicer.books import Wish
from dpb_slicer.circuits import End, Slice
from dpb_slicer.switch import describe
from dpb_slicer.words import TupleWords

from .fake_switch import FakeLink, FakeSwitch
from .test_slicer_engine import application

WORDS = TupleWords()


class Changing(dict):
    """Holdings among which another thread puts one at each step of whoever goes through them."""

    def _each(self, view):
        for each in view:
            yield each
            self[-len(self)] = next(iter(dict.values(self)))

    def items(self):
        return self._each(super().items())

    def values(self):
        return self._each(super().values())


@pytest.mark.parametrize(
    "ask",
    [
        describe,
        lambda switch: first.sets(switch, WORDS),
        lambda switch: first.change(switch, WORDS, {"learn": {"mac": "02:00:00:00:00:07", "tuple": [3]}}),
    ],
    ids=["describe", "sets", "learn"],
)
def test_a_switch_is_described_while_commands_change_it(ask):
    switch = application(FakeLink(FakeSwitch()))
    switch.change({7: Wish("ns/a", Slice((End((4,)), End((5,)))))})
    first.change(switch, WORDS, {"slices": [[[1], [2], [3]]]})
    switch.books.holdings = Changing(switch.books.holdings)
    ask(switch)


def test_sets_that_are_posted_at_the_same_time_are_changed_one_after_the_other():
    switch = application(FakeLink(FakeSwitch()))
    first.change(switch, WORDS, {"slices": [[[1], [2], [3]]]})

    class Late(TupleWords):
        """Words of a POST that another one overtakes while they are read."""

        def end_of(self, value, name):
            if value == [5]:
                first.change(switch, WORDS, {"slices": [[[1], [2], [3], [4]]]})
            return super().end_of(value, name)

    first.change(switch, Late(), {"slices": [[[5], [6]]], "disused": [[2]]})
    assert first.sets(switch, WORDS) == [[[1], [3], [4]], [[5], [6]]]
