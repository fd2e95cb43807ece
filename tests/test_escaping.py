"""Text from elsewhere is shown as it is, in every medium."""

from __future__ import annotations

import pytest

from preceptor.escaping import link, markdown, markdown_cell, markdown_code, markdown_link, terminal

HOSTILE = "a\x1b[31mb\x07\x9bc\u202ed\r\n|<script>`*x*`[y](javascript:z)![i](u)\\ _e_ $m$ ~~s~~ &lt;"


def test_nothing_that_a_terminal_carries_out_is_left() -> None:
    shown = terminal(HOSTILE)
    assert shown.startswith(r"a\x1b[31mb\x07\x9bc\u202ed")
    assert all(each.isprintable() or each == "\n" for each in shown)


def test_names_that_are_no_text_can_be_printed() -> None:
    assert terminal(b"caf\xe9.png".decode("utf-8", "surrogateescape")) == r"caf\xe9.png"
    terminal("\ud800").encode()


def test_line_ends_tabs_and_other_scripts_stay() -> None:
    assert terminal("épreuve\tнет\n试验 👍") == "épreuve\tнет\n试验 👍"


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("resnet8_x4", "resnet8_x4"),
        ("_a_", r"\_a\_"),
        ("a|b", r"a\|b"),
        ("[-0.10, +2.00]", "[-0.10, +2.00]"),
        ("[x](http://y)", r"[x\](http://y)"),
        ("[x]: y", r"[x\]: y"),
        ("![x](y)", r"\![x\](y)"),
        ("<b>&amp;", r"\<b\>&amp;amp;"),
        ("a\nb", "a b"),
        ("a`b", r"a\`b"),
        ("a\\|b", r"a\\\|b"),
    ],
)
def test_markdown_means_the_text_itself(text: str, escaped: str) -> None:
    assert markdown(text) == escaped


def test_a_code_span_ends_where_the_text_does() -> None:
    assert [markdown_code(text) for text in ("a", "`a`", "a``b", " ")] == ["`a`", "`` `a` ``", "```a``b```", "`   `"]
    assert "\n" not in markdown_code(HOSTILE)


def test_a_cell_of_a_table_is_one_cell() -> None:
    assert markdown_cell(markdown_code("a|b")) == r"`a\|b`"
    assert markdown_cell(markdown("a|b")) == r"a\|b"


def test_a_link_leads_where_it_should() -> None:
    assert markdown_link("a](b", "c d(e).json") == r"[a\](b](c%20d%28e%29.json)"
    assert markdown_link("x", "https://a.b/c?d=e#f") == "[x](https://a.b/c?d=e#f)"
    assert link("javascript:alert(1)//x") == "javascript%3Aalert%281%29//x"
    assert link("../cells/teach-0/result.json") == "../cells/teach-0/result.json"
