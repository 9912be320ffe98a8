"""HAProxy in each version that relman is tested with: the machine's own, and those of newer Debian releases."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from tests.lab import packages, trixie

LIBRARIES = (
    "libc6",
    "libcrypt1",
    "libgcc-s1",
    "libjemalloc2",
    "liblua5.4-0",
    "libopentracing-c-wrapper0t64",
    "libopentracing1",
    "libpcre2-8-0",
    "libssl3t64",
    "libstdc++6",
    "libzstd1",
    "zlib1g",
)
PACKAGES = ("haproxy", *LIBRARIES)
SUITES = {"2.6": "", "3.0": trixie.SUITE, "3.2": trixie.SID}
"""The versions, and the releases of Debian that have them; "" is the machine's own."""


def program(version: str) -> str:
    """The program of a version. A newer one brings its own libraries, and is started by their loader; a master starts
    itself anew by the name that it was started with, which is therefore a script."""
    packages.install()
    if not (suite := SUITES[version]):
        return "haproxy"
    root = trixie.fetch(*PACKAGES, suite=suite)
    script = Path(f"{root}.haproxy")
    libraries = ":".join(sorted({str(path.parent) for path in root.glob("**/lib*.so.*")}))
    loader = next(root.glob("**/ld-linux-*.so.*"))
    words = shlex.join([str(loader), "--library-path", libraries])
    unfinished = Path(f"{script}.{os.getpid()}")
    unfinished.write_text(f'#!/bin/sh\nexec {words} --argv0 "$0" {root}/usr/sbin/haproxy "$@"\n')
    unfinished.chmod(0o755)
    unfinished.rename(script)
    return str(script)
