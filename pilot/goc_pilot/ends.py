"""Why a pilot ends, and the exit code that says so to the batch system."""

from typing import NamedTuple


class Ending(NamedTuple):
    """The end of one pilot."""

    #: A key of EXIT_CODES.
    reason: str
    #: What happened, for the operator.
    message: str

    @property
    def exit_code(self) -> int:
        """The exit code of the pilot process."""
        return EXIT_CODES[self.reason]

    @property
    def is_failure(self) -> bool:
        """Whether somebody should look: the logs go into the report then."""
        return self.exit_code != 0


EXIT_CODES = {
    # No job came for idle_seconds.
    "idle": 0,
    # The time the batch system gives is used up.
    "walltime": 0,
    # The pool told the startd to stop: condor_off, or condor_drain with exit on completion.
    "drained": 0,
    # A defect of the pilot, or the node failed under it (disk full, no more processes).
    "pilot-error": 1,
    "config-error": 10,
    "validation-failed": 11,
    "startd-died": 12,
    # The batch system or a person sent SIGTERM or alike.
    "signal": 13,
}
