"""How an image is judged: policy, skipped gates, and records of other environments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from relman.app.context import Context, Events
from relman.app.factories import environment as load_environment
from relman.app.identity import who
from relman.evidence.assessment import Criteria, ServedIn
from relman.evidence.envelopes import Seal
from relman.model.errors import RelmanError, UsageError
from relman.model.formats.clock import timestamp
from relman.model.policy import Demands, Policy, Skip


def skips_of(context: Context, gates: Sequence[str], reason: str | None) -> tuple[Skip, ...]:
    """The gates that a person skips, with the reason. Raises UsageError if there is none."""
    if gates and not reason:
        raise UsageError("--unsafe-skip-gate needs --reason", hint="Say why: the history shows it.")
    return tuple(Skip(gate, reason or "", who(context.environ), timestamp()) for gate in gates)


def check_of(
    demands: Demands, seal: Seal, *, skips: tuple[Skip, ...] = (), served: Mapping[str, ServedIn] | None = None
) -> Criteria:
    """The check of images, as of now."""
    return Criteria(seal, demands.policy, datetime.now(UTC), skips, served or {})


def served_in(context: Context, policy: Policy, inventories: Sequence[str], service: str) -> dict[str, ServedIn]:
    """The records of the hosts in those environments in which the policy requires a proof."""
    return {name: _served(context, name, inventories, service) for name in policy.environments()}


def _served(context: Context, name: str, inventories: Sequence[str], service: str) -> ServedIn:
    from relman.hosts.state_dir import record
    from relman.rollout.fleet import Fleet

    try:
        chosen = load_environment(context, name, inventories)
        with Fleet(chosen, service) as fleet:
            fleet.require_all()
            found = fleet.each(lambda session: record.read(session.connection, chosen.name, service))
            return ServedIn(found.all(f"reading the records of {name}"))
    except UsageError:
        raise
    except RelmanError as error:
        return ServedIn(why=str(error))


def say_trust(events: Events, demands: Demands, of: str) -> None:
    """Note it if signatures are not checked."""
    if demands.trust is None:
        events.note(f"signatures are not checked: {of} has no trust.yml, so anyone who can push could forge evidence")
