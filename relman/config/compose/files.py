"""Files of the repository that a compose service mounts: they become deploy.files."""

from __future__ import annotations

import os
import posixpath
from dataclasses import replace
from pathlib import Path

from relman.config import repository_file
from relman.config.compose.environment import is_secret
from relman.config.compose.model import ComposeService, Lost, ServiceMount
from relman.model.files import LARGEST

_SECRET_ENDS = (".pem", ".key", ".p12", ".pfx")


def without_files(service: ComposeService, root: str, lost: Lost) -> tuple[ComposeService, dict[str, str]]:
    """The service without its mounts of single files below `root`, and those of them that relman can mount, each with
    its target; `lost` is told of the others."""
    files, kept = dict[str, str](), list[ServiceMount]()
    for mount in service.mounts:
        if mount.type != "bind" or mount.source.startswith(("/", "~")) or not Path(root, mount.source).is_file():
            kept.append(mount)
        elif why := _refusal(root, mount.source):
            lost(f"volumes ({mount.source})", why)
        else:
            files[mount.source] = mount.target
            if not mount.read_only:
                lost(
                    f"volumes ({mount.source})",
                    "it became one of deploy.files: nobody in the container may write it",
                )
    return replace(service, mounts=tuple(kept)), files


def _refusal(root: str, source: str) -> str:
    """Why a file does not travel with the image; "" if it may."""
    name = posixpath.basename(source)
    if name.startswith(".env") or name.endswith(_SECRET_ENDS) or is_secret(posixpath.splitext(name)[0]):
        return "it may hold secrets, which no image may: see deploy.secrets"
    if why := repository_file.fault(root, source, LARGEST):
        return why
    return "relman mounts no program: COPY it into the image" if os.access(Path(root, source), os.X_OK) else ""
