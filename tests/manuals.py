"""The man pages and shell completions, made from the command line's parser and the README.

`make docs` writes them, and a test compares the files with what this makes now.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import shtab

from sflow_gmetrics import __version__, cli

ROOT = Path(__file__).parents[1]
NAME = "sflow-gmetrics"
_PATHS = {"FILE": shtab.FILE, "FILE.pcap": shtab.FILE, "DIR": shtab.DIRECTORY}
"""What stands for a path on the command line."""

_FILES = (
    ("/etc/sflow-gmetrics.toml", "The configuration that the systemd unit names; see sflow-gmetrics.toml(5)."),
    ("/var/lib/sflow-gmetrics", "The directory of the systemd unit for what is kept, RRD files for example."),
)
_ENVIRONMENT = (
    ("NOTIFY_SOCKET", "Where systemd is told that every port is open, and how the program is; see sd_notify(3)."),
    ("WATCHDOG_USEC", "The watchdog's time; it is fed at half of it, as long as all threads work."),
    ("LISTEN_FDS, LISTEN_FDNAMES", "The ports that systemd has opened; see sd_listen_fds(3)."),
)


# --- roff


def escape(text: str) -> str:
    """Plain text as roff."""
    text = text.replace("\\", "\\(rs").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    text = text.replace("^", "\\(ha").replace("~", "\\(ti")
    return re.sub(r"^(?=[.'])", r"\\&", text, flags=re.MULTILINE)


def inline(text: str) -> str:
    """A paragraph of Markdown as roff: code and strong words bold, links as their text."""
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", " ".join(text.split()))
    parts = re.split(r"`([^`]+)`|\*\*([^*]+)\*\*|\*([^*]+)\*", text)
    out = ""
    for index in range(0, len(parts), 4):
        out += escape(parts[index])
        code, strong, weak = (*parts[index + 1 : index + 4], None, None, None)[:3]
        if code or strong:
            out += f"\\fB{escape(code or strong or '')}\\fR"
        elif weak:
            out += f"\\fI{escape(weak)}\\fR"
    return out


def example(text: str) -> str:
    """Lines that stay as they are."""
    return f".PP\n.in +4n\n.EX\n{escape(text.rstrip())}\n.EE\n.in\n"


def items(rows: tuple[tuple[str, str], ...]) -> str:
    """Names with what they mean."""
    return "".join(f".TP\n\\fB{escape(name)}\\fR\n{escape(text)}\n" for name, text in rows)


def markdown(text: str) -> str:
    """Paragraphs, code blocks and tables as roff."""
    out = ""
    for part in re.split(r"(^```.*?^```$)", text, flags=re.MULTILINE | re.DOTALL):
        if part.startswith("```"):
            out += example(part.partition("\n")[2].removesuffix("```"))
            continue
        for block in re.split(r"\n{2,}", part.strip()):
            if block.startswith("|"):
                out += "".join(_row(line) for line in block.splitlines()[2:])
            elif block.startswith("- "):
                out += "".join(
                    f".IP \\(bu 2\n{inline(item)}\n" for item in re.split(r"^- ", block, flags=re.MULTILINE)[1:]
                )
            elif block and not block.startswith("<!--"):
                out += f".PP\n{inline(block)}\n"
    return out


def _row(line: str) -> str:
    """A row of a table: what it is about, the default where there is one, and what it means."""
    name, *others = (cell.strip() for cell in line.strip("|").split("|"))
    default = f" (default: {inline(others[0])})" if len(others) == 2 and others[0] else ""
    return f".TP\n{inline(name)}{default}\n{inline(others[-1])}\n"


# --- pages


def close_up(page: str) -> str:
    """Without the paragraph that a heading begins anyway."""
    return re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", page, flags=re.MULTILINE)


def head(name: str, section: int, what: str) -> str:
    """The title and the section NAME."""
    return (
        f'.\\" made by tests/manuals.py\n.TH {escape(name.upper())} {section} "" "sflow_gmetrics {__version__}"\n'
        f".SH NAME\n{escape(name)} \\- {escape(what)}\n"
    )


def readme(heading: str) -> str:
    """The README's text from this heading to the next, without parts of parts."""
    text = (ROOT / "README.md").read_text("utf-8").partition(f"\n{heading}\n")[2]
    return re.split(r"^#+ ", text, maxsplit=1, flags=re.MULTILINE)[0]


