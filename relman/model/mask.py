"""Secrets in output: replaced before anybody sees them."""

from __future__ import annotations

import re
from collections.abc import Iterable

HIDDEN = "***"
_SHORT = 3


class Mask:
    """Replaces every secret in a text by ***.

    A secret of several lines is also hidden line by line, because output is shown so; lines of a few characters, such
    as a brace, say nothing and stay. A secret that a program writes in another form (in base64) is not known again.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        whole = {secret for secret in secrets if secret.strip()}
        lines = {line for secret in whole for part in secret.split("\n") if len(line := part.strip()) > _SHORT}
        known = sorted(whole | lines, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, known))) if known else None
        self.longest = max(map(len, known), default=0)

    def __call__(self, text: str) -> str:
        """The text without its secrets."""
        return self._pattern.sub(HIDDEN, text) if self._pattern else text


NOTHING = Mask()
