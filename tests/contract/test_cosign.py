"""Independent programs read relman's evidence: cosign by the public key alone, oras by the referrers."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from relman.evidence.assessment import Criteria
from relman.evidence.envelopes import Envelope, Signed
from relman.evidence.keys import ALGORITHMS, SigningKey
from relman.evidence.promote import promote
from relman.evidence.release import find_release
from relman.evidence.store import attestation_tag, index_tag, look
from relman.evidence.test_result import read_statement
from relman.model.errors import PolicyRefused
from relman.model.image import Digest, Repository
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.model.trust import Grant, Trust, TrustedKey
from relman.registry.client import Registry
from relman.registry.manifest import OCI_INDEX, Manifest, digest_in
from tests.contract.evidence import find
from tests.contract.images import AMD64, ARM64, push_image, push_index
from tests.contract.registry_fixture import Place
from tests.lab import trixie
from tests.lab.registry import USER
from tests.lab.registry import Registry as RealRegistry
from tests.unit.documents import ROOT
from tests.unit.reports import report

COSIGNS = {2: trixie.SUITE, 3: trixie.SID}
"""Where each major version of cosign is from."""
DOCUMENTED = re.compile(r"^ *cosign verify-attestation .*\\\n.*$", re.MULTILINE)


@dataclass(frozen=True)
class Auditor:
    """Somebody who has the registry's CA, a login and a public key, and programs that are not relman: one major version
    of cosign, and oras."""

    real: RealRegistry
    home: Path
    registry: Registry
    repository: Repository
    cosign: int

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run cosign or oras."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "DOCKER_CONFIG": str(self.real.docker_config),
            "SSL_CERT_FILE": str(self.real.ca),
            "COSIGN_PASSWORD": "",
        }
        suite = COSIGNS[self.cosign] if program == "cosign" else trixie.SUITE
        argv = [str(trixie.program(program, suite=suite)), *arguments]
        return subprocess.run(argv, env=env, cwd=self.home, capture_output=True, text=True, timeout=60)

    def verify(self, key: SigningKey, predicate_type: str, reference: str) -> subprocess.CompletedProcess[str]:
        """What the README says that an auditor types, for this statement and image."""
        (self.home / "ci.key.pub").write_bytes(key.public.pem)
        (command,) = [c for c in documented("README.md") if predicate_type in c]
        return self.run(*command[:-1], f"{self.repository}{reference}")


def documented(file: str) -> list[list[str]]:
    """The commands for cosign in a document, in order, as arguments; the last one is the image."""
    texts = DOCUMENTED.findall((ROOT / file).read_text())
    found = [shlex.split(text.replace("\\\n", " ")) for text in texts]
    assert all(re.fullmatch(r"registry\.example\.com(:5000)?/shop:118", command[-1]) for command in found)
    return found


def test_every_document_has_the_same_commands() -> None:
    """The README and docs/evidence.md tell an auditor to type the same, for both statements; that is what is tested
    here."""
    readme, evidence = ([command[:-1] for command in documented(f)] for f in ("README.md", "docs/evidence.md"))
    assert readme == evidence
    assert [command[command.index("--type") + 1] for command in readme] == [TEST_RESULT, RELEASE]


@pytest.fixture(params=COSIGNS, ids="cosign {}".format)
def auditor(request: pytest.FixtureRequest, real_registry: RealRegistry, tmp_path: Path) -> Iterator[Auditor]:
    """An auditor of a repository that nobody used before."""
    from relman.registry.auth import Credentials

    version = int(request.param)
    assert trixie.major("cosign", suite=COSIGNS[version]) == version
    place = Place(real_registry.address, Credentials(USER, real_registry.password), ca=str(real_registry.ca))
    with place.connect() as registry:
        yield Auditor(real_registry, tmp_path, registry, place.repository(), version)


def release(auditor: Auditor, manifest: Manifest, key: SigningKey) -> None:
    """Promote an image to 118, signed."""
    check = Criteria(Signed(key=key))
    place = (auditor.registry, auditor.repository)
    promote(*place, source="run-shop-1", report=report(manifest), release_tag="118", check=check)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cosign_accepts_what_relman_signed(auditor: Auditor, algorithm: str) -> None:
    """By the public key alone cosign verifies both statements by tag and by digest, and gives their content; by another
    key it verifies nothing."""
    key, other = SigningKey.generate(algorithm), SigningKey.generate(algorithm)
    manifest = push_image(auditor.registry, auditor.repository)
    release(auditor, manifest, key)
    for predicate_type in (TEST_RESULT, RELEASE):
        done = auditor.verify(key, predicate_type, ":118")
        assert done.returncode == 0, done.stderr
        payload = json.loads(base64.b64decode(json.loads(done.stdout.splitlines()[0])["payload"]))
        assert payload["predicateType"] == predicate_type
        assert payload["subject"][0]["digest"] == {"sha256": manifest.digest.hex}
    assert auditor.verify(key, TEST_RESULT, f"@{manifest.digest}").returncode == 0
    assert auditor.verify(other, TEST_RESULT, ":118").returncode != 0


def test_cosign_adds_its_own_beside_what_relman_signed(auditor: Auditor) -> None:
    """Somebody else's `cosign attest`, and `--replace` of it, go beside what relman wrote (2: into the same view), and
    what either signed stays verifiable, also when relman has added to it again, and is found by relman."""
    key, registry, repository = SigningKey.generate("ed25519"), auditor.registry, auditor.repository
    check = Criteria(Signed(key=key))
    manifest = push_image(registry, repository)
    (auditor.home / "scan.json").write_text('{"found": 0}')
    assert auditor.run("cosign", "generate-key-pair").returncode == 0
    unlogged = ["--tlog-upload=false", *(["--use-signing-config=false"] if auditor.cosign >= 3 else [])]
    attest = ("cosign", "attest", "--yes", *unlogged, "--key", "cosign.key", "--predicate", "scan.json")
    scan = "https://example.com/scan/v1"
    for number, options in enumerate([(), ("--replace",)], 118):
        tested = report(manifest)
        promote(registry, repository, source=manifest.digest, report=tested, release_tag=str(number), check=check)
        done = auditor.run(*attest, *options, "--type", scan, f"{repository}@{manifest.digest}")
        assert done.returncode == 0, done.stderr
        verify = ("cosign", "verify-attestation", "--insecure-ignore-tlog", "--key", "cosign.pub", "--type", scan)
        assert auditor.run(*verify, f"{repository}:{number}").returncode == 0
        assert auditor.verify(key, RELEASE, f":{number}").returncode == 0
    promote(registry, repository, source=manifest.digest, report=report(manifest), release_tag="120", check=check)
    view = registry.resolve(repository, attestation_tag(manifest.digest))
    kinds = [layer["annotations"]["predicateType"] for layer in view.list_of("layers")]
    assert (kinds.count(TEST_RESULT), kinds.count(RELEASE)) == (1, 3)
    assert scan in {read_statement(o.payload).predicate_type for o in find(registry, repository, manifest.digest)}


@pytest.mark.parametrize("part", ["payload", "signature"])
def test_cosign_rejects_what_was_tampered_with(auditor: Auditor, part: str) -> None:
    """An attestation whose payload or signature was changed verifies no more, by cosign as by relman."""
    key = SigningKey.generate("ed25519")
    manifest = push_image(auditor.registry, auditor.repository)
    release(auditor, manifest, key)
    tamper(auditor, manifest, part)
    done = auditor.verify(key, TEST_RESULT, ":118")
    assert done.returncode != 0
    assert "PASSED" not in done.stdout
    trusting = Criteria(Signed(trust_in(key)))
    with pytest.raises(PolicyRefused):
        find_release(auditor.registry, auditor.repository, "118", check=trusting)


def trust_in(key: SigningKey) -> Trust:
    """The key may sign both statements about anything."""
    return Trust({"ci": TrustedKey("ci", key.public.pem, (Grant((TEST_RESULT, RELEASE), ("*",)),))})


def tamper(auditor: Auditor, manifest: Manifest, part: str) -> None:
    """Change every envelope beside the image: what is under its own tag, and both views of it."""
    registry, repository = auditor.registry, auditor.repository
    stored = look(registry, repository, manifest.digest)
    assert stored.attestations
    for tag, own in stored.tagged.items():
        registry.put_manifest(repository, tag, with_layers(auditor, own, part))
    entries = [registry.resolve(repository, tag).descriptor() for tag in stored.tagged]
    index = Manifest.of({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    registry.put_manifest(repository, index_tag(manifest.digest), index)
    view = with_layers(auditor, stored.attestations, part)
    registry.put_manifest(repository, attestation_tag(manifest.digest), view)


def with_layers(auditor: Auditor, manifest: Manifest, part: str) -> Manifest:
    """The manifest with every envelope in it changed."""
    layers = [tampered(auditor, layer, part) for layer in manifest.list_of("layers")]
    return Manifest.of({**manifest.document, "mediaType": manifest.media_type, "layers": layers})


def tampered(auditor: Auditor, layer: dict[str, object], part: str) -> dict[str, object]:
    """The layer with an envelope changed: another run, or one bit of the signature."""
    document = json.loads(auditor.registry.blob(auditor.repository, digest_in(layer)))
    envelope = document.get("dsseEnvelope", document)
    if part == "payload":
        payload = base64.b64decode(envelope["payload"]).replace(b"shop/118", b"shop/119").replace(b"PASSED", b"PASSEL")
        envelope["payload"] = base64.b64encode(payload).decode()
    else:
        signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
        signature[10] ^= 1
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    content = json.dumps(document).encode()
    auditor.registry.put_blob(auditor.repository, content)
    kept = {name: value for name, value in layer.items() if name != "data"}
    return kept | {"digest": str(Digest.of(content)), "size": len(content)}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_was_signed_with_a_key_id_counts_and_is_signed_again(auditor: Auditor, algorithm: str) -> None:
    """An envelope that names its key, as relman once wrote them, counts for relman; promoted again cosign accepts both
    statements too, whatever its version."""
    key, registry, repository = SigningKey.generate(algorithm), auditor.registry, auditor.repository
    check, old = Criteria(Signed(trust_in(key), key)), Criteria(Naming(trust_in(key), key))
    manifest = push_image(registry, repository)
    promote(registry, repository, source="run-shop-1", report=report(manifest), release_tag="118", check=old)
    assert b'"keyid":"%s"' % key.public.id.encode() in look(registry, repository, manifest.digest).envelopes[0].content
    assert find_release(registry, repository, "118", check=check).manifest == manifest.digest
    promote(registry, repository, source="118", report=report(manifest), release_tag="118", check=check)
    for predicate_type in (TEST_RESULT, RELEASE):
        done = auditor.verify(key, predicate_type, ":118")
        assert done.returncode == 0, done.stderr


class Naming(Signed):
    """A seal whose envelopes name their key."""

    def __init__(self, trust: Trust, key: SigningKey) -> None:
        super().__init__(trust, key)
        self._id = key.public.id

    def wrap(self, payload: bytes) -> Envelope:
        """As Signed does, with the key's id."""
        made = super().wrap(payload)
        document = json.loads(made.content)
        document["dsseEnvelope"]["signatures"][0]["keyid"] = self._id
        return Envelope(made.media_type, json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


def test_oras_lists_the_referrers(auditor: Auditor) -> None:
    """`oras discover` shows both statements, of the index and of the image in it that was tested."""
    key = SigningKey.generate("ed25519")
    children = {
        p: push_image(auditor.registry, auditor.repository, f"run-{p.architecture}", platform=p) for p in (AMD64, ARM64)
    }
    index = push_index(auditor.registry, auditor.repository, "run-shop-1", children)
    promote(
        auditor.registry,
        auditor.repository,
        source="run-shop-1",
        report=report(children[AMD64]),
        release_tag="118",
        check=Criteria(Signed(key=key)),
    )
    for reference in (":118", f"@{index.digest}", f"@{children[AMD64].digest}"):
        done = auditor.run("oras", "discover", "--format", "json", f"{auditor.repository}{reference}")
        assert done.returncode == 0, done.stderr
        found = json.loads(done.stdout)["manifests"]
        kinds = {m["annotations"]["dev.sigstore.bundle.predicateType"] for m in found}
        assert kinds == {TEST_RESULT, RELEASE}, reference
    assert auditor.verify(key, TEST_RESULT, f"@{index.digest}").returncode == 0
    assert auditor.verify(key, TEST_RESULT, f"@{children[ARM64].digest}").returncode != 0


def test_evidence_survives_garbage_collection(auditor: Auditor) -> None:
    """After the registry's own garbage collection, with untagged manifests deleted, relman, cosign and oras still find
    everything, and what is untagged is gone."""
    key = SigningKey.generate("ed25519")
    registry, repository = auditor.registry, auditor.repository
    manifest, untagged = (push_image(registry, repository, "run-shop-1", labels={"n": n}) for n in ("2", "1"))
    check = Criteria(Signed(key=key))
    promote(registry, repository, source=manifest.digest, report=report(manifest), release_tag="118", check=check)
    registry.put_manifest(repository, "run-shop-1", manifest)
    auditor.real.stop()
    try:
        config = str(auditor.real.dir / "config.yml")
        command = ["docker-registry", "garbage-collect", "--delete-untagged", config]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
    finally:
        auditor.real.start()
    assert not registry.has(repository, untagged.digest)
    assert find_release(registry, repository, "118", check=check).manifest == manifest.digest
    for predicate_type in (TEST_RESULT, RELEASE):
        assert auditor.verify(key, predicate_type, ":118").returncode == 0
    done = auditor.run("oras", "discover", "--format", "json", f"{repository}:118")
    assert len(json.loads(done.stdout)["manifests"]) == 2
