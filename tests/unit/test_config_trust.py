"""trust.yml and policies: read strictly, every error in its place, and changed without touching what else is there."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from relman.config.inventory.load import load_inventory
from relman.config.policy import load_policy
from relman.config.schema.policy import Rule
from relman.config.schema.trust import Grant as Grant_
from relman.config.schema.trust import Key, Revoked
from relman.config.service import load_service
from relman.config.trust import add_key, end_key, load_trust, revoke_key
from relman.model.errors import ConfigError, UsageError
from relman.model.image import ManifestDigest
from relman.model.policy import (
    AllOf,
    AnyOf,
    Attested,
    Branch,
    CleanCheckout,
    MaximumAge,
    MinimumTests,
    NoFailures,
    NoFlaky,
    Policy,
    ProvenIn,
)
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.trust import Grant, Revocation, TrustedKey
from tests.unit.documents import ROOT, Block, blocks
from tests.unit.values import hexes

BODY = "MCowBQYDK2VwAyEAeiNUsHjMM2VM2R8JtFOQlgG2ZrdIhDcZgAhWhl9yqVU="
PEM = f"-----BEGIN PUBLIC KEY-----\n{BODY}\n-----END PUBLIC KEY-----\n"
TRUST = """\
# Ours; ask Ada before you change it.
keys:
  ci:   # the CI system's
    public: |
      -----BEGIN PUBLIC KEY-----
      MCowBQYDK2VwAyEAeiNUsHjMM2VM2R8JtFOQlgG2ZrdIhDcZgAhWhl9yqVU=
      -----END PUBLIC KEY-----
    signs:
      - types: [test-result, release]
        repositories: registry.example/*
    valid_from: 2026-01-01
"""
POLICY = """\
- minimum_tests: 20
- no_failures: true
- no_flaky: true
- maximum_age: 30d
- clean_checkout: true
- branch: [main, "release/*"]
- proven_in: {environment: staging, at_least: 24h}
- any:
    - statement: {type: provenance, signers: builder}
    - all:
        - statement: {type: "https://example.com/scan/v1"}
"""
WHEN = datetime(2026, 6, 1, 12, tzinfo=UTC)
DIGEST = ManifestDigest("sha256:" + hexes("good"))


def said(folder: Path, text: str, name: str = "trust.yml") -> list[str]:
    """The problems of a file."""
    (folder / name).write_text(text)
    with pytest.raises(ConfigError) as caught:
        (load_trust if name == "trust.yml" else load_policy)(folder / name)
    return [str(p).removeprefix(f"{folder}/") for p in caught.value.problems]


def test_trust_is_read(tmp_path: Path) -> None:
    """Names, grants by short types, one repository or several, and times."""
    (tmp_path / "trust.yml").write_text(TRUST)
    trust = load_trust(tmp_path / "trust.yml")
    assert trust.keys == {
        "ci": TrustedKey(
            "ci",
            PEM.encode(),
            (Grant((TEST_RESULT, RELEASE), ("registry.example/*",)),),
            start=datetime(2026, 1, 1, tzinfo=UTC),
        )
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (TRUST.replace("valid_from", "valid_form"), "11:5: keys.ci.valid_form: unknown key; did you mean valid_from?"),
        (TRUST.replace("2026-01-01", "soon"), "11:17: keys.ci.valid_from: expected a time such as 2026-01-31"),
        (TRUST.replace("2026-01-01", "2026-01-01T00:00:00"), "11:17: keys.ci.valid_from: the time"),
        (TRUST + "    valid_until: 2025-01-01\n", "12:18: keys.ci.valid_until: expected a time after valid_from"),
        (TRUST.replace("[test-result, release]", "[tests]"), "9:17: keys.ci.signs[0].types[0]: unknown type"),
        (TRUST.replace("PUBLIC", "PRIVATE"), "4:13: keys.ci.public: expected a public key"),
        (
            TRUST.replace("        repositories: registry.example/*\n", ""),
            "9:9: keys.ci.signs[0].repositories: this",
        ),
        (TRUST + "    revoked: true\n", "12:14: keys.ci.revoked: expected keys and values"),
        (TRUST + "    revoked: {at: 2026-02-01, reason: x, accepted: [1]}\n", "12:53: keys.ci.revoked.accepted[0]"),
        (TRUST + "  ci: {}\n", "12:3: keys.ci: duplicate key"),
        ("keys: []\n", "1:7: keys: expected keys and values"),
        ("- x\n", "1:1: expected keys and values"),
    ],
)
def test_faults_of_trust_are_told_in_their_place(tmp_path: Path, text: str, problem: str) -> None:
    """Line, column, key and what was expected."""
    assert any(p.startswith(f"trust.yml:{problem}") for p in said(tmp_path, text)), said(tmp_path, text)


def test_a_key_is_added_ended_and_revoked_and_the_rest_is_left(tmp_path: Path) -> None:
    """Each change means what it should, and every comment and line that was there still is."""
    file = tmp_path / "trust.yml"
    file.write_text(TRUST)
    new = TrustedKey("ci-2", PEM.encode(), load_trust(file).keys["ci"].grants, start=WHEN)
    add_key(file, new)
    end_key(file, "ci", WHEN)
    end_key(file, "ci", WHEN.replace(month=7))
    revoke_key(file, "ci-2", Revocation(WHEN, 'a "laptop": stolen', frozenset({DIGEST})))
    trust = load_trust(file)
    assert trust.keys["ci"].end == WHEN.replace(month=7)
    assert trust.keys["ci-2"].revoked == Revocation(WHEN, 'a "laptop": stolen', frozenset({DIGEST}))
    assert trust.keys["ci-2"].start == WHEN
    assert set(TRUST.splitlines()) <= set(file.read_text().splitlines())
    with pytest.raises(UsageError, match="already revoked"):
        revoke_key(file, "ci-2", Revocation(WHEN, "again"))
    with pytest.raises(UsageError, match="already"):
        add_key(file, new)
    with pytest.raises(UsageError, match="no key 'cj'"):
        end_key(file, "cj", WHEN)


def test_a_first_key_begins_the_file(tmp_path: Path) -> None:
    """Where there is no trust.yml, adding a key makes one."""
    key = TrustedKey("ci", PEM.encode(), (Grant((TEST_RESULT, "https://example.com/x"), ("a/b", "c/*")),), start=WHEN)
    add_key(tmp_path / "trust.yml", key)
    assert load_trust(tmp_path / "trust.yml").keys == {"ci": key}


def test_what_cannot_be_changed_safely_is_left(tmp_path: Path) -> None:
    """A file in another form is refused, not broken."""
    file = tmp_path / "trust.yml"
    file.write_text("keys: {ci: {public: " + repr(PEM).replace("'", '"') + ", signs: []}}\n")
    before = file.read_bytes()
    with pytest.raises(UsageError, match="not written in a way that relman can change"):
        add_key(file, TrustedKey("new", PEM.encode(), ()))
    assert file.read_bytes() == before


def test_a_policy_is_read(tmp_path: Path) -> None:
    """Every rule, alone and composed."""
    (tmp_path / "policy.yml").write_text(POLICY)
    assert load_policy(tmp_path / "policy.yml").rule == AllOf(
        (
            MinimumTests(20),
            NoFailures(),
            NoFlaky(),
            MaximumAge(30 * 86400),
            CleanCheckout(),
            Branch(("main", "release/*")),
            ProvenIn("staging", 86400),
            AnyOf(
                (
                    Attested("https://slsa.dev/provenance/v1", ("builder",)),
                    AllOf((Attested("https://example.com/scan/v1"),)),
                )
            ),
        )
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- minimum_test: 1\n", "1:17: [0].minimum_test: unknown key; did you mean minimum_tests?"),
        ("- minimum_tests: 0\n", "1:18: [0].minimum_tests: expected at least 1"),
        ("- minimum_tests: true\n", "1:18: [0].minimum_tests: expected a whole number"),
        ("- {no_flaky: true, no_failures: true}\n", "1:3: [0]: give one of no_failures, no_flaky, not 2 of them"),
        ("- no_flaky: false\n", "1:13: [0].no_flaky: expected true"),
        ("- {}\n", "1:3: [0]: say what is demanded"),
        ("- maximum_age: 30 days\n", "1:16: [0].maximum_age: expected a duration"),
        ("- branch: []\n", "1:11: [0].branch: expected at least one"),
        ("- any:\n  - statement: {type: provenence}\n", "2:23: [0].any[0].statement.type: unknown type"),
        ("- proven_in: staging\n", "1:14: [0].proven_in: expected keys and values"),
        ("minimum_tests: 1\n", "1:1: expected a list"),
    ],
)
def test_faults_of_a_policy_are_told_in_their_place(tmp_path: Path, text: str, problem: str) -> None:
    """Line, column, the path to the rule and what was expected."""
    found = said(tmp_path, text, "policy.yml")
    assert any(p.startswith(f"policy.yml:{problem}") for p in found), found


EVIDENCE = (ROOT / "docs/evidence.md").read_text()


@pytest.mark.parametrize("block", [b for b in blocks(EVIDENCE) if b.info != "text"], ids=lambda b: f"line {b.line}")
def test_the_examples_of_the_documentation_are_good(block: Block, tmp_path: Path) -> None:
    """Every example of a trust.yml, a policy, an inventory and a relman.yml in docs/evidence.md is understood."""
    file = tmp_path / "example.yml"
    head = "service: shop\nregistry: registry.example.com\n" if block.info == "yaml" else ""
    file.write_text(head + block.text)
    read: dict[str, Callable[[Path], object]] = {
        "yaml trust": load_trust,
        "yaml policy": load_policy,
        "yaml": load_service,
        "yaml inventory": lambda path: load_inventory([path]).environment("production", ssh_config="/dev/null"),
    }
    assert read[block.info](file)


def test_every_rule_and_every_key_of_trust_is_explained() -> None:
    """The tables of docs/evidence.md name each rule of the schema with its gate, and each key of trust.yml."""
    for name in Rule.model_fields:
        assert f"`{name}: " in EVIDENCE, name
    for name in (*Key.model_fields, *Revoked.model_fields, *Grant_.model_fields):
        assert f"`{name}`" in EVIDENCE, name


def test_an_environment_demands(tmp_path: Path) -> None:
    """The inventory names trust.yml beside it and the policy; an empty policy is one, and no policy is none."""
    hosts = tmp_path / "hosts.yml"
    hosts.write_text(
        "production:\n  hosts:\n    web[1:2]:\n  vars:\n    relman_trust: trust.yml\n    relman_policy:\n"
        "      - minimum_tests: 3\nstrict:\n  hosts:\n    web3:\n  vars:\n    relman_policy: []\n"
        "staging:\n  hosts:\n    web4:\n"
    )
    inventory = load_inventory([hosts])
    found = {
        name: inventory.environment(name, ssh_config="/dev/null").demands
        for name in ("production", "strict", "staging")
    }
    assert found["production"].trust == str(tmp_path / "trust.yml")
    assert found["production"].policy == Policy(AllOf((MinimumTests(3),)), '[{"minimum_tests":3}]', str(hosts))
    assert found["strict"].policy.rule == AllOf(())
    assert (found["staging"].trust, found["staging"].policy.rule) == (None, None)


def test_a_policy_that_differs_between_hosts_or_is_wrong_is_told(tmp_path: Path) -> None:
    """What is demanded is said of the whole environment; a fault has its line."""
    hosts = tmp_path / "hosts.yml"
    hosts.write_text("production:\n  hosts:\n    web1: {relman_policy: [{no_flaky: true}]}\n    web2:\n")
    with pytest.raises(ConfigError, match="1 problem") as caught:
        load_inventory([hosts]).environment("production", ssh_config="/dev/null")
    assert "differ in it" in str(caught.value.problems[0])
    hosts.write_text("production:\n  hosts:\n    web1:\n  vars:\n    relman_policy:\n      - no_flakey: true\n")
    with pytest.raises(ConfigError) as caught:
        load_inventory([hosts]).environment("production", ssh_config="/dev/null")
    assert str(caught.value.problems[0]).startswith(
        f"{hosts}:6:20: production.vars.relman_policy[0].no_flakey: unknown"
    )


def test_a_service_demands(tmp_path: Path) -> None:
    """relman.yml says what promote demands, with trust.yml beside it."""
    (tmp_path / "relman.yml").write_text(
        "service: shop\nregistry: registry.example:5000\n"
        "release:\n  trust: ci/trust.yml\n  policy:\n    - clean_checkout: true\n"
    )
    demands = load_service(tmp_path).release.demands
    assert demands.trust == str(tmp_path / "ci/trust.yml")
    assert demands.policy.rule == AllOf((CleanCheckout(),))
    (tmp_path / "relman.yml").write_text(
        "service: shop\nregistry: registry.example:5000\nrelease:\n  policy:\n    - clean_checkut: true\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_service(tmp_path)
    assert ":5:7: release.policy[0].clean_checkut: unknown key; did you mean clean_checkout?" in str(
        caught.value.problems[0]
    )
