"""What ansible-inventory makes of inventories: run with ansible-core's own Python. usage: ansible_judge.py PATH...

Prints a line of JSON a path: what `ansible-inventory -i PATH --list` prints.
"""

import contextlib
import io
import json
import os
import sys

from ansible.cli.inventory import InventoryCLI  # type: ignore[import-not-found]  # of another environment


def judge(path: str) -> None:
    """Print what ansible-inventory says of one inventory."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), contextlib.suppress(SystemExit):
        InventoryCLI(["ansible-inventory", "-i", path, "--list"]).run()
    print(json.dumps(json.loads(printed.getvalue())), flush=True)


for each in sys.argv[1:]:
    # A process each: ansible-core keeps what it has read; its modules, which take most of the time, are loaded once.
    if (child := os.fork()) == 0:
        judge(each)
        os._exit(0)
    os.waitpid(child, 0)
