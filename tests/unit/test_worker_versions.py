"""Versions of workers: what makes another build, and which patches a version holds back."""

import inspect
from pathlib import Path

import pytest
from temporalio import workflow
from temporalio.client import WorkflowHistory

from contracts.deployments import PatchState
from contracts.messages import OrderOutcome, OrderStart
from mappings.mapping_change import ABSENT, Difference, of_order, of_pairs
from mappings.pair import Pair, load_pairs
from mappings.transform import transform
from tests.support.processes import ROOT
from tests.workflows.conftest import payload_of
from workers.encryption_keys import new_key, parse_keys
from workers.plugin import integration_plugin
from workers.promote import as_unified_diff, steps_of
from workers.promotion_checks import divergence, replayer
from workers.settings import Settings, SettingsError
from workers.versions import build_id, code_version, mapping_version, patches_in_code
from workflows.order_fulfillment import OrderFulfillmentWorkflow

PAIRS = ROOT / "mappings" / "pairs"
STREET = "1515 Bellevue Avenue"


def changed(tmp_path: Path, before: str, now: str) -> Pair:
    """The demo's pair with one text replaced."""
    text = (PAIRS / "demo.yaml").read_text("utf-8")
    assert text.count(before) == 1
    (tmp_path / "demo.yaml").write_text(text.replace(before, now), "utf-8")
    return load_pairs(tmp_path)["demo"]


def test_a_line_of_code_or_of_a_pair_file_makes_another_build(tmp_path: Path) -> None:
    for package in ("workflows", "mappings"):
        (tmp_path / package).mkdir()
        (tmp_path / package / "one.py").write_bytes(b"x = 1\n")
    before = code_version(tmp_path)
    code_version.cache_clear()
    (tmp_path / "mappings" / "one.py").write_bytes(b"x = 1\r\n")
    assert code_version(tmp_path) == before, "line ends of a checkout on Windows are no change"
    code_version.cache_clear()
    (tmp_path / "mappings" / "one.py").write_bytes(b"x = 2\n")
    assert code_version(tmp_path) != before
    pairs = load_pairs(PAIRS)
    other = {**pairs, "demo": changed(tmp_path, 'warehouse: "000"', 'warehouse: "001"')}
    assert mapping_version(pairs) != mapping_version(other)
    assert build_id(Settings(), pairs) == f"{code_version(ROOT)}-{mapping_version(pairs)}"
    assert build_id(Settings(worker_build_id="r12"), pairs) == "r12"


def test_every_patch_of_the_workflows_is_found() -> None:
    written = sum(file.read_text("utf-8").count("workflow.patched(") for file in (ROOT / "workflows").glob("*.py"))
    assert len(patches_in_code()) == written
    assert "invoices-when-posted" in patches_in_code()


def test_patches_of_the_version_before_stay_on_and_new_ones_wait() -> None:
    assert not PatchState().allows("old")
    ramping = PatchState(active=["old"], in_code=["old", "new"])
    assert (ramping.allows("old"), ramping.allows("new")) == (True, False)
    assert ramping.model_copy(update={"on": True}).allows("new")


def test_pair_files_are_compared_key_by_key(tmp_path: Path) -> None:
    before = load_pairs(PAIRS)["demo"]
    differences = of_pairs(before, changed(tmp_path, 'warehouse: "000"', 'warehouse: "001"'))
    assert [str(one) for one in differences] == ["order.warehouse: 000 → 001"]
    assert as_unified_diff("demo", "prod", "candidate", differences)[-2:] == [
        "-order.warehouse: 000",
        "+order.warehouse: 001",
    ]
    assert [str(one) for one in of_pairs(before, None)] == ["file: a pair → (none)"]
    assert of_pairs(before, before) == []


def test_an_order_is_compared_column_by_column(tmp_path: Path) -> None:
    before, payload = load_pairs(PAIRS)["demo"], payload_of("02-known-web-customer")
    assert of_order(payload, before, before) == []
    now = changed(tmp_path, "ship_via: UPS GROUND", "ship_via: UPS GRND")
    paths = [one.path for one in of_order(payload_of("01-consumer-new"), before, now)]
    assert paths == ["ShipVia"]
    del payload["data"]["items"]
    assert of_order(payload, before, before) == [], "held before and now"


def test_a_difference_in_a_log_names_columns_and_no_person(tmp_path: Path) -> None:
    before = load_pairs(PAIRS)["demo"]
    payload = payload_of("01-consumer-new")
    street = payload["data"]["shippingAddress"]["line1"]
    now = changed(tmp_path, "ship_via: UPS GROUND", "ship_via: UPS GRND")
    code, address, problem, own = (
        of_order(payload, before, now)[0],
        Difference(path="ShipToAddress1", before=street, now=ABSENT),
        Difference(path="held[0]", before=ABSENT, now=f"data.shippingAddress: {street} is too long"),
        Difference(path="UDF_GIFT_FROM", before="Ann", now="Bob"),
    )
    assert code.without_personal_values() == code
    assert str(address.without_personal_values()) == "ShipToAddress1: (hidden) → (none)"
    assert str(problem.without_personal_values()) == "held[0]: (none) → data.shippingAddress: (hidden)"
    assert str(own.without_personal_values()) == "UDF_GIFT_FROM: (hidden) → (hidden)"


