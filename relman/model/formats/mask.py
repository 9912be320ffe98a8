"""Masking of secrets in output."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
_SHORT = 3


class Mask:
    """Replaces every secret in a text by ***.

    A secret of several lines is masked line by line as well, because output is shown so; lines of at most 3 characters,
    such as a brace, are not. A secret that a program prints in another encoding (base64) is not recognised.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        whole = {secret for secret in secrets if secret.strip()}
        lines = {line for secret in whole for part in secret.split("\n") if len(line := part.strip()) > _SHORT}
        known = sorted(whole | lines, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None
        self.longest = max(map(len, known), default=0)

    def __call__(self, text: str) -> str:
        """The text with its secrets masked."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text


NOTHING = Mask()
