"""`python -m mappings check`: every file, every error, warnings, and where the pair files are."""

import os
import subprocess
import sys
from datetime import datetime
from pathlib import Path

import pytest

from mappings.__main__ import main
from mappings.pair import BusinessHours, Pair, PairFileError, Weekday, load_pair, load_pairs
from mappings.pair_check import warnings
from mappings.pair_file import read_yaml
from mappings.pair_rules import fits
from mappings.problems import Problem
from tests.support.processes import ROOT
from tests.unit.conftest import DEMO_FILE
from workers.settings import Settings

DEMO = DEMO_FILE.read_text("utf-8")


def check(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, list[str], list[str]]:
    status = main(["--pairs-dir", str(folder), "check"])
    shown = capsys.readouterr()
    return status, shown.out.splitlines(), shown.err.splitlines()


def test_every_file_is_read_and_every_error_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "aaa.yaml").write_text(DEMO.replace("limit_zero: unlimited", "limit_zero: x"), "utf-8")
    broken = DEMO.replace("price_decimals: 3", "price_decimals: x").replace("2026-01-01", "soon")
    (tmp_path / "bbb.yaml").write_text(broken, "utf-8")
    (tmp_path / "ccc.yaml").write_text("a: [", "utf-8")
    (tmp_path / "good.yaml").write_text(DEMO, "utf-8")
    (tmp_path / "old.yml").write_text("not read", "utf-8")
    status, out, err = check(tmp_path, capsys)
    assert status == 1
    assert [line.removeprefix(f"{tmp_path}/").partition(":")[0] for line in err] == [
        "aaa.yaml",
        "bbb.yaml",
        "bbb.yaml",
        "ccc.yaml",
    ]
    assert out[0].startswith("good: ok (mapping version ")
    assert f"{tmp_path}/old.yml: warning: is not read; pair files end with .yaml." in out
    with pytest.raises(PairFileError) as raised:
        load_pairs(tmp_path)
    assert str(raised.value).splitlines() == err


