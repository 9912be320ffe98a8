"""Nobody but root, the SSH user and a team that shares a directory can have put there what relman believes."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.hosts.state_dir import files, location, lock, record
from relman.hosts.state_dir.ownership import Judge, Level, Untrusted
from relman.model.errors import Locked, PreflightFailed
from relman.model.host import Hop
from relman.model.state_dir.lock import Lock
from relman.model.state_dir.record import HostRecord
from tests.unit.model_host import ModelConnection, ModelHost, ModelSftp

ME, OTHER, TEAM = 1000, 1001, 50
JUDGE = Judge("deploy", ME, "/srv/relman")
OURS = Lock("a@b", "m", 1, "0" * 16, "d1", "deploying", 60.0)
TOP = "/var/lib/relman"
SHOP = f"{TOP}/production/shop"


def level(mode: int, uid: int = 0, gid: int = 0, path: str = "/srv/relman/x", kind: int = stat.S_IFDIR) -> Level:
    """A directory, unless another kind is said."""
    return Level(path, uid, gid, kind | mode)


levels = st.builds(
    level,
    st.sampled_from([0o700, 0o755, 0o770, 0o775, 0o777, 0o1777, 0o2770, 0o2775, 0o2777, 0o2755, 0o2700]),
    st.sampled_from([0, ME, OTHER]),
    st.sampled_from([0, ME, TEAM]),
    st.just("/srv/relman/x"),
    st.sampled_from([stat.S_IFDIR, stat.S_IFDIR, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFREG]),
)


def may_change(who: int, groups: set[int], level: Level) -> bool:
    """Whether a user can put something else into a directory, or into its place once they own it (chmod)."""
    group = level.gid in groups and bool(level.mode & stat.S_IWGRP)
    return who == level.uid or group or bool(level.mode & stat.S_IWOTH)


@given(st.lists(levels, min_size=1, max_size=5))
def test_nobody_else_can_change_what_is_trusted(path: list[Level]) -> None:
    """A user who is in no group of a setgid directory on the way can change no level of a path that is trusted."""
    try:
        JUDGE.directories(path)
    except Untrusted:
        return
    teams = {each.gid for each in path if each.is_team}
    assert not any(may_change(9999, {TEAM, ME, 0} - teams, each) for each in path)
    assert all(stat.S_ISDIR(each.mode) for each in path)
    before: set[int] = set()
    for each in path:
        assert each.uid in (0, ME) or each.gid in before
        before |= {each.gid} if each.is_team else set()


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o2700, 0o2755])
@pytest.mark.parametrize("uid", [0, ME])
def test_what_is_root_s_or_the_user_s_alone_is_trusted(mode: int, uid: int) -> None:
    """Readable for whoever, written by nobody else."""
    assert JUDGE.directories([level(0o755), level(mode, uid)]) is None
    JUDGE.file(level(0o600, uid, kind=stat.S_IFREG), None)


def test_a_team_s_directory_hands_on_its_group() -> None:
    """Below 2770 whoever made it counts if it has the group; what has another group must be root's or the user's."""
    team = JUDGE.directories([level(0o755), level(0o2770, 0, TEAM), level(0o2770, OTHER, TEAM)])
    assert team == TEAM
    JUDGE.file(level(0o660, OTHER, TEAM, kind=stat.S_IFREG), team)
    with pytest.raises(Untrusted, match=r"belongs to user 1001 \(mode 0660\), not to root or deploy"):
        JUDGE.file(level(0o660, OTHER, ME, kind=stat.S_IFREG), team)
    assert JUDGE.directories([level(0o2770, 0, TEAM), level(0o700, ME, ME)]) is None


@pytest.mark.parametrize(
    ("spoiled", "said", "fix"),
    [
        (level(0o755, OTHER), "belongs to user 1001", "chown -R deploy: /srv/relman/x"),
        (level(0o755, OTHER, path="/srv"), "belongs to user 1001", ""),
        (level(0o1777, path="/tmp"), "writable by everyone", ""),  # noqa: S108
        (level(0o757), "writable by everyone", "chmod go-w /srv/relman/x"),
        (level(0o2777, 0, TEAM), "writable by everyone", "chmod go-w /srv/relman/x"),
        (level(0o775, ME, TEAM), "writable by its group 50", "chmod g-w /srv/relman/x"),
        (level(0o777, kind=stat.S_IFLNK), "is a link", "rm /srv/relman/x"),
        (level(0o777, path="/srv", kind=stat.S_IFLNK), "is a link", ""),
        (level(0o600, kind=stat.S_IFREG), "is not a directory", "rm /srv/relman/x"),
    ],
)
def test_what_is_not_trusted_is_said_with_the_command_that_corrects_it(spoiled: Level, said: str, fix: str) -> None:
    """Path, owner, mode; no command where it would change what is not relman's."""
    with pytest.raises(Untrusted, match=said) as caught:
        JUDGE.directories([level(0o755, path="/"), spoiled])
    assert str(caught.value).startswith(spoiled.path)
    assert caught.value.fix == fix


