"""When two functions are the same computation."""

import types

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from kinax.solvers._programs import interned

SCALE = 2.0
SETTINGS = types.SimpleNamespace(power=2)


class Model(eqx.Module):
    power: float = 1.0

    def __call__(self, x):
        return SCALE * x**self.power


def helper(x):
    return SCALE * x


def same(make, *contexts):
    """Whether functions made one after the other are one object."""
    found = [interned(make(), context) for context in (contexts or (None, None))]
    return found[0] is found[1]


def test_new_objects_with_equal_code_and_equal_references_are_one():
    number, array, table = 3.0, np.arange(3.0), {"a": [1, 2.0, "x"], "b": None}
    assert same(lambda: lambda x: x + 1)
    assert same(lambda: lambda x, n=number: n * x + array.sum() + len(table))
    assert same(lambda: lambda x: helper(x) + jnp.sum(jnp.asarray(array)))
    assert same(lambda: lambda x: (lambda y: y + number)(x))
    assert same(lambda: lambda x: Model()(x))
    made = [lambda x, k=k: k * x for k in (1.0, 1.0, 1, 2.0, float("nan"))]
    one, again, whole, two, unknown = (interned(f, None) for f in made)
    assert one is again and len({id(f) for f in (one, whole, two, unknown)}) == 4


def test_what_a_function_refers_to_makes_it_another(monkeypatch):
    """A global, an array's content, a function or class that was defined again, also behind a method."""
    arrays = iter([np.arange(3.0), np.arange(3.0), np.arange(3.0) + 1, jnp.arange(3)])
    make = lambda a: lambda x: x + a
    first, again, other, third = (interned(make(a), None) for a in arrays)
    assert first is again and other is not first and third is not other

    of_global, through_helper = (lambda: lambda x: SCALE * x), (lambda: lambda x: helper(x))
    through_class, of_context = (lambda: lambda x: Model()(x)), (lambda: lambda m, x: m(x))
    before = [interned(make(), Model()) for make in (of_global, through_helper, through_class, of_context)]
    assert before == [interned(make(), Model()) for make in (of_global, through_helper, through_class, of_context)]
    monkeypatch.setitem(globals(), "SCALE", 3.0)
    after = [interned(make(), Model()) for make in (of_global, through_helper, through_class, of_context)]
    assert all(a is not b for a, b in zip(before, after, strict=True))
    assert interned(of_context(), None) is not after[3]


def test_what_cannot_be_compared_equals_itself_alone():
    make = lambda: lambda x: x**SETTINGS.power
    first, second = make(), make()
    assert interned(first, None) is first and interned(second, None) is second
    recursive = lambda: eqx.filter_jit
    assert same(lambda: lambda x: recursive()(x))
    bound = Model().__call__
    assert interned(bound, None) is bound


def test_a_function_that_calls_itself_is_compared_too():
    namespace: dict = {}

    def make():
        source = "def f(n):\n    return 1 if n < 2 else n * f(n - 1)\n"
        exec(compile(source, "cell", "exec"), namespace)
        return namespace["f"]

    assert same(make)
