"""What an ENTRYPOINT does with a test command: seen to start it, or not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from relman.ci.entrypoint.judge import unseen
from tests.apps.bases import APPS

POSTGRES = r"""#!/usr/bin/env bash
set -Eeo pipefail
file_env() {
	local var="$1"
	if [ "${!var:-}" ] && [ "${!fileVar:-}" ]; then
		echo >&2 "error: both $var and $fileVar are set (but are exclusive)"
		exit 1
	fi
}
_is_sourced() {
	[ "${#FUNCNAME[@]}" -ge 2 ] \
		&& [ "${FUNCNAME[0]}" = '_is_sourced' ]
}
docker_process_init_files() {
	local f
	for f; do
		case "$f" in
			*.sh) if [ -x "$f" ]; then "$f"; else . "$f"; fi ;;
			*)    printf '%s: ignoring %s\n' "$0" "$f" ;;
		esac
	done
}
docker_verify_minimum_env() {
	if [ -z "$POSTGRES_PASSWORD" ]; then
		cat >&2 <<-'EOE'
			Error: the superuser's "password is
		EOE
		exit 1
	fi
}
_main() {
	# if first arg looks like a flag, assume we want to run postgres server
	if [ "${1:0:1}" = '-' ]; then
		set -- postgres "$@"
	fi
	if [ "$1" = 'postgres' ] && ! _pg_want_help "$@"; then
		if [ "$(id -u)" = '0' ]; then
			exec gosu postgres "$BASH_SOURCE" "$@"
		fi
		docker_verify_minimum_env
	fi
	exec "$@"
}
if ! _is_sourced; then
	_main "$@"
fi
"""
NODE = """if [ "${1#-}" != "${1}" ] || [ -z "$(command -v "${1}")" ] || { [ -f "${1}" ] && ! [ -x "${1}" ]; }; then
  set -- node "$@"
