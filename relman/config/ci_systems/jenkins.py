"""Jenkins: no groups and no annotations of its own; outputs in a properties file."""

from __future__ import annotations

from relman.config.ci_systems.system import System

JENKINS = System(
    title="Jenkins",
    job=("JOB_NAME",),
    build="BUILD_NUMBER",
    commit=("GIT_COMMIT",),
    branch=("CHANGE_BRANCH", "BRANCH_NAME", "GIT_BRANCH"),
    actor=("BUILD_USER_ID", "CHANGE_AUTHOR"),
    url="{BUILD_URL}",
)
