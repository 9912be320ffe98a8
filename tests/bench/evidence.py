"""How long a promotion takes beside one bare manifest PUT, and how many requests it and a deployment's checks make.

The registry is the real one, on loopback, with TLS and a password; the image is in it already; both statements are
signed, both views written, one channel follows. Rounds alternate, and the medians are compared. The registry's own
processor time is printed too, because it sets the limit here: most of it goes, the same for every request, into
checking the password (bcrypt), and registry and client share the machine's cores.
"""

from __future__ import annotations

import itertools
import statistics
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import requests

from relman.evidence.assessment import Criteria
from relman.evidence.envelopes import Signed
from relman.evidence.keys import SigningKey
from relman.evidence.promote import promote
from relman.evidence.release import find_release
from relman.model.image import Repository
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.trust import Grant, Trust, TrustedKey
from relman.registry.auth import Credentials
from relman.registry.client import Registry
from relman.registry.images import describe
from tests.contract.images import push_image
from tests.contract.registry_fixture import Loopback, free_port
from tests.lab import packages
from tests.lab.process import living
from tests.lab.registry import USER
from tests.lab.registry import Registry as RealRegistry
from tests.unit.reports import report

ROUNDS = 15
_numbers = itertools.count(1)


def main() -> None:
    """Print `promote/put RATIO` and the requests of a promotion and of a deployment's checks."""
    if not Path("/usr/bin/docker-registry").exists():
        packages.install()
    with tempfile.TemporaryDirectory(prefix="relman-bench-") as directory:
        real = RealRegistry(Loopback(0, Path(directory), free_port()))
        real.provision()
        real.start()
        try:
            _measure(real)
        finally:
            real.stop()


def _measure(real: RealRegistry) -> None:
    key = SigningKey.generate("ed25519")
    grant = Grant((TEST_RESULT, RELEASE), ("*",))
    seal = Signed(Trust({"ci": TrustedKey("ci", key.public.pem, (grant,))}), key)
    for name, pooled in (("each with a connection of its own", False), ("on connections that are there", True)):
        promotions, puts = [], []
        for _ in range(ROUNDS):
            promotions.append(_promotion(real, seal, pooled=pooled))
            puts.append(_put(real, pooled=pooled))
        promoted, put = _Cost.typical(promotions), _Cost.typical(puts)
        print(f"{name}: promote {promoted}, a bare manifest PUT {put}")
        print(f"promote/put {promoted.seconds / put.seconds:.1f} {name}")
    _count_requests(real, seal)


@dataclass
class _Cost:
    """How long something takes, and how much of the processors' time the registry needs for it; in seconds."""

    seconds: float = 0.0
    registry: float = 0.0

    @classmethod
    def typical(cls, costs: Sequence[_Cost]) -> _Cost:
        """The medians."""
        return cls(statistics.median(c.seconds for c in costs), statistics.median(c.registry for c in costs))

    def __str__(self) -> str:
        return f"{self.seconds * 1000:.1f} ms (the registry's processor time {self.registry * 1000:.1f} ms)"


@contextmanager
def _timed(real: RealRegistry) -> Iterator[_Cost]:
    cost, worked, begin = _Cost(), _worked(real), time.perf_counter()
    yield cost
    cost.seconds, cost.registry = time.perf_counter() - begin, _worked(real) - worked


def _worked(real: RealRegistry) -> float:
    """The processor time of all the registry's threads so far, in seconds (proc(5), schedstat)."""
    threads = Path(f"/proc/{living(real.dir / 'pid')}/task").glob("*/schedstat")
    return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def _promotion(real: RealRegistry, seal: Signed, *, pooled: bool) -> _Cost:
    repository, number = Repository(real.address, "bench/shop"), next(_numbers)
    with _connected(real) as registry, _connected(real) as other:
        manifest = push_image(registry, repository, f"run-{number}", labels={"n": str(number)})
        with _timed(real) as cost:
            _promote(registry if pooled else other, repository, f"run-{number}", f"release-{number}", manifest, seal)
    return cost


def _put(real: RealRegistry, *, pooled: bool) -> _Cost:
    repository, number = Repository(real.address, "bench/shop"), next(_numbers)
    with _connected(real) as registry, _connected(real) as other:
        manifest = push_image(registry, repository, f"run-{number}", labels={"n": str(number)})
        with _timed(real) as cost:
            (registry if pooled else other).put_manifest(repository, f"put-{number}", manifest)
    return cost


def _promote(registry: Registry, repository: Repository, source: str, tag: str, manifest: object, seal: Signed) -> None:
    promote(
        registry,
        repository,
        source=source,
        report=report(manifest),  # type: ignore[arg-type]
        release_tag=tag,
        channels=["stable"],
        check=Criteria(seal, now=datetime.now(UTC)),
    )


def _count_requests(real: RealRegistry, seal: Signed) -> None:
    repository = Repository(real.address, "bench/count")
    with _connected(real) as registry:
        manifest = push_image(registry, repository, "run-1")
    with _connected(real) as registry, _counting() as seen:
        _promote(registry, repository, "run-1", "118", manifest, seal)
    print(f"requests of a first promotion: {len(seen)} (at most 30)")
    with _connected(real) as registry, _counting() as seen:
        find_release(registry, repository, "118", check=Criteria(seal, now=datetime.now(UTC)))
    with _connected(real) as registry, _counting() as bare:
        describe(registry, repository, "118")
    print(f"requests of a deployment for evidence: {len(seen) - len(bare)} (at most 6)")


@contextmanager
def _connected(real: RealRegistry) -> Iterator[Registry]:
    with Registry(real.address, credentials=Credentials(USER, real.password), ca=str(real.ca), writes=True) as registry:
        yield registry


@contextmanager
def _counting() -> Iterator[list[str]]:
    """Every request that leaves while the block runs."""
    seen: list[str] = []
    before = requests.Session.request

    def request(self: requests.Session, method: str, url: str, **options: object) -> requests.Response:
        seen.append(f"{method} {url}")
        return before(self, method, url, **options)  # type: ignore[arg-type]

    requests.Session.request = request  # type: ignore[method-assign, assignment]
    try:
        yield seen
    finally:
        requests.Session.request = before  # type: ignore[method-assign]


if __name__ == "__main__":
    main()
