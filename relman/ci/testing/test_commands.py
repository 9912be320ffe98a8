"""Run test commands in their images, retrying flaky ones, and read their result files."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from http import HTTPStatus

from relman.ci.build.test_images import TestImage
from relman.ci.engine.containers import create, object_name, run_to_end, state
from relman.ci.engine.line_buffer import Lines
from relman.ci.results.junit_files import read_results
from relman.ci.results.junit_xml import BadResults
from relman.ci.testing.run_context import Bench, Linked
from relman.model.errors import EngineError, TestsFailed
from relman.model.image import ImageId
from relman.model.run import CommandResult
from relman.model.service import TestCommand, TestStage
from relman.model.test_cases import Findings, TestCase


@dataclass(frozen=True)
class CommandOutcome:
    """The result of a command, and the findings in its result files: None if it writes none, or none that can be
    trusted."""

    result: CommandResult
    findings: Findings | None = None


def run_commands(
    bench: Bench, stage: TestStage, places: Sequence[TestImage], linked: Mapping[str, Linked]
) -> tuple[CommandOutcome, ...]:
    """Run the stage's commands in order, each in its image, up to the first that fails.

    Raises TestsFailed if one cannot be started, EngineError or Unreachable.
    """
    outcomes: list[CommandOutcome] = []
    for number, (command, place) in enumerate(zip(stage.commands, places, strict=True), start=1):
        bench.progress(f"test {number} of {len(stage.commands)}: {command.title}")
        outcomes.append(_run(bench, stage, command, place, linked, number))
        if not outcomes[-1].result.good:
            break
    return tuple(outcomes)


def _run(
    bench: Bench, stage: TestStage, command: TestCommand, place: TestImage, linked: Mapping[str, Linked], number: int
) -> CommandOutcome:
    """All attempts at one command; failures before a passing attempt are flaky."""
    earlier: list[str] = []
    for attempt in range(1, command.retries + 2):
        name = object_name(bench.run, "test", *map(str, (number, attempt)[: attempt if attempt < 2 else 2]))
        outcome = _attempt(bench, stage, command, place, linked, name)
        outcome = replace(outcome, result=replace(outcome.result, attempts=attempt))
        bench.progress(f"{outcome.result.end} after {outcome.result.seconds:.1f} s")
        fallen = bench.fallen(linked)
        if fallen:
            problem = ", ".join(filter(None, (outcome.result.problem, fallen)))
            return replace(outcome, result=replace(outcome.result, problem=problem))
        if outcome.result.good or attempt > command.retries:
            break
        earlier += [case.name for case in outcome.findings.failed] if outcome.findings else []
        bench.progress(f"it is known as flaky: attempt {attempt + 1} of {command.retries + 1}")
    if outcome.result.passed and outcome.findings and earlier:
        flaky = Findings(flaky=tuple(earlier))
        return replace(outcome, findings=Findings.together([flaky, outcome.findings]))
    return outcome


def _attempt(
    bench: Bench,
    stage: TestStage,
    command: TestCommand,
    place: TestImage,
    linked: Mapping[str, Linked],
    name: str,
) -> CommandOutcome:
    env = bench.env(name, linked, stage.env)
    entrypoint, image = stage.own_entrypoint, place.image
    container = create(
        bench.client, bench.run, name, image.id, bench.network, command=command.argv, env=env, entrypoint=entrypoint
    )
    made = state(bench.client, container, bench.network)
    check_image(made.image, image.id)
    _check_argv(made.argv, (*(image.entrypoint if entrypoint is None else entrypoint), *command.argv))
    if (real := shlex.join(made.argv)) != command.title:
        bench.progress(f"runs {real}")
    begin = time.monotonic()
    code = _run_to_end(bench, container, command, command.timeout or stage.timeout)
    result = CommandResult(made.argv, code, round(time.monotonic() - begin, 3), command.name, image=place.reference)
    if not command.junit:
        return CommandOutcome(result)
    try:
        found = read_results(bench.client, container, state(bench.client, container, bench.network), command.junit)
    except BadResults as error:
        return CommandOutcome(replace(result, problem=bench.mask(str(error))))
    problem = contradiction(code, found, allow_no_tests=command.allow_no_tests)
    nothing = not problem and found.totals.ran == 0
    return CommandOutcome(replace(result, problem=problem, ran_nothing=nothing), hidden(found, bench))


def contradiction(code: int | None, found: Findings, *, allow_no_tests: bool) -> str:
    """What a command's results say in contrast to its exit code; for exit code 0 the reason why it failed, "" if it
    passed."""
    totals = found.totals
    if totals.failed:
        despite = ", although it ended with 0" if code == 0 else ""
        return f"{totals.failed} of {totals.tests} tests failed{despite}"
    if totals.ran == 0 and not allow_no_tests:
        return "no test ran" + (f": all {totals.tests} were skipped" if totals.tests else "")
    return "" if code == 0 else "its results show no failed test"


def hidden(found: Findings, bench: Bench) -> Findings:
    """The findings with secrets masked."""

    def clean(case: TestCase) -> TestCase:
        return TestCase(bench.mask(case.name), case.seconds, bench.mask(case.message))

    return Findings(
        found.totals,
        tuple(map(clean, found.failed)),
        tuple(map(bench.mask, found.flaky)),
        tuple(map(clean, found.slowest)),
    )


def _run_to_end(bench: Bench, container: str, command: TestCommand, timeout: float) -> int | None:
    try:
        return run_to_end(bench.client, container, timeout, Lines(bench.progress, mask=bench.mask))
    except EngineError as error:
        if error.status != HTTPStatus.BAD_REQUEST:
            raise
        hint = (
            "Is the program in the image, and does its ENTRYPOINT start it? A command given as one text needs /bin/sh."
        )
        raise TestsFailed(f"cannot start test command {command.argv[0]}: {error.what}", hint=hint) from error


def _check_argv(found: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    if found != wanted:
        raise TestsFailed(f"the engine made a test container that runs {shlex.join(found)}, not {shlex.join(wanted)}")


def check_image(found: ImageId, wanted: ImageId) -> None:
    """Raise TestsFailed if a container has another image than requested."""
    if found != wanted:
        raise TestsFailed(f"the engine made the test container from image {found}, not from {wanted}")
