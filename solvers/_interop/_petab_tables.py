"""The tables of PEtab, version 1: read, checked, and resolved to the parameters of a model."""

import math
import pathlib
import re
from typing import Any, NamedTuple

_SPREAD = {"lin": 0.0, "log": 1.0, "log10": math.log(10.0)}
_INDICATOR = "_petab_experiment_indicator_"
_COLUMNS = {
    "parameter": ("parameterId", "estimate"),
    "condition": ("conditionId",),
    "observable": ("observableId",),
    "measurement": ("observableId", "simulationConditionId", "measurement", "time"),
}


class PetabParameter(NamedTuple):
    """A row of the parameter table."""

    name: str
    scale: str
    lower: float
    upper: float
    nominal: float
    fixed: bool


class Row(NamedTuple):
    """A measurement: of which observable, when, and the model's parameters for it, as numbers or PEtab's names."""

    time: float
    measurement: float
    observable: int
    inputs: tuple[float | str, ...]
    spread: float


class PetabTables(NamedTuple):
    """Parameters, and by condition the rows, grouped by time."""

    parameters: list[PetabParameter]
    conditions: dict[str, list[list[Row]]]


def read_petab(path: pathlib.Path, equations: Any) -> PetabTables:
    """The tables that the YAML file at `path` names, for a model in the form of AMICI's exporter."""
    if equations.n_events:
        raise ValueError(f"The model has {equations.n_events} events, which from_petab does not support.")
    tables = _load(path)
    parameters = [_parameter(row) for row in _records(tables["parameter"])]
    names = {p.name for p in parameters}
    resolve = _Resolver(equations, names, _conditions(tables["condition"], equations, names), tables["observable"])
    conditions: dict[str, dict[float, list[Row]]] = {}
    for record in _records(tables["measurement"]):
        row = resolve(record)
        conditions.setdefault(record["simulationConditionId"], {}).setdefault(row.time, []).append(row)
    return PetabTables(parameters, {c: [rows[t] for t in sorted(rows)] for c, rows in conditions.items()})


def _load(path: pathlib.Path) -> dict[str, Any]:
    """The data frames by kind, every cell as text."""
    pandas, yaml = _libraries()
    content = yaml.safe_load(path.read_text())
    if str(content.get("format_version")) not in ("1", "1.0.0"):
        raise ValueError(f"{path} is of PEtab version {content.get('format_version')}: from_petab reads version 1.")
    problems = content["problems"]
    if len(problems) != 1:
        raise ValueError(f"{path} lists {len(problems)} problems: from_petab reads files of one.")
    listed = {kind: problems[0][f"{kind}_files"] for kind in ("condition", "measurement", "observable")}
    own = content["parameter_file"]
    listed["parameter"] = own if isinstance(own, list) else [own]
    read = lambda file: pandas.read_csv(path.parent / file, sep="\t", dtype=str, keep_default_na=False)
    tables = {kind: pandas.concat([read(file) for file in files]) for kind, files in listed.items()}
    for kind, columns in _COLUMNS.items():
        missing = [name for name in columns if name not in tables[kind].columns]
        if missing:
            raise ValueError(f"{', '.join(listed[kind])} lacks the column {', '.join(missing)} of a {kind} table.")
    return tables


def _records(frame: Any) -> list[dict[str, str]]:
    return [{str(k): v.strip() for k, v in record.items()} for record in frame.fillna("").to_dict("records")]


def _parameter(row: dict[str, str]) -> PetabParameter:
    name, scale, fixed = row["parameterId"], row.get("parameterScale") or "lin", row["estimate"] == "0"
    if scale not in _SPREAD:
        raise ValueError(f"Parameter {name!r} has the scale {scale!r}, which PEtab does not know: lin, log or log10.")
    prior = row.get("objectivePriorType", "")
    if prior not in ("", "parameterScaleUniform"):
        raise ValueError(f"Parameter {name!r} has the prior {prior!r}: from_petab reads problems without priors.")
    lower, upper = (float(row.get(end) or "nan") for end in ("lowerBound", "upperBound"))
    middle = (lower + upper) / 2 if scale == "lin" else math.sqrt(lower * upper)
    return PetabParameter(name, scale, lower, upper, float(row.get("nominalValue") or middle), fixed)


