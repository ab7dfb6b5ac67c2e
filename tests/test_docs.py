"""What the pages show is true: their Python code runs, as written, page by page."""

import pathlib
import re

import matplotlib
import pytest

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [p for p in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))] if "```python" in p.read_text()]


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_code_on_page_runs(page):
    matplotlib.use("Agg")
    names: dict[str, object] = {"__name__": "__main__"}
    text = page.read_text()
    for block in re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        line = text[: block.start(1)].count("\n")
        exec(compile("\n" * line + block[1], str(page), "exec"), names)  # padded, so that errors name the page's line
    assert names.keys() > {"__name__"}
