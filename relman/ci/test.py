"""The test stage: the commands, run in the exact image that build made, with its services linked."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http import HTTPStatus
from typing import TYPE_CHECKING

from relman.ci import images
from relman.ci.cleanup import remove_temporary
from relman.ci.containers import create, create_network, object_name, run_to_end, state
from relman.ci.engine import CredentialsFor, Progress
from relman.ci.lines import Lines
from relman.ci.services import Linked, start_services
from relman.model.errors import EngineError, TestsFailed
from relman.model.image import ImageId
from relman.model.run import CommandResult, Commit, RunName, TestReport
from relman.model.service import Service, TestStage

if TYPE_CHECKING:
    import docker


def run_tests(
    client: docker.APIClient,
    service: Service,
    run: RunName,
    image: ImageId,
    commit: Commit,
    *,
    credentials: CredentialsFor,
    progress: Progress,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> TestReport:
    """Run the service's test commands in `image` and report what they found, passed or not.

    A network of the run's own and what an earlier attempt of the same run left are removed before and after. Commands
    after the first that fails are not run. Raises TestsFailed where the tests could not be run: a service that died
    or was never ready, another image than the one asked for.
    """
    config, tested = images.config_digest(client, image), images.inspect(client, image.value)
    started = now()
    remove_temporary(client, run)
    try:
        network = create_network(client, run)
        linked = start_services(client, run, network, service.test.services, credentials, progress)
        results = _run_commands(client, service.test, run, image, network, linked, progress)
    finally:
        remove_temporary(client, run)
    return TestReport(
        run=run,
        service=service.name,
        config=config,
        platform=tested.platform,
        commit=commit,
        commands=results,
        services={each.alias: each.image for each in linked},
        started=_rfc3339(started),
        finished=_rfc3339(now()),
    )


def _run_commands(
    client: docker.APIClient,
    stage: TestStage,
    run: RunName,
    image: ImageId,
    network: str,
    linked: Sequence[Linked],
    progress: Progress,
) -> tuple[CommandResult, ...]:
    results: list[CommandResult] = []
    for number, argv in enumerate(stage.commands, start=1):
        name = object_name(run, "test", str(number))
        env = {k: v for each in linked for k, v in each.variables(name).items()} | dict(stage.env)
        container = create(client, run, name, image, network, command=argv, env=env)
        _check_image(state(client, container, network).image, image)
        progress(f"test {number} of {len(stage.commands)}: {' '.join(argv)}")
        begin = time.monotonic()
        code = _run(client, container, argv, stage.timeout, progress)
        results.append(CommandResult(argv, code, round(time.monotonic() - begin, 3)))
        progress(_outcome(results[-1], stage.timeout))
        if not results[-1].passed:
            break
    return tuple(results)


def _run(
    client: docker.APIClient, container: str, argv: Sequence[str], timeout: float, progress: Progress
) -> int | None:
    try:
        return run_to_end(client, container, timeout, Lines(progress))
    except EngineError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        hint = "Is the program in the image, and does its ENTRYPOINT start it?"
        raise TestsFailed(f"cannot start test command {argv[0]}: {error.what}", hint=hint) from error


def _check_image(found: ImageId, wanted: ImageId) -> None:
    if found != wanted:
        raise TestsFailed(f"the engine made the test container from image {found}, not from {wanted}")


def _outcome(result: CommandResult, timeout: float) -> str:
    if result.exit_code is None:
        return f"ended: still running after {timeout:g} s"
    return f"{'passed' if result.passed else f'failed with exit code {result.exit_code}'} in {result.seconds:.1f} s"


def _rfc3339(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
