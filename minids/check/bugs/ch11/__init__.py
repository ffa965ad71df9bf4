"""Right answers and planted mistakes for chapter 11; these hang in its museum."""

from minids.check.bugs.ch11.language import language, language_of_letters
from minids.check.bugs.ch11.loss import loss, loss_mask_unshifted
from minids.check.bugs.ch11.reject import reject, reject_by_answer_alone

__all__ = [
    "language",
    "language_of_letters",
    "loss",
    "loss_mask_unshifted",
    "reject",
    "reject_by_answer_alone",
]
