"""HAProxy in each version that relman is tested with: the machine's own, and those of newer Debian releases."""

from __future__ import annotations

import io
import os
import shlex
import tarfile
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


IMAGE = b"""\
FROM scratch
ADD root.tar /
ENV PATH=/usr/sbin
ENTRYPOINT ["haproxy"]
"""


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


def context(version: str) -> io.BytesIO:
    """What an image of a newer version is built of: the program and its libraries, and nothing else."""
    tree, root, packed = trixie.fetch(*PACKAGES, suite=SUITES[version]), io.BytesIO(), io.BytesIO()
    with tarfile.open(fileobj=root, mode="w") as tar:
        for top in ("lib", "lib64"):
            tar.add(tree / "usr" / top, f"usr/{top}")
            link = tarfile.TarInfo(top)
            link.type, link.linkname = tarfile.SYMTYPE, f"usr/{top}"
            tar.addfile(link)
        tar.add(tree / "usr/sbin/haproxy", "usr/sbin/haproxy")
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for name, content in (("Dockerfile", IMAGE), ("root.tar", root.getvalue())):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    packed.seek(0)
    return packed
