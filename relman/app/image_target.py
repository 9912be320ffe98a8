"""Select the image of a command, and the keys whose statements count."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from relman.app.context import Context
from relman.app.environments import repository_of, service_of
from relman.app.factories import environment as load_environment
from relman.app.factories import written_service
from relman.app.signing import read, reading_seal
from relman.evidence.envelopes import Seal, Signed
from relman.evidence.keys import PublicKey
from relman.model.errors import UsageError
from relman.model.host import Environment
from relman.model.image import ImageRef, ManifestDigest, Platform, Repository
from relman.model.policy import Demands
from relman.model.predicates import SHORT
from relman.model.trust import Grant, Trust, TrustedKey


@dataclass(frozen=True)
class Target:
    """A repository, the requirements on its images, and the seal that decides which statements count. `of` names who
    requires it."""

    repository: Repository
    demands: Demands
    seal: Seal
    of: str
    environment: Environment | None = None


@dataclass(frozen=True)
class ImageRequest:
    """The options that select an image: an environment or a relman.yml, and the trusted keys."""

    environment: str | None
    inventories: Sequence[str]
    service: str | None
    file: str
    keys: Sequence[str]
    trust: str | None
    policy: str | None = None


def platform_of(text: str | None) -> Platform | None:
    """Parse a platform such as linux/arm64/v8. Raises UsageError."""
    return None if text is None else Platform.parse(text)


def target_of(context: Context, asked: ImageRequest, reference: str | None) -> Target:
    """The target of a full reference, an environment or a relman.yml. Raises UsageError."""
    found = _place(context, asked, reference)
    demands = found.demands
    if asked.trust:
        demands = replace(demands, trust=asked.trust)
    if asked.policy:
        from relman.config.policy import load_policy

        demands = replace(demands, policy=load_policy(asked.policy))
    if not asked.keys:
        return replace(found, demands=demands, seal=reading_seal(demands))
    if asked.trust:
        raise UsageError("give --key or --trust, not both")
    return replace(found, demands=replace(demands, trust=", ".join(asked.keys)), seal=Signed(_only(asked.keys)))


def reference_of(repository: Repository, text: str) -> str | ManifestDigest:
    """The tag or digest in `text`, which may begin with the repository. Raises UsageError for another one."""
    named = ImageRef.parse(text if "/" in text else f"{repository}{'@' if ':' in text else ':'}{text}")
    if named.repository != repository:
        raise UsageError(f"{named} is not in {repository}", hint="Name an image of that repository.")
    return named.reference


def _place(context: Context, asked: ImageRequest, reference: str | None) -> Target:
    whole = ImageRef.parse(reference).repository if reference and "/" in reference else None
    if asked.environment:
        chosen = load_environment(context, asked.environment, asked.inventories)
        repository = whole or repository_of(chosen, service_of(chosen, asked.service))
        return Target(repository, chosen.demands, Signed(), chosen.name, chosen)
    if whole:
        return Target(whole, Demands(), Signed(), "the command line")
    service = written_service(context, asked.file)
    return Target(service.repository, service.release.demands, Signed(), asked.file)


def _only(files: Sequence[str]) -> Trust:
    """Trust in exactly these public keys, for everything they signed."""
    everything = (Grant(tuple(SHORT.values()), ("*",)),)
    loaded = {f: PublicKey.load(read(Path(f)), f) for f in files}
    keys = {Path(f).name: TrustedKey(Path(f).name, key.pem, everything) for f, key in loaded.items()}
    return Trust(keys, ", ".join(files))
