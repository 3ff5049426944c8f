"""Customers, every process real: one view of them, files about them, and both systems in step."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import yaml
from temporalio.client import Client

from tests.e2e.conftest import QUICK, House, pairs_with_pace, running_house
from tests.e2e.temporal import temporal
from tests.support.histories import keep_history
from tests.support.http import HTTP
from tests.support.orders import PlacedOrder
from tests.support.processes import ROOT, pid_of, wait_until
from workers.plugin import integration_plugin

MARIA, MARIA_ID = "02-W000001", "501"
SYNC = {
    "fields": {
        "TelephoneNo": "clarity",
        "Address": "clarity",
        "TermsCode": {"owner": "sage", "attribute": "terms"},
        "CreditHold": {"owner": "sage", "attribute": "credit_hold"},
    },
    "ship_to": "web",
    "link": True,
    "in_doubt": "review",
}
CONSENT = {"clarity_attribute": "newsletter", "sage_column": "UDF_MARKETING_OK"}


class Desk:
    """What people at a desk do with the house."""

    def __init__(self, house: House) -> None:
        self.house = house

    def get(self, path: str, **query: str | int) -> httpx.Response:
        return HTTP.get(f"{self.house.api_url}/customers/demo{path}", params=query, timeout=20)

    def view(self, customer: str = MARIA, **query: str | int) -> dict[str, Any]:
        answer = self.get(f"/{customer}", **query)
        assert answer.status_code == 200, answer.text
        view: dict[str, Any] = answer.json()
        return view

    def find(self, **wanted: str) -> list[str]:
        """Accounts that a search finds; the index is filled within moments."""

        def found() -> list[str]:
            answer = HTTP.post(f"{self.house.api_url}/customers/demo/search", json=wanted, timeout=20)
            if answer.status_code == 503:
                return []
            assert answer.status_code == 200, answer.text
            return [hit["customer"] for hit in answer.json()["customers"]] or ["nobody"]

        return wait_until(f"a search for {wanted} is answered", found, 20)

    def in_sage(self, customer: str = MARIA) -> dict[str, Any]:
        division, _, number = customer.partition("-")
        sql = "SELECT * FROM AR_Customer WHERE ARDivisionNo = ? AND CustomerNo = ?"
        [row] = self.house.sandbox.rows(sql, division, number)
        return row

    def ship_tos(self, customer: str = MARIA) -> list[str]:
        division, _, number = customer.partition("-")
        sql = "SELECT ShipToAddress1 FROM SO_ShipToAddress WHERE ARDivisionNo = ? AND CustomerNo = ?"
        return [row["ShipToAddress1"] for row in self.house.sandbox.rows(sql, division, number)]

    def at_clarity(self, id_: str = MARIA_ID) -> dict[str, Any]:
        customer: dict[str, Any] = self.house.sandbox.clarity("GET", f"/api/v1/customers/{id_}").json()
        return customer

    def change(self, id_: str, **more: Any) -> None:
        """A customer changes something at Clarity, and its webhook is sent."""
        self.house.sandbox.control("clarity", "customers/change", {"customerId": id_, **more})

    def in_office(self, customer: str, **columns: str) -> None:
        """Somebody changes an account in Sage."""
        division, _, number = customer.partition("-")
        self.house.sandbox.control(
            "sage", "customer", {"ARDivisionNo": division, "CustomerNo": number, "Columns": columns}
        )

    def sync(self, id_: str) -> dict[str, Any]:
        """The latest run of a customer's workflow; empty before there is one."""
        query = f"WorkflowId='customersync-demo-{id_}'"
        runs = json.loads(temporal(self.house, "workflow", "list", "--query", query, "-o", "json") or "[]")
        return dict(runs[0]) if runs else {}

    def by_hand(self, *flags: str) -> str:
        """`python -m workers customers`, as the README shows it."""
        settings = {
            "TEMPORAL_ADDRESS": self.house.temporal_address,
            "PAIRS_DIR": str(self.house.pairs_dir),
            "COLUMNS": "1000",
        }
        result = subprocess.run(
            [sys.executable, "-m", "workers", "customers", "--pair", "demo", *flags],
            cwd=ROOT,
            env={**os.environ, **settings},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return result.stdout + result.stderr

    def temporal(self, work: Callable[[Client], Any]) -> Any:
        """Something with a client of the house's server."""

        async def run() -> Any:
            return await work(await Client.connect(self.house.temporal_address, plugins=[integration_plugin()]))

        return asyncio.run(run())


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("customers")
    pairs = pairs_with_pace(folder / "pairs", **QUICK, customer_sweep=2, hold_reminder=600, webhook_grace=1)
    file = pairs / "demo.yaml"
    content = yaml.safe_load(file.read_text("utf-8"))
    content["customers"] |= {"sync": SYNC, "consent": CONSENT}
    content.pop("inventory", None)
    file.write_text(yaml.safe_dump(content, allow_unicode=True), "utf-8")
    flags = ("--no-orders", "--ship-after", "off", "--post-after", "off")
    with running_house(folder, *flags, environment={"PAIRS_DIR": str(pairs)}) as one:
        yield Desk(one)


@pytest.fixture(scope="module")
def order(desk: Desk) -> PlacedOrder:
    """Maria's order, shipped in two packages, not posted."""
    placed = PlacedOrder(desk.house.sandbox, desk.house.api_url, ("PEN-GEL-BLU", 2, "1.00")).check_out()
    placed.ship(packages=[{"TrackingID": "1ZMARIA1"}, {"TrackingID": "1ZMARIA2"}])
    placed.until_state("shipped")
    return placed


def test_the_view_has_all_three_systems_and_temporal_keeps_nothing_of_it(desk: Desk, order: PlacedOrder) -> None:
    view = desk.view()
    assert {name: source["state"] for name, source in view["sources"].items()} == dict.fromkeys(
        ("sage", "clarity", "temporal"), "told"
    )
    assert view["profile"]["sage"]["CustomerName"] == "Maria Gonzales"
    assert [one["clarity_id"] for one in view["profile"]["clarity"]] == [MARIA_ID]
    assert ("EmailAddress", "maria.g.new@example.com") in [
        (one["field"], one["clarity"]) for one in view["profile"]["differs"]
    ]
    assert view["credit"]["standing"] == "prepaid"
    [bought] = [one for one in view["open_orders"] if one["web_order_id"] == order.id]
    assert (bought["SalesOrderNo"], bought["web"]["state"]) == (order.sales_order_no, "shipped")
    assert bought["web"]["answered"]
    [invoice] = [one for one in view["invoices"] if one["SalesOrderNo"] == order.sales_order_no]
    assert not invoice["posted"]
    assert [package["TrackingID"] for package in invoice["packages"]] == ["1ZMARIA1", "1ZMARIA2"]

    async def kept(client: Client) -> list[str]:
        return [one.activity_id async for one in client.list_activities("TaskQueue IS NOT NULL")]

    wait_until("the reads are deleted from Temporal", lambda: desk.temporal(kept) == [], 20)


def test_posted_invoices_past_orders_and_payments_come_from_history_by_page(desk: Desk, order: PlacedOrder) -> None:
    [invoice] = [one for one in desk.view()["invoices"] if one["SalesOrderNo"] == order.sales_order_no]
    order.post(invoice["InvoiceNo"])
    order.until_state("complete")
    view = desk.view(page=1)
    assert [one["SalesOrderNo"] for one in view["past_orders"]] == [order.sales_order_no]
    assert view["past_orders"][0]["web"]["state"] == "complete"
    assert [(one["InvoiceNo"], one["posted"]) for one in view["invoices"]] == [(invoice["InvoiceNo"], True)]
    assert [(one["InvoiceNo"], float(one["amount"])) for one in view["payments"]] == [(invoice["InvoiceNo"], 2.0)]
    older = desk.view(page=1, invoices_before=view["invoices_before"] or "0", orders_before="0")
    assert (
        older["invoices"],
        [one for one in older["past_orders"] if one["where"] == "history" and not one["web"]],
    ) == (
        [],
        [],
    )


def test_a_customer_is_found_by_order_sales_order_e_mail_and_name(desk: Desk, order: PlacedOrder) -> None:
    by_order = desk.get("", order=f"W-{order.id}").json()
    assert [one["customer"] for one in by_order["customers"]] == [MARIA]
    assert [one["order_id"] for one in by_order["orders"]] == [order.id]
    assert desk.get("", sales_order=order.sales_order_no).json()["customers"][0]["CustomerName"] == "Maria Gonzales"
    assert desk.find(email="MARIA.Gonzales@example.com") == [MARIA]
    assert desk.find(email="john.smith@abf.example.com") == ["01-ABF"]
    assert desk.find(email="nobody@example.com") == ["nobody"]
    assert desk.find(name="gonzales, maria")[0] == MARIA
    assert desk.find(customer_no="w000001") == desk.find(customer_no="02-W000001") == [MARIA]
    assert desk.get("", email="maria.gonzales@example.com").status_code == 422
    log = (desk.house.sandbox.var / "log" / "api.log").read_text("utf-8")
    assert "@example.com" not in log


def test_files_hold_what_their_readers_need_and_marketing_only_who_consented(desk: Desk, order: PlacedOrder) -> None:
    def export(audience: str, format_: str = "json") -> httpx.Response:
        answer = desk.get(f"/{MARIA}/export", audience=audience, format=format_)
        assert answer.status_code == 200, answer.text
        return answer

    assert export("marketing").json()["rows"] == []
    desk.change(MARIA_ID, change={"attributes": {"newsletter": "true"}}, deliver=False)
    assert [row["first_name"] for row in export("marketing").json()["rows"]] == ["Maria"]
    desk.in_office(MARIA, UDF_MARKETING_OK="N")
    assert export("marketing").json()["rows"] == []
    sales = export("sales").json()
    assert (sales["complete"], sales["rows"][0]["sales_order"]) == (True, order.sales_order_no)
    service = export("service", "csv")
    assert service.headers["content-type"].startswith("text/csv")
    assert "1ZMARIA2" in service.text
    assert service.headers["x-complete"] == "true"


def test_a_change_at_clarity_reaches_the_linked_account_in_sage_and_nothing_else(desk: Desk) -> None:
    before = desk.in_sage()
    address = {
        "name": "Maria Gonzales",
        "line1": "77 Elm Street",
        "city": "Dallas",
        "region": "TX",
        "postalCode": "75201",
        "country": "US",
    }
    change = {
        "phone": "214-555-0142",
        "billingAddress": address,
        "shippingAddresses": [{**address, "line1": "5 Lake Dr"}],
    }
    desk.change(MARIA_ID, change=change)
    wait_until("Sage has the new telephone number", lambda: desk.in_sage()["TelephoneNo"] == "214-555-0142", 30)
    wait_until("Sage has the ship-to", lambda: desk.ship_tos() == ["5 Lake Dr"], 30)
    wait_until("it has ended", lambda: desk.sync(MARIA_ID).get("status", "").endswith("COMPLETED"), 30)
    after = desk.in_sage()
    changed = {name for name, value in after.items() if value != before[name]}
    assert changed - {"DateUpdated", "TimeUpdated"} == {"TelephoneNo", "AddressLine1", "ZipCode"}
    assert (after["AddressLine1"], after["City"], after["EmailAddress"]) == (
        "77 Elm St",
        "Dallas",
        before["EmailAddress"],
    )
    keep_history(desk.house.temporal_address, f"customersync-demo-{MARIA_ID}", "customer_sync")


def test_a_late_delivery_of_an_older_version_ends_with_what_clarity_has_now(desk: Desk) -> None:
    old = {**desk.at_clarity(), "phone": "000-000-0000", "updatedDate": "2026-01-01T00:00:00Z"}
    desk.change(MARIA_ID, change={"phone": "214-555-0143"}, event=old)
    wait_until("Sage has the number of now", lambda: desk.in_sage()["TelephoneNo"] == "214-555-0143", 30)
    assert "unchanged" in desk.by_hand("--customer", MARIA_ID)


def test_a_change_whose_webhook_never_came_is_caught_up(desk: Desk) -> None:
    desk.change(MARIA_ID, change={"phone": "214-555-0144"}, deliver=False)
    wait_until("Sage has the number", lambda: desk.in_sage()["TelephoneNo"] == "214-555-0144", 30)


def test_what_sage_owns_reaches_clarity_by_the_schedule_and_by_hand(desk: Desk) -> None:
    def told() -> tuple[str, str]:
        attributes = desk.at_clarity().get("attributes", {})
        return attributes.get("terms", ""), attributes.get("credit_hold", "")

    wait_until("Clarity has what Sage says", lambda: told() == ("00", "N"), 30)
    desk.in_office(MARIA, CreditHold="Y")
    wait_until("Clarity hears of the hold", lambda: told() == ("00", "Y"), 30)
    assert desk.at_clarity()["attributes"]["newsletter"] == "true"
    # Somebody at Clarity writes over it: the next run puts it right, the dry run only sees it.
    pause = ("schedule", "toggle", "--schedule-id", "customers-demo", "--reason", "test")
    temporal(desk.house, *pause, "--pause")
    desk.change(MARIA_ID, change={"attributes": {"terms": "99", "credit_hold": "Y"}}, deliver=False)
    out = desk.by_hand("--dry-run")
    assert "1 told" in out, out
    assert MARIA_ID in out
    assert told() == ("99", "Y")
    temporal(desk.house, *pause, "--unpause")
    assert "Done" in desk.by_hand()
    wait_until("it is put right", lambda: told() == ("00", "Y"), 30)
    keep_history(desk.house.temporal_address, "customers-demo-dry-run", "customer_sweep")


def test_a_stranger_with_a_dealers_e_mail_changes_nothing_and_a_wrong_number_waits_for_a_person(desk: Desk) -> None:
    dealer = desk.in_sage("01-ABF")
    thief = {"email": "buyer@abf.example.com", "company": "American Business Furniture", "phone": "666-666-6666"}
    alley = {
        "name": "X",
        "line1": "1 Dark Alley",
        "city": "Reno",
        "region": "NV",
        "postalCode": "89501",
        "country": "US",
    }
    desk.change("t1", change={**thief, "shippingAddresses": [alley]})
    wait_until("the stranger's run has ended", lambda: desk.sync("t1").get("status", "").endswith("COMPLETED"), 30)
    desk.change("t2", change={**thief, "accountNumber": "01-0001700"})
    workflow = "customersync-demo-t2"

    log = desk.house.sandbox.var / "log" / "workers.log"
    wait_until("people are told", lambda: "Customer t2" in log.read_text("utf-8"), 30)
    alerts = [line for line in log.read_text("utf-8").splitlines() if "alerts:" in line]
    assert any("01-0001700 is inactive" in line for line in alerts)
    assert not any("abf.example.com" in line for line in alerts)
    decision = json.dumps({"action": "ignore", "by": "Rita"})
    temporal(desk.house, "workflow", "update", "execute", "-w", workflow, "--name", "decide", "--input", decision)
    wait_until("it has ended", lambda: desk.sync("t2").get("status", "").endswith("COMPLETED"), 30)
    assert desk.in_sage("01-ABF") == dealer
    assert desk.ship_tos("01-ABF") == ["400 Dock Road"]
    keep_history(desk.house.temporal_address, workflow, "customer_sync_review")


def test_without_sage_the_view_still_answers_and_says_so(desk: Desk, order: PlacedOrder) -> None:
    """The Sage worker hangs: its process lives and does nothing."""
    pid = pid_of(desk.house.temporal_address, "workers", "sage")
    os.kill(pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        view = desk.view()
        assert time.monotonic() - began < 10
        assert view["sources"]["sage"]["state"] == "unavailable"
        assert "sage-read-demo" in view["sources"]["sage"]["detail"]
        assert (view["profile"]["sage"], view["credit"]) == (None, None)
        assert [one["web_order_id"] for one in view["past_orders"]] == [order.id]
        assert [one["clarity_id"] for one in view["profile"]["clarity"]] == [MARIA_ID]
        refused = desk.get(f"/{MARIA}/export", audience="sales")
        assert (refused.status_code, "Retry-After" in refused.headers) == (503, True)
        assert "sage" in refused.json()["error"]
    finally:
        os.kill(pid, signal.SIGCONT)
    wait_until("Sage tells its part again", lambda: desk.view()["sources"]["sage"]["state"] == "told", 30)
    assert desk.get("/02-NOBODY").status_code == 404
