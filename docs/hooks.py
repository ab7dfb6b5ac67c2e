"""Equations become MathML while the pages are built, so that reading them needs neither scripts nor a network."""

import html
import re

from latex2mathml.converter import convert

FUNCTION = re.compile(r"<mi>(arccos|arcsin|arctan|cos|cosh|det|exp|ln|log|sin|sinh|tan|tanh)</mi>")
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)


def on_page_content(content: str, **_context) -> str:
    """Replace what the arithmatex extension marked as an equation."""
    return EQUATION.sub(_mathml, content)


def _mathml(found: re.Match) -> str:
    tag, bracket, latex = found.groups()
    display = "block" if bracket == "[" else "inline"
    mathml = convert(html.unescape(latex).strip(), display=display)
    mathml = FUNCTION.sub(r'<mspace width="0.17em"/><mi>\1</mi><mspace width="0.17em"/>', mathml)
    return f'<{tag} class="math">{mathml}</{tag}>'
