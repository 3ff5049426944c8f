"""Finding (and on Debian and Ubuntu fetching) the ODBC driver manager and the SQLite driver of the sandbox.

`python -m connectors.sage100.driver` is part of `make setup`: it needs no root and installs nothing; packages are
unpacked into `.odbc/`. With Sage's own driver installed (Windows) nothing of this is used.

Search order: what is configured (a path in the connection string) → the system's → `./.odbc` → `OdbcDriverMissing`
with the one line to type.
"""

import ctypes
import importlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

LOCAL = Path(".odbc")
MANAGER_LIBRARIES = ("libltdl.so.7", "libodbcinst.so.2", "libodbc.so.2")
"""Loaded in this order before `import pyodbc` when the system has no driver manager."""
SQLITE_DRIVERS = ("libsqlite3odbc.so", "libsqlite3odbc.dylib")
PACKAGES = (
    ("libodbc2", "libodbc2t64"),
    ("libltdl7", "libltdl7t64"),
    ("libodbcinst2", "libodbcinst2t64"),
    ("libsqliteodbc",),
    ("libsqlite3-0", "libsqlite3-0t64"),
)
"""Each package with the names it has on other releases."""
DOWNLOAD_SECONDS = 180


_KEYWORD = re.compile(r"([^;={}]+)=\s*(?:\{((?:[^}]|\}\})*)\}|([^;]*))")
"""`name=value` of a connection string; a value in braces may hold anything, a closing brace doubled."""


class OdbcDriverMissing(Exception):
    """No driver manager or driver; `str()` holds the one line to type."""


def parts_of(connection_string: str) -> dict[str, str]:
    """Keywords of a connection string in small letters, with their values without braces."""
    found = _KEYWORD.findall(connection_string)
    return {name.strip().casefold(): (braced.replace("}}", "}") or plain.strip()) for name, braced, plain in found}


def import_pyodbc() -> ModuleType:
    """Import pyodbc, with the driver manager of `.odbc` where the system has none. Raises OdbcDriverMissing."""
    try:
        return importlib.import_module("pyodbc")
    except ImportError:
        sys.modules.pop("pyodbc", None)
    for name in MANAGER_LIBRARIES:
        library = next(find_files(LOCAL, name), None)
        if library is None:
            raise OdbcDriverMissing(f"No ODBC driver manager is installed. {remedy()}")
        ctypes.CDLL(str(library.resolve()), mode=getattr(ctypes, "RTLD_GLOBAL", 0))
    try:
        return importlib.import_module("pyodbc")
    except ImportError as error:
        raise OdbcDriverMissing(f"pyodbc cannot be loaded ({error}). {remedy()}") from None


def sqlite_driver() -> Path:
    """The SQLite ODBC driver, the system's first. Raises OdbcDriverMissing."""
    for folder in (*(Path(root) for root in ("/usr/lib", "/usr/local/lib", "/opt/homebrew/lib")), LOCAL):
        for name in SQLITE_DRIVERS:
            driver = next(find_files(folder, name), None)
            if driver is not None:
                return driver.resolve()
    raise OdbcDriverMissing(f"The SQLite ODBC driver of the sandbox is not installed. {remedy()}")


def find_files(folder: Path, name: str) -> Iterator[Path]:
    """Files of this name where Debian, Fedora and Homebrew put drivers, or anywhere below `.odbc`."""
    if folder == LOCAL:
        yield from sorted(folder.rglob(name))
        return
    for pattern in (name, f"odbc/{name}", f"*/odbc/{name}", f"*/{name}"):
        yield from sorted(folder.glob(pattern))


def remedy() -> str:
    """The one line to type on this system."""
    system = platform.system()
    if system == "Darwin":
        return "Type: brew install unixodbc sqliteodbc"
    if system == "Windows":
        return "Install the SQLite ODBC driver (the driver manager is part of Windows)."
    if shutil.which("dnf"):
        return "Type: sudo dnf install unixODBC sqliteodbc"
    return "Type: sudo apt-get install -y --no-install-recommends libodbc2 libsqliteodbc"


def is_ready() -> bool:
    """Whether driver manager and SQLite driver can be used as they are."""
    try:
        import_pyodbc()
        sqlite_driver()
    except OdbcDriverMissing:
        return False
    return True


def fetch_without_root() -> None:
    """Download the packages and unpack them into `.odbc` (Debian, Ubuntu). Raises OdbcDriverMissing."""
    if not (shutil.which("apt-get") and shutil.which("dpkg")):
        raise OdbcDriverMissing(f"The ODBC packages can be fetched on Debian and Ubuntu only. {remedy()}")
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        options: list[str] = []
        for names in PACKAGES:
            if _download(names, options, scratch):
                continue
            # No package lists, or none that this user may use: get them into a place of our own, once.
            if not options:
                options = _private_lists(scratch)
                if _download(names, options, scratch):
                    continue
            raise OdbcDriverMissing(f"The package {names[0]} could not be downloaded. {remedy()}")
        for package in scratch.glob("*.deb"):
            _run(["dpkg", "-x", str(package), str(LOCAL.resolve())], scratch)


def _download(names: Sequence[str], options: Sequence[str], scratch: Path) -> bool:
    return any(
        _run(["apt-get", *options, "download", name], scratch).returncode == 0 and any(scratch.glob(f"{name}_*.deb"))
        for name in names
    )


def _private_lists(scratch: Path) -> list[str]:
    state, cache = scratch / "state", scratch / "cache"
    (state / "lists" / "partial").mkdir(parents=True)
    (cache / "archives" / "partial").mkdir(parents=True)
    options = [
        f"-oDir::State={state}",
        f"-oDir::State::lists={state / 'lists'}",
        f"-oDir::Cache={cache}",
        "-oDir::State::status=/var/lib/dpkg/status",
        "-oAPT::Sandbox::User=" + (os.environ.get("USER") or "root"),
    ]
    _run(["apt-get", *options, "update", "-q"], scratch)
    return options


def _run(command: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - fixed commands
        command, cwd=folder, capture_output=True, text=True, timeout=DOWNLOAD_SECONDS, check=False
    )


def main() -> int:
    """Make sure that the drivers are there; 0 when they are."""
    if is_ready():
        return 0
    print("Fetching the ODBC driver manager and the SQLite driver into .odbc/ (no root, nothing is installed) …")
    try:
        fetch_without_root()
    except (OdbcDriverMissing, OSError, subprocess.TimeoutExpired) as error:
        print(f"ODBC: {error}", file=sys.stderr)
        return 1
    # A failed import of pyodbc is not repeated in this process: look at the result from a fresh one.
    check = subprocess.run(
        [sys.executable, "-c", "import sys; from connectors.sage100.driver import is_ready; sys.exit(not is_ready())"],
        check=False,
    )
    if check.returncode != 0:
        print(f"ODBC: the fetched packages do not work here. {remedy()}", file=sys.stderr)
    return check.returncode


if __name__ == "__main__":
    raise SystemExit(main())
