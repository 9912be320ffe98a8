"""What users see is counted where they come in: in the recap, as a canary's check, in the proxy's log and metrics."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from contextlib import closing
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.e2e.proxied import BEHIND, NAME, first_of, haproxy, inventory
from tests.e2e.stage import ALL_AT_ONCE, Stage
from tests.lab.images import PAGE
from tests.lab.load import load
from tests.lab.process import until

SEEN = 150


@pytest.fixture
def proxied(stage: Stage) -> Stage:
    """Every host has a proxy, behind which a release serves."""
    inventory(stage, haproxy(stage, 1), demo={"hosts": [NAME]})
    stage.release("users-1", deploy=BEHIND)
    stage.relman("proxy", "apply", "-e", "production")
    stage.deploy("users-1", *ALL_AT_ONCE)
    return stage


def ask(stage: Stage, path: str, *, times: int = 1, **headers: str) -> int:
    """The last status of so many requests to the first host."""
    address = stage.lab.hosts[0].address
    with closing(http.client.HTTPConnection(address, 80, timeout=10)) as connection:
        for _ in range(times):
            connection.request("GET", path, headers={"Host": NAME, **headers})
            answer = connection.getresponse()
            answer.read()
        return answer.status


def users_of(said: str) -> dict[str, Any]:
    """What a report says of users."""
    documents = [json.loads(line) for line in said.splitlines() if line.startswith("{")]
    (report,) = [each for each in documents if each["kind"] == "report"]
    users: dict[str, Any] = report["users"]
    assert [host["gap"] for host in report["hosts"]] == [0.0] * 3
    return users


def checked(**check: object) -> dict[str, Any]:
    """A canary whose users are asked."""
    strategy = {"canary": {"hosts": ["h1"], "bake": "3s", "check": {"proxy": check, "timeout": "30s"}}}
    return {**BEHIND, "strategy": strategy}


def test_the_recap_and_a_canary_count_what_users_saw(proxied: Stage) -> None:
    """Exactly the requests that were made while it changed, over all reloads; a canary that is healthy and answers its
    users with 500 goes back, one of which its users see nothing bad is followed by the other hosts."""
    proxied.release("users-2", deploy=BEHIND)
    with load(first_of(proxied)) as counted:
        until(lambda: counted.requests > 50, "requests")
        before = counted.requests
        users = users_of(proxied.deploy("users-2", "--json", *ALL_AT_ONCE).out)
        after = counted.requests
    assert counted.failures == []
    assert 0 < users["requests"] <= after - before + 4
    assert (users["failed"], users["uncounted"]) == (0, [])
    proxied.release("users-good", deploy=checked(errors_below="1%", p99_below="10s", minimum_requests=SEEN))
    running = proxied.start("--json", "deploy", "users-good", "-e", "production", "--yes")
    running.says("watching h1", 60)
    assert ask(proxied, PAGE, times=SEEN) == 200
    users = users_of(running.ended().text)
    assert (users["requests"], users["failed"], users["uncounted"]) == (SEEN, 0, [])
    proxied.release("broken-users", deploy=checked(errors_below="1%", minimum_requests=50))
    running = proxied.start("deploy", "broken-users", "-e", "production", "--yes")
    running.says("watching h1", 60)
    assert ask(proxied, PAGE, times=50) == 500
    ended = running.ended()
    assert ended.code == 13, ended.text
    assert "50 of 50 requests failed, errors_below is 1%" in ended.text
    assert "while it changed: 50 requests, 50 failed" in ended.text
    last = json.loads(proxied.relman("--json", "history", "-e", "production", "-n", "1").out.splitlines()[0])[
        "entries"
    ][0]
    assert last["users"] == "50 requests, 50 failed, p99 under " + last["users"].rpartition(" under ")[2]
    assert ask(proxied, PAGE) == 200
    told_elsewhere(proxied)


def told_elsewhere(stage: Stage) -> None:
    """The log has one line of each request, and nothing that is secret; metrics are on loopback alone."""
    assert ask(stage, '/none"such?password=s3cret', Authorization="s3cret", Cookie="a=s3cret") == 404
    said = stage.relman("--json", "logs", "--proxy", "-e", "production", "--since", "10m").out
    requests = [json.loads(json.loads(line)["text"]) for line in said.splitlines()]
    seen = Counter((each["path"], each["status"]) for each in requests)
    assert seen[PAGE, 500] == 50
    assert seen[PAGE, 200] == SEEN + 1
    assert requests[-1]["path"] == '/none"such'
    assert "s3cret" not in said
    assert '"status":404' in stage.relman("logs", "--proxy", "-e", "production", "-n", "1", "--only", "h1").out
    image = haproxy(stage, 1)
    stage.write_inventory(
        relman_proxy={"image": image, "keep_alive": "1s", "metrics": 8405}, relman_routes={"demo": {"hosts": [NAME]}}
    )
    assert "loaded its new configuration" in stage.relman("proxy", "apply", "-e", "production").out
    host = stage.lab.hosts[0]
    own = host.run(["curl", "-s", "http://127.0.0.1:8405/metrics"]).stdout
    assert 'haproxy_backend_http_responses_total{proxy="production:demo"' in own
    with pytest.raises(OSError, match="refused"):
        host.http(8405, "/metrics")
    assert ask(stage, PAGE, times=3) == 200
    metrics = stage.relman("status", "--format", "prometheus", "-e", "production").out
    found = {
        (sample.name, sample.labels["host"]): sample.value
        for family in text_string_to_metric_families(metrics)
        for sample in family.samples
        if "host" in sample.labels
    }
    assert found["relman_proxy_requests_total", "h1"] == 3
    assert found["relman_proxy_loaded", "h3"] == 1
