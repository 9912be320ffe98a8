"""Cleaning up among others: runs side by side, what a killed machine left, and two processes of one run."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from docker import APIClient

from relman.ci.engine.containers import object_name
from relman.ci.engine.owner import TEMPORARY
from relman.ci.run.cleanup import cleanup, cleanup_older
from relman.ci.run.run_lock import alone, at_work
from relman.docker.answers import clock
from relman.model.errors import Locked
from relman.model.image import ImageId
from relman.model.run import RunName
from relman.model.service import LinkedService, TestCommand, TestStage
from relman.model.settings import Mount
from tests.contract.shop import DATABASE, Shop
from tests.lab.process import patience, until

RUNS = 20
TALK = "echo $RUN | busybox nc -w 20 db 5432"


def temporary(client: APIClient, run: RunName | None = None) -> list[str]:
    """What the engine holds for a run, or for any: containers, networks, volumes."""
    mine = {"label": TEMPORARY if run is None else f"{TEMPORARY}={run}"}
    found = [name for c in client.containers(all=True, filters=mine) for name in c["Names"]]
    found += [n["Name"] for n in client.networks(filters=mine)]
    return found + [v["Name"] for v in client.volumes(filters=mine)["Volumes"] or ()]


def stage_of(image: ImageId, script: str = TALK) -> TestStage:
    """A stage with a database that has a volume."""
    database = LinkedService("db", image.value, volumes=(Mount("data", "/data"),))
    return TestStage((database,), {"RUN": "${run.id}"}, (TestCommand(("sh", "-c", script)),))


def test_twenty_runs_side_by_side(shop: Shop) -> None:
    """Each of twenty runs at once talks to its own database and removes only its own; a run that is kept meanwhile
    keeps all that it has, and the engine ends as it began."""
    image = shop.build(DATABASE)
    kept = dataclasses.replace(shop.run, build="kept")
    shop.run = kept
    shop.run_stage(image, stage_of(image), keep=True)
    before = temporary(shop.client, kept)
    volumes = {v["Name"] for v in shop.client.volumes()["Volumes"]}

    def one(number: int) -> tuple[bool, list[str]]:
        mine = object.__new__(Shop)
        mine.__dict__.update(shop.__dict__, run=RunName(shop.run.job, str(number), "shop"), output=[])
        return mine.run_stage(image, stage_of(image)).passed, mine.output

    with ThreadPoolExecutor(RUNS) as pool:
        ended = list(pool.map(one, range(RUNS)))
    assert [output for passed, output in ended if not passed] == []
    for number, (_, output) in enumerate(ended):
        assert f"{shop.run.job}/{number}" in output
    assert temporary(shop.client, kept) == before
    assert len(before) == 4
    assert len(temporary(shop.client)) == 4
    cleanup(shop.engine, kept)
    assert temporary(shop.client) == []
    assert {v["Name"] for v in shop.client.volumes()["Volumes"] or ()} == volumes - {
        object_name(kept, "volume", "data")
    }


def test_what_a_killed_machine_left(shop: Shop) -> None:
    """All of an old run goes, volumes and anonymous ones too; the young stays, and so does one that is at work; a
    volume of the same name that belongs to nobody stays."""
    image = shop.build(DATABASE + "VOLUME /anonymous\n")
    shop.run_stage(image, stage_of(image), keep=True)
    shop.client.create_volume("data")
    anonymous = {v["Name"] for v in shop.client.volumes()["Volumes"] if len(v["Name"]) == 64}
    assert anonymous
    now = clock(shop.client.info()["SystemTime"])
    assert cleanup_older(shop.engine, 3600, now) == ()
    cleanup_older(shop.engine, 3600, now + 7200, lambda run: run == shop.run)
    assert len(temporary(shop.client, shop.run)) == 4
    removed = cleanup_older(shop.engine, 3600, now + 7200)
    assert f"volume {object_name(shop.run, 'volume', 'data')}" in removed
    assert temporary(shop.client) == []
    left = {v["Name"] for v in shop.client.volumes()["Volumes"]}
    assert "data" in left
    assert not anonymous & left
    shop.client.remove_volume("data")


HOLDER = """
import sys, time
from pathlib import Path
from relman.ci.run.run_lock import alone
from relman.model.run import RunName
with alone(RunName("shop", "1", "shop"), Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_run_is_one_process_s(tmp_path: Path) -> None:
    """A second process of the same run is refused, another run is not; a killed process holds nothing any more."""
    run, other = RunName("shop", "1", "shop"), RunName("shop", "2", "shop")
    env = {"PYTHONPATH": str(Path(__file__).parents[2])}
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(Locked, match="shop/1"), alone(run, tmp_path):
            pass
        assert at_work(run, tmp_path)
        with alone(other, tmp_path):
            assert at_work(other, tmp_path)
        holder.send_signal(signal.SIGKILL)
    until(lambda: not at_work(run, tmp_path), "the lock to be let go", 5)
    with alone(run, tmp_path):
        pass


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT interrupts, also where a shell began the tests in the background and so had it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def test_a_run_that_is_stopped_while_services_start(shop: Shop) -> None:
    """Whoever is stopped while services start side by side waits for none of them, and leaves none."""
    image = shop.build(DATABASE)
    slow = ("/bin/sh", "-c", "busybox sleep 600")
    services = tuple(LinkedService(f"s{n}", image.value, command=slow) for n in range(3))

    def progress(line: str) -> None:
        shop.output.append(line)
        if sum(each.startswith("starting service") for each in shop.output) == 3:
            signal.raise_signal(signal.SIGINT)

    begin = time.monotonic()
    with interruptible(), pytest.raises(KeyboardInterrupt):
        shop.run_stage(image, TestStage(services), progress=progress)
    assert time.monotonic() - begin < 15 * patience()
    assert temporary(shop.client) == []
