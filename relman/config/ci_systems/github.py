"""GitHub Actions: workflow commands in the log; files for outputs and the job's summary.

Documentation: https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-commands and .../variables.
"""

from __future__ import annotations

from relman.config.ci_systems.system import System


def _data(text: str) -> str:
    """Escape text for a workflow command as GitHub's toolkit does."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _annotate(message: str, file: str, line: int, column: int) -> str:
    place = {"title": "relman", "file": file, "line": str(line or ""), "col": str(column or "")}
    properties = ",".join(f"{name}={_property(value)}" for name, value in place.items() if value)
    return f"::error {properties}::{_data(message)}"


GITHUB = System(
    title="GitHub Actions",
    job=("GITHUB_REPOSITORY", "GITHUB_WORKFLOW"),
    build="GITHUB_RUN_NUMBER",
    commit=("GITHUB_SHA",),
    branch=("GITHUB_HEAD_REF", "GITHUB_REF_NAME"),
    actor=("GITHUB_TRIGGERING_ACTOR", "GITHUB_ACTOR"),
    url="{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}",
    begin=lambda _number, title, _now: f"::group::{_data(title)}",
    end=lambda _number, _title, _now: "::endgroup::",
    annotate=_annotate,
    summary="GITHUB_STEP_SUMMARY",
    outputs="GITHUB_OUTPUT",
    output=lambda name, value: f"{name}={value}",
    workspace="GITHUB_WORKSPACE",
)
