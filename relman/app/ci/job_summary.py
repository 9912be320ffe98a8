"""The section of a finished stage in a CI job's summary. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

_MOST = 20


def summary_of(kind: str, data: Mapping[str, Any]) -> str:
    """Markdown for a stage's document (`test`, `promote`); "" for any other kind."""
    makers = {"test": _tested, "promote": _promoted}
    return "\n".join(makers[kind](data)) + "\n\n" if kind in makers else ""


def _tested(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {_text(data['service'])}: tests {'passed' if data['passed'] else 'FAILED'}"
    yield ""
    yield "| command | ended with | seconds |"
    yield "| --- | --- | --- |"
    for command in data["commands"]:
        end = "timed out" if command["exit"] is None else f"exit code {command['exit']}"
        problem = f": {command['problem']}" if command["problem"] else ""
        yield f"| {_text(command['name'])} | {_text(end + problem)} | {command['seconds']:.1f} |"
    failed = (data["findings"] or {}).get("failed", ())
    if failed:
        yield ""
    yield from (f"- failed: {_text(case['name'])}" for case in failed[:_MOST])
    if len(failed) > _MOST:
        yield f"- and {len(failed) - _MOST} more"


def _promoted(data: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {_text(data['service'])}: released {_text(data['release'])}"
    yield ""
    facts = {
        "run": data["run"],
        "image": f"{data['repository']}@{data['manifest']}" if "manifest" in data else "",
        "channels": ", ".join(data.get("channels", ())),
        "index": data.get("index", ""),
        "git tag": data.get("git_tag", ""),
    }
    yield from (f"- {name}: `{value.replace('`', '')}`" for name, value in facts.items() if value)


def _text(value: object) -> str:
    """Text for a table cell, with markup escaped."""
    escaped = str(value).replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|")
    return " ".join(escaped.replace("`", "'").split())
