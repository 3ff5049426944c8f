"""Where the pair files are: PAIRS_DIR in the environment or in `.env`, the same for every process and command.

In: the environment. Out: `PairsFolder`, of which `workers.settings.Settings` is one.
"""

from pathlib import Path

from pydantic_settings import BaseSettings, SettingsConfigDict


class PairsFolder(BaseSettings):
    """The setting PAIRS_DIR."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", use_attribute_docstrings=True
    )

    pairs_dir: Path = Path("mappings/pairs")
    """Folder of the pair files, one per store and Sage company."""