def test_where_the_host_does_not_say_who_signed_in_root_alone_counts() -> None:
    """Nothing is guessed from names."""
    blind = replace(JUDGE, uid=None)
    assert blind.directories([level(0o755)]) is None
    with pytest.raises(Untrusted, match="the host does not say which number deploy has"):
        blind.directories([level(0o755, ME)])


def connection(uid: int = 0) -> Any:
    """A host with an empty state directory, whose user has that number."""
    model = ModelHost("h1", lambda _: None, lambda: 0.0)
    model.directories |= {TOP}
    model.uid = uid
    model.owners = {TOP: (0, TEAM, stat.S_IFDIR | 0o2770) if uid else (0, 0, stat.S_IFDIR | 0o700)}
    made = ModelConnection(model)
    if uid:
        made.host = replace(made.host, endpoint=Hop("h1", user=f"user{uid}"))
    return cast(Any, made)


def modes(host: Any) -> dict[str, tuple[int, int, str]]:
    """Owner, group and permissions of all that relman made."""
    found = {p: o for p, o in host.model.owners.items() if p.startswith(f"{TOP}/")}
    return {path: (uid, gid, oct(stat.S_IMODE(mode))) for path, (uid, gid, mode) in found.items()}


def test_what_is_made_is_private() -> None:
    """Directories 0700, files 0600, whatever the umask."""
    host = connection()
    record.write(host, HostRecord("shop", "production"))
    files.append(host, "production", "shop", location.JOURNAL, b"one\n")
    assert modes(host) == {
        f"{TOP}/production": (0, 0, "0o700"),
        SHOP: (0, 0, "0o700"),
        f"{SHOP}/record.json": (0, 0, "0o600"),
        f"{SHOP}/journal.jsonl": (0, 0, "0o600"),
    }


def test_a_team_s_files_are_the_group_s_whoever_writes_them() -> None:
    """Directories 2770, files 0660 in spite of the umask; a second user goes on with them."""
    first = connection(ME)
    lock.acquire(first, "production", "shop", OURS)
    record.write(first, HostRecord("shop", "production"))
    files.append(first, "production", "shop", location.JOURNAL, b"one\n")
    lock.release(first, "production", "shop", OURS, look=True)
    second = connection(OTHER)
    second.model = first.model
    first.model.uid = OTHER
    assert record.read(second, "production", "shop") == HostRecord("shop", "production")
    files.append(second, "production", "shop", location.JOURNAL, b"two\n")
    record.write(second, HostRecord("shop", "production"))
    assert modes(second) == {
        f"{TOP}/production": (ME, TEAM, "0o2770"),
        SHOP: (ME, TEAM, "0o2770"),
        f"{SHOP}/record.json": (OTHER, TEAM, "0o660"),
        f"{SHOP}/journal.jsonl": (OTHER, TEAM, "0o660"),
    }
    assert files.tail(second, f"{SHOP}/journal.jsonl", 6) == b"e\ntwo\n"


