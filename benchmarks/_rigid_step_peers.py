"""A peer's side of `_rigid_step`, run as a script by an interpreter that has the peer.

`export COPIES` prints brax's humanoid, so many times side by side, as MJCF. `mjx FOLDER` and `mujoco FOLDER` load
`model.xml` and `start.npz`, print the state after ten steps, and then answer each word on standard input by the seconds
that this measurement takes, so that both sides can take turns.
"""

import copy
import importlib
import json
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any
from xml.etree import ElementTree

import numpy as np

load: Any = importlib.import_module  # nothing here needs all of the peers


def export(copies: int) -> str:
    """The humanoids without contacts, limits, actuators and floor."""
    asset = pathlib.Path(load("importlib.util").find_spec("brax").origin).parent / "envs" / "assets" / "humanoid.xml"
    model = ElementTree.parse(asset).getroot()
    world = model.find("worldbody")
    assert world is not None
    body = world.find("body")
    assert body is not None
    for part in list(model):
        if part.tag not in ("compiler", "default", "option", "worldbody"):
            model.remove(part)
    for part in list(world):
        world.remove(part)
    for part in model.iter():
        part.attrib.pop("material", None)
    for index in range(copies):
        one = copy.deepcopy(body)
        for part in one.iter():
            if "name" in part.attrib:
                part.set("name", f"{part.get('name')}_{index}")
        world.append(one)
    option = model.find("option")
    assert option is not None
    ElementTree.SubElement(option, "flag", contact="disable", limit="disable")
    return ElementTree.tostring(model, encoding="unicode")


def seconds(run: Callable[[], Any]) -> float:
    """Of one call."""
    begin = time.perf_counter()
    run()
    return time.perf_counter() - begin


def mujoco_c(folder: pathlib.Path) -> tuple[list[float], dict[str, Callable[[], float]]]:
    """MuJoCo's C code: one thread for a step, two for the batch."""
    mujoco = load("mujoco")
    start = np.load(folder / "start.npz")
    model = mujoco.MjModel.from_xml_path(str(folder / "model.xml"))
    data = mujoco.MjData(model)

    def reset():
        data.qpos[:], data.qvel[:], data.qfrc_applied[:] = start["q"], start["v"], start["tau"]
        data.time = 0

    def step() -> float:
        reset()
        n = int(start["steps"])
        return seconds(lambda: [mujoco.mj_step(model, data) for _ in range(n)]) / n

    def batch() -> float:
        rollout, n = load("mujoco.rollout"), 10
        kind = mujoco.mjtState.mjSTATE_FULLPHYSICS
        states = []
        for q in start["qs"]:
            reset()
            data.qpos[:] = q
            state = np.zeros(mujoco.mj_stateSize(model, kind))
            mujoco.mj_getState(model, data, state, kind)
            states.append(state)
        force = np.broadcast_to(start["tau"], (len(states), n, model.nv)).copy()
        with rollout.Rollout(nthread=2) as pool:
            run = lambda: pool.rollout(
                model,
                [mujoco.MjData(model) for _ in range(2)],
                np.array(states),
                force,
                control_spec=mujoco.mjtState.mjSTATE_QFRC_APPLIED,
            )
            run()
            return seconds(run) / (n * len(states))

    reset()
    for _ in range(10):
        mujoco.mj_step(model, data)
    return [*data.qpos, *data.qvel], {"loop": step, "batch": batch}


def mjx(folder: pathlib.Path) -> tuple[list[float], dict[str, Callable[[], float]]]:
    """MuJoCo's code in JAX, float64."""
    jax, mujoco, mjx = load("jax"), load("mujoco"), load("mujoco.mjx")
    jnp = jax.numpy
    jax.config.update("jax_enable_x64", True)
    start = np.load(folder / "start.npz")
    model = mujoco.MjModel.from_xml_path(str(folder / "model.xml"))
    on_device = mjx.put_model(model)
    steps = int(start["steps"])
    tau = jnp.asarray(start["tau"])
    data = mjx.make_data(on_device).replace(
        qpos=jnp.asarray(start["q"]), qvel=jnp.asarray(start["v"]), qfrc_applied=tau
    )
    many = lambda n: lambda m, d: jax.lax.fori_loop(0, n, lambda _, d: mjx.step(m, d), d)

    def loss(m, d, tau):
        d = d.replace(qfrc_applied=tau)
        d = jax.lax.scan(lambda d, _: (mjx.step(m, d), None), d, None, length=10)[0]
        return jnp.sum(d.qpos) + jnp.sum(d.qvel)

    runs = {
        "step": (mjx.step, (on_device, data), 1),
        "loop": (many(steps), (on_device, data), steps),
        "gradient": (jax.value_and_grad(loss, argnums=2), (on_device, data, tau), 1),
        "batch": (
            jax.vmap(mjx.step, (None, 0)),
            (on_device, jax.vmap(lambda q: data.replace(qpos=q))(jnp.asarray(start["qs"]))),
            len(start["qs"]),
        ),
    }
    ready: dict[str, Any] = {}

    def timed(name: str) -> Callable[[], float]:
        def measure() -> float:
            fn, arguments, units = runs[name]
            if name not in ready:
                ready[name] = jax.jit(fn).lower(*arguments).compile()
            jax.block_until_ready(ready[name](*arguments))
            calls = json.loads(str(start["calls"]))[name]
            run = lambda: jax.block_until_ready([ready[name](*arguments) for _ in range(calls)])
            return seconds(run) / (units * calls)

        return measure

    def compile_one() -> float:
        jax.clear_caches()
        return seconds(lambda: jax.jit(mjx.step).lower(on_device, data).compile())

    ten = jax.jit(many(10))(on_device, data)
    return [*map(float, ten.qpos), *map(float, ten.qvel)], {name: timed(name) for name in runs} | {
        "compile": compile_one
    }


if __name__ == "__main__":
    name, argument = sys.argv[1:]
    if name == "export":
        print(export(int(argument)))
    else:
        final, measures = {"mjx": mjx, "mujoco": mujoco_c}[name](pathlib.Path(argument))
        print(json.dumps({"final": final}), flush=True)
        for line in sys.stdin:
            print(json.dumps({"seconds": measures[line.strip()]()}), flush=True)
