"""The lab itself: up is idempotent and repairs, down leaves nothing."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.lab import images, network, packages
from tests.lab.fixtures import as_new
from tests.lab.lab import CGROUPS, Lab, summary
from tests.lab.layout import LabError, Layout
from tests.lab.machine import Machine
from tests.lab.process import end, locked, run, started


@pytest.fixture
def other(lab: Lab) -> Iterator[Lab]:
    """A second lab beside that of the test run, still down."""
    second = Lab(Layout.numbered(lab.layout.id ^ 128, os.environ))
    yield second
    second.down()


def machines(lab: Lab) -> list[Machine]:
    """All machines of a lab."""
    return [lab.ci.machine, *lab.hosts]


def processes(machine: Machine) -> set[int]:
    """All processes of a machine, containers included."""
    listed = run("pgrep", "--ns", str(machine.pid), "--nslist", "pid").stdout
    return set(map(int, listed.split()))


def remains(layout: Layout) -> list[str]:
    """Whatever is left of a lab on this machine, one line each."""
    listings = [
        run("ip", "-br", "link").stdout,
        run("ip", "netns").stdout,
        run("iptables", "-w", "-S").stdout,
        run("losetup", "-a").stdout,
        Path("/proc/self/mounts").read_text(),
        "\n".join(map(str, [*CGROUPS.glob("*"), *CGROUPS.glob("*/*"), *layout.dir.parent.glob("*")])),
    ]
    words = (layout.bridge, layout.prefix, layout.link(""), layout.cgroup, str(layout.dir))
    lines = "\n".join(listings).splitlines()
    return [line for line in lines if any(word in line.replace("/", " ").split() or word in line for word in words)]


def test_up_again_changes_nothing_and_a_larger_number_only_adds(other: Lab) -> None:
    """`up` leaves running machines alone, whether it is repeated or adds a host; a smaller number removes one."""
    other.up(1)
    before = [m.pid for m in machines(other)]
    other.up(1)
    assert [m.pid for m in machines(other)] == before
    other.up(2)
    assert [h.name for h in other.hosts] == ["h1", "h2"]
    assert [m.pid for m in machines(other)][:2] == before
    other.up(1)
    assert [h.name for h in other.hosts] == ["h1"]
    assert network.attached(other.layout) == ["ci", "h1"]


def test_up_repairs_what_died(other: Lab) -> None:
    """After registry, engine, sshd, cable and a whole host are gone, `up` makes them all answer again."""
    other.up(3)
    other.registry.stop()
    first, second, third = other.hosts
    first.stop_engine(signal.SIGKILL)
    for pid in first.processes("sshd"):
        end(pid)
    second.kill()
    network.remove_link(other.layout.link(third.name))
    assert not any("up" in line.split() for line in summary(other) if line.startswith(("registry", "h")))
    other.up(3)
    assert all("up" in line.split() for line in summary(other)[:-1])


@pytest.mark.usefixtures("hosts")
def test_down_leaves_nothing_even_after_a_crash(lab: Lab, other: Lab) -> None:
    """Processes, namespaces, mounts, links, rules, loop devices, cgroups and files go, whatever was killed before."""
    other.up(3)
    first, second, third = other.hosts
    first.limit_disk(200)
    for host in (first, second, third):
        with host.engine() as engine:
            images.busybox_image(engine, "demo:1", version="1")
            images.run(engine, "demo:1", "demo", port=8080, restart="always")
    everything = set().union(*(processes(machine) for machine in machines(other)))
    assert len(everything) > 4 * len(machines(other))
    assert remains(other.layout)
    first.stop_engine(signal.SIGKILL)
    second.kill()
    other.down()
    assert remains(other.layout) == []
    assert [pid for pid in everything if started(pid)] == []
    assert summary(other) == [f"lab {other.layout.id} is down"]
    assert all("up" in line.split() for line in summary(lab)[:-1])


def test_a_run_finds_nothing_of_one_that_was_killed(other: Lab) -> None:
    """A run begins with a registry that is empty and hosts that are new, whatever stands where its lab will be."""
    other.up(1)
    kept = [other.registry.dir / "data/release", other.hosts[0].dir / "disk/record"]
    for file in kept:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("of an earlier run\n")
    with as_new(other, 1):
        assert not any(file.exists() for file in kept)
        assert all("up" in line.split() for line in summary(other)[:-1])


def test_down_needs_no_record_of_what_was_up(other: Lab) -> None:
    """Where the state directory is lost, `down` finds the machines by their namespaces."""
    other.up(1)
    everything = processes(other.hosts[0]) | processes(other.ci.machine)
    other.registry.stop()
    for pidfile in other.dir.glob("machines/*/pid"):
        pidfile.unlink()
    other.down()
    assert [pid for pid in everything if started(pid)] == []
    assert remains(other.layout) == []


@pytest.mark.usefixtures("hosts")
def test_a_lab_in_another_directory_is_not_touched(lab: Lab, tmp_path: Path) -> None:
    """Two directories cannot fight for one bridge: the second is told where the first is."""
    stranger = Lab(Layout(lab.layout.id, tmp_path / "lab"))
    with pytest.raises(LabError, match=str(lab.dir)):
        stranger.up(1)
    with pytest.raises(LabError, match=str(lab.dir)):
        stranger.down()
    assert all("up" in line.split() for line in summary(lab)[:-1])


def test_a_lock_is_exclusive_and_leaves_no_file(tmp_path: Path) -> None:
    """While a lock is held a second taker is refused; afterwards its file is gone and it can be taken again."""
    path = tmp_path / "lock"
    with locked(path), pytest.raises(LabError, match="held"), locked(path, wait=False):
        pass
    assert not path.exists()
    with locked(path, wait=False):
        assert path.exists()


def test_no_package_starts_a_service(tmp_path: Path) -> None:
    """While packages are installed the policy forbids every service; afterwards there is no policy again."""
    policy = tmp_path / "policy-rc.d"
    with packages.no_services(policy):
        assert run(policy, "docker", "start", check=False).returncode == 101
    assert not policy.exists()


@pytest.mark.parametrize("number", [-1, 256])
def test_a_number_without_a_subnet_is_refused(number: int) -> None:
    """A lab's number is one byte of its addresses."""
    with pytest.raises(LabError, match="0 to 255"):
        Layout.numbered(number, {})
