"""Text that comes from elsewhere (names, paths, commands), escaped: one function per medium. HTML is escaped by jinja2."""

from __future__ import annotations

import re
from urllib.parse import quote

__all__ = ["link", "markdown", "markdown_cell", "markdown_code", "markdown_link", "terminal"]

# what moves a cursor, changes colours or reverses the order of letters; halves of characters, which no stream encodes
_COMMANDS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
_MARKS = re.compile(r"[\\`*<>|~$]|\](?=[(\[:])|(?<![^\W_])_|_(?![^\W_])|!(?=\[)")
_LINK_MARKS = re.compile(rf"[\[\]]|{_MARKS.pattern}")
_KEPT_IN_URLS = "%/:?#@!$&'*+,;=~"


def terminal(text: str) -> str:
    r"""Return text whose control characters are shown, not carried out; line ends and tabs stay.

    Examples:
        >>> terminal("a\x1b[31mb")
        'a\\x1b[31mb'
    """
    return _COMMANDS.sub(_shown, text)


def markdown(text: str) -> str:
    r"""Return text that Markdown shows as it is, in one line: no emphasis, code, links, columns or HTML.

    Examples:
        >>> print(markdown("resnet8_x [a](b) <i>"))
        resnet8_x [a\](b) \<i\>
    """
    return _MARKS.sub(r"\\\g<0>", _one_line(text).replace("&", "&amp;"))


def markdown_code(text: str) -> str:
    """Return text as a code span, whatever it holds.

    Examples:
        >>> markdown_code("a"), markdown_code("a`b")
        ('`a`', '``a`b``')
    """
    line = _one_line(text)
    fence = "`" * (1 + max(map(len, re.findall("`+", line)), default=0))
    gap = " " if line[:1] == "`" or line[-1:] == "`" or not line.strip() else ""
    return f"{fence}{gap}{line}{gap}{fence}"


def markdown_cell(content: str) -> str:
    r"""Return Markdown, such as a code span, as the cell of a table: no bar in it ends the cell.

    Examples:
        >>> print(markdown_cell(markdown_code("a|b")))
        `a\|b`
    """
    return re.sub(r"(?<!\\)\|", r"\\|", _one_line(content))


def markdown_link(text: str, target: str) -> str:
    r"""Return a link of Markdown.

    Args:
        text: that is shown, as it is.
        target: a URL, or what `link` returned.

    Examples:
        >>> print(markdown_link("[a]", "https://a.b/c(d)"))
        [\[a\]](https://a.b/c%28d%29)
    """
    shown = _LINK_MARKS.sub(r"\\\g<0>", _one_line(text).replace("&", "&amp;"))
    return f"[{shown}]({quote(target, safe=_KEPT_IN_URLS, errors='surrogateescape')})"


def link(path: str) -> str:
    """Return a relative path as the target of a link: it names a file, never a scheme such as `javascript:`.

    Examples:
        >>> link("runs/a b/result.json"), link("javascript:alert(1)")
        ('runs/a%20b/result.json', 'javascript%3Aalert%281%29')
    """
    return quote(path, errors="surrogateescape")


def _one_line(text: str) -> str:
    return terminal(re.sub(r"[\r\n\t]+", " ", text))


def _shown(found: re.Match[str]) -> str:
    number = ord(found[0])
    if 0xDC80 <= number <= 0xDCFF:  # a byte of a file name that is not UTF-8
        number -= 0xDC00
    return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}"
