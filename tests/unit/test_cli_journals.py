"""One history of what hosts tell and what this machine knows: nothing here asks a host."""

from __future__ import annotations

from dataclasses import replace

import pytest

from relman.app.looking.journals import Answers, contradictions, joined
from relman.ledger.entries import Entry, HostOutcome
from relman.model.errors import Unknown, Unreachable
from relman.model.host import Environment
from relman.model.plan import Result
from relman.model.state_dir.journal import JournalLines, Resolved, lines_in
from relman.rollout.looking.history import merged
from tests.unit.test_journal import LINE


def answers(**journals: JournalLines) -> Answers:
    """What these hosts tell of shop."""
    by_host = {host: {"shop": lines} for host, lines in journals.items()}
    return Answers(Environment("production", ()), by_host, merged(by_host), {})


def test_a_deployment_is_told_once_with_every_host_s_own_word() -> None:
    """Whom the others name as silent or left out is in it, unless it says itself what became of it."""
    one = replace(LINE, unknown=("h3", "h4"), left_out=("h5",), came_to="unknown", resolved=Resolved("d0", "ann", "2"))
    four = replace(LINE, result=Result.RETURNED, detail="back on 1")
    (entry,) = answers(h1=JournalLines((one,)), h4=JournalLines((four,))).entries()
    assert [(h.host, h.outcome) for h in entry.hosts] == [
        ("h1", "changed"),
        ("h4", "returned"),
        ("h3", "unknown"),
        ("h5", "left out"),
    ]
    assert (entry.what, entry.outcome, entry.by, entry.resolved) == ("deployed", "unknown", LINE.by, "d0 of ann: 2")


def test_the_newest_comes_first_and_what_makes_no_sense_is_counted() -> None:
    """By the time at which they ended, whichever host tells them."""
    later = replace(LINE, id="d2", ended="2026-01-02T00:00:00Z")
    told = answers(h1=JournalLines((LINE,)), h2=lines_in(b"{}\n{}\n" + later.encode()))
    assert [e.id for e in told.entries()] == ["d2", "d1"]
    (remark,) = told.remarks()
    assert remark.startswith("h2: 2 lines of the journal of shop skipped: version")


def test_what_this_machine_knows_of_other_hosts_is_added() -> None:
    """A host's own word comes before what was noted here; a deployment that no host tells of is shown as noted here."""
    here = Entry("deployed", "t", LINE.by, "shop", "done", "d1", hosts=(HostOutcome("h1", "x"), HostOutcome("h9", "y")))
    (told,) = answers(h1=JournalLines((LINE,))).entries()
    both = joined(told, here)
    assert both
    assert [(h.host, h.outcome) for h in both.hosts] == [("h1", "changed"), ("h9", "y")]
    assert joined(None, here) is here
    assert joined(None, None) is None
    assert list(contradictions(replace(here, service="shop"), told)) == []
    (said,) = contradictions(replace(here, by="eve"), told)
    assert "this machine's history differs on d1: by 'eve', not 'ann@laptop'" in said


def test_a_host_that_could_not_be_asked_is_named() -> None:
    """With why, after all else was shown."""
    silent = replace(answers(), unasked={"h2": Unreachable("no answer", hint="is it up?")})
    with pytest.raises(Unknown, match="no answer from h2") as caught:
        silent.require_all()
    assert (caught.value.details, caught.value.hint) == (("h2: no answer",), "is it up?")
