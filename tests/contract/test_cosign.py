"""Independent programs read relman's evidence: cosign by the public key alone, oras by the referrers."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from relman.evidence.facts import Check
from relman.evidence.keys import ALGORITHMS, SigningKey
from relman.evidence.promote import promote
from relman.evidence.release import find_release
from relman.evidence.seal import Signed
from relman.evidence.store import attestation_tag
from relman.model.image import Digest, Repository
from relman.model.predicates import RELEASE, TEST_RESULT
from relman.registry.client import Registry
from relman.registry.manifest import Manifest, digest_in
from tests.contract.images import AMD64, ARM64, push_image, push_index
from tests.contract.registry_fixture import Place
from tests.lab import trixie
from tests.lab.registry import USER
from tests.lab.registry import Registry as RealRegistry
from tests.unit.reports import report


@dataclass(frozen=True)
class Auditor:
    """Somebody who has the registry's CA, a login and a public key, and programs that are not relman."""

    real: RealRegistry
    home: Path
    registry: Registry
    repository: Repository

    def run(self, program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run cosign or oras."""
        env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "DOCKER_CONFIG": str(self.real.docker_config),
            "SSL_CERT_FILE": str(self.real.ca),
            "COSIGN_PASSWORD": "",
        }
        argv = [str(trixie.program(program)), *arguments]
        return subprocess.run(argv, env=env, cwd=self.home, capture_output=True, text=True, timeout=60)

    def verify(self, key: SigningKey, predicate_type: str, reference: str) -> subprocess.CompletedProcess[str]:
        """`cosign verify-attestation` by the public key."""
        public = self.home / "relman.pub"
        public.write_bytes(key.public.pem)
        return self.run(
            "cosign",
            "verify-attestation",
            "--insecure-ignore-tlog",
            "--key",
            str(public),
            "--type",
            predicate_type,
            f"{self.repository}{reference}",
        )


@pytest.fixture
def auditor(real_registry: RealRegistry, tmp_path: Path) -> Iterator[Auditor]:
    """An auditor of a repository that nobody used before."""
    from relman.registry.auth import Credentials

    place = Place(real_registry.address, Credentials(USER, real_registry.password), ca=str(real_registry.ca))
    with place.connect() as registry:
        yield Auditor(real_registry, tmp_path, registry, place.repository())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_cosign_accepts_what_relman_signed(auditor: Auditor, algorithm: str) -> None:
    """By the public key alone cosign verifies both statements by tag and by digest, and gives their content; by another
    key it verifies nothing."""
    key, other = SigningKey.generate(algorithm), SigningKey.generate(algorithm)
    manifest = push_image(auditor.registry, auditor.repository)
    check = Check(Signed(key=key))
    promote(
        auditor.registry,
        auditor.repository,
        source="run-shop-1",
        report=report(manifest),
        release_tag="118",
        check=check,
    )
    for predicate_type in (TEST_RESULT, RELEASE):
        done = auditor.verify(key, predicate_type, ":118")
        assert done.returncode == 0, done.stderr
        payload = json.loads(base64.b64decode(json.loads(done.stdout.splitlines()[0])["payload"]))
        assert payload["predicateType"] == predicate_type
        assert payload["subject"][0]["digest"] == {"sha256": manifest.digest.hex}
    assert auditor.verify(key, TEST_RESULT, f"@{manifest.digest}").returncode == 0
    assert auditor.verify(other, TEST_RESULT, ":118").returncode != 0


def test_cosign_adds_its_own_beside_what_relman_signed(auditor: Auditor) -> None:
    """Somebody else's `cosign attest`, and `--replace` of it, go into the view that relman wrote, and what either
    signed stays verifiable, also when relman has added to it again."""
    key, registry, repository = SigningKey.generate("ed25519"), auditor.registry, auditor.repository
    check = Check(Signed(key=key))
    manifest = push_image(registry, repository)
    (auditor.home / "scan.json").write_text('{"found": 0}')
    assert auditor.run("cosign", "generate-key-pair").returncode == 0
    attest = ("cosign", "attest", "--yes", "--tlog-upload=false", "--key", "cosign.key", "--predicate", "scan.json")
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
    assert scan in kinds


@pytest.mark.parametrize("part", ["payload", "signature"])
def test_cosign_rejects_what_was_tampered_with(auditor: Auditor, part: str) -> None:
    """An attestation whose payload or signature was changed verifies no more, by cosign as by relman."""
    key = SigningKey.generate("ed25519")
    manifest = push_image(auditor.registry, auditor.repository)
    check = Check(Signed(key=key))
    promote(
        auditor.registry,
        auditor.repository,
        source="run-shop-1",
        report=report(manifest),
        release_tag="118",
        check=check,
    )
    tag = attestation_tag(manifest.digest)
    view = auditor.registry.resolve(auditor.repository, tag)
    layers = [tampered(auditor, layer, part) for layer in view.list_of("layers")]
    changed = Manifest.of({**view.document, "mediaType": view.media_type, "layers": layers})
    auditor.registry.put_manifest(auditor.repository, tag, changed)
    done = auditor.verify(key, TEST_RESULT, ":118")
    assert done.returncode != 0
    assert "PASSED" not in done.stdout


def tampered(auditor: Auditor, layer: dict[str, object], part: str) -> dict[str, object]:
    """The layer with an envelope changed: a failed test more, or one bit of the signature."""
    envelope = json.loads(auditor.registry.blob(auditor.repository, digest_in(layer)))
    if part == "payload":
        payload = base64.b64decode(envelope["payload"]).replace(b"shop/118", b"shop/119").replace(b"PASSED", b"PASSEL")
        envelope["payload"] = base64.b64encode(payload).decode()
    else:
        signature = bytearray(base64.b64decode(envelope["signatures"][0]["sig"]))
        signature[10] ^= 1
        envelope["signatures"][0]["sig"] = base64.b64encode(signature).decode()
    content = json.dumps(envelope).encode()
    auditor.registry.put_blob(auditor.repository, content)
    return {**layer, "digest": str(Digest.of(content)), "size": len(content)}


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
        check=Check(Signed(key=key)),
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
    check = Check(Signed(key=key))
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
