"""Read trust.yml, and edit it without changing its other content."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from relman.config import yaml
from relman.config.yaml_document import Document, KeyPath
from relman.local import whole_file
from relman.model.errors import ConfigError, UsageError
from relman.model.formats.clock import rfc3339
from relman.model.predicates import short
from relman.model.trust import Revocation, Trust, TrustedKey

FILE_NAME = "trust.yml"


def load_trust(path: Path | str) -> Trust:
    """Load a trust.yml. Raises UsageError if it cannot be read, ConfigError with all problems."""
    return _trust(yaml.read(Path(path)), str(path))


def add_key(path: Path, key: TrustedKey) -> None:
    """Add a key to a trust.yml, which is created if necessary. Raises UsageError if the name is taken."""
    if not path.exists():
        _write(path, "# The keys that relman trusts; see docs/evidence.md.\nkeys:\n" + _written(key, "  "))
        return
    text, before = _read(path)
    if key.name in before.keys:
        raise UsageError(f"{path} already has a key {key.name!r}", hint="Give the new one another name.")
    document = yaml.parse(text.encode(), str(path))
    indent = " " * _column(document, ("keys", next(iter(before.keys)))) if before.keys else "  "
    changed = text.rstrip("\n") + "\n" + _written(key, indent)
    _replace(path, changed, replace(before, keys={**before.keys, key.name: key}))


def end_key(path: Path, name: str, end: datetime) -> None:
    """Set the end of a key's validity: what it signed before stays valid. Raises UsageError."""
    text, before = _read(path)
    key = named(before, name)
    line = f"valid_until: {rfc3339(end)}"
    changed = _with_line(text, str(path), name, "valid_until", [line])
    _replace(path, changed, replace(before, keys={**before.keys, name: replace(key, end=end)}))


def revoke_key(path: Path, name: str, revocation: Revocation) -> None:
    """Revoke a key, except for the accepted images. Raises UsageError, also if it is already revoked."""
    text, before = _read(path)
    key = named(before, name)
    if key.revoked:
        raise UsageError(f"{name} is already revoked, since {rfc3339(key.revoked.at)}")
    digests = sorted(map(str, revocation.accepted))
    lines = ["revoked:", f"  at: {rfc3339(revocation.at)}", f"  reason: {_quoted(revocation.reason)}"]
    lines += ["  accepted:", *(f"    - {digest}" for digest in digests)] if digests else []
    changed = _with_line(text, str(path), name, "revoked", lines)
    _replace(path, changed, replace(before, keys={**before.keys, name: replace(key, revoked=revocation)}))


def named(trust: Trust, name: str) -> TrustedKey:
    """One key. Raises UsageError for an unknown name."""
    if name not in trust.keys:
        raise UsageError(
            f"{trust.origin} has no key {name!r}", hint=f"It has {', '.join(sorted(trust.keys)) or 'none'}."
        )
    return trust.keys[name]


def _trust(document: Document, origin: str) -> Trust:
    from pydantic import ValidationError

    from relman.config.schema.schema_errors import faults
    from relman.config.schema.trust import TrustFile

    problems = list(document.problems)
    try:
        checked = TrustFile.model_validate(document.tree)
    except ValidationError as error:
        problems += [document.problem(f.path, f.message, on_key=f.on_key) for f in faults(error, TrustFile)]
        raise ConfigError(problems) from None
    if problems:
        raise ConfigError(problems)
    return checked.value(origin)


def _read(path: Path) -> tuple[str, Trust]:
    trust = load_trust(path)
    return path.read_text(encoding="utf-8"), trust


def _with_line(text: str, file: str, name: str, field: str, lines: Sequence[str]) -> str:
    """The text with a field of a key set: its line replaced, or the new lines inserted before the key's first field."""
    document = yaml.parse(text.encode(), file)
    body = document.tree["keys"][name]
    path: KeyPath = ("keys", name, field if field in body else next(iter(body)))
    place = document.problem(path, "", on_key=True)
    written = text.split("\n")
    indent = " " * (place.column - 1)
    kept = place.line if field in body else place.line - 1
    return "\n".join([*written[: place.line - 1], *(indent + line for line in lines), *written[kept:]])


def _column(document: Document, path: KeyPath) -> int:
    return document.problem(path, "", on_key=True).column - 1


def _replace(path: Path, text: str, wanted: Trust) -> None:
    """Write the text if it parses to `wanted`. Raises UsageError otherwise."""
    try:
        means = _trust(yaml.parse(text.encode(), str(path)), str(path))
    except ConfigError:
        means = None
    if means != wanted:
        raise UsageError(
            f"{path} is not written in a way that relman can change", hint="Change it by hand; it was not touched."
        )
    _write(path, text)


def _write(path: Path, text: str) -> None:
    """Write the file atomically."""
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o644
    try:
        whole_file.write(path, text, mode)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error


def _written(key: TrustedKey, indent: str) -> str:
    lines = [f"{key.name}:", "  public: |", *(f"    {line}" for line in key.public.decode().splitlines())]
    lines += [f"  valid_from: {rfc3339(key.start)}"] if key.start else []
    lines += [f"  valid_until: {rfc3339(key.end)}"] if key.end else []
    lines.append("  signs:")
    for grant in key.grants:
        lines.append(f"    - types: [{', '.join(_quoted(short(t)) for t in grant.types)}]")
        lines.append(f"      repositories: [{', '.join(map(_quoted, grant.repositories))}]")
    return "".join(f"{indent}{line}\n" for line in lines)


def _quoted(text: str) -> str:
    """Text for YAML, quoted unless it is certainly a plain string."""
    import json

    plain = text.replace("-", "").replace("_", "").isalnum() and not text[0].isdigit() and not text.startswith("-")
    return text if plain and text.lower() not in ("true", "false", "null", "yes", "no") else json.dumps(text)
