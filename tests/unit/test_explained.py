"""What a file that cannot be written on a host says about that host."""

from __future__ import annotations

from typing import Any, cast

import pytest

from relman.hosts.state_dir.sftp_errors import explained
from relman.model.errors import PreflightFailed, RelmanError, Unreachable
from tests.unit.model_host import ModelConnection, ModelHost


@pytest.mark.parametrize(("reachable", "kind"), [(False, Unreachable), (True, PreflightFailed)])
def test_a_connection_that_broke_is_no_full_disk(reachable: bool, kind: type[RelmanError]) -> None:
    """What SFTP raises for a full disk, an OSError without a number, comes of a connection that breaks, too. Whether it
    still stands tells them apart."""
    host = ModelHost("h1", lambda _: None, lambda: 0.0, reachable=reachable)
    with pytest.raises(kind), explained(cast(Any, ModelConnection(host)), "/var/lib/relman/record.json"):
        raise OSError("Failure")