@pytest.mark.parametrize("name", ["record.json", "lock.json", "lock.json.takeover", "journal.jsonl", "journal.jsonl.1"])
def test_another_user_s_file_is_refused_by_name(name: str) -> None:
    """Whichever of relman's files it is, nothing there is believed, and nothing is written."""
    host = connection()
    record.write(host, HostRecord("shop", "production"))
    host.model.owners[f"{SHOP}/{name}"] = (OTHER, OTHER, stat.S_IFREG | 0o600)
    before = dict(host.model.files)
    again = ModelConnection(host.model)
    for work in (
        lambda: record.read(cast(Any, again), "production", "shop"),
        lambda: lock.acquire(cast(Any, again), "production", "shop", OURS),
    ):
        with pytest.raises(PreflightFailed, match=rf"h1: {SHOP}/{name} belongs to user 1001 \(mode 0600\)") as caught:
            work()
        assert caught.value.hint.endswith(f"chown -R root: {SHOP}/{name}")
    assert host.model.files == before


def test_a_link_above_is_refused_with_the_real_path() -> None:
    """Whoever moved the directory and left a link learns what to write."""
    host = connection()
    host.model.owners["/var/lib"] = (0, 0, stat.S_IFLNK | 0o777)
    with pytest.raises(PreflightFailed, match="h1: /var/lib is a link") as caught:
        record.read(host, "production", "shop")
    assert caught.value.hint == f"set relman_state_dir to the real path: /elsewhere{TOP}"


def test_a_directory_that_cannot_be_made_is_no_error_of_relman_s_own() -> None:
    """A user who may not write there is told what root has to type."""
    host = connection(ME)
    host.model.directories.remove(TOP)
    del host.model.owners[TOP]
    with pytest.raises(PreflightFailed, match=rf"h1: {TOP} may not be read or written by user1000") as caught:
        lock.acquire(host, "production", "shop", OURS)
    assert f"on the host: sudo install -d -o user1000 -m 700 {TOP}" in caught.value.hint


def test_a_lock_is_made_where_the_last_one_left_took_the_directory_away() -> None:
    """Whoever leaves removes an empty directory; that another connection saw it there changes nothing."""
    host = connection()
    record.write(host, HostRecord("shop", "production"))
    other = cast(Any, ModelConnection(host.model))
    assert record.read(other, "production", "shop")
    record.forget(host, "production", "shop")
    record.forget_directory(host, "production", "shop")
    lock.acquire(other, "production", "shop", OURS)
    assert list(host.model.files) == [f"{SHOP}/lock.json"]


def test_a_lock_that_is_let_go_of_in_that_moment_is_no_obstacle() -> None:
    """Between the refusal and the look at what is in the way its holder let go: the lock is had, and no error."""
    host = connection()
    lock.acquire(host, "production", "shop", OURS)
    theirs = replace(OURS, token="1" * 16)
    held = [f"{SHOP}/lock.json"]

    class Sftp(ModelSftp):
        def lstats(self, paths: Sequence[str]) -> list[SimpleNamespace | None]:
            if list(paths) == held:
                self.remove(held.pop())
            return super().lstats(paths)

    host.sftp = lambda: Sftp(host.model)
    lock.acquire(host, "production", "shop", theirs)
    assert not held
    with pytest.raises(Locked):
        lock.acquire(host, "production", "shop", OURS)


def test_services_have_a_service_s_name() -> None:
    """What else lies there is nobody's service; a host cannot send relman elsewhere."""
    host = connection()
    record.write(host, HostRecord("shop", "production"))
    host.model.directories |= {f"{TOP}/production/{name}" for name in (".git", "a b", "till")}
    host.model.files[f"{TOP}/production/.notes"] = (b"", 0.0)
    assert record.services(host, "production") == ["shop", "till"]
