"""A registry as somebody starts it who has none: on loopback, without TLS or a login."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml

from tests.lab.process import end_file, living, run, spawn, until


class LocalRegistry:
    """What `docker run -p 127.0.0.1:PORT:5000 registry:2` gives on one lab machine. `prefix` leads into the machine's
    network; everything is kept under `dir`."""

    def __init__(self, prefix: Sequence[str], port: int, dir: Path) -> None:
        self._prefix = prefix
        self._dir = dir
        self._pidfile = dir / "pid"
        self._address = f"127.0.0.1:{port}"
        dir.mkdir(exist_ok=True)
        (dir / "config.yml").write_text(yaml.safe_dump(self._config()))

    def _config(self) -> dict[str, object]:
        return {
            "version": 0.1,
            "log": {"level": "warn", "accesslog": {"disabled": True}},
            "storage": {"filesystem": {"rootdirectory": str(self._dir / "data")}},
            "http": {"addr": self._address},
        }

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let it run meanwhile."""
        argv: list[str | Path] = [*self._prefix, "docker-registry", "serve", self._dir / "config.yml"]
        spawn(argv, pidfile=self._pidfile, log=self._dir / "log")
        try:
            until(self._answers, f"the registry; see {self._dir}/log", 20)
            yield
        finally:
            end_file(self._pidfile)

    def _answers(self) -> bool:
        wget = ["busybox", "wget", "-q", "-O", "/dev/null", f"http://{self._address}/v2/"]
        return run(*self._prefix, *wget, check=False).returncode == 0

    def pause(self) -> None:
        """Let it accept connections and not answer."""
        os.kill(living(self._pidfile) or 0, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        os.kill(living(self._pidfile) or 0, signal.SIGCONT)
