"""Test commands against a real engine: their result files, their times, and those that are known as flaky."""

from __future__ import annotations

import pytest

from relman.ci.run.teardown import check_passed
from relman.model.errors import TestsFailed
from relman.model.image import ImageId
from relman.model.run import TestReport
from relman.model.service import TestCommand, TestStage, WaitFor
from relman.model.test_cases import TestTotals
from tests.contract.shop import BUSYBOX, DATABASE, Shop

GOOD = "<testsuite><testcase classname='t' name='good' time='0.2'/></testsuite>"
BAD = "<testsuite><testcase classname='t' name='bad'><failure message='broken'/></testcase></testsuite>"


@pytest.fixture
def image(shop: Shop) -> ImageId:
    """An image with a working directory, and with a result file of somebody's earlier run in it."""
    (shop.root / "old.xml").write_text(GOOD)
    return shop.build(BUSYBOX + "WORKDIR /work\nCOPY old.xml /work/old.xml\n")


def run(shop: Shop, image: ImageId, script: str, **options: object) -> TestReport:
    """Run one command with a result file."""
    given = {"name": "unit", "junit": ("out.xml",), **options}
    command = TestCommand(("sh", "-c", script), **given)  # type: ignore[arg-type]
    return shop.run_stage(image, TestStage(commands=(command,)))


LIES = {
    f'echo "{BAD}" >out.xml': "1 of 1 tests failed, although it ended with 0",
    "echo '<testsuite/>' >out.xml": "no test ran",
    "busybox true": "out.xml is not there: the command wrote no results",
    "echo '<testsuite>' >out.xml": "out.xml is not complete XML",
    "echo '<!DOCTYPE a [<!ENTITY b \"c\">]><testsuite>&b;</testsuite>' >out.xml": "out.xml declares entities",
    "busybox head -c 40000000 /dev/zero >out.xml": "out.xml is larger than 32 MiB",
    "busybox truncate -s 100G out.xml": "out.xml is larger than 32 MiB",
    "busybox ln -s /etc/passwd out.xml": "out.xml is not a regular file",
    "busybox cp -p old.xml out.xml": "out.xml was in the image before the command ran",
    "busybox mkdir out.xml": "out.xml has no file named *.xml",
    "busybox mkfifo out.xml": "out.xml is not a regular file",
}


def test_passes_that_are_none(shop: Shop, image: ImageId) -> None:
    """A command that ends with 0 has failed nevertheless where its results say so or cannot be believed, and the
    report says which of all: failures, no test, no file, broken, hostile, huge, a link, a file of another day."""
    for script, problem in LIES.items():
        report = run(shop, image, script)
        assert (report.passed, report.commands[0].exit_code) == (False, 0), script
        assert report.commands[0].problem.startswith(problem), script
        with pytest.raises(TestsFailed) as failure:
            check_passed(report)
        assert failure.value.details[0].startswith(f"unit: exit code 0; {problem}")


def test_results_of_a_pass_and_of_failures(shop: Shop, image: ImageId) -> None:
    """Totals, failures and the slowest are in the report: of a pass, of a failure, and of a command that was killed."""
    passed = run(shop, image, f'echo "{GOOD}" >out.xml')
    assert passed.passed
    assert passed.findings
    assert (passed.findings.totals, passed.findings.slowest[0].name) == (TestTotals(1), "t.good")
    failed = run(shop, image, f'echo "{BAD}" >out.xml; exit 1')
    assert failed.commands[0].end == "exit code 1; 1 of 1 tests failed"
    assert failed.findings
    assert failed.findings.failed[0].message == "broken"
    killed = run(shop, image, f'echo "{BAD}" >out.xml; busybox sleep 600', timeout=1)
    assert killed.commands[0].end == "timed out; 1 of 1 tests failed"
    assert not run(shop, image, f'echo "{GOOD}" >out.xml; exit 3').passed
    may_fail = f"<testsuites>{GOOD}<testcase><skipped/><failure/></testcase></testsuites>"
    assert run(shop, image, f'echo "{may_fail}" >out.xml').passed
    assert run(shop, image, f'echo "{may_fail}" >out.xml; exit 1').commands[0].end == "exit code 1; 1 of 2 tests failed"
    nothing = run(shop, image, "echo '<testsuite/>' >out.xml", allow_no_tests=True)
    assert (nothing.commands[0].end, nothing.passed) == ("no test ran, which is allowed", False)
    for report in (nothing, failed):
        assert TestReport.from_json(report.to_json()) == report


