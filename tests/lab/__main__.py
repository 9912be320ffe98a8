"""python -m tests.lab prepare | up N | status | down; RELMAN_LAB_ID names another lab than number 0."""

from __future__ import annotations

import argparse
import os
import sys

from tests.lab.lab import Lab, summary
from tests.lab.layout import LabError, Layout
from tests.lab.prepare import prepare


def main() -> int:
    """Do what the arguments say; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    verbs.add_parser("prepare", help="download and build all that tests need, where it is missing")
    up = verbs.add_parser("up", help="bring up a lab of exactly N hosts; may be repeated")
    up.add_argument("hosts", type=int, nargs="?", default=3, metavar="N")
    verbs.add_parser("status", help="say what is there")
    verbs.add_parser("down", help="remove every trace of it")
    arguments = parser.parse_args()
    try:
        if arguments.verb == "prepare":
            print(prepare())
            return 0
        lab = Lab(Layout.of(os.environ))
        if arguments.verb == "up":
            lab.up(arguments.hosts)
        if arguments.verb == "down":
            lab.down()
        print("\n".join(summary(lab)))
    except LabError as e:
        print(f"lab: {e}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
