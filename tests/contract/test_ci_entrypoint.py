"""Test commands and the image's ENTRYPOINT, on a real engine: what runs, and what is refused because it might not."""

from __future__ import annotations

import pytest

from relman.model.errors import TestsFailed
from relman.model.image import ImageId
from relman.model.run import RunName, TestReport
from relman.model.service import TestCommand, TestStage
from tests.contract.shop import BUSYBOX, DATABASE, Shop, left

# It ends with exit code 0 whatever it is given, as a program does that prints how it is used; there is no shell.
GREET = 'FROM scratch\nCOPY busybox /bin/true\nENTRYPOINT ["/bin/true"]\n'
GO = TestCommand(("go", "test", "./..."))
GOOD = "<testsuite><testcase classname='t' name='good'/></testsuite>"
SCRIPT = BUSYBOX + "COPY entry.sh /usr/local/bin/docker-entrypoint.sh\n"


def ran(report: TestReport) -> list[str]:
    """What the report says that the first command ran as."""
    return list(report.commands[0].argv)


def entry(shop: Shop, text: str) -> None:
    """A script for the image."""
    (shop.root / "entry.sh").write_text(text)
    (shop.root / "entry.sh").chmod(0o755)


def refusal(shop: Shop, image: ImageId, *commands: TestCommand) -> TestsFailed:
    """How the stage is refused: before anything of it has started."""
    shop.output.clear()
    with pytest.raises(TestsFailed) as refused:
        shop.run_stage(image, TestStage((shop.linked(),), commands=commands))
    assert not [line for line in shop.output if line.startswith(("starting", "test 1"))]
    assert left(shop.client, shop.run) == [shop.local_tag]
    return refused.value


def test_an_entrypoint_that_swallows_the_tests(shop: Shop) -> None:
    """A command that would be the arguments of a program is refused, with what to write: `image` says that it is meant
    so, and the report has the whole argv; `[]` runs the command itself, which is not in this image."""
    image = shop.build(GREET)
    error = refusal(shop, image, GO)
    assert 'the image\'s ENTRYPOINT ["/bin/true"] gets it' in error.what
    for word in ("`entrypoint: []`", "`entrypoint: image`", "`junit`"):
        assert word in error.hint
    kept = shop.run_stage(image, TestStage(commands=(GO,), entrypoint="image"))
    assert (kept.passed, ran(kept)) == (True, ["/bin/true", "go", "test", "./..."])
    assert "runs /bin/true go test ./..." in shop.output
    with pytest.raises(TestsFailed, match='"go": executable file not found'):
        shop.run_stage(image, TestStage(commands=(GO,), entrypoint=()))


def test_one_that_is_inherited(shop: Shop) -> None:
    """The ENTRYPOINT of a base image swallows as its own does; an image that takes it back is tested as it is."""
    base = shop.build(BUSYBOX + 'COPY busybox /bin/true\nENTRYPOINT ["/bin/true"]\n', run=RunName("base", "1", "shop"))
    again = f'FROM {base.value}\nCMD ["serve"]\n'
    assert "ENTRYPOINT" in refusal(shop, shop.build(again), GO).what
    report = shop.test(shop.build(again + "ENTRYPOINT []\n"), "exit 3")
    assert (report.commands[0].exit_code, ran(report)) == (3, ["sh", "-c", "exit 3"])


def test_a_shell_that_takes_the_commands_for_parameters(shop: Shop) -> None:
    """ENTRYPOINT in shell form, and one that is a shell alone, would run their own text, or none, and end with 0: also
    with a command that is one text."""
    text = TestCommand(("/bin/sh", "-c", "exit 3"))
    for entrypoint in ("busybox true", '["/bin/sh", "-c"]'):
        assert "/bin/sh" in refusal(shop, shop.build(BUSYBOX + f"ENTRYPOINT {entrypoint}\n"), text).what
    report = shop.run_stage(
        shop.build(BUSYBOX + "ENTRYPOINT busybox true\n"), TestStage(commands=(text,), entrypoint=())
    )
    assert (report.passed, report.commands[0].exit_code) == (False, 3)


def test_a_script_that_starts_them(shop: Shop) -> None:
    """A script is read out of the image, by its name in PATH, through links and behind an init: one that ends with
    `exec "$@"` runs the commands, and another is refused."""
    linked = 'RUN ["/bin/busybox", "ln", "-s", "usr/local/bin/docker-entrypoint.sh", "/entry"]\n'
    forms = ('["docker-entrypoint.sh"]', '["/entry"]', '["/bin/env", "A=b", "sh", "-e", "/entry"]')
    dockerfile = SCRIPT + "COPY busybox /bin/env\n" + linked + "WORKDIR /usr/local\n"
    entry(
        shop,
        '#!/bin/sh\nif [ "$1" = serve ]; then exec busybox httpd -f; fi\nexec "$@"\n',
    )
    for form in (*forms, '["bin/docker-entrypoint.sh"]'):
        report = shop.test(shop.build(f"{dockerfile}ENTRYPOINT {form}\n"), "exit 3")
        assert report.commands[0].exit_code == 3, form
        assert ran(report)[-3:] == ["sh", "-c", "exit 3"]
    entry(shop, "#!/bin/sh\necho usage\n")
    for form in forms:
        assert "does not end with exec" in refusal(shop, shop.build(f"{dockerfile}ENTRYPOINT {form}\n"), GO).what, form


def test_result_files_prove_that_tests_ran(shop: Shop) -> None:
    """With JUnit files nobody has to say anything: fresh ones with a test in them show that the command ran, and
    without them it has failed, also where no tests are allowed."""
    writes = f'[ "$2" = -c ] && echo "{GOOD}" >/out.xml\n[ "$2" = empty ] && echo "<testsuite/>" >/out.xml\n'
    entry(shop, f"#!/bin/sh\n{writes}exit 0\n")
    image = shop.build(SCRIPT + 'ENTRYPOINT ["docker-entrypoint.sh"]\n')
    for word, passed in (("-c", True), ("empty", False), ("none", False)):
        command = TestCommand(("sh", word), junit=("/out.xml",), allow_no_tests=True)
        assert shop.run_stage(image, TestStage(commands=(command,))).passed is passed, word
    unproved = TestCommand(("lint",))
    assert "test command lint" in refusal(shop, image, TestCommand(("sh", "-c"), junit=("/out.xml",)), unproved).what


def test_words_of_its_own(shop: Shop) -> None:
    """A list replaces the image's ENTRYPOINT; an image with a CMD alone runs the command in its place."""
    image = shop.build(DATABASE + 'ENTRYPOINT ["/nothing"]\n')
    report = shop.run_stage(image, TestStage(commands=(TestCommand(("echo", "hi")),), entrypoint=("busybox",)))
    assert (report.passed, ran(report)) == (True, ["busybox", "echo", "hi"])
    assert "hi" in shop.output
    report = shop.test(shop.build(DATABASE), "exit 4")
    assert (report.commands[0].exit_code, ran(report)) == (4, ["sh", "-c", "exit 4"])
