"""The test stage: run the commands in the exact image that was built, with its services linked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime

from relman.ci.build.test_images import TestImage, places, require_all_started
from relman.ci.callbacks import CredentialsFor, Progress
from relman.ci.engine import images
from relman.ci.engine.containers import create_network
from relman.ci.engine.stopwatch import Watch
from relman.ci.run.cleanup import remove_temporary
from relman.ci.run.teardown import cleaned_up
from relman.ci.testing.app import start_app
from relman.ci.testing.inside import reaches
from relman.ci.testing.interpolation import Values, secrets_of
from relman.ci.testing.run_context import Bench, Linked
from relman.ci.testing.services import Released, start_services
from relman.ci.testing.test_commands import CommandOutcome, run_commands
from relman.docker.client import Client
from relman.docker.local import LocalClient
from relman.model.container import Image
from relman.model.formats.clock import rfc3339
from relman.model.formats.mask import Mask
from relman.model.image import ImageId
from relman.model.run import Commit, RunName, TestReport
from relman.model.service import Service
from relman.model.test_cases import Findings


def run_tests(
    client: LocalClient,
    service: Service,
    run: RunName,
    image: ImageId,
    commit: Commit,
    *,
    environ: Mapping[str, str],
    credentials: CredentialsFor,
    released: Released,
    progress: Progress,
    watch: Watch,
    keep: bool = False,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> TestReport:
    """Run the service's test commands in `image` and return the report, passed or not.

    `environ` is the CI's environment, of which only referenced secrets are read; `released` verifies releases that
    services run. Leftovers of an earlier attempt are removed before and, unless `keep`, everything of this run after.
    No command runs after the first that fails. Raises TestsFailed if the tests could not be run, or would prove
    nothing: a service was never ready, the image is another one, or the ENTRYPOINT may ignore the commands.
    """
    config, tested = images.config_digest(client, image), images.inspect(client, image.value)
    where = places(client, service, run, tested, credentials, progress)
    service = replace(service, test=require_all_started(client, run, service.test, where))
    started = now()
    with linked_bench(
        client,
        service,
        run,
        environ=environ,
        credentials=credentials,
        released=released,
        progress=progress,
        watch=watch,
        keep=keep,
    ) as (bench, linked):
        outcomes = _run(bench, service, tested, where, linked)
    findings = [outcome.findings for outcome in outcomes if outcome.findings]
    return TestReport(
        run=run,
        service=service.name,
        config=config,
        platform=tested.platform,
        commit=commit,
        commands=tuple(outcome.result for outcome in outcomes),
        services={alias: each.image for alias, each in linked.items()},
        started=rfc3339(started),
        finished=rfc3339(now()),
        findings=Findings.together(findings) if findings else None,
    )


def _run(
    bench: Bench, service: Service, tested: Image, where: tuple[TestImage, ...], linked: Mapping[str, Linked]
) -> tuple[CommandOutcome, ...]:
    """Run the smoke test and the commands, up to the first that fails."""
    smoke: tuple[CommandOutcome, ...] = ()
    if service.test.starts_app:
        app = start_app(bench, service, tested, linked)
        smoke = (CommandOutcome(app.smoke),) if app.smoke else ()
        linked = {**linked, app.linked.alias: app.linked}
    if smoke and not smoke[0].result.good:
        return smoke
    return smoke + run_commands(bench, service.test, where, linked)


@contextmanager
def linked_bench(
    client: LocalClient,
    service: Service,
    run: RunName,
    *,
    environ: Mapping[str, str],
    credentials: CredentialsFor,
    released: Released,
    progress: Progress,
    watch: Watch,
    keep: bool = False,
) -> Iterator[tuple[Bench, dict[str, Linked]]]:
    """The run's network with the service's linked services, ready; removed after the body, unless `keep`.

    Raises what `start_services` raises, and then keeps nothing.
    """
    kept = False

    def remove(engine: Client, name: RunName) -> None:
        if not kept:
            remove_temporary(engine, name)

    remove_temporary(client, run)
    with cleaned_up(client, run, progress, remove):
        mask = Mask(secrets_of(service.test, environ))
        network, say = create_network(client, run), one_at_a_time(progress)
        bench = Bench(client, run, network, reaches(client, network), Values(run, environ), mask, say, watch)
        linked = start_services(bench, service.test, credentials, released)
        kept = keep
        yield bench, linked


def one_at_a_time(progress: Progress) -> Progress:
    """The same progress, safe for several threads."""
    lock = threading.Lock()

    def say(line: str) -> None:
        with lock:
            progress(line)

    return say
