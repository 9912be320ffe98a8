"""relman as its user installs it: the wheel, and the packages of requirements.lock."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import relman
from relman.cli.main import VERBS
from tests.lab import wheels

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("relman", "playbooks", "pyproject.toml", "README.md", "LICENSE")


def test_the_wheel_and_its_lock_are_enough(tmp_path: Path) -> None:
    """Installed in an environment of its own, with the locked packages and no others, every command is there, its
    migrations and playbooks came along, and a release of a library says what it lacks."""
    home = tmp_path / "env"
    source = tmp_path / "source"
    source.mkdir()
    for part in PARTS:
        if (ROOT / part).is_dir():
            shutil.copytree(ROOT / part, source / part)
        else:
            shutil.copy(ROOT / part, source / part)
    _run(sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", tmp_path, source)
    _run(sys.executable, "-m", "venv", home)
    pip: list[str | Path] = [home / "bin/pip", "install", "-q", "--disable-pip-version-check", "--no-index"]
    _run(*pip, "--find-links", wheels.fetch(), "--require-hashes", "-r", ROOT / "requirements.lock")
    _run(*pip, "--no-deps", *tmp_path.glob("relman-*.whl"))
    _run(home / "bin/pip", "check")

    def ran(*line: str | Path, code: int = 0) -> str:
        return _run(home / "bin/relman", *line, code=code, cwd=tmp_path)

    assert ran("--version") == f"relman {relman.__version__}\n"
    for verb in VERBS:
        assert f"relman {verb}" in ran(verb, "--help")
    assert "nothing is recorded" in ran("history")
    assert "relman_services" in ran("status", "-e", "production", "-i", source / "README.md", code=2)
    release = home / "share/relman/playbooks/release.yml"
    assert "STAGE" in ran("playbook", "run", release, "--plan", "-v", "staging_url=https://shop.example.com")
    (tmp_path / "relman.yml").write_text(
        "service: money\nregistry: registry.example.com\nrelease: {library: {index: 'https://index.example.com/'}}\n"
    )
    assert "relman[library]" in ran("promote", "--run", "money/1", code=2)


def _run(*argv: str | Path, code: int = 0, cwd: Path | None = None) -> str:
    env = {**os.environ, "HOME": str(cwd or "/"), "PYTHONPATH": "", "RELMAN_DATA_DIR": str(cwd or "/")}
    done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd=cwd, env=env)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr if code else done.stdout
