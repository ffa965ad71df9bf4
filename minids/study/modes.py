"""One hill for two: which student is nearest to a teacher that it cannot copy?

A teacher spreads its probability over places in two hills, a student has one. KL(teacher ||
student) is infinite where the student gives nothing to what the teacher does, so its best hill
covers both. KL(student || teacher) is large where the student goes and the teacher does not, so its
best hill picks one. At the best covering hill mean and spread are the teacher's own.

axes: v places, n students
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

PLACES = 41
MEANS = torch.linspace(-10, 10, 81)
WIDTHS = torch.linspace(0.6, 8.0, 75)


class Hill(NamedTuple):
    """The student that is nearest, and how near it is."""

    mean: float
    width: float  # deviation, in places
    divergence: float  # nats
    student: Float[Tensor, " v"]  # probabilities


def places(n: int = PLACES) -> Float[Tensor, " v"]:
    """Return the places, symmetric about 0 and one apart."""
    return torch.arange(n) - (n - 1) / 2.0


def hill(
    mean: Float[Tensor, " n"], width: Float[Tensor, " n"], n: int = PLACES
) -> Float[Tensor, "n v"]:
    """Return the log-probabilities of hills, one a row: normal curves at the places."""
    return (-0.5 * ((places(n) - mean[:, None]) / width[:, None]) ** 2).log_softmax(-1)


def two_hills(distance: float = 10.0, width: float = 1.5, left: float = 0.6) -> Float[Tensor, " v"]:
    """Return the log-probabilities of a teacher with hills `distance` apart.

    `left` is the share of the left one. ValueError unless both have a share.
    """
    if not 0 < left < 1 or width <= 0:
        raise ValueError(f"left={left} is a share between 0 and 1, and width={width} positive")
    both = hill(torch.tensor([-distance / 2, distance / 2]), torch.tensor([width, width]))
    shares = torch.tensor([left, 1 - left]).log()
    return (both + shares[:, None]).logsumexp(0)


def covering(teacher: Float[Tensor, " v"]) -> Hill:
    """Return the hill with the smallest KL(teacher || student), from the teacher's log-probs."""
    students, means, widths = _grid()
    return _least((teacher.exp() * (teacher - students)).sum(-1), students, means, widths)


def seeking(teacher: Float[Tensor, " v"]) -> Hill:
    """Return the hill with the smallest KL(student || teacher), from the teacher's log-probs."""
    students, means, widths = _grid()
    return _least((students.exp() * (students - teacher)).sum(-1), students, means, widths)


def moments(log_p: Float[Tensor, " v"]) -> tuple[float, float]:
    """Return mean and deviation of a distribution over the places."""
    p, x = log_p.exp(), places(len(log_p))
    mean = (p * x).sum()
    return float(mean), float((p * (x - mean) ** 2).sum().sqrt())


def _grid() -> tuple[Float[Tensor, "n v"], Float[Tensor, " n"], Float[Tensor, " n"]]:
    """All students that are tried, with their means and widths."""
    pairs = torch.cartesian_prod(MEANS, WIDTHS)
    return hill(pairs[:, 0], pairs[:, 1]), pairs[:, 0], pairs[:, 1]


def _least(
    divergences: Float[Tensor, " n"],
    students: Float[Tensor, "n v"],
    means: Float[Tensor, " n"],
    widths: Float[Tensor, " n"],
) -> Hill:
    i = int(divergences.argmin())
    return Hill(float(means[i]), float(widths[i]), float(divergences[i]), students[i].exp())
