"""The base of every section of a pair file."""

from pydantic import BaseModel, ConfigDict


class Section(BaseModel):
    """A section of a pair file: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
