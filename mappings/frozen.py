"""The base of every model that travels: immutable, and strict about names."""

from functools import cache
from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer


class Frozen(BaseModel):
    """Immutable model; an unknown field is ignored, so that a newer process may add one (additive wire contract)."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, use_attribute_docstrings=True)


class Sparse(Frozen):
    """A model of many fields of which most are empty: its JSON leaves out those that are empty by default.

    Histories are read by people, and kept for years; an order's is a sixth shorter for it. Only emptiness (no text, no
    value, no entries) is left out, never a default that says something: such a default may change one day.
    """

    @model_serializer(mode="wrap", when_used="json")
    def without_empty(self, whole: SerializerFunctionWrapHandler) -> Any:
        """The fields that say something."""
        empty = _empty_by_default(type(self))
        return {name: value for name, value in whole(self).items() if name not in empty or value != empty[name]}


@cache
def _empty_by_default(model: type[BaseModel]) -> dict[str, object]:
    """Fields whose default is emptiness, and that default."""
    defaults = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    return {name: default for name, default in defaults.items() if default is None or default in ("", [], {})}
