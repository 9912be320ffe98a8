"""Get all that the tests download, before they begin: what breaks here is the mirror, not a test.

What is there already is not asked for again. While RELMAN_LAB_OFFLINE is set nothing is downloaded: what a test needs
and is not listed here is an error (`tests.lab.packages.may_download`).
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from tests.apps import HAPROXY, HYPERCORN, bases
from tests.lab import haproxies, packages, trixie, wheels
from tests.lab.host import MODERN
from tests.lab.layout import LabError

PROGRAMS = (
    (trixie.SUITE, ("cosign",)),
    (trixie.SID, ("cosign",)),
    (trixie.SUITE, ("docker-buildx",)),
    (trixie.SUITE, ("oras",)),
    (trixie.SUITE, MODERN),
    *((suite, haproxies.PACKAGES) for suite in haproxies.SUITES.values() if suite),
)
"""Sets of packages that tests unpack, and the release of Debian that they are of."""


def prepare() -> str:
    """Install, unpack and build whatever is missing; returns a line about it. Raises LabError when that fails.

    Several may do so at once: one gets each thing, the others wait.
    """
    begin = time.monotonic()
    packages.install(*bases.NEEDED)
    for suite, names in PROGRAMS:
        trixie.fetch(*names, suite=suite)
    for lock in wheels.LOCKS:
        wheels.fetch(lock)
    try:
        with ThreadPoolExecutor() as pool:
            list(pool.map(bases.rootfs, (*bases.NAMES, bases.RELMAN, HAPROXY, HYPERCORN)))
    except bases.BaseError as error:
        raise LabError(str(error)) from error
    return f"prepared in {time.monotonic() - begin:.1f} s: nothing is downloaded from here on"
