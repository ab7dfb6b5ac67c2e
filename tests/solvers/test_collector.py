"""Garbage is collected less often while a verb runs, and as before afterwards, whatever happens."""

import gc
import threading

import pytest
from kinax.solvers import integrate
from kinax.solvers._collector import seldom_collecting


@pytest.fixture(autouse=True)
def restored():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def test_inside_and_afterwards():
    gc.set_threshold(700, 10, 10)
    seen = []

    def field(t, y, args):
        seen.append(gc.get_threshold()[0])
        return -y

    integrate(field, 1.0, [0.0, 1.0])
    assert seen[0] > 50_000 and gc.get_threshold() == (700, 10, 10)
    with pytest.raises(ValueError, match="ts must not decrease"):
        integrate(field, 1.0, [1.0, 0.0])
    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("given", [(0, 10, 10), (200_000, 10, 10)])
def test_who_has_switched_it_off_or_collects_less_is_left_alone(given):
    gc.set_threshold(*given)
    with seldom_collecting():
        assert gc.get_threshold() == given
    assert gc.get_threshold() == given


def test_what_is_set_meanwhile_stays():
    gc.set_threshold(700, 10, 10)
    with seldom_collecting():
        gc.set_threshold(5, 5, 5)
    assert gc.get_threshold() == (5, 5, 5)


def test_several_threads():
    gc.set_threshold(700, 10, 10)
    inside, leave = threading.Event(), threading.Event()

    def long():
        with seldom_collecting():
            inside.set()
            leave.wait(10)

    thread = threading.Thread(target=long)
    thread.start()
    assert inside.wait(10)
    with seldom_collecting():
        pass
    assert gc.get_threshold()[0] > 50_000  # the other one is still inside
    leave.set()
    thread.join()
    assert gc.get_threshold() == (700, 10, 10)
