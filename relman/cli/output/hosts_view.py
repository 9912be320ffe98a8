"""What hosts lack before they can be deployed to, as people read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from relman.cli.output.printer import Output
from relman.model.formats.text import hosts_by
from relman.rollout.looking.readiness import Lack


def show_readiness(output: Output, found: Mapping[str, Sequence[Lack]]) -> None:
    """Show what hosts lack and how to correct it, once for all hosts that lack the same."""
    ready = [host for host, lacks in found.items() if not lacks]
    if ready:
        output.line(f"ready: {', '.join(ready)}")
    lacking = hosts_by((host, lack) for host, lacks in found.items() for lack in dict.fromkeys(lacks))
    for lack, names in lacking.items():
        output.line(f"{', '.join(names)}: {lack.kind}: {lack.what}")
        if lack.mend:
            output.line(f"    {lack.mend}")
