"""Jenkins: no sections and no annotations; outputs in a properties file.

Documentation: https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables.
"""

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
