"""Constructor signatures for the API pages, read from the fields of modules and named tuples without importing them."""

from griffe import Attribute, Class, ExprCall, ExprKeyword, Extension, Function, Parameter, ParameterKind, Parameters


class FieldsAsArguments(Extension):
    """Give every finished class the `__init__` that its annotated fields amount to."""

    def on_class(self, *, cls: Class, **_context) -> None:
        """Called once for each class, when its members are known."""
        fields = [
            m
            for m in cls.members.values()
            if isinstance(m, Attribute) and m.annotation and m.name[0] != "_" and "property" not in m.labels
        ]
        if "__init__" in cls.members or not fields or cls.name.startswith("Abstract"):
            return
        arguments = [
            Parameter(
                f.name, annotation=f.annotation, kind=ParameterKind.positional_or_keyword, default=_default(f.value)
            )
            for f in fields
        ]
        function = Function("__init__", parameters=Parameters(*arguments), returns="None")
        cls.set_member("__init__", function)


def _default(value):
    """What a field is if it is not given: `parameter(default=0.5)` and `= 0.5` both mean 0.5."""
    if not isinstance(value, ExprCall) or str(value.function).split(".")[-1] not in {"field", "parameter"}:
        return value
    given = {a.name: a.value for a in value.arguments if isinstance(a, ExprKeyword)}
    factory = given.get("default_factory")
    return given.get("default") if factory is None else f"{factory}()"