def program_page() -> str:
    """sflow-gmetrics(1)."""
    parser = cli._parser()
    page = head(NAME, 1, "collector of Host sFlow for Ganglia and Prometheus")
    page += f".SH SYNOPSIS\n.B {escape(NAME)}\n.RB [ \\-\\-version ]\n.I COMMAND\n\\&...\n"
    page += f".SH DESCRIPTION\n{escape(parser.description or '')}\n"
    page += ".SH OPTIONS\n" + "".join(_argument(one, parser) for one in parser._actions if one.option_strings)
    page += ".SH COMMANDS\n"
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    for name, command in commands.choices.items():
        page += f".SS {escape(name)}\n{escape(command.description or '')}\n"
        page += "".join(_argument(one, command) for one in command._actions if one.dest != "help")
    tail = readme("## Commands").partition("```sh\n")[2]
    calls, _, status = tail.partition("```")
    page += f".SH EXIT STATUS\n{markdown(status)}"
    page += f".SH ENVIRONMENT\n{items(_ENVIRONMENT)}.SH FILES\n{items(_FILES)}.SH EXAMPLES\n{example(calls)}"
    return close_up(page) + ".SH SEE ALSO\n.BR sflow\\-gmetrics.toml (5),\n.BR hsflowd (8),\n.BR gmetad (1)\n"


def _argument(one: argparse.Action, parser: argparse.ArgumentParser) -> str:
    value = f"\\fI{escape(str(one.metavar))}\\fR" if one.metavar else ""
    flags = ", ".join(f"\\fB{escape(flag)}\\fR" for flag in one.option_strings)
    return f".TP\n{' '.join(filter(None, (flags, value)))}\n{escape(parser._get_formatter()._expand_help(one))}\n"


def configuration_page() -> str:
    """sflow-gmetrics.toml(5)."""
    page = head(f"{NAME}.toml", 5, "configuration of sflow-gmetrics")
    page += ".SH DESCRIPTION\n"
    for heading in ("## Configuration", "### Every key"):
        page += markdown(readme(heading))
    page += ".SH POOLS AND SERVICES\n" + markdown(readme("### Pools and services"))
    page += ".SH KEYS\n"
    keys = (ROOT / "README.md").read_text("utf-8").partition("<!-- keys -->\n")[2].partition("<!-- end of keys -->")[0]
    for part in re.split(r"^#### ", keys, flags=re.MULTILINE)[1:]:
        title, _, text = part.partition("\n")
        page += f".SS {inline(title)}\n{markdown(text)}"
    return close_up(page) + ".SH SEE ALSO\n.BR sflow\\-gmetrics (1)\n"


# --- completions


def completion(shell: str) -> str:
    """What the shell needs to complete our command line."""
    parser = cli._parser()
    (commands,) = (one for one in parser._actions if isinstance(one, argparse._SubParsersAction))
    for command in commands.choices.values():
        for action in command._actions:
            if action.metavar in _PATHS:
                action.complete = _PATHS[str(action.metavar)]
    text: str = shtab.complete(parser, shell)
    return text.rstrip() + "\n"


FILES: Mapping[Path, Callable[[], str]] = {
    ROOT / "man" / f"{NAME}.1": program_page,
    ROOT / "man" / f"{NAME}.toml.5": configuration_page,
    ROOT / "completions" / f"{NAME}.bash": lambda: completion("bash"),
    ROOT / "completions" / f"_{NAME}": lambda: completion("zsh"),
    ROOT / "completions" / f"{NAME}.fish": lambda: completion("fish"),
}


def update() -> None:
    """Write all of them anew."""
    for path, make in FILES.items():
        path.write_text(make(), "utf-8")


if __name__ == "__main__":
    update()
