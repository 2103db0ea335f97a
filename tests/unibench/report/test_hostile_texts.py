"""Texts from outside are shown, never obeyed."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from rich.console import Console

from affectgpt.unibench.report import latex, published
from affectgpt.unibench.report.html import render_html
from affectgpt.unibench.report.latex import render_latex
from affectgpt.unibench.report.markdown import escape, render_markdown
from affectgpt.unibench.report.plain_text import LABEL, TEXT, label, safe_text
from affectgpt.unibench.report.terminal import print_result
from affectgpt.unibench.result import BenchmarkResult

Make = Callable[[str], BenchmarkResult]
HOSTILE = {
    "script": "<script>alert(1)</script>",
    "attribute": '"><img src=x onerror=alert(1)>',
    "end of style": "</style></title></svg><iframe src=javascript:alert(1)>",
    "template": "{{7777*7777}}{% raw %}{# x #}",
    "latex": r"\input{/etc/passwd}\write18{id}$x^2$ 50% #1 ~ & _",
    "latex row": r"\\[1cm] * -- ?` \end{tabular}\end{table}",
    "pipe": "a | b \\| c ` d",
    "link": "[click](javascript:alert(1)) ![x](http://evil.example/x.png) http://evil.example www.evil.example a@b.cd",
    "address": "_www.evil.example xWWW.evil.example mailto:a@b.cd xmpp:a@b.cd/e ftp://evil.example",
    "lines": "first\n\n# head\r\n- item\n| a |\n|---|\n<b>x</b>",
    "escape codes": "\x1b[31mred\x1b[0m\x1b]8;;http://evil.example\x07link\x9b2J\x00",
    "markup": "[red]x[/red][link=http://evil.example]y[/link][/]",
    "direction": "abc\u202egnorw\u2066",
    "surrogate": "a\ud800b\uffff",
    "entity": "&lt;script&gt; &#x3c;",
}
VOID = {"meta", "br", "img", "link", "input", "hr", "base", "col"}
ACTIVE = {"script", "iframe", "object", "embed", "img", "link", "base", "form", "foreignobject", "image", "use", "a"}


class Page(HTMLParser):
    """Checks that tags are balanced; keeps elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> at {self.getpos()}"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append(data)


class MarkdownPage(Page):
    """A page whose texts go on after a comment, as they are shown."""

    def __init__(self, text: str) -> None:
        super().__init__(text.replace("<!-- -->", ""))


def check_page(text: str) -> Page:
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ACTIVE - {"a"}
        for name, value in attributes.items():
            assert not name.startswith("on") and name not in {"style", "srcdoc", "action", "xlink:href", "src"}
            if name == "href":
                assert value == published.SOURCE_URL or re.fullmatch(r"#[a-z]+", value or "")
    return page


@pytest.mark.parametrize("case", HOSTILE)
def test_the_page_holds_nothing_active(with_texts: Make, case: str) -> None:
    result = with_texts(HOSTILE[case])
    page = check_page(render_html(result))
    texts = " ".join("".join(page.texts).split())
    line = " ".join(label(HOSTILE[case]).split())
    assert line in texts and str(7777 * 7777) not in texts
    assert len([tag for tag, _ in page.elements if tag == "style"]) == 1


def test_the_page_of_a_whole_result_is_sound(full_result: BenchmarkResult, one: BenchmarkResult) -> None:
    for result in (full_result, one):
        page = check_page(render_html(result))
        anchors = {attributes["href"] for tag, attributes in page.elements if tag == "a"} - {published.SOURCE_URL}
        names = {f"#{attributes['id']}" for _, attributes in page.elements if "id" in attributes}
        assert anchors <= names


def test_the_policy_allows_the_style_sheet_and_nothing_else(full_result: BenchmarkResult) -> None:
    text = render_html(full_result)
    (policy,) = [
        attributes["content"] or ""
        for tag, attributes in Page(text).elements
        if tag == "meta" and attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    style = text[text.index("<style>") + 7 : text.index("</style>")]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert "url(" not in style and "@import" not in style and "http" not in style
    assert text.index("Content-Security-Policy") < text.index("<style>")


@pytest.mark.parametrize("case", HOSTILE)
def test_markdown_shows_the_text_itself(with_texts: Make, case: str) -> None:
    document = render_markdown(with_texts(HOSTILE[case]))
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(document)
    page = MarkdownPage(html)
    allowed = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "a", "blockquote", "strong"}
    assert {tag for tag, _ in page.elements} <= allowed
    links = [attributes["href"] for tag, attributes in page.elements if tag == "a"]
    assert links == [published.SOURCE_URL]
    assert label(HOSTILE[case]) in [text.strip() for text in page.texts]
    for table in re.findall(r"(?:^\|.*\n)+", document, re.MULTILINE):
        assert len({row.count(" | ") for row in table.splitlines()}) == 1


# What GitHub makes a link of: the first two where they are written, addresses of mail where entities are read already.
WRITTEN = re.compile(r"(?i)www\.|(?:https?|ftp)://")
MAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w-]")


