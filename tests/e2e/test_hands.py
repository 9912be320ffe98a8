"""What an engineer does by hand on hosts that serve: read their logs, run a command, restart."""

from __future__ import annotations

import re
import signal

from tests.e2e.stage import Stage
from tests.lab.process import until

P = ("-e", "production")
_COUNTS = (
    "i=0; while :; do i=$((i+1)); echo line-$i; /bin/busybox usleep 100000; done & "
    "exec /bin/busybox httpd -f -p 8080 -h /www"
)


def _lines(said: str) -> list[tuple[str, str, int]]:
    """Host, time and number of each line."""
    found = re.findall(r"^(h\d)  (\S+)  line-(\d+)$", said, re.MULTILINE)
    return [(host, at, int(number)) for host, at, number in found]


def test_logs_are_chosen_by_time_and_text(stage: Stage) -> None:
    """--since, --until and --grep choose lines on every host, -n the last of those, also in what is followed; what is
    no time or no pattern is refused."""
    stage.release("counts", deploy={"command": ["sh", "-c", _COUNTS]})
    stage.deploy("counts")
    until(lambda: len(_lines(stage.relman("logs", *P, "--grep", "line-.5$").out)) >= 6, "both hosts count")
    whole = _lines(stage.relman("logs", *P, "--since", "1h").out)
    first, last = whole[4], whole[-4]
    part = _lines(stage.relman("logs", *P, "--since", f"{first[1]}Z", "--until", f"{last[1]}Z").out)
    assert part[0] == first, part
    assert set(part) <= {line for line in whole if first[1] <= line[1] <= last[1]}
    assert set(part) >= {line for line in whole if first[1] < line[1] < last[1]}
    assert {number for _, _, number in _lines(stage.relman("logs", *P, "--grep", "line-1.$", "-n", "2").out)} <= {
        18,
        19,
    }
    assert "no line of its log is selected" in stage.relman("logs", *P, "--until", "1h").out
    running = stage.start("logs", "-f", "--grep", "5$", "--since", "1s", *P)
    until(lambda: len(_lines(running.seen)) > 6, "chosen lines are followed")
    running.send(signal.SIGINT)
    followed = _lines(running.ended().out)
    assert {number % 10 for _, _, number in followed} == {5}
    assert len(set(followed)) == len(followed)
    assert min(number for _, _, number in followed) > first[2]
    for wrong in (("--since", "5"), ("--grep", "("), ("--until", "1m", "-f"), ("--since", "1m", "--until", "2m")):
        stage.relman("logs", *P, *wrong, code=2)
