"""What is written to Sage, through its gateway: reserved numbers, sales orders, customers. Each exactly once.

In: messages of `contracts.messages`. Out: likewise. Runs on `sage-write-{pair}`; one instance per pair. Slots are more
than the company's writers, and a lock of `writers` stands around each call, so that a writer's seat never waits for a
poll of Temporal (design, processes) or for a look through ODBC.
"""

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from temporalio import activity

from activities.sage_read import recent_since
from activities.sage_seats import CompanyWrites, SeatedWriter
from connectors.errors import AlreadyExists, Refused
from connectors.sage100.gateway import AliasWriter, CustomerWriter, SalesOrderWriter
from contracts.messages import (
    AliasRemembered,
    CreateCustomer,
    CreateSalesOrder,
    CustomerCreated,
    RememberAlias,
    ReserveRequest,
    SalesOrderCreated,
)
from contracts.shadow import SalesOrderPreviewed
from mappings.baskets import RecentBasket
from mappings.checks import (
    back_ordered,
    balanced,
    below_sages_price,
    compare_totals,
    fell_short,
    not_approved,
    price_check,
    run_checks,
    same_order,
)
from mappings.customer_match import CustomerRecord
from mappings.items import ItemFacts
from mappings.pair import CheckName, HoldKept, Pair, PriceSource
from mappings.problems import Finding, HoldReason, Problem
from mappings.read_back import as_sent, ask_about
from mappings.sales_order import CustomerKey, SalesOrder, SalesOrderOnSage, ShipToAddress

ON_HOLD = "H"
"""SO_SalesOrderHeader.OrderStatus of an order on hold."""


def billed_elsewhere(bill_to: CustomerKey, order: SalesOrder) -> Problem:
    """Rules 6: an account with a bill-to is for buyers who are signed in as that account."""
    own = CustomerKey(ARDivisionNo=order.ARDivisionNo, CustomerNo=order.CustomerNo)
    return Problem(
        field=f"AR_Customer.{own}",
        message=f"Sage bills this account's orders to {bill_to}; nothing but address and e-mail says that the buyer is "
        "this account.",
        suggestion=f'Release with use_customer ("customer_no": "{own}") when the buyer is this account; or with '
        "create_customer.",
    )


def _before(order: SalesOrderOnSage, account: CustomerRecord | None) -> CustomerRecord | None:
    """What the account owed before this order, which Sage counts in OpenOrderAmt from its creation on."""
    if account is None:
        return None
    return account.model_copy(update={"OpenOrderAmt": max(account.OpenOrderAmt - order.total, Decimal(0))})


class FactsReader(Protocol):
    """What is looked at once more, inside the write lock."""

    async def items(self, codes: Iterable[str]) -> dict[str, ItemFacts]:
        """Items with their stock, by ItemCode."""
        ...

    async def customer(self, key: CustomerKey) -> CustomerRecord | None:
        """The account."""
        ...

    async def recent_baskets(self, key: CustomerKey, since: datetime) -> list[RecentBasket]:
        """The account's live orders created since."""
        ...

    async def before_invoices(self, live: SalesOrderOnSage) -> SalesOrderOnSage | None:
        """A live order as it was before posted invoices took from it; None when none did, or nobody knows."""
        ...

    async def posted_of(self, sales_order_no: str) -> list[str]:
        """InvoiceNos in history that bill an order."""
        ...

    async def sales_orders_by_purchase_order(self, customer_po_no: str) -> tuple[list[SalesOrderOnSage], list[str]]:
        """Orders with this CustomerPONo, over all customers, and the numbers of those of which Sage cannot tell whose
        they are."""
        ...


