"""The ledger's tables. A change needs a migration (migrations/versions) and its revision in HEAD."""

from __future__ import annotations

from sqlalchemy import ForeignKey, Index
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship

HEAD = "0003"


class Base(DeclarativeBase):
    """The base of all tables. Times are RFC 3339 in UTC, so that they sort as text."""


class RunRecord(Base):
    """One CI run and the outcome of its tests."""

    __tablename__ = "runs"

    id: Mapped[int] = mapped_column(primary_key=True)
    run: Mapped[str]
    service: Mapped[str]
    commit: Mapped[str]
    config: Mapped[str]
    outcome: Mapped[str]
    by: Mapped[str]
    finished: Mapped[str] = mapped_column(index=True)


class ReleaseRecord(Base):
    """One release."""

    __tablename__ = "releases"

    id: Mapped[int] = mapped_column(primary_key=True)
    service: Mapped[str]
    repository: Mapped[str]
    tag: Mapped[str]
    manifest: Mapped[str]
    run: Mapped[str]
    by: Mapped[str]
    at: Mapped[str] = mapped_column(index=True)
    reason: Mapped[str] = mapped_column(server_default="", default="")


class Deployment(Base):
    """One deployment, rollback or recovery."""

    __tablename__ = "deployments"
    __table_args__ = (Index("ix_deployments_place", "service", "environment"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    kind: Mapped[str]
    service: Mapped[str]
    environment: Mapped[str]
    release: Mapped[str]
    digest: Mapped[str]
    by: Mapped[str]
    started: Mapped[str]
    finished: Mapped[str] = mapped_column(index=True)
    outcome: Mapped[str]
    reason: Mapped[str]
    hosts: Mapped[list[DeploymentHost]] = relationship(cascade="all, delete-orphan", order_by="DeploymentHost.position")


class DeploymentHost(Base):
    """The outcome of one deployment on one host; `position` is the host's place in the deployment's order, `failed`
    what went wrong there, as JSON."""

    __tablename__ = "deployment_hosts"

    deployment_id: Mapped[str] = mapped_column(ForeignKey("deployments.id", ondelete="CASCADE"), primary_key=True)
    host: Mapped[str] = mapped_column(primary_key=True)
    position: Mapped[int]
    outcome: Mapped[str]
    detail: Mapped[str]
    failed: Mapped[str] = mapped_column(server_default="", default="")
