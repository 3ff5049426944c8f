"""Order statuses: Clarity's words by the pair file, Sage's codes, both ways; what is unknown is held."""

import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from mappings.clarity_profile import AlsoCalled, ClarityOrderState, ClarityProfile, ClarityStatuses
from mappings.problems import Problem
from mappings.statuses import (
    SageOrderState,
    clarity_state,
    clarity_status_of,
    reason_not_to_start,
    sage_state,
    sage_state_of,
    status_problem,
)

ORDERS = Path(__file__).parents[2] / "sandbox" / "orders"
SITE = ClarityStatuses(
    processing="In Process",
    on_hold="Parked",
    shipped="Dispatched",
    cancelled="Withdrawn",
    also=AlsoCalled(processing=("Open", "Paid"), pending_payment=("Awaiting Funds",)),
)


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("In Process", "processing"),
        (" in process ", "processing"),
        ("PAID", "processing"),
        ("", "processing"),
        ("Awaiting funds", "pending_payment"),
        ("Pending Payment", "pending_payment"),
        ("Parked", "on_hold"),
        ("Dispatched", "shipped"),
        ("Completed", "completed"),
        ("Withdrawn", "cancelled"),
        ("Processing", None),
        ("Void", None),
    ],
)
def test_a_sites_words_mean_one_state_each(status: str, state: str | None) -> None:
    assert clarity_state(status, SITE) == state


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ("Open", ""),
        ("", ""),
        ("Mislaid", ""),
        ("Awaiting Funds", "starts when it comes in another status"),
        ("Parked", "starts when it comes in another status"),
        ("dispatched", "already dispatched"),
        ("Completed", "already Completed"),
        ("Withdrawn", "already Withdrawn"),
    ],
)
def test_orders_that_are_not_to_be_fulfilled_start_nothing(status: str, why: str) -> None:
    reason = reason_not_to_start(status, SITE)
    assert why in reason
    assert bool(reason) == bool(why)


def test_an_unknown_status_names_the_value_and_the_key_to_add_it() -> None:
    problem = status_problem("Mislaid", ClarityProfile(statuses=SITE))
    assert problem is not None
    assert problem.field == "data.status"
    assert "'Mislaid'" in problem.message
    assert "clarity.statuses.also" in problem.suggestion
    mended = SITE.model_copy(update={"also": AlsoCalled(processing=("Mislaid",))})
    assert status_problem("mislaid", ClarityProfile(statuses=mended)) is None


def test_no_sample_order_is_held_for_its_status() -> None:
    statuses = [json.loads(path.read_text())["data"].get("status", "") for path in sorted(ORDERS.glob("*.json"))]
    assert statuses
    for status in statuses:
        assert status_problem(status, ClarityProfile()) is None
        assert reason_not_to_start(status, ClarityStatuses()) == ""


@pytest.mark.parametrize(
    ("code", "live", "state", "name"),
    [
        ("N", True, SageOrderState.OPEN, "In Process"),
        ("O", True, SageOrderState.OPEN, "In Process"),
        ("H", True, SageOrderState.ON_HOLD, "Parked"),
        ("C", True, SageOrderState.COMPLETE, "Dispatched"),
        ("A", False, SageOrderState.OPEN, "In Process"),
        ("C", False, SageOrderState.COMPLETE, "Dispatched"),
        ("X", False, SageOrderState.CANCELLED, "Withdrawn"),
    ],
)
def test_sages_codes_become_the_sites_words_and_back(code: str, live: bool, state: SageOrderState, name: str) -> None:
    assert sage_state(code, live=live) is state
    assert clarity_status_of(state, SITE) == name
    back = clarity_state(name, SITE)
    assert back is not None
    assert sage_state_of(back) is state


@pytest.mark.parametrize(
    ("code", "live"), [("A", True), ("X", True), ("", True), ("H", False), ("Q", False), ("Z", False)]
)
def test_codes_of_the_other_set_and_quotes_are_a_problem(code: str, live: bool) -> None:
    problem = sage_state(code, live=live)
    assert isinstance(problem, Problem)
    assert problem.field == f"SO_SalesOrder{'' if live else 'History'}Header.OrderStatus"
    assert repr(code) in problem.message


def test_an_order_without_payment_does_not_belong_in_sage() -> None:
    assert sage_state_of(ClarityOrderState.PENDING_PAYMENT) is None


def test_a_name_for_two_states_is_refused() -> None:
    with pytest.raises(ValidationError, match="'shipped' stands for both"):
        ClarityStatuses(completed="Shipped")


@pytest.mark.parametrize("status", ["Parked", "WITHDRAWN", "awaiting funds"])
def test_an_order_that_must_wait_does_not_go_to_sage(status: str) -> None:
    problem = status_problem(status, ClarityProfile(statuses=SITE))
    assert problem is not None
    assert "must not go to Sage" in problem.message