class SageWriteActivities:
    """Writes of one pair. The writers are the same gateway, or several side by side."""

    def __init__(
        self,
        pair: Pair,
        sales_orders: SalesOrderWriter,
        customers: CustomerWriter,
        aliases: AliasWriter,
        reader: FactsReader,
        company: CompanyWrites | None = None,
    ) -> None:
        self._pair = pair
        company = company or CompanyWrites(pair.sage.writers, pair.company.code)
        self._seats, self._alone = company.seats, company.alone
        self._sales_orders = SeatedWriter(sales_orders, company.seats)
        self._customers = customers
        self._aliases = aliases
        self._reader = reader

    @activity.defn
    async def reserve_sales_order_number(self, request: ReserveRequest) -> str:
        """The next SalesOrderNo. A number that is never used leaves a harmless gap."""
        return await self._sales_orders.next_sales_order_no()

    @activity.defn
    async def create_sales_order(self, request: CreateSalesOrder) -> SalesOrderCreated:
        """Preview, compare totals, look at stock and credit once more, create under the reserved number.

        The number makes it safe to repeat (rules 4): on every attempt but the first, after an earlier create of
        unknown outcome, and right before the create, Sage is read. What stands there is our order when the web order id
        says so and the content is equal. A gateway should answer 409 for a number that is taken; a careless one would
        open that order and write ours over it.
        """
        wanted = balanced(request.sales_order, self._pair, request.decisions)
        if request.look_first or activity.info().attempt > 1:
            there = await self._already_there(request, wanted)
            if there is not None:
                return there
        bill_to: CustomerKey | None = None
        if self._pair.sage.preview:
            preview = await self._sales_orders.preview(wanted)
            bill_to = preview.bill_to
            if (stop := self._compare(request, preview)) is not None:
                return stop
            if bill_to is not None and not request.authenticated:
                return SalesOrderCreated(hold=HoldReason.CUSTOMER_REVIEW, problems=[billed_elsewhere(bill_to, wanted)])
            too_cheap = await self._below_sages_price(request, wanted)
            if too_cheap is not None:
                return SalesOrderCreated(hold=too_cheap.reason, problems=too_cheap.problems, check=too_cheap.check)
        async with self._alone:
            return await self._create(request, wanted, bill_to)

    @activity.defn
    async def preview_sales_order(self, request: CreateSalesOrder) -> SalesOrderPreviewed:
        """What `create_sales_order` would send and what would stop it, all of it; nothing is written.

        For shadow mode. A site without preview is not asked: its totals are known only once an order stands there.
        """
        wanted = balanced(request.sales_order, self._pair, request.decisions)
        findings: list[Finding] = []
        on_sage: SalesOrderOnSage | None = None
        if self._pair.sage.preview:
            on_sage = await self._sales_orders.preview(wanted)
            if (stop := self._compare(request, on_sage)) is not None:
                findings.append(stop.finding)
            if on_sage.bill_to is not None and not request.authenticated:
                problems = [billed_elsewhere(on_sage.bill_to, wanted)]
                findings.append(Finding(reason=HoldReason.CUSTOMER_REVIEW, problems=problems))
            if (too_cheap := await self._below_sages_price(request, wanted)) is not None:
                findings.append(too_cheap)
        items = await self._items_of(wanted)
        findings += await self._check(request, wanted, items, on_sage.bill_to if on_sage is not None else None)
        order = back_ordered(wanted, items, self._pair, request.decisions)
        if any(finding.in_sage for finding in findings):
            order = order.model_copy(update={"OrderStatus": ON_HOLD})
        return SalesOrderPreviewed(sales_order=order, on_sage=on_sage, findings=findings)

    async def _items_of(self, order: SalesOrder) -> dict[str, ItemFacts]:
        return await self._reader.items(list(dict.fromkeys(line.ItemCode for line in order.Lines)))

    async def _check(
        self,
        request: CreateSalesOrder,
        wanted: SalesOrder,
        items: Mapping[str, ItemFacts],
        bill_to: CustomerKey | None,
    ) -> list[Finding]:
        """The order's checks against Sage as it is now."""
        customer = CustomerKey(ARDivisionNo=wanted.ARDivisionNo, CustomerNo=wanted.CustomerNo)
        since = recent_since(self._pair, request.checks, customer)
        return run_checks(
            wanted,
            request.expected,
            await self._reader.customer(customer),
            items,
            self._pair,
            request.decisions,
            await self._reader.recent_baskets(customer, since) if since else (),
            request.checks,
            await self._reader.customer(bill_to) if bill_to is not None else None,
        )

    @staticmethod
    def _compare(request: CreateSalesOrder, on_sage: SalesOrderOnSage) -> SalesOrderCreated | None:
        """The hold, when Sage's total, tax or freight is not Clarity's."""
        mismatch = compare_totals(request.expected, on_sage, request.decisions)
        if mismatch is None:
            return None
        return SalesOrderCreated(
            hold=mismatch.reason, problems=mismatch.problems, difference=on_sage.total - request.expected.grand
        )

    async def _below_sages_price(self, request: CreateSalesOrder, wanted: SalesOrder) -> Finding | None:
        """Sage's own prices for the account are asked for by a preview without ours."""
        checks = self._pair.checks if request.checks is None else request.checks
        if price_check(checks) is None or self._pair.order.prices.source is PriceSource.SAGE:
            return None
        return below_sages_price(
            wanted, await self._sales_orders.preview(wanted.without_prices()), checks, request.decisions
        )

    async def _create(
        self, request: CreateSalesOrder, wanted: SalesOrder, bill_to: CustomerKey | None
    ) -> SalesOrderCreated:
        """Look at stock and credit as they are now, then write: nobody else of this pair writes in between."""
        number = request.SalesOrderNo
        customer = CustomerKey(ARDivisionNo=wanted.ARDivisionNo, CustomerNo=wanted.CustomerNo)
        items = await self._items_of(wanted)
        findings = await self._check(request, wanted, items, bill_to)
        stops = next((finding for finding in findings if not finding.in_sage), None)
        if stops is not None:
            return SalesOrderCreated(
                hold=stops.reason,
                problems=stops.problems,
                items=stops.items,
                shortages=stops.shortages,
                no_back_orders=stops.no_back_orders,
                check=stops.check,
            )
        there = await self._already_there(request, wanted)
        if there is not None:
            return there
        order = back_ordered(wanted, items, self._pair, request.decisions)
        held_in_sage = [problem for finding in findings for problem in finding.problems]
        if held_in_sage or not self._pair.sage.preview:
            order = order.model_copy(update={"OrderStatus": ON_HOLD})
        if request.ship_to_to_add is not None:
            order = await self._with_new_ship_to(order, customer, request.ship_to_to_add)
        try:
            created = await self._sales_orders.create_sales_order(number, order)
        except AlreadyExists:
            stored = await self._sales_orders.get_sales_order(number)
            return (
                SalesOrderCreated(number_taken=True) if stored is None else await self._decide(request, wanted, stored)
            )
        result = await self._decide(request, wanted, created, held_in_sage)
        if result.created is None:
            return result
        # Somebody at the order desk may have taken the same pieces between the look and the create (rules 7).
        return result.model_copy(update={"short_after": fell_short(created, items, await self._items_of(wanted))})

    async def _already_there(self, request: CreateSalesOrder, wanted: SalesOrder) -> SalesOrderCreated | None:
        """What stands under the number, or under another one with this web order id; None when nothing must stop us.

        Another number: the workflow was ended or reset while an earlier create was under way.
        """
        number = request.SalesOrderNo
        stored = await self._sales_orders.get_sales_order(number)
        if stored is not None:
            return await self._decide(request, wanted, stored)
        found, nameless = await self._reader.sales_orders_by_purchase_order(wanted.CustomerPONo)
        for order in found:
            ours = order.UDF_WEB_ORDER_ID == wanted.UDF_WEB_ORDER_ID and not order.is_deleted
            if ours and order.SalesOrderNo not in (number, *request.deleted):
                return SalesOrderCreated(elsewhere=order.SalesOrderNo)
        invoices = await self._reader.posted_of(number)
        if not invoices:
            return None
        # The order was invoiced in full and left no trace but its invoices: ours, or somebody's who took the number.
        if number in nameless:
            return self._ask(request, wanted, None, invoices)
        return SalesOrderCreated(number_taken=True)

    @staticmethod
    def _ask(
        request: CreateSalesOrder, wanted: SalesOrder, left: SalesOrderOnSage | None, invoices: Sequence[str]
    ) -> SalesOrderCreated:
        """Sage cannot tell whether its order is as sent: a person says so, once."""
        number = request.SalesOrderNo
        doubt = not_approved(ask_about(number, left, invoices), request.decisions)
        if doubt is None:
            return SalesOrderCreated(created=as_sent(number, wanted, left), unread=True)
        return SalesOrderCreated(hold=doubt.reason, problems=doubt.problems, check=doubt.check, unread=True)

    async def _with_new_ship_to(self, order: SalesOrder, customer: CustomerKey, ship_to: ShipToAddress) -> SalesOrder:
        """The pair's opt-in: the address becomes one of the account's. Its code follows from the address, so that what
        exists is what an earlier attempt made."""
        with contextlib.suppress(AlreadyExists):
            async with self._seats:
                await self._customers.create_ship_to(customer, ship_to)
        return order.model_copy(update={"ShipToCode": ship_to.ShipToCode})

    async def _decide(
        self,
        request: CreateSalesOrder,
        wanted: SalesOrder,
        stored: SalesOrderOnSage,
        held_in_sage: Sequence[Problem] = (),
    ) -> SalesOrderCreated:
        """What stands under our number: our order, as sent; ours, but other than sent; or somebody else's."""
        if stored.UDF_WEB_ORDER_ID != wanted.UDF_WEB_ORDER_ID:
            if self._may_be(wanted, stored):
                return self._ask(request, wanted, stored, await self._reader.posted_of(stored.SalesOrderNo))
            return SalesOrderCreated(number_taken=True)
        if stored.is_deleted:
            return SalesOrderCreated(number_taken=True, number_used=True)
        if not self._pair.sage.preview and stored.live and stored.OrderStatus == ON_HOLD:
            return await self._release_or_delete(request, wanted, stored, held_in_sage)
        differences = same_order(wanted, stored, request.expected, request.decisions)
        if differences and stored.live and (before := await self._reader.before_invoices(stored)) is not None:
            # The answer of the create was lost so long that the warehouse has shipped of it (rules 4).
            stored, differences = before, same_order(wanted, before, request.expected, request.decisions)
        elif differences and stored.live and (invoices := await self._reader.posted_of(stored.SalesOrderNo)):
            return self._ask(request, wanted, stored, invoices)
        if not differences:
            return SalesOrderCreated(created=stored, held_in_sage=list(held_in_sage))
        return self._differs(stored, differences)

    def _may_be(self, wanted: SalesOrder, stored: SalesOrderOnSage) -> bool:
        """Whether it may be our order all the same: the site's history does not say whose an order was."""
        nameless = not stored.live and not stored.UDF_WEB_ORDER_ID and not self._pair.sage.history_has_udf
        return nameless and not stored.is_deleted and stored.CustomerPONo == wanted.CustomerPONo

    @staticmethod
    def _differs(stored: SalesOrderOnSage, differences: Sequence[str]) -> SalesOrderCreated:
        return SalesOrderCreated(
            hold=HoldReason.REJECTED_BY_SAGE,
            problems=[
                Problem(
                    field=f"SO_SalesOrder.{stored.SalesOrderNo}",
                    message=f"Sage's order differs from what was sent: {difference}",
                    suggestion="Correct or delete the order in Sage, then release with retry; or release with correct, "
                    "so that Clarity's order says what Sage has.",
                )
                for difference in differences
            ],
        )

    async def _release_or_delete(
        self,
        request: CreateSalesOrder,
        wanted: SalesOrder,
        stored: SalesOrderOnSage,
        held_in_sage: Sequence[Problem],
    ) -> SalesOrderCreated:
        """Rules 4, a site without preview: the order was created on hold; what it came to decides.

        Equal totals: released from its hold (unless a check keeps it there). Else it is deleted again, minutes old and
        unprinted, and the web order is held with both sides; the next attempt takes a new number. What Sage refuses of
        that leaves the order there, on hold, and the web order held for it.
        """
        stop = self._compare(request, stored)
        if stop is None and stored.bill_to is not None and not request.authenticated:
            stop = SalesOrderCreated(
                hold=HoldReason.CUSTOMER_REVIEW, problems=[billed_elsewhere(stored.bill_to, wanted)]
            )
        kept = list(held_in_sage)
        if stop is None:
            stop, found = await self._checked_again(request, wanted, stored)
            kept = kept or found
        try:
            if stop is not None:
                await self._sales_orders.delete_sales_order(stored.SalesOrderNo)
                return stop.model_copy(update={"number_used": True})
            if differences := same_order(wanted, stored, request.expected, request.decisions):
                return self._differs(stored, differences)
            if kept or wanted.OrderStatus == ON_HOLD:
                return SalesOrderCreated(created=stored, held_in_sage=kept)
            status = {"OrderStatus": wanted.OrderStatus}
            return SalesOrderCreated(created=await self._sales_orders.change_sales_order(stored.SalesOrderNo, status))
        except Refused as error:
            problem = Problem(
                field=error.field or f"SO_SalesOrder.{stored.SalesOrderNo}",
                message=f"Sales order {stored.SalesOrderNo} stands in Sage on hold, and Sage refused to change it: "
                f"{error.message}",
                suggestion="Release or delete it in Sage, then release with retry.",
            )
            return SalesOrderCreated(hold=HoldReason.REJECTED_BY_SAGE, problems=[problem])

    async def _checked_again(
        self, request: CreateSalesOrder, wanted: SalesOrder, stored: SalesOrderOnSage
    ) -> tuple[SalesOrderCreated | None, list[Problem]]:
        """Credit, now that it is known whom Sage bills, and why a check keeps the order in Sage, if one does.

        The order stands in Sage already: stock is not looked at, and what the account owes holds it.
        """
        customer = CustomerKey(ARDivisionNo=wanted.ARDivisionNo, CustomerNo=wanted.CustomerNo)
        checks = self._pair.checks if request.checks is None else request.checks
        since = recent_since(self._pair, request.checks, customer)
        found = run_checks(
            wanted,
            request.expected,
            _before(stored, await self._reader.customer(customer)),
            {},
            self._pair,
            request.decisions,
            await self._reader.recent_baskets(customer, since) if since else (),
            [check for check in checks if check.name is CheckName.CREDIT or check.keep is HoldKept.IN_SAGE],
            _before(stored, await self._reader.customer(stored.bill_to)) if stored.bill_to is not None else None,
        )
        stop = next((finding for finding in found if not finding.in_sage), None)
        held = None
        if stop is not None:
            held = SalesOrderCreated(hold=stop.reason, problems=stop.problems, check=stop.check)
        return held, [problem for finding in found if finding.in_sage for problem in finding.problems]

    @activity.defn
    async def remember_alias(self, request: RememberAlias) -> AliasRemembered:
        """A person's choice of item, kept in Sage (IM_AliasItem) for the next order.

        Dealers order by their own part numbers: on an account with terms it becomes that customer's alias only.
        """
        account = await self._reader.customer(request.customer) if request.customer is not None else None
        own = account is not None and account.TermsCode not in ("", self._pair.customers.terms_code)
        async with self._seats:
            try:
                await self._aliases.create_alias(
                    request.AliasItemNo, request.ItemCode, request.customer if own else None
                )
            except AlreadyExists as error:
                return AliasRemembered(stored=False, why=str(error))
            except Refused as error:
                return AliasRemembered(stored=False, why=str(error))
        return AliasRemembered(stored=True, of_customer=own)

    @activity.defn
    async def reserve_customer_number(self, request: ReserveRequest) -> str:
        """The next CustomerNo."""
        async with self._seats:
            return await self._customers.next_customer_no()

    @activity.defn
    async def create_customer(self, request: CreateCustomer) -> CustomerCreated:
        """Create the web customer under the reserved number; an existing one is ours when it carries the same keys."""
        customer = request.search.new_customer
        key = CustomerKey(ARDivisionNo=customer.ARDivisionNo, CustomerNo=request.CustomerNo)
        async with self._seats:
            # Before every attempt: a careless gateway would write over an account that is there.
            if await self._customers.get_customer(key) is not None:
                return await self._decide_customer(request, key)
            try:
                return CustomerCreated(customer=await self._customers.create_customer(request.CustomerNo, customer))
            except AlreadyExists:
                return await self._decide_customer(request, key)

    async def _decide_customer(self, request: CreateCustomer, key: CustomerKey) -> CustomerCreated:
        stored = await self._customers.get_customer(key)
        wanted = request.search.new_customer
        ours = (
            stored is not None
            and stored.CustomerName == wanted.CustomerName
            and stored.EmailAddress == wanted.EmailAddress
            and stored.UDF_WEB_CUSTOMER_ID == wanted.UDF_WEB_CUSTOMER_ID
        )
        return CustomerCreated(customer=key) if ours else CustomerCreated(number_taken=True)
