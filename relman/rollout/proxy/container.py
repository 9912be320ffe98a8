"""The container of a host's proxy."""

from __future__ import annotations

from relman.hosts.state_dir import proxy as kept
from relman.model.container import RunSpec
from relman.model.container_settings import ContainerSettings
from relman.model.settings import Mount, RunSettings
from relman.rollout.proxy.haproxy_cfg import ETC, RUN

NAME = "relman-proxy"
NETWORK = "relman"
"""The network of the containers that it sends requests to."""
LABEL = "relman.proxy"
CONFIG = f"{ETC}/{kept.CONFIG}"
_CAPABILITIES = (
    "NET_BIND_SERVICE",  # ports below 1024
    "SETUID",  # workers are nobody's
    "SETGID",
    "KILL",  # its workers'
    "CHOWN",  # of its sockets
    "DAC_OVERRIDE",  # to files of the SSH user, whoever that is
)


def spec(image: str, etc: str, run: str, owner: tuple[int, int]) -> RunSpec:
    """The container: `etc` and `run` are directories of the host, `owner` the user and the group who may use the
    master's socket. It is in the host's network, where a new one takes its listeners over without a lost connection."""
    uid, gid = owner
    socket = f"{RUN}/master.sock,mode,660,uid,{uid:d},gid,{gid:d}"
    settings = RunSettings(
        networks=("host",),
        command=("-W", "-db", "-S", socket, "-f", CONFIG),
        volumes=(Mount(etc, ETC, read_only=True), Mount(run, RUN)),
        container=ContainerSettings(entrypoint=("haproxy",), user="0:0", cap_drop=("ALL",), cap_add=_CAPABILITIES),
    )
    return RunSpec(NAME, image, settings, {LABEL: "1"})
