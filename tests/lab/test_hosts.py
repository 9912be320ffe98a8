"""What the handles do to a host really happens, and only to that host."""

import subprocess
from pathlib import Path

import pytest
import requests
import yaml

from tests.lab import images
from tests.lab.host import LabHost
from tests.lab.images import Behaviour
from tests.lab.lab import Lab
from tests.lab.layout import LabError
from tests.lab.process import until


def serve(host: LabHost, name: str, port: int, restart: str) -> None:
    """Start a container that serves its name."""
    with host.engine() as engine:
        images.busybox_image(engine, f"{name}:1", version=name)
        images.run(engine, f"{name}:1", name, port=port, restart=restart)


def answers(host: LabHost, port: int) -> str | None:
    """The version that is served on a port, None when nothing is."""
    try:
        return host.http(port, "/version", timeout=1).text.strip()
    except OSError:
        return None


def ssh(lab: Lab, name: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command as a person with the lab's ssh_config would."""
    config = lab.env["RELMAN_SSH_CONFIG"]
    argv = ["ssh", "-F", config, "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", name, *command]
    return subprocess.run(argv, capture_output=True, text=True)


def test_a_reboot_brings_back_what_a_restart_policy_says(hosts: list[LabHost]) -> None:
    """After a power cut a container with a restart policy serves again, one without stays down, files stay."""
    host = hosts[0]
    serve(host, "kept", 8081, "unless-stopped")
    serve(host, "lost", 8082, "no")
    host.run(["tee", "/root/note"], stdin="still here")
    pid, key = host.pid, host.shown_key()
    host.reboot()
    assert host.pid != pid
    assert until(lambda: answers(host, 8081), "the container to come back") == "kept"
    assert answers(host, 8082) is None
    assert host.run(["cat", "/root/note"]).stdout == "still here"
    assert host.shown_key() == key == host.host_key


def test_an_engine_restart_brings_containers_back(lab: Lab, hosts: list[LabHost]) -> None:
    """Stopping the engine stops its containers, starting it brings those with a restart policy back."""
    host = hosts[0]
    serve(host, "kept", 8081, "always")
    host.stop_engine()
    assert not host.engine_answers()
    assert answers(host, 8081) is None
    assert ssh(lab, "h1", "true").returncode == 0
    host.start_engine()
    assert until(lambda: answers(host, 8081), "the container to come back") == "kept"


def test_a_stopped_host_is_silent_and_a_killed_one_refuses(hosts: list[LabHost]) -> None:
    """A host that is off does not answer at all; one whose processes died still has its address."""
    stopped, killed, other = hosts
    stopped.stop()
    killed.kill()
    with pytest.raises(OSError, match=r"No route|timed out"):
        stopped.http(22, timeout=5)
    with pytest.raises(ConnectionRefusedError):
        killed.http(22)
    assert other.ssh_answers()
    stopped.start()
    killed.start()
    assert stopped.ssh_answers()
    assert killed.engine_answers()


def test_a_cut_cable_hangs_what_runs_on_and_mending_brings_it_back(hosts: list[LabHost]) -> None:
    """Behind a cut cable the same processes run on; only the network is away."""
    host = hosts[0]
    serve(host, "web", 8081, "no")
    assert until(lambda: answers(host, 8081), "the container to serve") == "web"
    pid = host.pid
    host.cut()
    assert answers(host, 8081) is None
    assert host.engine_answers()
    host.mend()
    assert until(lambda: answers(host, 8081), "the network") == "web"
    assert host.pid == pid


def test_delay_slows_ssh_and_nothing_else(lab: Lab, hosts: list[LabHost]) -> None:
    """With 1.2 s added each way no greeting comes within 1 s, yet a patient client still gets the true host key."""
    host = hosts[0]
    serve(host, "web", 8081, "no")
    with host.delay(1200):
        assert not host.ssh_answers()
        assert until(lambda: answers(host, 8081), "the container to serve") == "web"
        assert host.shown_key() == host.host_key
    with host.delay(20):
        assert ssh(lab, "h1", "hostname").stdout == "h1\n"
    assert host.ssh_answers()
    assert "REDIRECT" not in host.run(["iptables", "-t", "nat", "-S"]).stdout


def test_a_full_disk_takes_neither_images_nor_files(lab: Lab, hosts: list[LabHost]) -> None:
    """On a full disk a pull and a record fail, on that host alone; with space again both work."""
    host, other = hosts[:2]
    repository = f"{lab.registry.address}/full"
    with lab.ci.engine() as engine:
        images.busybox_image(engine, f"{repository}:1", version="1", ballast=1_000_000)
        images.push(engine, f"{repository}:1", lab.registry.auth)
    host.limit_disk(200)
    host.fill_disk()
    with host.engine() as engine, other.engine() as elsewhere:
        with pytest.raises(LabError, match="no space left"):
            images.pull(engine, repository, "1", lab.registry.auth)
        with pytest.raises(LabError, match="No space left"):
            host.run(["cp", "/bin/bash", "/var/lib/record"])
        images.pull(elsewhere, repository, "1", lab.registry.auth)
        host.free_disk()
        images.pull(engine, repository, "1", lab.registry.auth)
        host.run(["cp", "/bin/bash", "/var/lib/record"])


def test_filling_a_disk_that_is_not_the_hosts_own_is_refused(hosts: list[LabHost]) -> None:
    """The disk of the machine underneath is never filled."""
    with pytest.raises(LabError, match="limit_disk"):
        hosts[0].fill_disk()


def test_a_changed_host_key_is_refused_until_it_is_restored(lab: Lab, hosts: list[LabHost]) -> None:
    """OpenSSH's own client, with the lab's known_hosts, stops at the other key and accepts the first again."""
    hosts[1].change_host_key()
    refused = ssh(lab, "h2", "true")
    assert refused.returncode == 255
    assert "REMOTE HOST IDENTIFICATION HAS CHANGED" in refused.stderr
    hosts[1].restore_host_key()
    assert ssh(lab, "h2", "hostname").stdout == "h2\n"


def test_what_a_host_writes_is_its_own(hosts: list[LabHost]) -> None:
    """Files under /etc, /root, /srv and /var, and the engine's identity, are shared neither with hosts nor machine."""
    for path in ("/etc/docker/mine", "/etc/mine", "/root/mine", "/srv/mine", "/var/lib/relman/mine"):
        hosts[0].run(["mkdir", "-p", path])
        assert hosts[1].run(["test", "-e", path], check=False).returncode == 1
        assert not Path(path).exists()
    identities = []
    for host in hosts:
        with host.engine() as engine:
            identities.append(engine.info()["ID"])
    assert len(set(identities)) == len(hosts)


def test_reset_leaves_no_trace_of_a_test(hosts: list[LabHost]) -> None:
    """Containers, images, volumes, records, a cut cable and a strange key are all gone after a reset."""
    host = hosts[0]
    serve(host, "web", 8081, "always")
    with host.engine() as engine:
        engine.create_volume("data")
        engine.create_network("back")
    host.run(["mkdir", "-p", "/var/lib/relman/shop"])
    host.change_host_key()
    host.cut()
    host.reset()
    with host.engine() as engine:
        assert engine.containers(all=True) == engine.images(all=True) == []
        assert engine.volumes()["Volumes"] in (None, [])
        assert {n["Name"] for n in engine.networks()} == {"bridge", "host", "none"}
    assert host.run(["test", "-e", "/var/lib/relman"], check=False).returncode == 1
    assert host.shown_key() == host.host_key


@pytest.mark.parametrize(
    ("behaviour", "state", "code"), [(Behaviour.EXITS, "exited", 3), (Behaviour.DIES, "exited", 4)]
)
def test_an_image_that_dies_does(hosts: list[LabHost], behaviour: Behaviour, state: str, code: int) -> None:
    """One container exits at once, the other first serves and then dies, each with its own exit code."""
    with hosts[0].engine() as engine:
        images.busybox_image(engine, "bad:1", version="1", behaviour=behaviour)
        made = images.run(engine, "bad:1", "bad", port=8081)
        if behaviour is Behaviour.DIES:
            assert until(lambda: answers(hosts[0], 8081), "the container to serve", 4) == "1"
        engine.wait(made, timeout=30)
        seen = engine.inspect_container(made)["State"]
    assert (seen["Status"], seen["ExitCode"]) == (state, code)


@pytest.mark.parametrize(
    ("behaviour", "health"), [(Behaviour.SERVES, "healthy"), (Behaviour.SERVES_UNHEALTHY, "unhealthy")]
)
def test_an_images_health_is_what_it_was_made_for(hosts: list[LabHost], behaviour: Behaviour, health: str) -> None:
    """The HEALTHCHECK of a good image succeeds, that of an unhealthy one fails while it goes on running."""
    with hosts[0].engine() as engine:
        images.busybox_image(engine, "web:1", version="1", behaviour=behaviour, healthcheck=True)
        made = images.run(engine, "web:1", "web")
        until(lambda: engine.inspect_container(made)["State"]["Health"]["Status"] != "starting", "its health")
        seen = engine.inspect_container(made)["State"]
    assert (seen["Status"], seen["Health"]["Status"]) == ("running", health)


def test_the_registry_wants_its_ca_and_its_password(lab: Lab, hosts: list[LabHost]) -> None:
    """Without the CA no connection, without the password no answer, with both the catalogue; engines likewise."""
    lab.registry.start()
    with requests.Session() as session:
        session.trust_env = False
        with pytest.raises(requests.exceptions.SSLError):
            session.get(f"https://{lab.registry.address}/v2/", timeout=5)
    assert lab.registry.get("/v2/", password="wrong")[0] == 401
    assert lab.registry.get("/v2/_catalog")[0] == 200
    repository = f"{lab.registry.address}/guarded"
    wrong = lab.registry.auth | {"password": "wrong"}
    with lab.ci.engine() as engine:
        images.busybox_image(engine, f"{repository}:1", version="1")
        with pytest.raises(LabError, match=r"basic auth|unauthorized"):
            images.push(engine, f"{repository}:1", wrong)
        digest = images.push(engine, f"{repository}:1", lab.registry.auth)
    with hosts[0].engine() as engine:
        with pytest.raises(LabError, match=r"basic auth|unauthorized"):
            images.pull(engine, repository, digest, wrong)
        images.pull(engine, repository, digest, lab.registry.auth)
        assert [i["RepoDigests"] for i in engine.images()] == [[f"{repository}@{digest}"]]


def test_a_stopped_registry_refuses_and_keeps_its_content(lab: Lab) -> None:
    """While it is stopped nobody listens; started again, it still has what was pushed."""
    repository = f"{lab.registry.address}/kept"
    with lab.ci.engine() as engine:
        images.busybox_image(engine, f"{repository}:1", version="1")
        images.push(engine, f"{repository}:1", lab.registry.auth)
    lab.registry.stop()
    with pytest.raises(ConnectionRefusedError):
        lab.registry.get("/v2/")
    lab.registry.start()
    assert b'"1"' in lab.registry.get("/v2/kept/tags/list")[1]


def test_a_ci_job_reaches_its_engine_and_its_containers(lab: Lab, tmp_path: Path) -> None:
    """In the CI machine's network a command uses the lab's engine, and a container's own address, in its directory."""
    with lab.ci.engine() as engine:
        images.busybox_image(engine, "web:1", version="linked")
        made = images.run(engine, "web:1", "web")
        try:
            address = engine.inspect_container(made)["NetworkSettings"]["IPAddress"]
            fetch = ["busybox", "wget", "-q", "-O", "-", f"http://{address}:8080/version"]
            fetched = lab.ci.run(fetch)
            assert (fetched.stdout, fetched.stderr) == ("linked\n", "")
            listed = lab.ci.run(
                ["sh", "-c", "docker ps --format {{.Names}}; pwd; echo $X"], cwd=tmp_path, env={"X": "1"}
            )
            assert listed.stdout == f"web\n{tmp_path}\n1\n"
        finally:
            engine.remove_container(made, force=True)


def test_the_inventory_and_the_ssh_configuration_name_every_host(lab: Lab, hosts: list[LabHost]) -> None:
    """Each host of the inventory is reached by name and by address through the generated ssh_config, strictly."""
    tree = yaml.safe_load(Path(lab.env["RELMAN_INVENTORY"]).read_text())["all"]
    assert list(tree["children"]["production"]["hosts"]) == [h.name for h in hosts]
    for name, variables in tree["hosts"].items():
        assert ssh(lab, name, "hostname").stdout == f"{name}\n"
        assert ssh(lab, variables["ansible_host"], "hostname").stdout == f"{name}\n"
    shown = subprocess.run(
        [
            "sh",
            "-c",
            '. "$1"; docker version -f "{{.Server.Version}}"; echo "$RELMAN_INVENTORY"',
            "sh",
            lab.dir / "env.sh",
        ],
        capture_output=True,
        text=True,
    )
    assert shown.stdout.splitlines()[1:] == [lab.env["RELMAN_INVENTORY"]], shown.stderr
