"""One thread for short steps, and all of them again afterwards."""

import pytest
import torch

from minids.decode.threads import SHORT, threads_that_pay


@pytest.fixture(autouse=True)
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("operations", "expected"), [(SHORT / 10, 1), (SHORT * 10, 2)])
def test_short_steps_get_one_thread_and_long_ones_all(operations, expected):
    with threads_that_pay(operations):
        assert torch.get_num_threads() == expected
    assert torch.get_num_threads() == 2


def test_the_threads_come_back_after_an_error():
    with pytest.raises(KeyboardInterrupt), threads_that_pay(0):
        raise KeyboardInterrupt
    assert torch.get_num_threads() == 2
