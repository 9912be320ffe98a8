"""Lines of known_hosts: relman holds a line to be about a host where ssh-keygen -F does."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from relman.hosts.ssh.keys.known_hosts_file import read_entries

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHqHlukHSZ3bmun3ifsg4XDpP8ZfieNqLO4JFqPX4i3c"
NAMES = ("web1", "web2", "10.77.22.1", "[web1]:2222", "[10.77.22.1]:2222", "fe80::1")
SHAPES = (
    "web1",
    "WEB1",
    "web1,web2",
    "web*",
    "web?",
    "*",
    "w*1",
    "10.77.22.*",
    "10.77.??.1",
    "!web1,*",
    "*,!web1",
    "web1,!web1",
    "!web1",
    "[web1]:2222",
    "[web*]:2222",
    "[*]:*",
    "[web1]:22?2",
    "web[12]",
    "fe80::1",
    "fe80:*",
    "*.example.com",
    ",web1",
    "web1,",
    "|1|MTIzNDU2Nzg5MDEyMzQ1Njc4OTA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA=",
)


@pytest.mark.parametrize("names", SHAPES)
def test_a_line_is_about_the_hosts_that_ssh_keygen_finds_in_it(tmp_path: Path, names: str) -> None:
    """Every name is found in the line by both or by neither."""
    file = tmp_path / "known_hosts"
    file.write_text(f"{names} {KEY}\n")
    assert [relman(file, name) for name in NAMES] == [openssh(file, name) for name in NAMES]


def test_hashed_names_of_ssh_keygen_are_read(tmp_path: Path) -> None:
    """A file that ssh-keygen -H hashed names the same hosts as before."""
    file = tmp_path / "known_hosts"
    file.write_text("".join(f"{name} {KEY}\n" for name in ("web1", "[web1]:2222")))
    subprocess.run(["ssh-keygen", "-H", "-f", str(file)], check=True, capture_output=True)
    assert "web1" not in file.read_text()
    assert [name for name in NAMES if relman(file, name)] == ["web1", "[web1]:2222"]


def relman(file: Path, name: str) -> bool:
    """Whether relman finds the host."""
    return any(entry.holds_for(name) for entry in read_entries(file))


def openssh(file: Path, name: str) -> bool:
    """Whether ssh-keygen does."""
    return subprocess.run(["ssh-keygen", "-F", name, "-f", str(file)], check=False, capture_output=True).returncode == 0
