"""The container of a host's proxy."""

from __future__ import annotations

from collections.abc import Mapping

from relman.hosts.state_dir import proxy as kept
from relman.model.container import RunSpec
from relman.model.container_settings import ContainerSettings
from relman.model.settings import Mount, RunSettings
from relman.model.state_dir.proxy import ProxyState
from relman.rollout.proxy.haproxy_cfg import CERTIFICATES, ETC, RUN

NETWORK = "relman"
"""The network of the containers that it sends requests to."""
LABEL, LABELLED = "relman.proxy", "1"
CONFIG = f"{ETC}/{kept.CONFIG}"
_CAPABILITIES = (
    "NET_BIND_SERVICE",  # ports below 1024
    "SETUID",  # workers are nobody's
    "SETGID",
    "KILL",  # its workers'
    "CHOWN",  # of its sockets
    "DAC_OVERRIDE",  # to files of the SSH user, whoever that is
)


def spec(state: ProxyState, directories: Mapping[str, str], before: int | None) -> RunSpec:
    """The container: `directories` are those of the host by their names there. It is in the host's network, where it
    takes the listeners of the one with the number `before` over: a published port would lose connections."""
    uid, gid = state.owner
    socket = f"{RUN}/master-{state.number:d}.sock,mode,660,uid,{uid:d},gid,{gid:d}"
    taken_over = ("-x", f"{RUN}/admin-{before:d}.sock") if before else ()
    settings = RunSettings(
        networks=("host",),
        command=("-W", "-db", "-S", socket, "-f", CONFIG, *taken_over),
        volumes=(
            Mount(directories[kept.ETC], ETC, read_only=True),
            Mount(directories[kept.CERTIFICATES], CERTIFICATES, read_only=True),
            Mount(directories[kept.RUN], RUN),
        ),
        container=ContainerSettings(entrypoint=("haproxy",), user="0:0", cap_drop=("ALL",), cap_add=_CAPABILITIES),
    )
    return RunSpec(state.container, state.image, settings, {LABEL: LABELLED})
