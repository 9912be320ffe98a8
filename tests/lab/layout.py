"""Where one lab lives: every name, address and path follows from its number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CI_OCTET = 253
GATEWAY_OCTET = 254
MAX_HOSTS = 250


class LabError(RuntimeError):
    """Something that the lab needs is not there or did not work; the message says what to look at."""


@dataclass(frozen=True)
class Layout:
    """Lab number `id` (0 to 255) with its state in `dir`: labs with different numbers share nothing."""

    id: int
    dir: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> Layout:
        """Read RELMAN_LAB_ID (default 0) and RELMAN_LAB, the directory that lab 0 uses; others append -ID."""
        return cls.numbered(int(environ.get("RELMAN_LAB_ID", "0")), environ)

    @classmethod
    def numbered(cls, number: int, environ: Mapping[str, str]) -> Layout:
        """Return lab `number`; raise LabError if it has no subnet."""
        if number not in range(256):
            raise LabError(f"RELMAN_LAB_ID is {number}: a lab's number is 0 to 255")
        base = environ.get("RELMAN_LAB", "/var/tmp/relman-lab")  # noqa: S108 (root's own, survives a reboot)
        return cls(number, Path(base if number == 0 else f"{base}-{number}").absolute())

    @property
    def bridge(self) -> str:
        """The link that joins the lab's machines; it carries the gateway's address."""
        return f"lab{self.id}"

    @property
    def prefix(self) -> str:
        """What the names of this lab's network namespaces begin with."""
        return f"lab{self.id}-"

    @property
    def cgroup(self) -> str:
        """The cgroup under which the lab's engines put their containers."""
        return f"relman-lab{self.id}"

    def netns(self, name: str) -> str:
        """Return the name of machine `name`'s network namespace."""
        return self.prefix + name

    def link(self, name: str) -> str:
        """Return the name of the bridge's end of machine `name`'s cable."""
        return f"l{self.id}-{name}"

    def address(self, octet: int) -> str:
        """Return address number `octet` on the lab's /24."""
        return f"10.77.{self.id}.{octet}"

    def mac(self, octet: int) -> str:
        """Return the hardware address with it: fixed, so that a reboot leaves no stale neighbour."""
        return f"02:77:00:00:{self.id:02x}:{octet:02x}"

    @property
    def gateway(self) -> str:
        """The controller's address on the bridge."""
        return self.address(GATEWAY_OCTET)

    @property
    def registry(self) -> str:
        """The registry's address, HOST:PORT."""
        return f"{self.gateway}:5000"

    @property
    def index(self) -> str:
        """The package index's address, HOST:PORT."""
        return f"{self.gateway}:5443"

    def machine(self, name: str) -> Path:
        """Return the directory of machine `name`."""
        return self.dir / "machines" / name