def links_of_github(document: str) -> list[str]:
    """What would be linked, the links written as such aside."""
    inline = [token for token in MarkdownIt("commonmark", {"html": True}).enable("table").parse(document)]
    texts = [part.content for token in inline for part in token.children or () if part.type == "text"]
    return WRITTEN.findall(document.replace(f"({published.SOURCE_URL})", "")) + MAIL.findall("\n".join(texts))


def test_what_github_links_is_known() -> None:
    for text in ("www.evil.example", r"\_www.a.b", "http://a.b", "a@b.cd", "a&#64;b.cd", "mailto:a@b.cd", "x a\\@b.cd"):
        assert links_of_github(text), text


@pytest.mark.parametrize("case", HOSTILE)
def test_markdown_links_no_address_in_a_text(with_texts: Make, case: str) -> None:
    assert links_of_github(render_markdown(with_texts(HOSTILE[case]))) == []


@given(st.text("w.:/@aB_ ~(", max_size=40))
def test_no_text_is_an_address(text: str) -> None:
    assert links_of_github(f"- {escape(text)}") == []


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x4FFF), max_size=60))
def test_markdown_gives_any_line_back(text: str) -> None:
    line = safe_text(text)
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(f"| {escape(line)} |\n| --- |\n")
    page = MarkdownPage(html)
    assert {tag for tag, _ in page.elements} == {"table", "thead", "tr", "th"}
    assert "".join(page.texts).strip() == line


@pytest.mark.parametrize("case", HOSTILE)
def test_latex_has_no_command_but_ours(with_texts: Make, case: str) -> None:
    text = render_latex(with_texts(HOSTILE[case]))
    ours = {
        "begin",
        "end",
        "centering",
        "caption",
        "label",
        "resizebox",
        "linewidth",
        "toprule",
        "midrule",
        "bottomrule",
        "emph",
        "times",
        "par",
        "smallskip",
        "raggedright",
        "footnotesize",
        "textbf",
        "textbackslash",
        "textless",
        "textgreater",
        "textbar",
        "textasciitilde",
        "textasciicircum",
        "textasciigrave",
        "textquotesingle",
        "char",
        "dots",
        "usepackage",
    }
    assert set(re.findall(r"(?<!\\)(?:\\\\)*\\([a-zA-Z]+)", text)) <= ours
    assert re.findall(r"\\begin\{(\w+)\}", text) == ["table", "tabular"] * 3
    rows = [line for line in text.splitlines() if line.endswith(r" \\")]
    assert {len(re.findall(r"(?<!\\)&", row)) for row in rows} == {9, 6}
    assert text.count("%") - text.count(r"\%") == 4  # the first line, and one after each \resizebox


@given(st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF), max_size=40))
def test_latex_escapes_every_special_character(text: str) -> None:
    escaped = latex.escape(text)
    bare = re.sub(r"\\(?:[a-z]+34|[a-z]+)\{\}|\\[{}$&#%_]|\{[\[\]*?]\}|(?<=-)\{\}(?=-)", "", escaped)
    assert not set(bare) & set("\\{}$&#%_~^<>|\"`'[]*")
    assert "--" not in escaped


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex")
@pytest.mark.parametrize("case", ["latex", "latex row", "pipe", "script", "entity", "link", "markup"])
def test_latex_compiles(with_texts: Make, tmp_path: Path, case: str) -> None:
    body = render_latex(with_texts(HOSTILE[case]))
    document = f"\\documentclass{{article}}\\usepackage{{booktabs,graphicx}}\\begin{{document}}{body}\\end{{document}}"
    (tmp_path / "a.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "a.tex"]
    process = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60)
    assert process.returncode == 0, process.stdout[-1500:]


@pytest.mark.parametrize("case", HOSTILE)
def test_the_terminal_gets_no_codes_and_no_markup(with_texts: Make, case: str) -> None:
    out = io.StringIO()
    print_result(with_texts(HOSTILE[case]), Console(file=out, width=400, force_terminal=True, color_system=None))
    text = out.getvalue()
    assert not [character for character in text if ord(character) < 32 and character != "\n"] and "\x9b" not in text
    assert label(HOSTILE[case]) in text


@given(st.text(max_size=200), st.integers(1, 100))
def test_plain_text_is_one_short_line(text: str, limit: int) -> None:
    line = safe_text(text, limit)
    assert line.isprintable() or not set(line) & set("\n\r\t\x1b\u2028\u202e\ud800")
    assert line.encode("utf-8").decode("utf-8") == line
    assert len(line.removesuffix(f" … [cut: {len(text):,} characters]")) <= limit
    assert (len(text) > limit) == line.endswith("characters]")


def test_long_texts_are_cut_and_marked(with_texts: Make) -> None:
    text = "很" * 5000
    assert safe_text(text) == "很" * TEXT + " … [cut: 5,000 characters]"
    assert label(text) == "很" * (LABEL - 1) + "…"
    for document in (render_html(with_texts(text)), render_markdown(with_texts(text))):
        assert "很" * (TEXT + 1) not in document and "[cut: 5,000 characters]" in document.replace("\\", "")
