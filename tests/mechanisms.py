"""Mechanisms for the tests: between them every joint, alone, in a row on one body, in branches and in a forest."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from kinax.physics import (
    Ball,
    Body,
    euler,
    Fixed,
    Free,
    Hinge,
    Inertia,
    mechanism,
    Passive,
    Planar,
    Screw,
    Slide,
    Universal,
)


class Maker:
    """Bodies with random axes, places and inertias that bodies can have."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def vector(self, size=1.0):
        return size * self.rng.normal(size=3)

    def inertia(self):
        places, masses = self.rng.normal(size=(5, 3)) * 0.3, self.rng.uniform(0.1, 0.4, 5)
        center = masses @ places / masses.sum()
        arms = places - center
        moments = sum(m * (d @ d * np.eye(3) - np.outer(d, d)) for m, d in zip(masses, arms, strict=True))
        return Inertia(masses.sum(), center, moments)

    def body(self, name, parent, joint):
        turn = np.asarray(euler(*self.rng.uniform(-1.5, 1.5, 3)))
        return Body(name, parent, joint, self.vector(0.4), turn, self.inertia())


def every_joint():
    """A forest with all joints; springs, dampers and armature in some."""
    make = Maker(0)
    soft = Passive(armature=0.05, damping=0.3, stiffness=2.0)
    axis = make.vector
    bent = Hinge(axis(), axis(0.2), passive=soft, reference=0.4)
    joints = {
        "base": ("world", Free()),
        "wrist": ("base", (bent, Slide(axis()), Hinge(axis(), axis(0.2)))),
        "shoulder": ("base", Ball(axis(0.2), passive=Passive(damping=0.1, stiffness=1.5, springref=(0.8, 0.6, 0, 0)))),
        "cardan": ("shoulder", Universal(axis(), axis(), axis(0.2))),
        "jack": ("cardan", Screw(axis(), 0.3, axis(0.2), passive=soft)),
        "table": ("shoulder", Planar()),
        "stand": ("world", Fixed()),
        "sled": ("stand", Planar(passive=Passive(damping=0.2))),
        "lid": ("sled", Fixed()),
        "ball": ("lid", Ball(axis(0.2))),
        "pole": ("world", Hinge(axis(), axis(0.2))),
    }
    return mechanism(*(make.body(name, parent, joint) for name, (parent, joint) in joints.items()))


def floating():
    """One robot that floats in space, with hinges and a ball: its momenta are conserved."""
    make = Maker(1)
    joints = {
        "hull": ("world", Free()),
        "upper": ("hull", Hinge(make.vector(), make.vector(0.2))),
        "lower": ("upper", Hinge(make.vector(), make.vector(0.2))),
        "arm": ("hull", Ball(make.vector(0.2))),
    }
    return mechanism(*(make.body(name, parent, joint) for name, (parent, joint) in joints.items()), gravity=(0, 0, 0))


def chain(n, *, length=1.0):
    """`n` thin rods, one under the other, with hinges about y."""
    rod = length / n
    inertia = Inertia(1 / n, (0, 0, -rod / 2), np.array([1, 1, 0]) * rod**2 / n / 12 + np.array([0, 0, 1e-9]))
    bodies = [
        Body(
            f"rod{k}", f"rod{k - 1}" if k else "world", Hinge([0.0, 1, 0]), (0, 0, -rod if k else 0.0), inertia=inertia
        )
        for k in range(n)
    ]
    return mechanism(*bodies)


_from_rest = eqx.filter_jit(lambda made, u: made.retract(made.rest, u))


def somewhere(made, seed=0, size=0.7):
    """A state (q, v, a) away from rest."""
    u, v, a = size * np.random.default_rng(seed).normal(size=(3, made.topology.nv))
    return _from_rest(made, u), jnp.asarray(v), jnp.asarray(a)


MECHANISMS = {"every joint": every_joint, "floating": floating, "chain": lambda: chain(5)}
