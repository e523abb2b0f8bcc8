"""What can go wrong, classed by what the caller must do about it.

The message tells the operator what to do; the facts are fields. Foreign errors are translated once, at the
adapter, with ``from``.
"""

from __future__ import annotations


class GocError(Exception):
    """Root of every error the house raises on purpose."""

    #: Exit code of the command line when this error ends a command.
    exit_code = 1


class InvalidInput(GocError):
    """Input breaks a rule: correct it; sending it again unchanged fails again."""

    exit_code = 3

    def __init__(self, where: str, value: object, rule: str) -> None:
        #: File and line, table and key, or option: where the value stands.
        self.where = where
        #: The value as given.
        self.value = value
        #: The rule it breaks, with what would be right.
        self.rule = rule
        super().__init__(f"{where}: {value!r}: {rule}")


class Temporary(GocError):
    """The same call may succeed later: a lock held, a service away, a disk full."""

    exit_code = 4

    def __init__(self, message: str, *, retry_after: float = 30.0) -> None:
        #: Seconds after which a retry makes sense.
        self.retry_after = retry_after
        super().__init__(message)


class Permanent(GocError):
    """The call cannot succeed as things stand: a person has to change something."""


class Conflict(GocError):
    """Somebody else changed the same thing first: read it again, decide again."""

    exit_code = 4
