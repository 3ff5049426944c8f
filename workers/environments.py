"""Environments such as dev, QA and production: a file of settings each, `{ENVIRONMENTS_DIR}/{name}.env`.

In: a name. Out: its `Settings`. The file wins over the process's environment, as two environments are read beside each
other; a secret comes from there, as `{NAME}_{SETTING}` or `{SETTING}`, and never stands in the file. Raises
`SettingsError` that names file, setting and remedy.
"""

import os
import re
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from pydantic import SecretStr, ValidationError

from workers.settings import SecretFolders, Settings, SettingsError

REQUIRED: Final = ("TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE", "PAIRS_DIR")
"""What would else be that of the process, for two environments at once."""
NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,30}")
SECRET: Final = re.compile(r"(PASSWORD|SECRETS?|KEY|KEYS|TOKEN|ODBC|ALERT_TARGETS_(HIGH|WARNING|INFO))$")
"""Ends of names whose values are secrets."""


def load_environment(folder: Path, name: str) -> Settings:
    """The settings of one environment."""
    if not NAME.fullmatch(name):
        raise SettingsError(f"{name[:40]!r} names no environment: use small letters, digits and -.")
    file = folder / f"{name}.env"
    if not file.is_file():
        known = ", ".join(sorted(one.stem for one in folder.glob("*.env"))) or "none"
        raise SettingsError(
            f"{file}: no such file; known environments: {known}. Copy environments/example.env, or set "
            "ENVIRONMENTS_DIR to their folder."
        )
    try:
        written = {key.upper(): value or "" for key, value in dotenv_values(file, interpolate=False).items()}
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{file}: cannot be read ({type(error).__name__}). Save it as UTF-8.") from None
    for key in written:
        if is_secret(key):
            raise SettingsError(
                f"{file}: {key} is a secret. Remove it, and set {own_variable(name, key)} in the environment."
            )
    for key in REQUIRED:
        if not written.get(key):
            raise SettingsError(f"{file}: {key} is not set. Add it.")
    fields = {field.upper(): field for field in Settings.model_fields}
    values: dict[str, Any] = {fields[key]: value for key, value in written.items() if key in fields}
    for key, field in fields.items():
        if (own := os.environ.get(own_variable(name, key))) is not None:
            values[field] = own
    # That this process has versions says nothing of an environment.
    values = {"worker_deployment": "", "worker_build_id": "", **values}
    folders = {"secrets_dir": values["secrets_dir"]} if "secrets_dir" in values else {}
    try:
        return Settings(_secrets_dir=SecretFolders(**folders).folders(), **values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise SettingsError(f"{file}: {str(first['loc'][0]).upper()}: {first['msg']}. Correct it.") from None


def is_secret(key: str) -> bool:
    """Whether a setting's value is a secret, by its type or, as of pairs' settings, by its name."""
    field = Settings.model_fields.get(key.lower())
    if field is not None:
        return field.annotation is SecretStr or field.annotation == SecretStr | None
    return SECRET.search(key) is not None


def own_variable(name: str, key: str) -> str:
    """The process's variable that counts for one environment alone: `PROD_TEMPORAL_NAMESPACE`."""
    return f"{name.upper().replace('-', '_')}_{key}"
