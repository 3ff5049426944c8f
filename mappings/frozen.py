"""The base of every model that travels: immutable, and strict about names."""

from pydantic import BaseModel, ConfigDict


class Frozen(BaseModel):
    """Immutable model; an unknown field is ignored, so that a newer process may add one (additive wire contract)."""

    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True, use_attribute_docstrings=True)
