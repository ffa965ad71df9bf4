"""What a field of a config may hold: each check names the field, what it holds, and what is asked.

Python does not enforce annotations, and a `config.json` can say anything.
"""

import sys


class ConfigError(ValueError):
    """A config that contradicts itself. The message names the field and what to do."""


def require(condition: bool, message: str) -> None:
    """Raise ConfigError with the message unless the condition holds."""
    if not condition:
        raise ConfigError(message)


def is_number(value: object) -> bool:
    """Whether this is a finite number that a float can hold; True is none."""
    return type(value) in (int, float) and abs(value) <= sys.float_info.max  # type: ignore[arg-type]


def require_whole(config: object, least: int, *fields: str) -> None:
    """Raise ConfigError unless the fields hold whole numbers of `least` or more; True is none."""
    for field in fields:
        value = getattr(config, field)
        require(
            type(value) is int and value >= least,
            f"{field}={value!r} must be a whole number, {least} or more",
        )


def require_number(config: object, *fields: str, zero: bool = False) -> None:
    """Raise ConfigError unless the fields hold finite numbers above 0, or 0, too, with `zero`."""
    for field in fields:
        value = getattr(config, field)
        require(
            is_number(value) and (value > 0 or (zero and value == 0)),
            f"{field}={value!r} must be a number, {'0 or more' if zero else 'above 0'}",
        )


def require_one_of(config: object, field: str, *choices: object) -> None:
    """Raise ConfigError unless the field holds one of the choices; 1 is not True."""
    value = getattr(config, field)
    require(
        any(type(value) is type(choice) and value == choice for choice in choices),
        f"{field}={value!r} must be {' or '.join(map(repr, choices))}",
    )
