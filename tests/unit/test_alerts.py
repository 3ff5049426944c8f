"""Alerts without Temporal: grouping and words, targets and what of them may be shown, messages really sent."""

import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from connectors.alerts import AlertTarget, TargetsUnreadable, masked, read_targets, send, shown
from contracts.alerts import AlertGroup
from contracts.messages import Alert, AlertKind, AlertSeverity
from mappings.pair import Pace
from mappings.problems import HoldReason
from tests.support.processes import ROOT, free_ports
from tests.support.web_hook import web_hook
from workflows.alert_texts import add_to, message_of, most_urgent, short_key
from workflows.alerts import HIGH_SHARE

SECRET = b"a key of the tests"
SLACK = "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ"


def alert(number: int, kind: AlertKind = AlertKind.HOLD, reason: HoldReason | None = HoldReason.OUT_OF_STOCK) -> Alert:
    return Alert(
        pair="demo",
        kind=kind,
        workflow_id=f"order-demo-{number}",
        title=f"Order {number}",
        text=f"held: {reason}" if reason else "something",
        reason=reason,
        occurrence="run:1",
    )


def grouped(*alerts: Alert) -> list[AlertGroup]:
    groups: list[AlertGroup] = []
    for one in alerts:
        groups = add_to(groups, one)
    return groups


# ---- grouping and words ---------------------------------------------------------------------------------------------


def test_a_hundred_holds_of_one_reason_are_one_message_that_says_how_many_and_lists_all() -> None:
    groups = grouped(*(alert(number) for number in range(100)))
    assert [group.count for group in groups] == [100]
    message = message_of("demo", groups[0])
    assert message.title == "[demo] 100 orders are held: out_of_stock"
    assert "HoldReason='out_of_stock' AND ExecutionStatus='Running'" in message.body
    assert "order-demo-0" in message.body
    assert "order-demo-4" in message.body
    assert "order-demo-5" not in message.body
    assert message.body.endswith("… and 95 more")
    assert len(message.body) < 1_000


def test_two_reasons_and_two_kinds_are_messages_of_their_own() -> None:
    groups = grouped(
        alert(1),
        alert(2, reason=HoldReason.CREDIT),
        alert(3, AlertKind.REMINDER),
        alert(4),
        alert(5, AlertKind.SHORT, None),
    )
    assert [(group.kind, group.count) for group in groups] == [
        (AlertKind.HOLD, 2),
        (AlertKind.HOLD, 1),
        (AlertKind.REMINDER, 1),
        (AlertKind.SHORT, 1),
    ]


def test_one_alert_is_told_in_the_singular_with_its_workflow_id() -> None:
    (group,) = grouped(alert(7))
    message = message_of("demo", group)
    assert message.title == "[demo] 1 order is held: out_of_stock"
    assert "- Order 7 | held: out_of_stock | order-demo-7" in message.body


def test_the_same_alert_is_known_again_and_the_next_hold_of_the_same_reason_is_not() -> None:
    again = alert(1)
    assert short_key(again) == short_key(alert(1))
    assert short_key(again.model_copy(update={"occurrence": "run:2"})) != short_key(again)
    assert short_key(alert(2)) != short_key(again)


def test_every_kind_has_a_severity_and_words() -> None:
    for kind in AlertKind:
        (group,) = grouped(alert(1, kind, None))
        message = message_of("demo", group)
        assert message.severity is kind.severity
        assert "_" not in message.title
    assert most_urgent(grouped(alert(1), alert(2, AlertKind.ORDER_ENDED))) is AlertSeverity.HIGH


def test_failing_tasks_are_told_within_a_minute_at_the_default_pace() -> None:
    pace = Pace()
    # Seconds until the server marks the workflow, with the setting that docs/alerts.md names.
    marked_after = 10
    assert marked_after + pace.watch_interval + pace.alert_group / HIGH_SHARE <= 50


# ---- targets --------------------------------------------------------------------------------------------------------


def test_each_severity_has_its_targets_and_a_target_of_two_is_one() -> None:
    targets = read_targets({"high": f"{SLACK} json://pager", "warning": SLACK, "info": "json://quiet"}, "", SECRET)
    assert [(target.name, target.severities) for target in targets] == [
        ("high 1 (slack)", ("high", "warning")),
        ("high 2 (json://pager)", ("high",)),
        ("info 1 (json://quiet)", ("info",)),
    ]
    assert len({target.key for target in targets}) == 3


def test_a_high_alert_goes_to_the_targets_of_warnings_when_it_has_none_of_its_own() -> None:
    (target,) = read_targets({"warning": SLACK}, "", SECRET)
    assert target.severities == ("high", "warning")


