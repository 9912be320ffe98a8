"""GitLab CI: collapsible sections in the log; outputs in a dotenv report.

Documentation: https://docs.gitlab.com/ci/jobs/job_logs/#custom-collapsible-sections and
https://docs.gitlab.com/ci/variables/predefined_variables/.
"""

from __future__ import annotations

from relman.config.ci_systems.system import System

_ERASE = "\x1b[0K"

GITLAB = System(
    title="GitLab CI",
    job=("CI_PROJECT_PATH",),
    build="CI_PIPELINE_IID",
    matrix="CI_NODE_INDEX",
    commit=("CI_COMMIT_SHA",),
    branch=("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
    actor=("GITLAB_USER_LOGIN",),
    url="{CI_JOB_URL}",
    begin=lambda number, title, now: f"{_ERASE}section_start:{now}:relman_{number}\r{_ERASE}{title}",
    end=lambda number, _title, now: f"{_ERASE}section_end:{now}:relman_{number}\r{_ERASE}",
)