def test_directories_of_results(shop: Shop, image: ImageId) -> None:
    """All .xml files of a directory count, in it and below, and several paths add up."""
    script = (
        f'busybox mkdir -p reports/deep; echo "{GOOD}" >reports/a.xml; echo "{GOOD}" >reports/deep/b.xml; '
        f'echo noise >reports/c.txt; echo "{GOOD}" >/top.xml'
    )
    found = run(shop, image, script, junit=("reports", "/top.xml")).findings
    assert found
    assert found.totals == TestTotals(3)
    bad = run(shop, image, script + "; echo no >reports/deep/b.xml", junit=("reports",))
    assert bad.commands[0].problem.startswith("reports/deep/b.xml is not complete XML")


def test_reports_beside_other_files(shop: Shop, image: ImageId) -> None:
    """In a directory of Maven's, XML of another kind does not count; a pattern names files right in a directory. Where
    none is left, the command has failed."""
    script = (
        "busybox mkdir -p reports/sub; echo '<failsafe-summary/>' >reports/failsafe-summary.xml; "
        f'echo "{GOOD}" >reports/TEST-a.xml; echo "{GOOD}" >reports/sub/TEST-b.xml'
    )
    for paths, count in ((("reports",), 2), (("reports/TEST-*.xml",), 1), (("reports/*", "reports/sub/TEST-?.xml"), 2)):
        found = run(shop, image, script, junit=paths).findings
        assert found
        assert found.totals == TestTotals(count), paths
    for path, problem in (
        ("reports/*-summary.xml", "there is no reports/*-summary.xml that is JUnit XML"),
        ("reports/failsafe-summary.xml", "reports/failsafe-summary.xml is not JUnit XML"),
    ):
        assert run(shop, image, script, junit=(path,)).commands[0].problem.startswith(problem)


def test_commands_with_times_of_their_own(shop: Shop, image: ImageId) -> None:
    """Named commands run in order, each with its own time, and the first that fails is the last."""
    report = shop.run_stage(
        image,
        TestStage(
            commands=(
                TestCommand(("sh", "-c", "busybox sleep 1.2"), "slow but allowed", 30),
                TestCommand(("busybox", "sleep", "60"), "too slow", 0.5),
                TestCommand(("true",), "never"),
            ),
            timeout=1,
        ),
    )
    assert [(c.title, c.exit_code) for c in report.commands] == [("slow but allowed", 0), ("too slow", None)]
    assert "test 1 of 3: slow but allowed" in shop.output


def test_flaky_commands(shop: Shop, image: ImageId) -> None:
    """A command known as flaky is run again in a new container; that it needed it is in the report, with the test
    cases that failed first. One that never passes has failed, and one without retries is run once."""
    counted = (
        'n=$(echo next | busybox nc -w 20 db 5432); if [ "$n" = 1 ]; then '
        f'echo "{BAD}" >out.xml; exit 1; fi; [ ! -e out.xml ] && echo "{GOOD}" >out.xml'
    )
    counter = "n=0; while true; do n=$((n+1)); echo $n | busybox nc -l -p 5432 >/dev/null; done"
    service = shop.linked(DATABASE, command=("/bin/sh", "-c", counter), wait=WaitFor(command=("busybox", "true")))
    command = TestCommand(("sh", "-c", counted), "e2e", junit=("out.xml",), retries=2)
    report = shop.run_stage(image, TestStage((service,), commands=(command,)))
    assert report.passed
    assert report.commands[0].attempts == 2
    assert report.flaky == ("e2e", "t.bad")
    assert report.findings
    assert (report.findings.totals, report.findings.failed) == (TestTotals(1), ())
    never = run(shop, image, f'echo "{BAD}" >out.xml; exit 1', retries=1)
    assert (never.passed, never.commands[0].attempts, never.flaky) == (False, 2, ())
    assert run(shop, image, "exit 1", junit=()).commands[0].attempts == 1
