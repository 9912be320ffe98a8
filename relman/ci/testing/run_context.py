"""What the containers of one run share, and the services linked to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from relman.ci.callbacks import Progress
from relman.ci.engine.containers import last_lines, state
from relman.ci.engine.stopwatch import Watch
from relman.ci.testing.interpolation import Values
from relman.ci.testing.links import LinkPort, link_variables
from relman.docker.local import LocalClient
from relman.model.formats.mask import Mask
from relman.model.run import RunName


@dataclass(frozen=True)
class Linked:
    """A service whose image is present and, when it is ready, its container and address. `image` is
    `repository@sha256:…`, or the image id if it is in no registry."""

    alias: str
    image: str
    ports: tuple[LinkPort, ...]
    env: Mapping[str, str]
    container: str = ""
    address: str = ""

    def variables(self, consumer_name: str) -> dict[str, str]:
        """The link variables for a container with this name."""
        return link_variables(self.alias, consumer_name, self.address, self.ports, self.env)


@dataclass(frozen=True)
class Bench:
    """The context of a run's containers: the engine, the run's network, whether this machine has `reached` it, values
    for references, the mask, progress and the stopwatch."""

    client: LocalClient
    run: RunName
    network: str
    reached: bool
    values: Values
    mask: Mask
    progress: Progress
    watch: Watch

    def env(
        self,
        consumer_name: str,
        linked: Mapping[str, Linked],
        env: Mapping[str, str],
        usual: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """All variables of a container linked to these services: link variables, then `usual` ones as they are, then
        its own, filled in."""
        links = {k: v for each in linked.values() for k, v in each.variables(consumer_name).items()}
        return links | dict(usual or {}) | self.values.fill(env, linked)

    def fallen(self, linked: Mapping[str, Linked]) -> str:
        """The services that no longer run, as text; their last lines go to `progress`. "" if all run."""
        words = []
        for alias, each in linked.items():
            now = state(self.client, each.container, self.network)
            if not now.running:
                words.append(f"service {alias} {now.death}")
                for line in last_lines(self.client, each.container, self.mask):
                    self.progress(f"{alias}: {line}")
        return ", ".join(words)
