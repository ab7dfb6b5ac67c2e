"""Equations become MathML while the pages are built, so that reading them needs neither scripts nor a network."""

import html
import re

from latex2mathml.converter import convert

EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)


def on_page_content(content: str, **_context) -> str:
    """Replace what the arithmatex extension marked as an equation."""
    return EQUATION.sub(_mathml, content)


def _mathml(found: re.Match) -> str:
    tag, bracket, latex = found.groups()
    display = "block" if bracket == "[" else "inline"
    return f'<{tag} class="math">{convert(html.unescape(latex).strip(), display=display)}</{tag}>'
