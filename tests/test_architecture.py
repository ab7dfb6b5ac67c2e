"""The house rules a machine can check: imports point down; files are small, private, shipped, silent, documented."""

import ast
import importlib
import inspect
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

ROOT = pathlib.Path(__file__).parents[1]
MAY_IMPORT: dict[str, set[str]] = {"solvers": set(), "physics": {"solvers"}, "md": {"solvers"}}
FILES = [f for package in MAY_IMPORT for f in sorted((ROOT / package).rglob("*.py"))]
CONFIG = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]


def imported(file: pathlib.Path):
    """What `file` imports, as paths from the root (`solvers/_types`) or, if absolute, as dotted names."""
    package = file.relative_to(ROOT).parts[:-1]
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module or ""
        elif isinstance(node, ast.ImportFrom):
            climbed = node.level - 1  # the first dot is the package of the file itself
            assert climbed <= len(package), f"{file}:{node.lineno} climbs out of kinax"
            base = package[: len(package) - climbed] + tuple((node.module or "").split("."))
            for alias in node.names:
                yield "/".join(p for p in (*base, alias.name) if p)


def wrong_imports(file: pathlib.Path):
    package = file.relative_to(ROOT).parts[0]
    for name in imported(file):
        top = re.split(r"[./]", name)[0]
        if "/" in name and top not in MAY_IMPORT[package] | {package}:
            yield f"{package} may not import {name}"
        if "/" not in name and top in {"kinax", *MAY_IMPORT}:
            yield f"write a relative import instead of `{name}`"


def wrong_in_functions(tree: ast.Module):
    # imported where they are needed, because they need not be installed
    optional = {"matplotlib", "tqdm", "IPython", "pandas", "xarray", "numpyro", "lmfit", "blackjax"}
    optional |= {"arviz_base", "arviz_stats", "treescope", "yaml", "ase", "h5py", "py3Dmol"}
    optional |= {"viser", "rich", "trimesh", "mujoco"}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            where = f"{node.lineno} {node.name}"
            if (node.end_lineno or node.lineno) - node.lineno >= 60:
                yield f"{where} is longer than 60 lines"
            if node.args.kwarg is not None and not is_field_helper(node):
                yield f"{where} takes **{node.args.kwarg.arg}"
            for inner in ast.walk(node):
                names = [a.name for a in inner.names] if isinstance(inner, ast.Import) else []
                names += [inner.module or "."] if isinstance(inner, ast.ImportFrom) else []
                if not {n.split(".")[0] for n in names} <= optional:
                    yield f"{where} imports {names} inside a function"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "super":
            yield f"{node.lineno} calls super()"


def assert_none(wrong):
    """Of all files at once: a test for each would cost more than what it does."""
    found = [f"{file.relative_to(ROOT)}: {what}" for file in FILES for what in wrong(file)]
    assert not found, "\n".join(found)


def test_imports_point_down():
    assert_none(wrong_imports)


def test_files_are_small_and_private():
    def wrong(file):
        text = file.read_text()
        if len(text.splitlines()) > 400:
            yield "longer than 400 lines"
        if file.name != "__init__.py" and not file.name.startswith("_"):
            yield "not private"
        yield from wrong_in_functions(ast.parse(text))

    assert_none(wrong)


def is_field_helper(node) -> bool:
    return node.name == "parameter"  # forwards to `equinox.field`, whose options are part of its contract


def test_every_package_is_shipped():
    on_disk = {"kinax." + ".".join(f.parent.relative_to(ROOT).parts) for f in FILES}
    assert on_disk | {"kinax"} == set(CONFIG["setuptools"]["packages"])


def test_configured_paths_exist():
    pyright = CONFIG["pyright"]
    for path in [
        *pyright["include"],
        *pyright["exclude"],
        pyright["stubPath"],
        *CONFIG["pytest"]["ini_options"]["testpaths"],
    ]:
        assert (ROOT / path).is_dir(), path
    for link in (ROOT / "tests/typings/kinax").iterdir():  # what static tools read instead of the import hook
        assert link.resolve().exists() and ROOT in link.resolve().parents, link


def test_importing_is_silent():
    """No output, no configuration, no environment variable, no device touched, no names but the documented ones."""
    code = """
import os, jax
before, env = dict(jax.config.values), dict(os.environ)
import kinax, kinax.solvers, kinax.physics, kinax.md
assert {name: jax.config.values[name] for name in before} == before and dict(os.environ) == env
assert not jax._src.xla_bridge._backends, "importing kinax started a JAX backend"
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def public_names(package: str) -> list[str]:
    tree = ast.parse((ROOT / package / "__init__.pyi").read_text())
    names = [a for node in tree.body if isinstance(node, ast.ImportFrom) for a in node.names]
    assert all(a.asname == a.name for a in names), "public names are written `from ._file import Name as Name`"
    return [a.name for a in names]


@pytest.mark.parametrize("package", MAY_IMPORT)
def test_public_names_are_documented(package):
    module = importlib.import_module(f"kinax.{package}")
    page = (ROOT / f"docs/api/{package}.md").read_text()
    listed = re.findall(rf"^::: kinax\.{package}\.(\w+)", page, flags=re.MULTILINE)
    assert sorted(listed) == sorted(public_names(package)), "the API page and __init__.pyi list different names"
    for name in public_names(package):
        thing = getattr(module, name)
        assert not (inspect.isclass(thing) or inspect.isroutine(thing)) or (thing.__doc__ or "").strip(), name
