"""What of docs/reference/ is made by a program: the page of commands, and each page's contents.

usage: python -m tests.unit.reference_pages    write them anew
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from relman.cli.main import SECTIONS, VERBS
from relman.cli.main import relman as group
from tests.unit.documents import ROOT, anchor, headings

PLACE = ROOT / "docs/reference"
COMMANDS = PLACE / "commands.md"
_DEEPEST = 3
_FEW = 3
_SHARED = ("--json", "--debug", "--timeout", "--help")


def commands() -> str:
    """The page of commands, as click knows them."""
    lines = [
        "# Commands",
        "",
        "Each says the same with `--help`. Every command also takes `--json`, `--debug` and `--timeout SECONDS`,",
        "before or after its name.",
    ]
    for title, names in SECTIONS.items():
        lines += ["", f"## {title}"]
        for name in names:
            lines += ["", f"### relman {name}", *_command(name)]
    return with_contents("\n".join(lines) + "\n")


def with_contents(text: str) -> str:
    """A page with its contents below its title, if it has more than a few headings."""
    title, rest = re.fullmatch(r"(# [^\n]*\n\n)(?:(?: *- \[[^\n]*\)\n)+\n)?(.*)", text, re.DOTALL).groups()  # type: ignore[union-attr]
    shown = [(level, name) for level, name in headings(rest) if level <= _DEEPEST]
    if len(shown) <= _FEW:
        return f"{title}{rest}"
    lines = [f"{'  ' * (level - 2)}- [{name}](#{anchor(name)})\n" for level, name in shown]
    return f"{title}{''.join(lines)}\n{rest}"


def _command(name: str) -> Iterator[str]:
    context = click.Context(group)
    command = group.get_command(context, name)
    assert command is not None
    inner = click.Context(command, info_name=name, parent=click.Context(group, info_name="relman"))
    usage = " ".join(command.collect_usage_pieces(inner))
    yield from ("", "```text", f"relman {name} {usage}", "```", "", _unfolded(command.help or VERBS[name][1]))
    subcommands = command.commands if isinstance(command, click.Group) else {}
    for sub in subcommands.values():
        yield from ("", f"`relman {name} {sub.name}`: {_unfolded(sub.get_short_help_str(200))}", *_options(sub))
    yield from _options(command)


def _unfolded(text: str) -> str:
    return "\n\n".join(" ".join(part.split()) for part in text.split("\n\n"))


def _options(command: click.Command) -> Iterator[str]:
    options = [p for p in command.params if isinstance(p, click.Option) and p.opts[0] not in _SHARED]
    if options:
        yield from ("", "| option | meaning |", "| --- | --- |")
    for option in options:
        names = ", ".join((*option.opts, *option.secondary_opts))
        value = "" if option.is_flag or option.count else f" {option.metavar or option.type.name.upper()}"
        default = f" Default: {option.default}." if option.show_default else ""
        required = " Required." if option.required else ""
        yield f"| `{names}{value}` | {(option.help or '').replace('|', '/')}{default}{required} |"


def main() -> None:
    """Write the pages."""
    COMMANDS.write_text(commands())
    for page in PLACE.glob("*.md"):
        page.write_text(with_contents(page.read_text()))


if __name__ == "__main__":
    main()
