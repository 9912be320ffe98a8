"""Where credentials and CAs come from, and what answers a challenge."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.model.errors import AccessDenied, RelmanError, UsageError
from relman.registry.auth import Credentials, ca_for, credentials_for
from relman.registry.http.challenge import Authorizer, Scope
from tests.unit.test_registry_manifest import json_values

HOST = "registry.example:5000"
PAIR = {"RELMAN_REGISTRY_USERNAME": "ci", "RELMAN_REGISTRY_PASSWORD": "secret"}
SCOPE = Scope("team/shop")


def auth(username: str, password: str) -> dict[str, str]:
    """An entry of `auths` as `docker login` writes it."""
    return {"auth": base64.b64encode(f"{username}:{password}".encode()).decode()}


def logged_in(directory: Path, config: Mapping[str, Any]) -> Path:
    """A Docker configuration directory with this config.json."""
    (directory / "config.json").write_text(json.dumps(config))
    return directory


def helper(directory: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Install docker-credential-test in PATH."""
    program = directory / "docker-credential-test"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:/usr/bin:/bin")


def test_the_environment_wins(tmp_path: Path) -> None:
    """The pair in the environment beats `docker login`; bound by RELMAN_REGISTRY it is for that registry alone."""
    docker = logged_in(tmp_path, {"auths": {HOST: auth("other", "x")}})
    assert credentials_for(HOST, PAIR, docker) == Credentials("ci", "secret")
    assert credentials_for(HOST, PAIR | {"RELMAN_REGISTRY": HOST}, docker) == Credentials("ci", "secret")
    assert credentials_for(HOST, PAIR | {"RELMAN_REGISTRY": "elsewhere"}, docker) == Credentials("other", "x")


@pytest.mark.parametrize("missing", PAIR)
def test_half_a_pair_is_a_mistake(tmp_path: Path, missing: str) -> None:
    """A user name without password, or the other way round, is said instead of going on without a login."""
    with pytest.raises(UsageError, match="go together"):
        credentials_for(HOST, PAIR | {missing: ""}, tmp_path)


def test_identity_tokens_are_used(tmp_path: Path) -> None:
    """An identity token is taken, and handed to docker-py as one."""
    found = credentials_for(HOST, {}, logged_in(tmp_path, {"auths": {HOST: {"identitytoken": "t"}}}))
    assert found == Credentials(identity_token="t")
    assert found.auth_config() == {"identitytoken": "t"}


def test_no_login_is_none(tmp_path: Path) -> None:
    """Without config.json there are no credentials, and that is no error."""
    assert credentials_for(HOST, {}, tmp_path) is None


@pytest.mark.parametrize(
    "script", ["echo nonsense secret-word", "echo '[]'", "head -c 99999 /dev/zero | tr '\\0' [", None]
)
def test_a_broken_helper_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None) -> None:
    """Of a helper that is missing or answers nonsense one is told, without its answer, and `auths` are used."""
    if script is None:
        monkeypatch.setenv("PATH", str(tmp_path))
    else:
        helper(tmp_path, script, monkeypatch)
    said: list[str] = []
    docker = logged_in(tmp_path, {"credsStore": "test", "auths": {HOST: auth("ci", "x")}})
    assert credentials_for(HOST, {}, docker, said.append) == Credentials("ci", "x")
    assert len(said) == 1
    assert "docker-credential-test" in said[0]
    assert "secret-word" not in said[0]


def test_gitlab_signs_in_to_its_own_registry(tmp_path: Path) -> None:
    """CI_REGISTRY_USER and its password are for CI_REGISTRY alone, and after everything that somebody chose."""
    job = {"CI_REGISTRY": HOST, "CI_REGISTRY_USER": "gitlab-ci-token", "CI_REGISTRY_PASSWORD": "job"}
    assert credentials_for(HOST, job, tmp_path) == Credentials("gitlab-ci-token", "job")
    assert credentials_for("elsewhere.example", job, tmp_path) is None
    assert credentials_for(HOST, job | {"CI_REGISTRY_PASSWORD": ""}, tmp_path) is None
    assert credentials_for(HOST, job | PAIR, tmp_path) == Credentials("ci", "secret")
    docker = logged_in(tmp_path, {"auths": {HOST: auth("me", "x")}})
    assert credentials_for(HOST, job, docker) == Credentials("me", "x")