def test_the_demo_is_right(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = check(DEMO_FILE.parent, capsys)
    assert (status, err) == (0, [])
    assert out[0] == f"demo: ok (mapping version {load_pair(DEMO_FILE).version})"
    assert all(f"{DEMO_FILE}:" in line and ": warning: " in line for line in out[1:])


def test_a_folder_without_pair_files_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert check(tmp_path, capsys) == (
        1,
        [],
        [f"{tmp_path}: folder: holds no pair file (*.yaml). Set PAIRS_DIR to their folder."],
    )
    (tmp_path / "demo.yml").write_text(DEMO, "utf-8")
    assert check(tmp_path, capsys)[2] == [
        f"{tmp_path}: folder: holds no pair file (*.yaml), only demo.yml. Rename it to demo.yaml."
    ]
    nowhere, file = tmp_path / "nowhere", tmp_path / "demo.yml"
    assert "folder: does not exist. Set PAIRS_DIR" in check(nowhere, capsys)[2][0]
    assert "folder: is a file. Set PAIRS_DIR" in check(file, capsys)[2][0]
    (tmp_path / "dir.yaml").mkdir()
    assert "dir.yaml:1: file: cannot be read: Is a directory. Check" in check(tmp_path, capsys)[2][0]


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed to whom the folder is closed")
def test_a_folder_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    (closed / "demo.yaml").write_text(DEMO, "utf-8")
    script = f"""import os; from pathlib import Path; from mappings.pair_check import check
os.setuid(65534)
raise SystemExit(check(Path({str(closed)!r})))"""
    done = subprocess.run([sys.executable, "-B", "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"{closed}: folder: cannot be read: Permission denied. Check its permissions.\n"


def test_a_pair_that_another_names_may_itself_be_broken(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with_other = DEMO.replace("  price_decimals: 3", "  other_currencies: {CAD: canada}\n  price_decimals: 3")
    (tmp_path / "demo.yaml").write_text(with_other, "utf-8")
    (tmp_path / "canada.yaml").write_text(DEMO.replace("2026-01-01", "soon"), "utf-8")
    status, out, err = check(tmp_path, capsys)
    assert status == 1
    assert out[0].startswith("demo: ok")
    assert len(err) == 1
    assert "canada.yaml:13: go_live: " in err[0]
    (tmp_path / "canada.yaml").write_text(DEMO, "utf-8")
    status, out, err = check(tmp_path, capsys)
    assert [line.partition(": ")[0] for line in out if ": ok (" in line] == ["canada"]
    assert "company.other_currencies.CAD: canada's company keeps USD. Name the pair" in err[0]


WARNED = [
    ("route: clearing", "route: prepayment", "payments[0].route", "cash receipt"),
    ("payment_type: STRIP", "payment_type: VISA", "payments[0].payment_type", "charge the buyer again"),
    ("route: clearing", "route: deposit_liability", "payments[0].route", "accounting enters it by hand"),
    ("route: clearing", "route: on_invoice", "payments[0].route", "cash_receipts.write is off"),
    ("tolerance: 0.00", "tolerance: 5", "tax.tolerance", "may pass unseen"),
    ("  BillToName: 50", "  BillToName: 500", "columns.BillToName", "more than the 50"),
    ("rounding: /ROUND", "rounding_limit: 5\n  rounding: /ROUND", "charges.rounding_limit", "more than rounding"),
    ("  exempt: NONTAX", "  exempt_regions: [US-TX, TX, US-QQ]\n  exempt: NONTAX", "tax.exempt_regions[2]", "'US-QQ'"),
    ("order_status: N ", "order_status: N  ", "order.order_status", "make sure that it looks"),
]


@pytest.mark.parametrize(("old", "new", "key", "words"), WARNED, ids=lambda value: value.strip()[:24])
def test_what_may_surprise_is_warned_of_and_stops_nothing(
    old: str, new: str, key: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert old in DEMO
    (tmp_path / "demo.yaml").write_text(DEMO.replace(old, new, 1), "utf-8")
    status, out, err = check(tmp_path, capsys)
    assert (status, err) == (0, [])
    [line] = [line for line in out if f": {key}: warning: " in line]
    assert words in line
    assert line.startswith(f"{tmp_path}/demo.yaml:{read_yaml(tmp_path / 'demo.yaml')[1].nearest(path(key))}: ")


def path(key: str) -> tuple[str | int, ...]:
    parts = key.replace("[", ".[").split(".")
    return tuple(int(part[1:-1]) if part.startswith("[") else part for part in parts)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("order_status: N ", "order_status: O "),
        ("  header: {}", '  header: {PrintPickingSheets: "Y"}'),
        ("  header: {}", "  header: {}\n  header_values: {CycleCode: \"'01'\"}"),
        ("  header: {}", "  header: {}\n  header_rules: [{when: \"notes == ''\", header: {PrintSalesOrders: 'Y'}}]"),
    ],
)
def test_what_leads_to_picking_needs_no_warning(old: str, new: str, tmp_path: Path) -> None:
    (tmp_path / "demo.yaml").write_text(DEMO.replace(old, new, 1), "utf-8")
    assert list(warnings(load_pair(tmp_path / "demo.yaml"))) == []


def run(*arguments: str, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if name != "PAIRS_DIR"}
    return subprocess.run(
        [sys.executable, "-B", "-m", "mappings", *arguments],
        cwd=cwd,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_pairs_dir_is_the_workers_and_the_flag_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "site.yaml").write_text(DEMO, "utf-8")
    here = run("check", PAIRS_DIR=str(tmp_path))
    assert here.returncode == 0
    assert here.stdout.startswith("site: ok")
    flag = run("--pairs-dir", str(DEMO_FILE.parent), "check", PAIRS_DIR=str(tmp_path))
    assert flag.stdout.startswith("demo: ok")
    gone = run("check", PAIRS_DIR=str(tmp_path / "nowhere"))
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "nowhere: folder: does not exist" in gone.stderr
    order = str(ROOT / "sandbox/orders/01-consumer-new.json")
    assert run("preview", order, "--pair", "site", PAIRS_DIR=str(tmp_path)).returncode == 0
    assert run("preview", order, "--pair", "site").returncode == 2
    # The same from .env, in the folder where a process starts.
    (tmp_path / ".env").write_text(f"PAIRS_DIR={tmp_path}\n", "utf-8")
    assert run("check", cwd=tmp_path).stdout.startswith("site: ok")
    monkeypatch.setenv("PAIRS_DIR", str(tmp_path))
    assert Settings().pairs_dir == tmp_path


def test_usage_errors_have_their_own_status() -> None:
    done = run("chekc")
    assert (done.returncode, done.stdout) == (2, "")
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("moment", "open_"),
    [
        ("2026-11-20T19:59", False),  # Friday
        ("2026-11-20T20:00", True),
        ("2026-11-21T05:59", True),  # still Friday's night
        ("2026-11-21T06:00", False),
        ("2026-11-21T20:00", False),  # Saturday
        ("2026-11-23T05:00", False),  # Monday, after a Sunday
        ("2026-11-23T23:00", True),
        ("2026-11-24T00:00", True),
    ],
)
def test_business_hours_may_cross_midnight(moment: str, open_: bool) -> None:
    hours = BusinessHours(start="20:00", end="06:00")
    assert hours.cover(datetime.fromisoformat(moment)) is open_
    sunday = BusinessHours(days=[Weekday.SUN], start="20:00", end="06:00")
    assert sunday.cover(datetime(2026, 11, 23, 5)) is True  # noqa: DTZ001
    assert sunday.cover(datetime(2026, 11, 22, 5)) is False  # noqa: DTZ001


def test_lengths_are_the_files_or_else_sages(pair: Pair) -> None:
    found: list[Problem] = []
    assert fits("FOB", "x" * 15, "f", pair, found) == "x" * 15
    assert fits("UDF_FREE", "x" * 900, "f", pair, found)
    assert found == []
    fits("FOB", "x" * 16, "f", pair, found)
    fits("CustomerPONo", "x" * 31, "f", pair, found)
    assert [problem.message for problem in found] == [
        "FOB has 16 characters, Sage takes 15",
        "CustomerPONo has 31 characters, Sage takes 30",
    ]
