"""docs/settings.md: every setting with its type, default, meaning and the processes that read it, made from the models.

In: `Settings` and `PairSettings`, whose docstrings are the meanings. Out: Markdown, the same to the byte for the same
models. `python -m workers.settings_page [FILE]` writes it.
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Final, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings

from mappings.reference import type_of
from workers.production import RULES
from workers.settings import DeploymentEnvironment, PairSettings, ReadBy, Settings

PAGE: Final = Path("docs/settings.md")
EXAMPLE_PAIR: Final = "DEMO"

HEAD: Final = """\
# Every setting

Made from the models by `.venv/bin/python -m workers.settings_page`; do not edit it by hand. Settings come from the
environment or from the file `.env` in the folder where a process starts; the environment wins. `.env.example` is a
beginning. `.venv/bin/python -m workers check` tries them all against the systems that they name.

A *secret* is never logged or shown, and stands in no pair file: those are data of the mapping (docs/pair-file.md).
"""

PAIRS: Final = """
## For each pair

The variables carry the pair's name in capitals: the pair `demo` reads `DEMO_SAGE_ODBC`, the pair `acme`
`ACME_SAGE_ODBC`. A machine needs those of the processes that run on it: beside Sage, none of Clarity's.
"""

ELSEWHERE: Final = """
## Read by others

| Variable | Read by | Meaning |
|---|---|---|
| `OTEL_…` | every process that sends traces | The OpenTelemetry SDK's own settings, from the environment alone, \
such as `OTEL_EXPORTER_OTLP_HEADERS`. |
| `PROMETHEUS_MULTIPROC_DIR` | `python -m api` and workers of one machine | A folder into which all of them count, so \
that the API's `/metrics` shows everything ([telemetry.md](telemetry.md)); `make run` sets it. |
| `PROD_…` | `python -m workers promote` | A setting of the environment `prod` alone, where a process reads two \
([promotion.md](promotion.md)). |
| `SANDBOX_…` | `python -m sandbox` | Each of its flags in capitals: `SANDBOX_SAGE_PORT` for `--sage-port`, \
`SANDBOX_CLARITY_DIALECT` for `--clarity-dialect` ([sandbox.md](sandbox.md)). |
| `USER` | `make setup` | Who fetches the ODBC packages. |
"""

PRODUCTION: Final = """
## What production refuses

With `DEPLOYMENT_ENVIRONMENT=production` API and workers do not start, and say everything at once, when

%(rules)s

*Local* is this machine, a private address, and a name without a dot or below `.local`, `.internal` or `.localhost`: the
services of one compose file or cluster. `python -m workers check` says the same before anything is started.
"""


def page() -> str:
    """The whole file."""
    rules = "\n".join(f"* {rule}" for rule in RULES)
    return (
        "\n".join(
            (
                HEAD,
                "## For every process\n",
                *_table(Settings, ""),
                PAIRS,
                *_table(PairSettings, f"{EXAMPLE_PAIR}_"),
                ELSEWHERE + PRODUCTION % {"rules": rules},
            )
        ).rstrip("\n")
        + "\n"
    )


def _table(model: type[BaseSettings], prefix: str) -> Iterator[str]:
    yield "| Variable | Type | Default | Meaning | Read by | Secret |"
    yield "|---|---|---|---|---|---|"
    for name, field in model.model_fields.items():
        cells = (
            f"`{prefix}{name.upper()}`",
            _type(field),
            _default(field),
            _meaning(field),
            _readers(field),
            "yes" if _is_secret(field.annotation) else "",
        )
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _type(field: FieldInfo) -> str:
    annotation = field.annotation
    options = [one for one in get_args(annotation) if one is not NoneType] if _is_union(annotation) else [annotation]
    words: list[str] = []
    for one in options:
        if get_origin(one) is tuple:
            words.append("texts, separated by commas")
        elif one is SecretStr:
            words.append("text")
        elif one is Path:
            words.append("path")
        else:
            words.append(type_of(one, field.metadata))
    return " or ".join(words)


def _is_union(annotation: Any) -> bool:
    return get_origin(annotation) in (Union, UnionType)


def _is_secret(annotation: Any) -> bool:
    return annotation is SecretStr or any(_is_secret(one) for one in get_args(annotation))


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if isinstance(value, SecretStr):
        value = value.get_secret_value()
    if value is None or value in ("", ()):
        return "none"
    return f"`{value.as_posix() if isinstance(value, Path) else value}`"


def _meaning(field: FieldInfo) -> str:
    words = " ".join((field.description or "").split())
    if field.annotation is DeploymentEnvironment:
        return f"{words} What it changes: *What production refuses* below."
    return words


def _readers(field: FieldInfo) -> str:
    readers = [reader.value for one in field.metadata if isinstance(one, ReadBy) for reader in one.readers]
    return ", ".join(readers) or "every process"


def main(arguments: Sequence[str]) -> int:
    """Entry point; returns the exit status."""
    if len(arguments) > 1 or any(argument.startswith("-") for argument in arguments):
        print("usage: python -m workers.settings_page [FILE]", file=sys.stderr)
        return 2
    file = Path(arguments[0]) if arguments else PAGE
    file.write_text(page(), encoding="utf-8", newline="\n")
    print(file)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
