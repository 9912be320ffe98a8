"""The classic link variables. That they are Docker's own is proved against a real engine in the contract tests."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from relman.ci.testing.links import link_variables

PORTS = st.sets(st.tuples(st.integers(1, 65535), st.sampled_from(["tcp", "udp"])), max_size=6)
ALIAS = st.from_regex(r"[a-z][a-z0-9-]{0,10}", fullmatch=True)
ENV = st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True), st.text(max_size=8), max_size=4)


def test_a_database() -> None:
    """The variables of the classic example, one by one."""
    assert link_variables(
        "my-db", "job", "10.0.0.2", [(5432, "tcp")], {"PATH": "/bin", "HOME": "/", "A": "b=c", "a.b": "c"}
    ) == {
        "MY_DB_NAME": "/job/my-db",
        "MY_DB_PORT": "tcp://10.0.0.2:5432",
        "MY_DB_PORT_5432_TCP": "tcp://10.0.0.2:5432",
        "MY_DB_PORT_5432_TCP_ADDR": "10.0.0.2",
        "MY_DB_PORT_5432_TCP_PORT": "5432",
        "MY_DB_PORT_5432_TCP_PROTO": "tcp",
        "MY_DB_ENV_A": "b=c",
    }


@given(ALIAS, PORTS, ENV)
def test_every_port_and_variable_is_there(alias: str, ports: set[tuple[int, str]], env: dict[str, str]) -> None:
    """Every port has its four variables, every variable of the service but HOME and PATH is passed on, and all names
    begin with the alias."""
    found = link_variables(alias, "job", "10.0.0.2", ports, env)
    prefix = alias.upper().replace("-", "_")
    assert all(name.startswith(f"{prefix}_") for name in found)
    for number, protocol in ports:
        name = f"{prefix}_PORT_{number}_{protocol.upper()}"
        assert found[name] == f"{protocol}://10.0.0.2:{number}"
        assert (found[f"{name}_ADDR"], found[f"{name}_PORT"], found[f"{name}_PROTO"]) == (
            "10.0.0.2",
            str(number),
            protocol,
        )
    for name, value in env.items():
        assert found.get(f"{prefix}_ENV_{name}") == (None if name in ("HOME", "PATH") else value)


@given(PORTS)
def test_the_port_is_the_lowest_tcp_one(ports: set[tuple[int, str]]) -> None:
    """ALIAS_PORT is the lowest TCP port; a UDP one only where there is no TCP port; absent where there is none."""
    found = link_variables("db", "job", "10.0.0.2", ports, {}).get("DB_PORT")
    tcp = sorted(number for number, protocol in ports if protocol == "tcp")
    udp = sorted(number for number, protocol in ports if protocol == "udp")
    if tcp:
        assert found == f"tcp://10.0.0.2:{tcp[0]}"
    else:
        assert found == (f"udp://10.0.0.2:{udp[0]}" if udp else None)


@given(PORTS)
def test_the_order_of_ports_does_not_matter(ports: set[tuple[int, str]]) -> None:
    """The same ports in another order give the same variables."""
    assert link_variables("db", "job", "a", sorted(ports), {}) == link_variables(
        "db", "job", "a", sorted(ports, reverse=True), {}
    )