def test_whatever_leads_to_the_buyer_is_hidden() -> None:
    payload, pair = payload_of("01-consumer-new"), load_pairs(PAIRS)["demo"]
    recorded = transform(payload, pair).model_copy(update={"draft": None})
    told = "\n".join(str(one.without_personal_values()) for one in of_order(payload, pair, pair, recorded))
    assert "ShipToName: (none) → (hidden)" in told
    assert "OrderDate: (none) → 2026-11-21" in told
    buyer, address = payload["data"]["customer"], payload["data"]["shippingAddress"]
    words = [buyer["firstName"], buyer["lastName"], buyer["email"], buyer["phone"][-4:]]
    words += [address[name] for name in ("line1", "line2", "city", "postalCode")]
    assert [word for word in words if word.lower() in told.lower()] == []


def test_what_the_running_code_made_of_an_order_counts_as_before() -> None:
    pair, payload = load_pairs(PAIRS)["demo"], payload_of("02-known-web-customer")
    recorded = transform(payload, pair)
    assert recorded.draft is not None
    assert of_order(payload, pair, pair, recorded) == []
    order = recorded.draft.sales_order.model_copy(update={"ShipVia": "BY CART"})
    once = recorded.model_copy(update={"draft": recorded.draft.model_copy(update={"sales_order": order})})
    assert [one.path for one in of_order(payload, pair, pair, once)] == ["ShipVia"]


def test_a_divergence_names_the_event() -> None:
    text = (ROOT / "tests/histories/plain.json").read_text("utf-8")
    history = WorkflowHistory.from_json("order-demo-1", text)
    sdk = 'Workflow activation completion failed: Failure { failure: Some(Failure { message: "%s", source: "", more'
    for message, event in (
        (
            "[TMPRL1100] Nondeterminism error: Activity type of scheduled event 'acknowledge_to_clarity' differs",
            "ActivityTaskScheduled acknowledge_to_clarity",
        ),
        (
            "[TMPRL1100] Nondeterminism error: Timer machine does not handle this event: HistoryEvent(id: 6, Activity)",
            "event 6 ActivityTaskScheduled read_sage_facts",
        ),
    ):
        found = divergence(history, RuntimeError(sdk % message))
        assert event in found.event
        assert str(found) == f"order-demo-1: {found.event}: {message}"
    assert str(divergence(history, RuntimeError(sdk % "no such thing"))) == "order-demo-1: no such thing"


@workflow.defn(name="OrderFulfillmentWorkflow", sandboxed=False)
class QuotingOrder(OrderFulfillmentWorkflow):
    """Raises with what it choked on."""

    @workflow.init
    def __init__(self, start: OrderStart) -> None:
        super().__init__(start)

    @workflow.run
    async def run(self, start: OrderStart) -> OrderOutcome:
        try:
            raise KeyError(STREET)
        except KeyError as error:
            raise ZeroDivisionError(f'"{STREET}" has\nno number') from error


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("keys", ["", new_key("k")], ids=["plain", "encrypted"])
async def test_a_divergence_of_an_exception_names_type_and_place_and_no_value(keys: str) -> None:
    history = WorkflowHistory.from_json("order-demo-1", (ROOT / "tests/histories/plain.json").read_text("utf-8"))
    plugin = integration_plugin(keys=parse_keys(keys))
    result = await replayer([QuotingOrder], plugin).replay_workflow(history, raise_on_replay_failure=False)
    assert result.replay_failure is not None
    found = str(divergence(history, result.replay_failure))
    here = inspect.getsourcelines(QuotingOrder.run)[1]
    assert found == f"order-demo-1: ZeroDivisionError in tests/unit/test_worker_versions.py:{here + 5} (run)"


def test_a_key_that_is_not_here_is_told() -> None:
    history = WorkflowHistory.from_json("order-demo-1", (ROOT / "tests/histories/plain.json").read_text("utf-8"))
    said = "a payload was encrypted with the key '2026-11', which is not here"
    sdk = f'Failure {{ message: "{said}", source: "", stack_trace: "", r#type: "UndecodablePayload", more'
    assert str(divergence(history, RuntimeError(sdk))) == f"order-demo-1: UndecodablePayload: {said}"


@pytest.mark.parametrize("text", ["", "5,20", "20,5,100", "0,100", "5,5,100", "a,100", "50,200"])
def test_steps_rise_to_a_hundred(text: str) -> None:
    with pytest.raises(SettingsError, match="--steps"):
        steps_of(text)
    assert steps_of("5,20,50,100") == [5, 20, 50, 100]
