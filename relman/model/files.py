"""Files of the repository that containers are given: their contents travel in labels of the image, one for each."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

LARGEST = 64 << 10
"""Bytes of one file."""
LARGEST_ALL = 256 << 10
"""Bytes of all files of a service."""
MOST = 100
_LABEL = "relman.file."
_ENCODED = "base64:"


@dataclass(frozen=True, order=True)
class DeployFile:
    """A file, and where a container finds it: `name` is its path in the repository, `target` an absolute path,
    `digest` the SHA-256 of its content in hexadecimal, "" as long as the content is not known."""

    name: str
    target: str
    digest: str = ""

    def holding(self, content: bytes) -> DeployFile:
        """The same, with the digest of its content."""
        return DeployFile(self.name, self.target, digest_of(content))


def digest_of(content: bytes) -> str:
    """SHA-256 in hexadecimal: the name under which a host keeps it."""
    return hashlib.sha256(content).hexdigest()


def too_large(contents: Mapping[str, bytes]) -> str:
    """Why files of these names and contents do not travel; "" if they do."""
    if large := next((name for name, content in contents.items() if len(content) > LARGEST), None):
        return f"{large} is larger than {LARGEST >> 10} KiB"
    if sum(map(len, contents.values())) > LARGEST_ALL:
        return f"all files together are larger than {LARGEST_ALL >> 10} KiB"
    return f"there are more than {MOST} files" if len(contents) > MOST else ""


def is_label(name: str) -> bool:
    """Whether it is the label of a file."""
    return name.startswith(_LABEL)


def labels_of(contents: Mapping[str, bytes]) -> dict[str, str]:
    """The labels of an image that brings these files."""
    return {f"{_LABEL}{name}": _ENCODED + base64.b64encode(content).decode() for name, content in contents.items()}


def blanked(files: Iterable[DeployFile]) -> dict[str, str]:
    """The labels of a container that is given these files: without the contents that it would inherit from its image,
    and that every list of containers would repeat."""
    return {f"{_LABEL}{file.name}": "" for file in files}


def contents_in(labels: Mapping[str, str]) -> dict[str, bytes]:
    """The files that an image with these labels brings, by name. Raises ValueError where they are none, or too
    large."""
    found = {name.removeprefix(_LABEL): text for name, text in labels.items() if is_label(name) and text}
    contents: dict[str, bytes] = {}
    for name, text in found.items():
        try:
            contents[name] = base64.b64decode(text.removeprefix(_ENCODED), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"{name} is not in base64") from None
    if why := too_large(contents):
        raise ValueError(why)
    return contents