def _conditions(frame: Any, equations: Any, names: set[str]) -> dict[str, dict[str, float | str]]:
    """What each condition sets parameters of the model to."""
    conditions = {}
    for row in _records(frame):
        row.pop("conditionName", None)
        name = row.pop("conditionId")
        unknown = sorted(set(row) - set(equations.parameter_ids))
        if unknown:
            raise ValueError(f"Condition {name!r} sets {unknown}: from_petab lets conditions set parameters only.")
        conditions[name] = {key: _number_or_name(text, names) for key, text in row.items()}
    return conditions


def _number_or_name(text: str, names: set[str]) -> float | str:
    if text in names:
        return text
    try:
        return float(text)
    except ValueError:
        raise ValueError(f"{text!r} is neither a number nor in the parameter table.") from None


class _Resolver:
    """From records of the measurement table to rows."""

    def __init__(self, equations: Any, names: set[str], conditions: dict[str, Any], observables: Any):
        self.ids = list(equations.parameter_ids)
        self.observables = list(equations.observable_ids)
        self.conditions = conditions
        self.names = names
        self.defaults = dict(zip(self.ids, map(float, getattr(equations, "parameters", ())), strict=False))
        indicators = [name for name in self.ids if name.startswith(_INDICATOR)]
        if len(indicators) > 1:
            raise ValueError(f"The model switches between {len(indicators)} experiments, which is not supported.")
        self.defaults |= {name: 1.0 for name in indicators}
        self.spread = {row["observableId"]: _spread(row) for row in _records(observables)}

    def __call__(self, record: dict[str, str]) -> Row:
        """The row of a record."""
        observable, condition = record["observableId"], record["simulationConditionId"]
        if record.get("preequilibrationConditionId"):
            raise ValueError(f"A measurement of {observable!r} needs pre-equilibration, which is not supported.")
        time, measurement = float(record["time"]), float(record["measurement"])
        if not 0 <= time < math.inf:
            raise ValueError(f"A measurement of {observable!r} is at time {time}: it must be finite and not negative.")
        if observable not in self.observables:
            raise ValueError(f"The model has no observable {observable!r}; it has {', '.join(self.observables)}.")
        if condition not in self.conditions:
            raise ValueError(f"The condition table lacks {condition!r}.")
        known = self.conditions[condition] | self.own(record)
        inputs = tuple(self.input(name, observable, known) for name in self.ids)
        return Row(time, measurement, self.observables.index(observable), inputs, self.spread[observable])

    def own(self, record: dict[str, str]) -> dict[str, float | str]:
        """The placeholders of a measurement, and what it puts in their place."""
        own = {}
        for kind in ("observable", "noise"):
            cell = record.get(f"{kind}Parameters", "")
            for number, text in enumerate(cell.split(";") if cell else [], 1):
                name = f"{kind}Parameter{number}_{record['observableId']}"
                if name not in self.ids:
                    raise ValueError(f"A measurement gives {text!r} for {name!r}, which is no parameter of the model.")
                own[name] = _number_or_name(text.strip(), self.names)
        return own

    def input(self, name: str, observable: str, known: dict[str, float | str]) -> float | str:
        """What a parameter of the model is: a number, or the name of one of PEtab's."""
        if name in known:
            return known[name]
        if name in self.names:
            return name
        placeholder = re.fullmatch(r"(?:observable|noise)Parameter\d+_(.+)", name)
        if placeholder is not None:
            if placeholder[1] == observable:
                raise ValueError(f"A measurement of {observable!r} does not say what {name!r} is.")
            return 1.0  # of another observable: any number
        if name not in self.defaults:
            raise ValueError(f"Neither the tables nor the model give a value for {name!r}.")
        return self.defaults[name]


def _spread(row: dict[str, str]) -> float:
    name, kind = row["observableId"], row.get("noiseDistribution") or "normal"
    scale = row.get("observableTransformation") or "lin"
    if kind != "normal" or scale not in _SPREAD:
        raise ValueError(
            f"Observable {name!r} has {scale}-{kind} noise: from_petab reads normal noise of lin, log, log10."
        )
    return _SPREAD[scale]


def _libraries() -> tuple[Any, Any]:
    try:
        import pandas
        import yaml
    except ImportError as error:
        raise ImportError("PEtab files need pandas and PyYAML: pip install kinax[interop]") from error
    return pandas, yaml
