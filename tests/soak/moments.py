"""The moments at which hosts die: random ones, the same for a seed."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

DELAY = 75  # milliseconds, each way
LONG = {"pull": 0.6, "task": 0.6, "unlock": 0.03}  # seconds within which the host dies, where that is not 0.15
# How often each moment comes, on one host.
DEPLOYMENT = {
    "lock": 1,
    "pull": 1,
    "create": 2,
    "task": 2,
    "stop": 1,
    "start": 2,
    "probe": 3,
    "commit": 3,
    "record": 1,
    "unlock": 1,
}
ROLLBACK = {"lock": 1, "stop": 1, "start": 1, "probe": 3, "commit": 3, "record": 1, "unlock": 1}
RECOVERY = {"lock": 1, "stop": 1, "start": 1, "probe": 1, "commit": 2, "unlock": 1}
MOMENTS = {"deployment": DEPLOYMENT, "rollback": ROLLBACK, "recovery": RECOVERY}
COMMANDS = ("deployment", "deployment", "rollback", "recovery")  # how often each is tried
# Where relman itself dies, so that there is something to recover.
INTERRUPTED = (("stop", 1), ("stop", 2), ("set_restart", 3), ("set_restart", 5), ("record", 1), ("record", 2))


@dataclass(frozen=True)
class Kill:
    """The host of the `number`th `moment` of `command` dies `seconds` after it; a recovery is of what `interrupted`."""

    command: str
    moment: str
    number: int
    seconds: float
    far: bool
    interrupted: tuple[str, int] = ("", 0)

    def __str__(self) -> str:
        where = f"{DELAY} ms away" if self.far else "near"
        of = f"{self.command} (of a deployment killed before {' '.join(map(str, self.interrupted))})"
        of = of if self.command == "recovery" else self.command
        return f"{self.seconds:.3f} s after {self.moment} {self.number} of a {of}, {where}"


def kills(seed: int, hosts: int) -> Iterator[Kill]:
    """Kills at random moments, the same ones for a seed and a number of hosts; half of them far away."""
    chance = random.Random(seed)  # noqa: S311  # which moments, not secrets
    while True:
        command = chance.choice(COMMANDS)
        moment = chance.choice(list(MOMENTS[command]))
        far = chance.random() < 0.5
        once = command == "recovery" and moment not in ("lock", "unlock")  # it has one host to mend
        number = chance.randint(1, MOMENTS[command][moment] * (1 if once else hosts))
        longest = LONG.get(moment, 0.15) + 0.35 * far
        yield Kill(command, moment, number, chance.uniform(0, longest), far, chance.choice(INTERRUPTED))
