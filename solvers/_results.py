"""How a run ended, as a value: diffrax's codes and those of kinax's own verbs."""

import diffrax


class RESULTS(diffrax.RESULTS):  # pyright: ignore[reportGeneralTypeIssues]
    """Outcomes of `rollout` and `integrate`, usable under `jit` and `vmap`; `RESULTS[code]` is the message."""

    successful = ""
    stalled = (
        "The solve stalled: step after step was rejected, or the step size fell below the resolution of time, so "
        "that time no longer advanced. Usual causes: the solution blows up or the vector field returns NaN (look at "
        "the last `ys`), the problem is stiff (use `solver=stiff()`), or the tolerances are below what the dtype "
        "can resolve (raise `rtol`/`atol`, or enable float64)."
    )
    nonfinite_state = (
        "The state became NaN or infinite. Usual causes: a step too large for the dynamics (reduce `dt`), or a "
        "parameter outside its physical range. With `throw=False` the saved `ys` show where it began."
    )
    invalid_input = (
        "The initial state holds NaN or infinity, or the times decrease or are not finite; nothing was solved."
    )
    inconsistent_start = (
        "The initial values do not satisfy the algebraic equations (the statistics name the component that is farthest "
        "off, in units of its tolerance). `consistent_start(term, y0)` moves the algebraic unknowns to where they do; "
        "`system.project(t0, y0)` a `Holonomic` system onto its constraints."
    )
    index_too_high = (
        "The algebraic equations do not determine the algebraic unknowns: the index is above 1. Differentiate those "
        "equations by time until they do, and substitute; of a mechanical system with constraints, use `Holonomic`."
    )
    singular_pencil = (
        "The equations do not determine the solution: M - z J is singular for every number z, M the mass matrix and J "
        "the Jacobian at the start. Two equations say the same, or an unknown appears in none."
    )
    not_converged = (
        "The iteration has not reached a fixed point, so its implicit derivative would be wrong. Increase `n`, or "
        "loosen the tolerances of `Implicit`."
    )
    nonfinite_residuals = (
        "The residuals became NaN or infinite: a simulation failed, or a formula left its domain (log or sqrt of a "
        "negative number, a division by zero). Return `solution.result` beside the residuals to learn which."
    )
    search_stalled = (
        "The search stalled: no step lowers the cost although its gradient says that one should. Usual causes: the "
        "derivative is wrong (try `check_gradient`), the cost is noisy (tighten the tolerances of the simulation), it "
        "has a kink or a region of failures next to the point reached, or the fit is already exact to rounding."
    )
    capacity_exceeded = (
        "An array with a fixed size was too small (a neighbor list, say), so that what followed is wrong. Called "
        "outside jit, vmap and grad, `rollout` enlarges it and repeats the segment; inside, first run some steps "
        "outside and start from its `solution.state`, or enlarge it with `simulator.grow`."
    )
    refresh_too_late = (
        "Something moved farther between two refreshes than its margin allows (atoms farther than half the skin of "
        "their neighbor list), so that what followed is wrong. Called outside jit, vmap and grad, `rollout` refreshes "
        "more often and repeats the segment. If that has not helped, the step is too large for the dynamics: reduce "
        "`dt`; or the margin is zero."
    )
    step_too_long = (
        "Something moved farther in a single step than the forces on it reach (`solution.stats` names the step and the "
        "atom), so the motion means nothing. Reduce `dt`, or start from a configuration without overlaps (minimize its "
        "energy first)."
    )
    box_collapsed = (
        "The box has shrunk to less than half the reach of the forces, which no liquid or solid does. Usual causes: "
        "a potential that attracts without bound, a pressure in wrong units, or a box that responds too fast (a longer "
        "relaxation time of the box)."
    )
    events_exhausted = (
        "More transitions happened than `max_events` allows; `solution.state.t` is the time reached. Raise it, "
        "or look at `solution.events`: a reset that does not leave its guard makes it fire again and again."
    )
    grazing = (
        "A guard touches zero without crossing it at a speed (at `solution.state.t`): a change of the state as small "
        "as the tolerances decides whether the event happens, so that nothing after it has a derivative. Usual causes: "
        "the reset leaves the state at rest on the guard, or the parameters lie at the border of two kinds of motion. "
        "Change them, tighten `rtol` and `atol`, or model what happens there smoothly (a compliant contact, say)."
    )
    simultaneous = (
        "Two transitions happen at the same time, as far as the tolerances can tell (at `solution.state.t`), and their "
        "order would decide what follows. Tighten `rtol` and `atol`, or make one transition of them whose reset says "
        "what happens when both do."
    )
    zeno = (
        "Events accumulate: the intervals between them shrink below what the tolerances resolve, towards "
        "`solution.stats['accumulation_time']` (a ball that comes to rest, a switch that chatters). Stop before it, "
        "give the switch a hysteresis, or let the reset change to a mode in which the guard is silent."
    )
    guard_at_start = (
        "At the start a guard was on the far side of its crossing and going farther, or on zero and about to cross, "
        "and it never came to the near side, so that it could not cross in its direction. Start on the near side, use "
        "`direction=None`, or leave this guard out."
    )
    nonfinite_field = (
        "The vector field returned NaN or infinity, so that no step could be made: the statistics name the component, "
        "`solution.state.t` is the time. Usual causes: a log or a root of a negative number, a division by zero."
    )
