"""`CustomerResolutionWorkflow` without a server: who gets which answer, and how long a run stays.

In: orders that attach at times of a clock of our own. Out: accounts made, answers sent.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from contracts.messages import CreateCustomer, CustomerCreated, CustomerFound, CustomerResolved, CustomerStart
from mappings.customer_match import CustomerRecord, match_customer
from mappings.pair import Pair
from mappings.problems import HoldReason
from mappings.sales_order import CustomerKey, CustomerSearch
from tests.unit.test_deduplication import order
from workflows import customer_resolution
from workflows.customer_resolution import STAY, CustomerResolutionWorkflow

ANN, PHONE_ONLY = order(email="ann@example.com"), order(email="", phone="214-555-0177")


class Stage:
    """Time, Sage and the waiting orders; what a resolution asks of Temporal is answered here."""

    def __init__(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        self.pair = pair
        self.now = datetime(2026, 11, 22, tzinfo=UTC)
        self.patched = True
        self.later: list[tuple[timedelta, str, CustomerSearch]] = []
        """Orders that attach so long after the start."""
        self.accounts: list[CustomerRecord] = []
        self.answers: dict[str, list[CustomerResolved]] = {}
        self.looks = 0
        self.began = self.now
        self.flow = CustomerResolutionWorkflow(CustomerStart(pair="demo", search=ANN, pace=pair.pace))
        fake = SimpleNamespace(
            now=lambda: self.now,
            patched=lambda _: self.patched,
            set_current_details=lambda _: None,
            wait_condition=self.wait,
            execute_activity_method=self.activity,
            get_external_workflow_handle=self.handle,
            logger=SimpleNamespace(info=lambda *_, **__: None),
        )
        monkeypatch.setattr(customer_resolution, "workflow", fake)

    async def run(self, *attached: tuple[str, CustomerSearch]) -> int:
        for workflow_id, search in attached:
            self.flow.attach(workflow_id, search)
        return await self.flow.run(CustomerStart(pair="demo", search=ANN, pace=self.pair.pace))

    async def wait(
        self,
        condition: Callable[[], bool],
        *,
        timeout: timedelta,  # noqa: ASYNC109 - as `workflow.wait_condition` has it
        timeout_summary: str,
    ) -> None:
        end = self.now + timeout
        while not condition():
            if not self.later or self.began + self.later[0][0] > end:
                self.now = end
                raise TimeoutError(timeout_summary)
            after, workflow_id, search = self.later.pop(0)
            self.now = self.began + after
            self.flow.attach(workflow_id, search)

    async def activity(self, method: Any, request: Any, **_: object) -> Any:
        if method.__name__ == "find_customer":
            self.looks += 1
            return CustomerFound(match=match_customer(request.search, self.accounts, self.pair, request.just_created))
        if method.__name__ == "reserve_customer_number":
            return f"N{len(self.accounts)}"
        return self.create(request)

    def create(self, request: CreateCustomer) -> CustomerCreated:
        search = request.search
        record = CustomerRecord(
            ARDivisionNo="02",
            CustomerNo=request.CustomerNo,
            CustomerName=search.bill_to_name,
            AddressLine1=search.bill_to_line1,
            ZipCode=search.bill_to_postal_code,
            TelephoneNo=search.phone,
            EmailAddress=search.email,
            TermsCode="00",
            CustomerType="WEB",
        )
        self.accounts.append(record)
        return CustomerCreated(customer=record.key)

    def handle(self, workflow_id: str) -> SimpleNamespace:
        async def signal(_: str, answer: CustomerResolved) -> None:
            self.answers.setdefault(workflow_id, []).append(answer)

        return SimpleNamespace(signal=signal)

    def got(self, workflow_id: str) -> CustomerKey | None:
        """The account that an order got last."""
        return self.answers[workflow_id][-1].customer


@pytest.fixture
def stage(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(pair, monkeypatch)


async def test_a_late_first_order_without_an_email_gets_the_account_that_the_run_made(stage: Stage) -> None:
    stage.later = [(timedelta(seconds=90), "late", PHONE_ONLY), (STAY, "later", PHONE_ONLY)]
    assert await stage.run(("first", ANN)) == 3
    assert stage.got("first") == stage.got("late") == stage.got("later")
    assert len(stage.accounts) == 1
    assert stage.now == stage.began + STAY


async def test_a_run_that_made_nothing_does_not_stay(stage: Stage) -> None:
    made_by_another_run = stage.create(
        CreateCustomer(pair="demo", CustomerNo="OLD", search=order(email="father@example.com"))
    )
    stage.later = [(timedelta(seconds=1), "late", ANN)]
    assert await stage.run(("one", PHONE_ONLY)) == 1
    [answer] = stage.answers["one"]
    assert (answer.customer, answer.hold) == (None, HoldReason.CUSTOMER_REVIEW)
    assert [one.key for one in stage.accounts] == [made_by_another_run.customer]
    assert stage.now == stage.began


async def test_a_run_of_an_older_release_ends_as_it_did(stage: Stage) -> None:
    stage.patched = False
    stage.later = [(timedelta(seconds=1), "late", PHONE_ONLY)]
    assert await stage.run(("first", ANN)) == 1
    assert "late" not in stage.answers


async def test_an_order_that_asks_again_after_a_lost_answer_gets_its_account(stage: Stage) -> None:
    unpaid = ANN.model_copy(update={"fully_captured": False})
    stage.later = [(timedelta(seconds=20), "first", unpaid)]
    await stage.run(("first", unpaid))
    assert [one.customer for one in stage.answers["first"]] == [stage.accounts[0].key] * 2
    assert (len(stage.accounts), stage.looks) == (1, 1)


async def test_unpaid_orders_do_not_share_an_account_by_what_they_say(stage: Stage) -> None:
    unpaid = ANN.model_copy(update={"fully_captured": False})
    await stage.run(("first", unpaid), ("second", unpaid))
    assert stage.got("first") == stage.accounts[0].key
    assert stage.answers["second"][0].hold is HoldReason.CUSTOMER_REVIEW


async def test_paid_orders_that_say_the_same_are_looked_for_once(stage: Stage) -> None:
    await stage.run(*((f"order {number}", ANN) for number in range(40)))
    assert {stage.got(f"order {number}") for number in range(40)} == {stage.accounts[0].key}
    assert stage.looks == 1


async def test_a_hold_is_looked_at_afresh_when_the_order_asks_later(stage: Stage) -> None:
    stage.create(CreateCustomer(pair="demo", CustomerNo="OLD", search=order(email="father@example.com")))
    newcomer = order(bill_to_name="Zoë Brückner", email="zoe@example.com")
    stage.later = [(timedelta(seconds=60), "held", PHONE_ONLY)]
    await stage.run(("new", newcomer), ("held", PHONE_ONLY))
    assert [one.hold for one in stage.answers["held"]] == [HoldReason.CUSTOMER_REVIEW] * 2
    assert stage.looks == 3


async def test_a_buyer_decided_to_be_new_shares_only_with_others_so_decided(stage: Stage) -> None:
    decided = PHONE_ONLY.model_copy(update={"decided_new": True})
    stage.later = [
        (timedelta(seconds=30), "decided", decided),
        (timedelta(seconds=31), "beside", decided.model_copy(update={"phone": ""})),
    ]
    await stage.run(("first", ANN))
    assert stage.got("first") != stage.got("decided") == stage.got("beside")
    assert len(stage.accounts) == 2
