"""Documents `check` and `hosts`: valid files, and what hosts lack."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from relman.app.check.files import GoodFiles
from relman.app.check.hosts import Readiness


def check_document(found: GoodFiles) -> dict[str, Any]:
    """The service, if there is one, and the valid environments."""
    service = found.service
    data = {"file": found.file, "service": service.name, "repository": str(service.repository)} if service else {}
    return {**data, "environments": [each.name for each in found.environments]}


def hosts_document(readiness: Readiness) -> dict[str, Any]:
    """What each host lacks before it can be deployed to."""
    hosts = [
        {"host": host, "ready": not lacks, "missing": [asdict(lack) for lack in lacks]}
        for host, lacks in readiness.lacks.items()
    ]
    return {"environment": readiness.environment, "hosts": hosts}