fi
exec "$@"
"""
STARTED = {
    "the shop's": (APPS / "shop/env.sh").read_text(),
    "the schema's": (APPS / "database-schema/entrypoint.sh").read_text(),
    "postgres": POSTGRES,
    "node": NODE,
    "redis": 'if [ "$1" = redis-server -a "$(id -u)" = 0 ]; then\n  exec gosu redis "$0" "$@"\nfi\nexec "$@"\n',
    "rails": 'if [ "${1}" == "./bin/rails" ] && [ "${2}" == "server" ]; then\n ./bin/rails db:prepare\nfi\nexec "${@}"',
    "any": 'if [ $# -gt 0 ]; then exec "$@"; else exec gunicorn app; fi',
    "any, then its own": 'if [ -n "$1" ]; then\n exec "$@"\nfi\nexec gunicorn app',
    "none": '[ $# -eq 0 ] && set -- serve\nexec tini -- "$@"',
    "unless any": '[ $# -gt 0 ] || exec serve\nexec dumb-init "$@"',
    "case": 'case "$1" in\n serve) exec gunicorn;;\n (migrate|db) shift; exec ./db "$@" ;;\n *) exec "$@";;\nesac',
    "another user": 'if [ "$(id -u)" = 0 ]; then exec gosu app "$@"; else exec "$@"; fi',
    "function": 'function main {\n echo hi\n exec "$@"\n}\nmain "$@"\n',
    "checked": 'die() { echo "$1"; exit 1; }\n[ -n "$DB" ] || die "no DB"\nif [ -z "$DB" ]; then exit 1; fi\nexec "$@"',
    "redirected": 'env | sort >/tmp/x &\necho a 2>&1 | cat\nexec >/tmp/log 2>&1\nexec "$@" 2>&1',
    "set": 'set -- gosu app env A=b "$@"\nset -eu\nexec "$@"',
    "carriage returns": 'set -e\r\nexec "$@"\r\n',
}
SWALLOWED = {
    "empty": "",
    "usage": 'if [ "$1" = serve ]; then exec "$@"; fi\necho usage',
    "comment": '# exec "$@"\necho usage',
    "text": "echo 'exec \"$@\"'\n",
    "document": 'cat <<EOF\nexec "$@"\nEOF\necho usage\n',
    "program": 'exec gunicorn app "$@"',
    "before": 'exec gunicorn app\nexec "$@"',
    "exit": 'echo usage\nexit 0\nexec "$@"',
    "function that exits": 'usage() { echo usage; exit 0; }\nusage\nexec "$@"',
    "case": 'case "$1" in test) exec "$@";; *) echo usage; exit 0;; esac\nexec "$@"',
    "unless named": 'if [ "$1" != serve ]; then echo usage; exit; fi\nexec "$@"',
    "or exit": '[ "$1" = serve ] || { echo usage; exit 0; }\nexec "$@"',
    "prefixed": 'set -- java -jar app.jar "$@"\nexec "$@"',
    "prefixed unless named": 'if [ "$1" != java ]; then set -- java -jar app.jar "$@"; fi\nexec "$@"',
    "mode": 'if [ "$MODE" = cmd ]; then exec "$@"; else exec gunicorn; fi',
    "shift": 'shift\nexec "$@"',
    "subshell": '(exec "$@")\necho done',
    "background": 'exec "$@" &\necho done',
    "quote": 'echo "abc\nexec "$@"',
    "never called": 'run() { exec "$@"; }\necho usage',
    "called with more": 'run() { exec "$@"; }\nrun gunicorn "$@"',
    "one word": 'exec "$*"',
    "calls itself": 'f() { f "$@"; }\nf "$@"',
}
FILES = {
    "/e.sh": b'#!/bin/sh\nexec "$@"\n',
    "/usage.sh": b"#!/bin/bash\necho usage\n",
    "/greet": b"\x7fELF",
    "/e.py": b"#!/usr/bin/env python3\n",
}


@pytest.mark.parametrize("name", STARTED)
def test_scripts_that_start_what_they_are_given(name: str) -> None:
    """Scripts as images have them are seen to start a command that they do not name."""
    assert unseen(["/x"], {"/x": b"#!/bin/sh\n" + STARTED[name].encode()}.get) == ""


@pytest.mark.parametrize("name", SWALLOWED)
def test_scripts_that_may_not(name: str) -> None:
    """A script that has `exec "$@"` nowhere, or not on the way of every command, is not seen to start it."""
    why = unseen(["/x"], {"/x": b"#!/bin/sh\n" + SWALLOWED[name].encode()}.get)
    assert why.startswith("/x ")
    assert 'exec "$@"' in why or "cannot be followed" in why


@pytest.mark.parametrize(
    ("entrypoint", "why"),
    [
        ([], ""),
        (["/e.sh"], ""),
        (["tini", "--"], ""),
        (["/sbin/tini", "-g", "-p", "KILL", "--", "/e.sh"], ""),
        (["dumb-init", "bash", "-eu", "-o", "pipefail", "/e.sh", "env", "A=1"], ""),
        (["/usr/bin/env", "-u", "HOME", "A=b c"], ""),
        (["gosu", "app"], ""),
        (["busybox", "sh", "/e.sh"], ""),
        (["/bin/sh", "-c", '. /env; exec "$@"', "--"], ""),
        (["gosu"], "gosu takes the command's first word for itself"),
        (["tini", "-p"], "tini takes the command's first word for itself"),
        (["/greet"], "/greet is not a script"),
        (["tini", "--", "/greet"], "/greet is not a script"),
        (["/e.sh", "/greet"], "/greet is not a script"),
        (["/e.py"], "/e.py is not a shell script"),
        (["/usage.sh"], '/usage.sh does not end with exec "$@"'),
        (["/nothing"], "/nothing cannot be read"),
        (["sh", "/nothing"], "/nothing cannot be read"),
        (["bash"], "bash takes the command's first word"),
        (["bash", "-c"], "bash takes the command's first word"),
        (["/bin/sh", "-c", "python app.py"], "/bin/sh -c runs its own text"),
        (["/bin/sh", "-c", 'exec "$@"'], "/bin/sh -c runs its own text"),
        (["/bin/sh", "-c", "exec serve", "--"], "the text of /bin/sh -c does not reach"),
    ],
)
def test_forms_of_an_entrypoint(entrypoint: list[str], why: str) -> None:
    """Programs that start others are seen through, each with options of its own; a shell with a text of its own, as
    Docker makes it of ENTRYPOINT in shell form, swallows what follows."""
    found = unseen(entrypoint, FILES.get)
    assert found.startswith(why) if why else found == ""


PIECES = st.sampled_from(
    [
        *(
            'exec "$@"',
            "exit",
            "if",
            "then",
            "else",
            "fi",
            "case",
            "in",
            "esac",
            "for",
            "do",
            "done",
            "{",
            "}",
            "(",
            ")",
        ),
        *(";", ";;", "\n", "&&", "||", "|", "&", "f", "()", "function", "$(", "${", "`", '"', "'", "\\", "<<E", "E"),
        *("#", "*)", "set --", "shift", "$1", "= a", "!=", "[ ", " ]", "return", "f $@", " ", ">x"),
    ]
)


@given(st.lists(PIECES, max_size=40).map(" ".join) | st.text(max_size=60))
def test_any_script_is_judged(text: str) -> None:
    """Whatever a script holds, it is judged; what ends first starts nothing, and a script that is seen to start its
    words is so too with a line before it that decides nothing."""
    why = unseen(["/x"], {"/x": f"#!/bin/sh\n{text}".encode()}.get)
    assert unseen(["/x"], {"/x": f"#!/bin/sh\nexit 0\n{text}".encode()}.get) != ""
    if not why:
        assert unseen(["/x"], {"/x": f"#!/bin/sh\nset -e; echo 'exit'\n{text}".encode()}.get) == ""


@given(st.lists(st.sampled_from(["sh", "-c", "tini", "--", "env", "gosu", "/e.sh", "/greet", "A=b", "-o"]), max_size=6))
def test_any_entrypoint_is_judged(entrypoint: list[str]) -> None:
    """Whatever words there are, an ENTRYPOINT that ends in programs which are no scripts is not seen to start more."""
    assert unseen([*entrypoint, "/greet", "/greet", "/greet"], FILES.get) != ""
