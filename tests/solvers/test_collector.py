"""Garbage is collected less often while a verb runs, and as before afterwards, whatever happens."""

import gc
import threading

import pytest
from kinax.solvers import integrate


@pytest.fixture(autouse=True)
def restored():
    before = gc.get_threshold()
    yield
    gc.set_threshold(*before)


def run(look=gc.get_threshold, ts=(0.0, 1.0)):
    """What `look` sees while a field is traced."""
    seen = []

    def field(t, y, args):
        seen.append(look())
        return -y

    integrate(field, 1.0, list(ts))
    return seen[0]


def test_inside_and_afterwards():
    gc.set_threshold(700, 10, 10)
    assert run()[0] > 50_000 and gc.get_threshold()[0] == 700
    with pytest.raises(ValueError, match="ts must not decrease"):
        run(ts=(1.0, 0.0))
    assert gc.get_threshold()[0] == 700


@pytest.mark.parametrize("given", [0, 200_000])
def test_who_has_switched_it_off_or_collects_less_is_left_alone(given):
    gc.set_threshold(given)
    assert run()[0] == given
    assert gc.get_threshold()[0] == given


def test_what_is_set_meanwhile_stays():
    gc.set_threshold(700)
    run(lambda: gc.set_threshold(5))
    assert gc.get_threshold()[0] == 5


def test_several_threads():
    gc.set_threshold(700)
    inside, leave = threading.Event(), threading.Event()

    def wait():
        inside.set()
        assert leave.wait(60)

    thread = threading.Thread(target=run, args=(wait,))
    thread.start()
    assert inside.wait(60)
    run()
    assert gc.get_threshold()[0] > 50_000  # the other one is still inside
    leave.set()
    thread.join()
    assert gc.get_threshold()[0] == 700
