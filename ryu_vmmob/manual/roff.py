"""A man page as text for ``man``: the macros of man(7), with every character of the content protected."""

from __future__ import annotations

from collections.abc import Iterable


def escaped(text: str) -> str:
    """Return a text of one line in which nothing is a request or an escape of roff."""
    plain = text.replace("\\", "\\e").replace("-", "\\-").replace("'", "\\(aq").replace("`", "\\(ga")
    plain = plain.replace("^", "\\(ha").replace("~", "\\(ti")
    plain = "".join(letter if letter.isascii() else f"\\[u{ord(letter):04X}]" for letter in plain)
    return f"\\&{plain}" if plain.startswith(".") else plain


def _argument(text: str) -> str:
    return '"' + escaped(text).replace('"', "\\(dq") + '"'


class Page:
    """One page; its parts come in the order in which they are added."""

    def __init__(self, name: str, section: int, what: str, version: str) -> None:
        """Begin with the name and one line of ``what`` it is; ``version`` of the program stands at the foot of the page."""
        self.file = f"man{section}/{name}.{section}"
        title = " ".join(map(_argument, (name.upper(), str(section), "", f"ryu-vmmob {version}", "ryu-vmmob")))
        self._lines = [f".TH {title}", ".nh", ".SH NAME", f"{escaped(name)} \\- {escaped(what)}"]

    def section(self, title: str) -> None:
        """Begin a section."""
        self._lines.append(f".SH {_argument(title.upper())}")

    def subsection(self, title: str) -> None:
        """Begin a part of a section."""
        self._lines.append(f".SS {_argument(title)}")

    def bold(self, text: str) -> None:
        """Add a line of what is to be typed."""
        self._lines.append(".B " + (_argument(text) if '"' in text else escaped(text)))

    def text(self, text: str) -> None:
        """Add paragraphs; they are parted by empty lines."""
        for paragraph in text.strip().split("\n\n"):
            self._lines += [".PP", *(escaped(line.strip()) for line in paragraph.splitlines())]

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Add terms, each with what it means below it."""
        for term, meaning in rows:
            self._lines += [".TP", f".B {escaped(term)}", escaped(" ".join(meaning.split())) or "\\&"]

    def __str__(self) -> str:
        return "\n".join(self._lines) + "\n"
