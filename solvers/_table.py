"""Tables as text and as HTML."""

import html
from collections.abc import Sequence


def text_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """Columns under a rule; those named in `left`, and the first, are aligned left, the others right."""
    lines = [list(head), *map(list, rows)]
    widths = [max(len(line[k]) for line in lines) for k in range(len(head))]
    align = [str.ljust if k == 0 or name in left else str.rjust for k, name in enumerate(head)]
    text = ["  ".join(f(c, w) for f, c, w in zip(align, line, widths, strict=True)).rstrip() for line in lines]
    text.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(text)


def html_table(head: Sequence[str], rows: Sequence[Sequence[str]], left: Sequence[str] = ()) -> str:
    """The same table for a notebook or a report."""
    sides = ["left" if k == 0 or name in left else "right" for k, name in enumerate(head)]

    def line(tag: str, cells: Sequence[str]) -> str:
        marked = zip(sides, cells, strict=True)
        return "".join(f'<{tag} style="text-align:{side}">{html.escape(cell)}</{tag}>' for side, cell in marked)

    body = "".join(f"<tr>{line('td', row)}</tr>" for row in rows)
    return f"<table><thead><tr>{line('th', head)}</tr></thead><tbody>{body}</tbody></table>"
