"""A function of minids refuses what its signature does not allow: in the first calls of a test."""

import pytest
import torch
import typecheck
from jaxtyping import TypeCheckError

from minids.model.rope import interpolate


@pytest.mark.parametrize("test", ["one", "the next"])
def test_the_first_calls_of_every_test_are_checked_and_later_ones_are_not(test: str) -> None:
    row, table = torch.ones(4), torch.ones(2, 4)
    for _ in range(typecheck.OFTEN):
        with pytest.raises(TypeCheckError, match="parameters of minids.model.rope.interpolate"):
            interpolate(table, 2.0)
    assert interpolate(table, 2.0).shape == (2, 4)
    typecheck.begin()
    with pytest.raises(TypeCheckError):
        interpolate(table, 2.0)
    assert interpolate(row, 2).tolist() == [0.5] * 4  # an int is a float
