"""relman from nothing to the end, told to somebody who has never seen it: python -m tests.demo (`make demo`).

It uses the lab that RELMAN_LAB_ID names (default 0), brings it up where it is down, and leaves it up to be played with.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

from relman.model.run import RunName
from tests.apps import bases
from tests.apps.checkout import commit
from tests.demo.narrator import Untrue, say, title
from tests.demo.scene import Demo
from tests.lab.lab import Lab, at_once, summary
from tests.lab.layout import LabError, Layout


def three_hosts_and_a_registry(demo: Demo) -> None:
    """This machine starts three hosts (namespaces, each with its own address, sshd and Docker Engine), a private
    registry with TLS and a password, and a machine for CI jobs. The base images of the sample applications are
    built from Debian packages: that takes about a minute, once on a machine."""
    demo.lab.up(3)
    bases.ensure_all(demo.lab.dir / "ci/docker.sock")
    print()
    for line in summary(demo.lab):
        print(f"  {line}")
    demo.prepare()


def a_database_is_released(demo: Demo) -> None:
    """The database's schema has its own repository. In its CI job, one command builds the image, tests it, releases
    exactly that image, and cleans up. `stable` is a channel: a tag that moves to each new release."""
    build = demo.next_build("database-schema")
    demo.ci.types(f"relman ci --run database-schema/{build}", at=demo.schema, says=f"database-schema:{build}")


def the_shop_is_tested_with_it(demo: Demo) -> None:
    """The shop is a web application with workers, which pack the orders, and a scheduler: three processes of one image.
    By its relman.yml, its tests need a database and a cache: relman starts the stable PostgreSQL image and Redis, waits
    until both are ready, links them, and runs the tests in exactly the image that was built."""
    demo.ci.types("cat relman.yml")
    demo.build(0)


def the_queue_has_a_password(demo: Demo) -> None:
    """The workers get the orders from a queue: Redis, which is an environment of its own here, on one host. Its
    password is a secret. relman encrypts it into a file beside the inventory, for whoever has the key (here the
    engineer's SSH key), so the file belongs in git. A host gets its secrets with a deployment, and nobody else sees
    them."""
    build = demo.next_build("queue")
    demo.ci.types(f"relman ci --run queue/{build}", at=demo.queue, says=f"queue:{build}")
    demo.new_password()
    demo.engineer.types("relman secret list -e production", says="queue_password")
    demo.engineer.types(f"relman deploy {build} -e queue --yes")


def the_release_is_deployed(demo: Demo) -> None:
    """The engineer on call has no checkout and no Docker, only an inventory and a key. The inventory says which host
    runs which processes. relman shows the plan; then it checks every host and pulls the image there before it changes
    the first. It deploys to one host, watches it, and verifies it; then to the others."""
    demo.engineer.types(f"cat {demo.inventory.name}")
    demo.engineer.types(f"relman deploy {demo.first} -e production --plan", says="3 hosts of production")
    demo.deploy(0)
    demo.serves(0)


def two_more_releases(demo: Demo) -> None:
    """Two commits later there are two more releases. Web and workers change together, as one release. Old and new web
    server both need port 8080, so the old one stops first. The new one is already created, so the downtime is short,
    and relman reports it. The second commit changes the scheduler's file: relman.yml names it, so it travels with the
    image, and each host gets that of its release."""
    commit(demo.shop, "Improve the shop")
    demo.build(1)
    demo.deploy(1)
    demo.ask_for_reports_more_often()
    commit(demo.shop, "Ask for reports more often")
    demo.build(2)
    demo.deploy(2, says="files.schedule.ini")
    demo.serves(2)


def a_worker_fails_and_all_goes_back(demo: Demo) -> None:
    """This release passes its tests, and its web server is healthy, but its worker refuses to start. So all processes
    of the hosts that were changed go back; the others are not changed. relman shows the last log lines of the
    container, so there is no need to log in."""
    commit(demo.shop, "Break the worker, in a way that no test sees")
    demo.build(3, "--build-arg BREAK=worker")
    demo.deploy(3, code=5, says="broken on purpose")
    demo.serves(2)


def a_canary_goes_back(demo: Demo) -> None:
    """The next release is worse: it starts and is healthy, but every visitor gets an error. The shop's relman.yml now
    makes the first host a canary: once it is healthy, relman watches it for a while, then requests the page that
    visitors see. That fails, so the canary is rolled back, with exit code 13, and no other host is changed."""
    demo.canary()
    commit(demo.shop, "Let a canary be asked before all others change, and break the list of products")
    demo.build(4, "--build-arg BREAK=products")
    demo.deploy(4, code=13, says="checking the canary")
    demo.serves(2)


REASON = "INC-9: the basket is empty"


def back_without_an_argument(demo: Demo) -> None:
    """Something else is wrong with the running release. A rollback needs no argument, checkout, registry or ledger: the
    hosts record which releases were proven good. A second rollback goes further back, never forward; --reason is
    recorded for colleagues. To show it, we delete all of relman's files on the engineer's machine."""
    shutil.rmtree(demo.home / "engineer/data", ignore_errors=True)
    for number, reason in ((1, ""), (0, f' --reason "{REASON}"')):
        demo.engineer.types(f"relman rollback -e production --yes{reason}")
        demo.serves(number)


def a_changed_secret(demo: Demo) -> None:
    """The queue gets a new password. The plan names the secret and shows no value. The changed password is deployed
    like any other change: first to the queue, then to the shop, whose release stays the same."""
    demo.new_password()
    demo.engineer.types("relman deploy stable -e queue --yes")
    demo.engineer.types(f"relman deploy {demo.first} -e production --plan", says="secrets.queue_password")
    demo.deploy(0)
    demo.serves(0)


def a_prune_and_a_restart(demo: Demo) -> None:
    """Every host runs the nightly `docker system prune -f`, which removes images that have no container and no local
    tag; then all engines restart. The same digest serves, and a rollback is still possible."""
    before = _digests(demo)
    for host in demo.lab.hosts:
        print(f"\n{host.name}# docker system prune -f")
        print("  " + host.run(["docker", "system", "prune", "-f"]).stdout.strip().replace("\n", "\n  "))
    at_once(host.restart_engine for host in demo.lab.hosts)
    demo.serves(0)
    demo.engineer.types("relman status -e production")
    if not len(before) == 1 or _digests(demo) != before:
        raise Untrue(f"the digest is {_digests(demo)}, and was {before}")


def _digests(demo: Demo) -> set[str]:
    """The digests that run, by the hosts' engines."""
    said = demo.engineer.asks("relman --json status -e production")
    return {host["manifest"] for host in json.loads(said.splitlines()[0])["hosts"]}


def untested_is_refused(demo: Demo) -> None:
    """An engineer in a hurry builds an image and pushes it without tests. There is no evidence that it passed, so
    relman deploys it to no host."""
    image = f"{demo.lab.registry.address}/shop"
    build = demo.first + 5
    run = RunName("shop", str(build), "shop").tag
    demo.ci.types(f"relman build --run shop/{build}")
    demo.ci.types(f"docker tag {image}:{run} {image}:hotfix")
    demo.ci.types(f"docker push --quiet {image}:hotfix")
    demo.ci.types(f"relman cleanup --run shop/{build}")
    demo.engineer.types("relman deploy hotfix -e production --yes", code=3, says="evidence")
    demo.serves(0)


def a_tag_that_somebody_moved(demo: Demo) -> None:
    """An attacker with the registry's password moves a release tag to another image, which also passed its tests. A
    release statement beside the image binds repository, tag and digest, so relman detects it and deploys nothing."""
    tag = str(demo.first + 1)
    with demo.moved(tag, to=str(demo.first + 2)):
        for line in (f"relman verify {tag} -e production", f"relman deploy {tag} -e production --yes"):
            demo.engineer.types(line, code=3, says="release-statement")
    demo.engineer.types(f"relman verify {tag} -e production")
    demo.serves(0)


def a_library_by_a_playbook(demo: Demo) -> None:
    """A shared library is released differently: its files are built inside the tested image and uploaded to a private
    package index, then an annotated git tag is pushed. This time the procedure is a playbook: a list of stages, all
    shown before the first begins; after a failure, `--resume` continues."""
    author = demo.library()
    author.types("cat playbooks/library.yml")
    author.types("relman playbook run playbooks/library.yml", says="done")
    author.types("git ls-remote --tags origin")


def what_there_is_to_know(demo: Demo) -> None:
    """The hosts show what runs where; the registry shows what can be deployed; the CI machine shows what was done
    there."""
    demo.engineer.types("relman status -e production")
    demo.engineer.types("relman releases -e production")
    demo.ci.types("relman history -n 10", says=f"promoted {demo.first + 4}")


def who_rolled_back_and_why(demo: Demo) -> None:
    """In the morning a colleague opens another laptop, which has none of this: another user, an empty data directory.
    Why does an old release run? Every host keeps a journal of its changes: by whom, when and why. Anyone who can sign
    in to the host can read it."""
    dave = demo.colleague
    dave.types("relman status -e production", says="carol@")
    dave.types("relman history -e production", says=REASON)
    said = dave.asks("relman --json history -e production")
    entries = json.loads(said.splitlines()[0])["entries"]
    rollback, failure = (
        next(e for e in entries if wanted in (e["what"], e["outcome"]))
        for wanted in ("rolled back", "failed, rolled back")
    )
    dave.types(f"relman show {rollback['id']} -e production", says=REASON)
    say("And the release whose worker did not start? Its last log lines are still there:")
    dave.types(f"relman show {failure['id']} -e production", says="broken on purpose")
    say(f"What ran before the rollback, at {failure['at']}, who deployed it, and the results of its tests:")
    dave.types(f"relman history -e production --at {failure['at']}", says=f"passed in shop/{demo.first + 2}")


def no_user_notices_a_deployment(demo: Demo) -> None:
    """So far each new web server had to wait for its port, and users for it. Now every host gets a proxy: HAProxy, in a
    container that relman keeps. The inventory says which host name leads to the shop; relman.yml asks for two web
    servers, and for no port of the host any more. Then twelve users ask all the time, with new connections and with
    kept ones, while another release is deployed. Not one request may fail."""
    demo.proxy()
    demo.engineer.types("relman proxy apply -e production", says="its proxy runs")
    demo.behind_the_proxy()
    commit(demo.shop, "Stand behind a proxy, two on each host")
    demo.build(6)
    demo.deploy(6)
    commit(demo.shop, "Improve the shop once more")
    demo.build(7)
    with demo.used() as users:
        demo.deploy(7, says="while it changed")
    print(f"\n  what the users counted: {users}", flush=True)
    if users.failures or len(users.answers) != 2:
        raise Untrue(f"the users noticed: {users.failures[:3]}, answers of {len(users.answers)} releases")


def the_end(demo: Demo) -> None:
    """The lab keeps running, so that you can try more. In a shell:"""
    variables, build = demo.home / "env.sh", demo.first + 8
    programs = f"{Path(sys.executable).parent}:$PATH"
    exported = {**demo.lab.env, **demo.production, "RELMAN_DATA_DIR": str(demo.home / "ci-data"), "PATH": programs}
    variables.write_text("".join(f'export {name}="{value}"\n' for name, value in exported.items()))
    print(f"""
  . {variables}
  cd {demo.shop}
  relman ci --run shop/{build}             # with a commit of yours, if you like
  relman deploy {build} -e production      # asks first
  relman rollback -e production
  relman logs -e production
  relman show shop/{build}                 # what its tests said
  relman --help

And to remove every trace of it: make lab-down""")


STEPS: tuple[Callable[[Demo], None], ...] = (
    three_hosts_and_a_registry,
    a_database_is_released,
    the_shop_is_tested_with_it,
    the_queue_has_a_password,
    the_release_is_deployed,
    two_more_releases,
    a_worker_fails_and_all_goes_back,
    a_canary_goes_back,
    back_without_an_argument,
    a_changed_secret,
    a_prune_and_a_restart,
    untested_is_refused,
    a_tag_that_somebody_moved,
    a_library_by_a_playbook,
    what_there_is_to_know,
    who_rolled_back_and_why,
    no_user_notices_a_deployment,
    the_end,
)


def main() -> int:
    """Go through the steps; return the exit code."""
    started = time.monotonic()
    demo = Demo(Lab(Layout.of(os.environ)))
    try:
        for number, step in enumerate(STEPS, 1):
            title(number, step.__name__.replace("_", " ").capitalize())
            say(step.__doc__ or "")
            step(demo)
    except KeyboardInterrupt:
        return 130
    except (Untrue, LabError, bases.BaseError) as error:
        print(f"\ndemo: FAILED: {error}", file=sys.stderr)
        return 1
    print(f"\nAll of it was as told, in {time.monotonic() - started:.0f} s.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
