"""The checker of signatures in tests: beartype, with an int accepted for a float as mypy does."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