def test_docker_auth_config_is_used_before_the_file(tmp_path: Path) -> None:
    """The variable, which the docker CLI reads since 28.3 and GitLab's runner always, wins for what it names."""
    docker = logged_in(tmp_path, {"auths": {HOST: auth("file", "x"), "other.example": auth("file", "x")}})
    env = {"DOCKER_AUTH_CONFIG": json.dumps({"auths": {HOST: auth("variable", "x")}})}
    assert credentials_for(HOST, env, docker) == Credentials("variable", "x")
    assert credentials_for("other.example", env, docker) == Credentials("file", "x")
    with pytest.raises(UsageError, match="DOCKER_AUTH_CONFIG cannot be read") as caught:
        credentials_for(HOST, {"DOCKER_AUTH_CONFIG": "secret-word"}, docker)
    assert "secret-word" not in f"{caught.value!r} {caught.value.__cause__!r}"


def test_a_broken_entry_is_said_where_it_matters(tmp_path: Path) -> None:
    """An entry without a user or in no base64 is refused for its registry, and no hindrance for others."""
    for broken in ("!!", base64.b64encode(b"no colon").decode(), "YTpiYg"):
        docker = logged_in(tmp_path, {"auths": {HOST: {"auth": broken}, "other.example": auth("ci", "x")}})
        assert credentials_for("other.example", {}, docker) == Credentials("ci", "x")
        with pytest.raises(UsageError, match="unreadable entry"):
            credentials_for(HOST, {}, docker)


def test_a_helper_is_a_name_not_a_path(tmp_path: Path) -> None:
    """A helper's name with a slash is refused."""
    with pytest.raises(UsageError, match="helper"):
        credentials_for(HOST, {}, logged_in(tmp_path, {"credsStore": "../../x"}))


SECTIONS = st.dictionaries(st.just(HOST), json_values) | json_values
CONFIGS = st.fixed_dictionaries({}, optional=dict.fromkeys(("auths", "credHelpers", "credsStore"), SECTIONS))


@given(st.binary() | CONFIGS.map(lambda v: json.dumps(v).encode()))
def test_any_config_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever config.json holds, only relman's own errors come of it."""
    directory = tmp_path_factory.mktemp("docker")
    (directory / "config.json").write_bytes(content)
    with suppress(RelmanError):
        assert credentials_for(HOST, {}, directory) is None


def test_a_config_json_nested_deep_is_a_mistake(tmp_path: Path) -> None:
    """What no parser takes is said as any other nonsense in the file is."""
    (tmp_path / "config.json").write_bytes(b'{"auths":' * 100_000)
    with pytest.raises(UsageError, match="cannot be read"):
        credentials_for(HOST, {}, tmp_path)


def test_a_password_is_sent_as_the_bytes_that_it_is(tmp_path: Path) -> None:
    """Also one in another encoding than UTF-8, as an environment variable may have."""
    password = b"p\xe4ss".decode(errors="surrogateescape")
    found = credentials_for(HOST, PAIR | {"RELMAN_REGISTRY_PASSWORD": password}, tmp_path)
    assert found
    assert base64.b64decode(found.basic.removeprefix("Basic ")) == b"ci:p\xe4ss"


def test_secrets_are_not_shown() -> None:
    """Neither password nor token is in the credentials' representation."""
    assert "hidden" not in repr(Credentials("ci", "hidden", "hidden"))


def test_the_ca_is_the_named_one_then_dockers(tmp_path: Path) -> None:
    """Explicit beats the environment beats /etc/docker/certs.d; a named file that is missing is a mistake."""
    named, variable, docker = tmp_path / "a", tmp_path / "b", tmp_path / HOST / "ca.crt"
    docker.parent.mkdir()
    for file in (named, variable, docker):
        file.touch()
    env = {"RELMAN_REGISTRY_CA": str(variable)}
    assert ca_for(HOST, str(named), env=env, certs_d=tmp_path) == str(named)
    assert ca_for(HOST, env=env, certs_d=tmp_path) == str(variable)
    assert ca_for(HOST, env={}, certs_d=tmp_path) == str(docker)
    assert ca_for("elsewhere", env={}, certs_d=tmp_path) is None
    with pytest.raises(UsageError, match="missing"):
        ca_for(HOST, str(tmp_path / "missing"), env={}, certs_d=tmp_path)