def test_a_file_of_targets_is_read_and_a_bad_line_is_named_without_its_address(tmp_path: Path) -> None:
    file = tmp_path / "targets"
    file.write_text(f"# who is told\nhigh: {SLACK}\n\nwarning: json://one json://two\n", "utf-8")
    assert [target.address for target in read_targets({}, str(file), SECRET)] == [SLACK, "json://one", "json://two"]
    file.write_text(f"high: {SLACK}\nurgent: {SLACK}\n", "utf-8")
    with pytest.raises(TargetsUnreadable, match="line 2") as refused:
        read_targets({}, str(file), SECRET)
    assert "TIiajkdnlazkcOXrIdevi7FQ" not in str(refused.value)
    with pytest.raises(TargetsUnreadable, match="cannot be read"):
        read_targets({}, str(tmp_path / "missing"), SECRET)


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (SLACK, "slack"),
        ("mailtos://user:secretword@mail.example.com?to=a@example.com", "mailtos"),
        ("json://user:secretword@hooks.example.com:8080/path/t0ken?x=1", "json://hooks.example.com:8080"),
        ("https://hooks.slack.com/services/T1JJ3T3L2/A1B/TIi", "https"),
        ("secretword", "unknown service"),
        ("secretword at://x", "unknown service"),
    ],
)
def test_of_an_address_only_the_service_is_shown_and_the_host_of_a_web_hook(address: str, expected: str) -> None:
    assert shown(address) == expected
    (target,) = read_targets({"info": address.replace(" ", "")}, "", SECRET)
    assert "secretword" not in repr(target) or expected == "unknown service"
    assert address not in repr(target)


def test_what_a_service_says_is_masked() -> None:
    said = masked("refused: bad token TIiajkdnlazkcOXrIdevi7FQ for T1JJ3T3L2", SLACK)
    assert said == "refused: bad token **** for ****"
    assert masked("no p@ss word", "json://me:p%40ss@host/") == "no **** word"


# ---- really sent ----------------------------------------------------------------------------------------------------


def target_at(address: str) -> AlertTarget:
    (target,) = read_targets({"warning": address}, "", SECRET)
    return target


def test_a_message_arrives_and_a_refusal_says_why_without_secrets(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with web_hook() as hook:
        target = target_at(hook.address)
        assert send(target, "high", "the title", "the text") == ""
        assert (hook.messages[0]["title"], hook.messages[0]["message"]) == ("the title", "the text")
        assert hook.messages[0]["type"] == "failure"
        hook.status = 403
        problem = send(target, "high", "the title", "the text")
        assert "403" in problem
    gone = send(target_at(f"json://me:hunter2pass@127.0.0.1:{free_ports(1)[0]}/s3cr3t-t0ken"), "info", "t", "b")
    assert "onnection" in gone
    for secret in ("hunter2pass", "s3cr3t-t0ken"):
        assert secret not in problem + gone + caplog.text


def test_an_address_that_no_service_has_is_said_to_be_one() -> None:
    assert "does not understand" in send(target_at("nosuchservice://token"), "info", "t", "b")


def run_test_command(settings: Mapping[str, str], *flags: str) -> subprocess.CompletedProcess[str]:
    """`python -m workers alerts test`, as a person runs it."""
    none = {f"DEMO_ALERT_TARGETS_{name}": "" for name in ("HIGH", "WARNING", "INFO", "FILE")}
    command = [sys.executable, "-m", "workers", "alerts", "test", *flags]
    environment = {**os.environ, **none, **settings}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=False)


def test_the_test_command_says_per_target_delivered_or_why_not() -> None:
    with web_hook() as good, web_hook() as bad:
        bad.status = 500
        settings = {
            "DEMO_ALERT_TARGETS_HIGH": f"{good.address} {bad.address}",
            "DEMO_ALERT_TARGETS_INFO": good.address,
            "LOG_LEVEL": "DEBUG",
        }
        run = run_test_command(settings, "--pair", "demo")
        assert run.returncode == 1
        assert f"high     high 1 (json://127.0.0.1:{good.port}): delivered" in run.stdout
        assert f"high     high 2 (json://127.0.0.1:{bad.port}): " in run.stdout
        assert "500" in run.stdout
        assert "hunter2pass" not in run.stdout + run.stderr
        assert "s3cr3t-t0ken" not in run.stdout + run.stderr
        assert run_test_command(settings, "--pair", "demo", "--severity", "info").returncode == 0
        assert good.titles()[-1] == "[demo] test message, severity info"


def test_the_test_command_without_targets_or_with_an_unknown_pair_says_so() -> None:
    run = run_test_command({}, "--pair", "demo")
    assert run.returncode == 1
    assert "DEMO_ALERT_TARGETS_HIGH" in run.stderr
    run = run_test_command({}, "--pair", "nosuch")
    assert run.returncode == 2
    assert "nosuch" in run.stderr
    run = run_test_command({"DEMO_ALERT_TARGETS_FILE": "missing"}, "--pair", "demo")
    assert run.returncode == 2
    assert "DEMO_ALERT_TARGETS_FILE" in run.stderr
