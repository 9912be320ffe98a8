"""The exit code of every conclusion, and of the causes that end a command by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from relman.model import errors


class Exit(IntEnum):
    """The exit codes, which are part of relman's interface."""

    DONE = 0  # or there was nothing to do
    INTERNAL = 1
    USAGE = 2  # the command line or a file is wrong
    REFUSED = 3  # by policy
    NOTHING_CHANGED = 4
    ROLLED_BACK = 5
    MIXED_FLEET = 6
    LOCKED = 7  # or an interrupted deployment must be resolved first
    DRIFT = 8
    CI_FAILED = 9
    NOT_SERVING = 10
    UNKNOWN = 11  # a host did not answer
    UNHEALTHY = 12  # serves, but is unhealthy, paused or partly running
    CHECK_FAILED = 13  # of a playbook, a canary or the rehearsal of a rollback
    NOT_RUN = 125  # `relman exec` could not run the command; all other codes of it but CANCELLED are the command's
    CANCELLED = 130


EXITS: Mapping[type[BaseException], Exit] = {
    errors.UsageError: Exit.USAGE,
    errors.ConfigError: Exit.USAGE,
    errors.PolicyRefused: Exit.REFUSED,
    errors.BuildFailed: Exit.CI_FAILED,
    errors.TestsFailed: Exit.CI_FAILED,
    errors.Failure: Exit.NOTHING_CHANGED,  # what fails after a change ends with a conclusion
    errors.CheckFailed: Exit.CHECK_FAILED,
    errors.RolledBack: Exit.ROLLED_BACK,
    errors.MixedFleet: Exit.MIXED_FLEET,
    errors.Locked: Exit.LOCKED,
    errors.Interrupted: Exit.LOCKED,
    errors.Drift: Exit.DRIFT,
    errors.NotServing: Exit.NOT_SERVING,
    errors.Unknown: Exit.UNKNOWN,
    errors.Unhealthy: Exit.UNHEALTHY,
    errors.Cancelled: Exit.CANCELLED,
}


def exit_of(kind: type[BaseException]) -> Exit:
    """The code of the nearest base class that has one; INTERNAL for an unknown class."""
    return next((EXITS[base] for base in kind.__mro__ if base in EXITS), Exit.INTERNAL)
