"""What Markdown cannot say: equations as MathML, so that reading them needs no scripts, and the gallery of examples."""

import html
import pathlib
import re

from latex2mathml.converter import convert

FUNCTION = re.compile(r"<mi>(arccos|arcsin|arctan|cos|cosh|det|exp|ln|log|sin|sinh|tan|tanh)</mi>")
EQUATION = re.compile(r'<(span|div) class="arithmatex">\\([(\[])(.*?)\\[)\]]</\1>', flags=re.DOTALL)
EXAMPLES = pathlib.Path(__file__).parents[1] / "examples"


def on_page_markdown(markdown: str, page, **_context) -> str:
    """Append every example to the page about them."""
    if page.file.src_uri != "examples.md":
        return markdown
    return "\n\n".join([markdown, *(_gallery(file) for file in sorted(EXAMPLES.glob("[0-9]*.py")))])


def _gallery(file: pathlib.Path) -> str:
    source = file.read_text()
    _, first, *_ = source.split("# %%", 2)
    prose = "\n".join(line.removeprefix("#").removeprefix(" ") for line in first.splitlines()[1:])
    picture = f"![{file.stem}](images/{file.stem.split('_', 1)[1]}.png)"
    code = "\n".join("    " + line for line in f"```python\n{source}```".splitlines())
    return f'#{prose.strip()}\n\n{picture}\n\n??? note "{file.name}"\n\n{code}'


def on_page_content(content: str, **_context) -> str:
    """Replace what the arithmatex extension marked as an equation."""
    return EQUATION.sub(_mathml, content)


def _mathml(found: re.Match) -> str:
    tag, bracket, latex = found.groups()
    display = "block" if bracket == "[" else "inline"
    mathml = convert(html.unescape(latex).strip(), display=display)
    mathml = FUNCTION.sub(r'<mspace width="0.17em"/><mi>\1</mi><mspace width="0.17em"/>', mathml)
    return f'<{tag} class="math">{mathml}</{tag}>'