def asked(challenge: str, *, insecure: bool = False) -> list[tuple[str, bytes | None, str | None]]:
    """What the token service is asked when a registry sends `challenge`."""
    questions: list[tuple[str, bytes | None, str | None]] = []

    def ask(url: str, form: bytes | None, authorization: str | None) -> tuple[int, bytes]:
        questions.append((url, form, authorization))
        return 200, b'{"access_token": "t"}'

    authorizer = Authorizer(HOST, Credentials("ci", "x"), ask, lambda _: insecure)
    assert authorizer.answer(challenge, SCOPE) == "Bearer t"
    assert authorizer.header(SCOPE) == "Bearer t"
    return questions


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer realm="https://auth.example/token",service="registry"',
        'bearer  realm="https://auth.example/token" , service=registry , scope="a b, c"',
        'Basic realm="x, Bearer", Bearer realm="https://auth.example/token",service="registry"',
    ],
)
def test_challenges_are_understood(challenge: str) -> None:
    """Quoted or not, alone or after another scheme: the token service is found, and asked for our scope."""
    (question,) = asked(challenge)
    assert question[0] == "https://auth.example/token?service=registry&scope=repository%3Ateam%2Fshop%3Apull"
    assert question[1:] == (None, Credentials("ci", "x").basic)


@pytest.mark.parametrize(
    "challenge", ["Bearer " + " " * 60_000 + "!", "Bearer " + "a=" * 30_000, "," * 60_000, "Basic " * 9_000]
)
def test_a_long_challenge_takes_no_time(challenge: str) -> None:
    """A header made to keep a parser busy is answered or refused at once."""
    begun = time.process_time()
    with suppress(RelmanError):
        Authorizer(HOST, None, lambda *_: (200, b"{}"), lambda _: False).answer(challenge, SCOPE)
    assert time.process_time() - begun < 2


def test_the_password_is_not_sent_in_clear() -> None:
    """A token service without TLS gets no password, unless the registry itself was allowed to be insecure."""
    challenge = 'Bearer realm="http://auth.example/token"'
    with pytest.raises(AccessDenied, match="without TLS"):
        asked(challenge)
    assert len(asked(challenge, insecure=True)) == 1


@given(st.text())
def test_any_challenge_is_answered_or_refused(challenge: str) -> None:
    """Whatever stands in WWW-Authenticate, only relman's own errors come of it."""
    authorizer = Authorizer(HOST, Credentials("ci", "x"), lambda *_: (200, b""), lambda _: False)
    with suppress(RelmanError):
        assert authorizer.answer(challenge, SCOPE) == Credentials("ci", "x").basic


def test_a_registry_token_is_used_as_it_is() -> None:
    """What a registry made for somebody is shown for everything, exchanged with nobody, and nothing else is tried."""

    def ask(*_: object) -> tuple[int, bytes]:
        raise AssertionError("no token is asked for")

    authorizer = Authorizer(HOST, Credentials(registry_token="t"), ask, lambda _: False)
    assert {authorizer.header(Scope("a")), authorizer.header(Scope("b", write=True))} == {"Bearer t"}
    with pytest.raises(AccessDenied):
        authorizer.answer(f'Bearer realm="https://{HOST}/token"', Scope("a"))


@pytest.mark.parametrize(
    ("said", "scopes"),
    [
        ("", ["repository:a:pull,push", "repository:b:pull"]),
        ("repository:b:pull repository:a:pull,push", ["repository:a:pull,push", "repository:b:pull"]),
        ("repository:x/a:pull,push", ["repository:a:pull,push", "repository:b:pull", "repository:x/a:pull,push"]),
        ("repository:x:delete registry:catalog:* repository:x:*", ["repository:a:pull,push", "repository:b:pull"]),
    ],
)
@pytest.mark.parametrize("refresh", ["", "r"])
def test_a_token_is_for_what_the_request_needs(said: str, scopes: list[str], refresh: str) -> None:
    """A mount's token reads the source too; a registry that calls a repository otherwise is followed, as far as reading
    and writing go. A GET names each scope by itself, a POST (OAuth2) all in one."""
    questions: list[tuple[str, bytes | None, str | None]] = []

    def ask(url: str, form: bytes | None, authorization: str | None) -> tuple[int, bytes]:
        questions.append((url, form, authorization))
        return 200, b'{"token": "t"}'

    authorizer = Authorizer(HOST, Credentials("ci", "x", refresh), ask, lambda _: False)
    authorizer.answer(f'Bearer realm="https://{HOST}/token",scope="{said}"', Scope("a", write=True, source="b"))
    ((url, form, _),) = questions
    asked = parse_qs(form.decode() if form else urlsplit(url).query)["scope"]
    assert asked == ([" ".join(scopes)] if refresh else scopes)
    assert authorizer.header(Scope("a", write=True)) is None


def test_what_only_reads_asks_for_no_right_to_write() -> None:
    """A registry that names more in its challenge than the request needs does not get it."""
    (question,) = asked('Bearer realm="https://auth.example/token",scope="repository:x:pull,push"')
    assert parse_qs(urlsplit(question[0]).query)["scope"] == ["repository:team/shop:pull"]
