"""One view of a customer: what Sage, Clarity and Temporal each know, beside one another, with what differs.

In: `Account` (Sage), web customers (Clarity), web orders (Temporal), each or none. Out: `CustomerView`. Pure; nothing
is stored anywhere. What a source did not tell is absent, and `sources` says so. Sage's columns keep their names.
"""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum

from mappings.accounts import has_terms
from mappings.customer_account import (
    Account,
    AccountContact,
    AccountInvoice,
    AccountOrder,
    AccountPayment,
    AccountRecord,
    OpenInvoice,
)
from mappings.customer_match import comparable_email, is_same_place
from mappings.frozen import Frozen
from mappings.pair import Pair
from mappings.sales_order import CustomerKey, ShipToAddress
from mappings.similarity import is_same_name, phone_tail, street_of
from mappings.web_customer import WebCustomer


class SourceState(StrEnum):
    """Whether a system told its part."""

    TOLD = "told"
    UNAVAILABLE = "unavailable"
    """It did not answer in time, or its worker is away: its part is missing."""
    NOT_ASKED = "not_asked"
    """There was nothing to ask it for."""


class Source(Frozen):
    """A system and what became of the question."""

    state: SourceState
    detail: str = ""
    """Why its part is missing, in words."""


class Sources(Frozen):
    """The three systems."""

    sage: Source
    clarity: Source
    temporal: Source

    @property
    def missing(self) -> list[str]:
        """Names of those that did not answer."""
        named = {"sage": self.sage, "clarity": self.clarity, "temporal": self.temporal}
        return [name for name, source in named.items() if source.state is SourceState.UNAVAILABLE]


class Difference(Frozen):
    """A fact that both systems have, each another one."""

    field: str
    sage: str
    clarity: str
    clarity_id: str
    """The web customer that says so."""


class Standing(StrEnum):
    """What the credit department would say."""

    ON_HOLD = "on_hold"
    """AR_Customer.CreditHold."""
    OVER_LIMIT = "over_limit"
    OVERDUE = "overdue"
    NO_CREDIT = "no_credit"
    """CreditLimit 0, where that means none."""
    PREPAID = "prepaid"
    """The terms of web customers, who pay before."""
    GOOD = "good"


class CreditStanding(Frozen):
    """Credit, in the company's currency."""

    standing: Standing
    TermsCode: str
    TermsCodeDesc: str = ""
    CreditHold: bool
    CreditLimit: Decimal
    exposure: Decimal
    """CurrentBalance, AgingCategory1 to 4 and OpenOrderAmt: what counts against the limit."""
    available: Decimal | None
    """CreditLimit less exposure; None: no limit."""
    overdue: Decimal
    """Balances of open invoices that were due before today."""
    CurrentBalance: Decimal
    aging: list[Decimal]
    """AgingCategory1 to 4."""
    OpenOrderAmt: Decimal
    AvgDaysPaymentInvoice: Decimal
    AvgDaysOverDue: Decimal


class ConsentFlag(Frozen):
    """Whether somebody may be written to for marketing."""

    granted: bool
    """False also where nothing is known."""
    told_by: list[str] = []
    """What said so, yes or no: `clarity:{attribute}`, `sage:{column}`; empty: nobody, so no."""


class WebOrder(Frozen):
    """An order's workflow, as Temporal lists it and as it answers."""

    order_id: str
    order_number: str = ""
    workflow_id: str
    status: str
    """Of the workflow: running, completed, terminated, …"""
    state: str = ""
    """`OrderState`; empty when not known."""
    hold_reason: str = ""
    hold: int | None = None
    """The hold's number, for a release."""
    held_since: datetime | None = None
    actions: list[str] = []
    waits_for: str = ""
    SalesOrderNo: str = ""
    packages: list[str] = []
    """External references of the shipments that Clarity was told."""
    invoices: list[str] = []
    customer: str = ""
    """Division-number, once it is known."""
    started: datetime | None = None
    answered: bool = False
    """The workflow itself told the details; otherwise they are the listing's."""


class CustomerOrder(Frozen):
    """An order in Sage and in Temporal, or in one of the two."""

    SalesOrderNo: str = ""
    web_order_id: str = ""
    order_number: str = ""
    where: str
    """`live` or `history` of Sage, `not_in_sage`, or `unknown` when Sage did not tell."""
    OrderDate: date | None = None
    OrderStatus: str = ""
    CustomerPONo: str = ""
    Total: Decimal | None = None
    DepositAmt: Decimal | None = None
    ShipVia: str = ""
    CancelReasonCode: str = ""
    web: WebOrder | None = None
    """Live state; None: entered in Sage, or forgotten by Temporal since."""


class Hold(Frozen):
    """An order that waits for a person."""

    order_id: str
    order_number: str
    reason: str
    hold: int | None
    since: datetime | None
    actions: list[str]
    workflow_id: str


class Profile(Frozen):
    """Who it is, by both systems."""

    sage: AccountRecord | None
    contacts: list[AccountContact] = []
    ship_tos: list[ShipToAddress] = []
    clarity: list[WebCustomer] = []
    """Web customers of this account: several people may buy for it."""
    differs: list[Difference] = []
    consent: ConsentFlag = ConsentFlag(granted=False)
    """Of the account itself; each web customer has its own in `web_consent`."""
    web_consent: dict[str, ConsentFlag] = {}
    """Clarity's customer id → consent."""


class CustomerView(Frozen):
    """Everything about one customer, as of now."""

    pair: str
    customer: str
    """Division-number."""
    as_of: datetime
    sources: Sources
    profile: Profile
    credit: CreditStanding | None = None
    open_orders: list[CustomerOrder] = []
    past_orders: list[CustomerOrder] = []
    past_orders_before: str = ""
    """Ask with `orders_before` for the next page; empty at the end."""
    holds: list[Hold] = []
    invoices: list[AccountInvoice] = []
    """With shipments (ShipDate, ShipVia, packages) and balances; unposted ones first."""
    invoices_before: str = ""
    """Ask with `invoices_before` for the next page; empty at the end."""
    open_invoices: list[OpenInvoice] = []
    payments: list[AccountPayment] = []
    more: list[str] = []
    """Lists that are cut, without a next page: their newest are here."""

    @property
    def is_known(self) -> bool:
        """Whether any source knows it."""
        orders = self.open_orders or self.past_orders
        return bool(self.profile.sage or self.profile.clarity or orders)


class Told(Frozen):
    """What the three systems told, for `view_of`."""

    account: Account | None = None
    web_customers: list[WebCustomer] = []
    web_orders: list[WebOrder] = []
    web_orders_more: bool = False


def view_of(key: CustomerKey, told: Told, sources: Sources, pair: Pair, now: datetime) -> CustomerView:
    """The view; `now` is aware, and the company's day is taken from it."""
    account, more = told.account, []
    if account is not None and account.open_orders_more:
        more.append("open_orders")
    if account is not None and account.open_invoices_more:
        more.append("open_invoices")
    if told.web_orders_more:
        more.append("web_orders")
    open_orders, past_orders = merge_orders(account, told.web_orders, sage_told=sources.sage.state is SourceState.TOLD)
    return CustomerView(
        pair=pair.name,
        customer=str(key),
        as_of=now,
        sources=sources,
        profile=profile_of(account, told.web_customers, pair),
        credit=None
        if account is None
        else credit_of(account.record, account.open_invoices, pair, now.astimezone(pair.company.zone).date()),
        open_orders=open_orders,
        past_orders=past_orders,
        past_orders_before=account.past_orders_before if account is not None else "",
        holds=[hold for order in told.web_orders if (hold := _hold(order)) is not None],
        invoices=account.invoices if account is not None else [],
        invoices_before=account.invoices_before if account is not None else "",
        open_invoices=account.open_invoices if account is not None else [],
        payments=account.payments if account is not None else [],
        more=more,
    )


def _hold(order: WebOrder) -> Hold | None:
    if not order.hold_reason or order.status != "running":
        return None
    return Hold(
        order_id=order.order_id,
        order_number=order.order_number,
        reason=order.hold_reason,
        hold=order.hold,
        since=order.held_since,
        actions=order.actions,
        workflow_id=order.workflow_id,
    )


# ---- profile --------------------------------------------------------------------------------------------------------


def profile_of(account: Account | None, customers: Sequence[WebCustomer], pair: Pair) -> Profile:
    """Both systems' facts, what differs, and consent."""
    record = account.record if account is not None else None
    return Profile(
        sage=record,
        contacts=account.contacts if account is not None else [],
        ship_tos=account.ship_tos if account is not None else [],
        clarity=list(customers),
        differs=[one for customer in customers for one in differences(record, customer, pair)] if record else [],
        consent=consent_of(record, None, pair),
        web_consent={
            customer.clarity_id: consent_of(record if is_its_own(record, customer, customers) else None, customer, pair)
            for customer in customers
        },
    )


def is_its_own(record: AccountRecord | None, customer: WebCustomer, customers: Sequence[WebCustomer]) -> bool:
    """Whether what the account says of consent is this person's, too: the only buyer, or the one it carries."""
    if record is None:
        return False
    return customer.clarity_id == record.UDF_WEB_CUSTOMER_ID or (not record.UDF_WEB_CUSTOMER_ID and len(customers) == 1)


def differences(record: AccountRecord, customer: WebCustomer, pair: Pair) -> Iterator[Difference]:
    """Facts that both have and that do not agree; what only one side has is no difference."""

    def differs(field: str, sage: str, clarity: str, *, same: bool) -> Iterator[Difference]:
        if sage and clarity and not same:
            yield Difference(field=field, sage=sage, clarity=clarity, clarity_id=customer.clarity_id)

    email = comparable_email(customer.email)
    yield from differs("EmailAddress", record.EmailAddress, customer.email, same=email in record.emails)
    yield from differs(
        "CustomerName", record.CustomerName, customer.name, same=is_same_name(record.CustomerName, customer.name)
    )
    yield from differs(
        "TelephoneNo",
        record.TelephoneNo,
        customer.phone,
        same=phone_tail(record.TelephoneNo) == phone_tail(customer.phone),
    )
    yield from differs(
        "TaxExemptNo", record.TaxExemptNo, customer.tax_exempt_no, same=record.TaxExemptNo == customer.tax_exempt_no
    )
    billing = customer.billing
    at_home = is_same_place(
        (record.ZipCode, record.City, record.CountryCode), (billing.postal_code, billing.city, billing.country)
    ) and street_of(record.AddressLine1, record.AddressLine2, record.AddressLine3) == street_of(
        billing.line1, billing.line2, billing.line3
    )
    yield from differs(
        "Address",
        _one_line(record.AddressLine1, record.AddressLine2, record.AddressLine3, record.ZipCode, record.City),
        _one_line(billing.line1, billing.line2, billing.line3, billing.postal_code, billing.city)
        if billing.line1
        else "",
        same=at_home,
    )
    reference = customer.customer_reference.upper()
    yield from differs("externalReference", str(record.key), reference, same=reference == str(record.key).upper())
    yield from differs(
        "UDF_WEB_CUSTOMER_ID",
        record.UDF_WEB_CUSTOMER_ID,
        customer.clarity_id,
        same=customer.clarity_id == record.UDF_WEB_CUSTOMER_ID,
    )
    for column, attribute in pair.customers.sync.of_sage.items():
        there, here = customer.attributes.get(attribute, ""), record.own.get(column, "")
        yield from differs(column, here, there, same=here == there)


def _one_line(*parts: str) -> str:
    return ", ".join(part for part in parts if part)


def consent_of(record: AccountRecord | None, customer: WebCustomer | None, pair: Pair) -> ConsentFlag:
    """What was said about marketing: one no outweighs every yes, and silence is a no."""
    rules, said = pair.customers.consent, dict[str, bool]()
    if customer is not None and rules.clarity_attribute:
        value = rules.told(customer.attributes.get(rules.clarity_attribute, ""))
        if value is not None:
            said[f"clarity:{rules.clarity_attribute}"] = value
    if record is not None and rules.sage_column:
        value = rules.told(record.own.get(rules.sage_column, ""))
        if value is not None:
            said[f"sage:{rules.sage_column}"] = value
    return ConsentFlag(granted=bool(said) and all(said.values()), told_by=list(said))


# ---- credit ---------------------------------------------------------------------------------------------------------


def credit_of(record: AccountRecord, owed: Sequence[OpenInvoice], pair: Pair, today: date) -> CreditStanding:
    """Rules 7: exposure against the limit; what is past due."""
    overdue = sum((one.Balance for one in owed if one.InvoiceDueDate and one.InvoiceDueDate < today), Decimal(0))
    unlimited = not record.CreditLimit and pair.credit.limit_zero == "unlimited"
    available = None if unlimited else record.CreditLimit - record.exposure
    if record.CreditHold:
        standing = Standing.ON_HOLD
    elif not has_terms(record, pair):
        standing = Standing.PREPAID
    elif not unlimited and not record.CreditLimit:
        standing = Standing.NO_CREDIT
    elif available is not None and available < 0:
        standing = Standing.OVER_LIMIT
    else:
        standing = Standing.OVERDUE if overdue > 0 else Standing.GOOD
    return CreditStanding(
        standing=standing,
        TermsCode=record.TermsCode,
        TermsCodeDesc=record.TermsCodeDesc,
        CreditHold=record.CreditHold,
        CreditLimit=record.CreditLimit,
        exposure=record.exposure,
        available=available,
        overdue=overdue,
        CurrentBalance=record.CurrentBalance,
        aging=[record.AgingCategory1, record.AgingCategory2, record.AgingCategory3, record.AgingCategory4],
        OpenOrderAmt=record.OpenOrderAmt,
        AvgDaysPaymentInvoice=record.AvgDaysPaymentInvoice,
        AvgDaysOverDue=record.AvgDaysOverDue,
    )


# ---- orders ---------------------------------------------------------------------------------------------------------

ENDED = frozenset({"complete", "cancelled"})
"""States of web orders that are past."""


def merge_orders(
    account: Account | None, web_orders: Sequence[WebOrder], *, sage_told: bool
) -> tuple[list[CustomerOrder], list[CustomerOrder]]:
    """Open and past orders: Sage's, each with its web order, then web orders that no order of this page is."""
    by_number = {order.SalesOrderNo: order for order in web_orders if order.SalesOrderNo}
    by_id = {order.order_id: order for order in web_orders}
    met: set[str] = set()

    def merged(order: AccountOrder) -> CustomerOrder:
        web = by_number.get(order.SalesOrderNo) or by_id.get(order.UDF_WEB_ORDER_ID)
        if web is not None:
            met.add(web.order_id)
        return CustomerOrder(
            SalesOrderNo=order.SalesOrderNo,
            web_order_id=order.UDF_WEB_ORDER_ID or (web.order_id if web else ""),
            order_number=web.order_number if web else "",
            where="live" if order.live else "history",
            OrderDate=order.OrderDate,
            OrderStatus=order.OrderStatus,
            CustomerPONo=order.CustomerPONo,
            Total=order.Total,
            DepositAmt=order.DepositAmt,
            ShipVia=order.ShipVia,
            CancelReasonCode=order.CancelReasonCode,
            web=web,
        )

    open_orders = [merged(order) for order in account.open_orders] if account is not None else []
    past_orders = [merged(order) for order in account.past_orders] if account is not None else []
    oldest = past_orders[-1].SalesOrderNo if past_orders and account and account.past_orders_before else ""
    for web in web_orders:
        if web.order_id in met:
            continue
        ended = web.status != "running" or web.state in ENDED
        if ended and oldest and web.SalesOrderNo and web.SalesOrderNo < oldest:
            # Of a later page of the history.
            continue
        where = "unknown" if not sage_told else "not_in_sage" if not web.SalesOrderNo else "history"
        order = CustomerOrder(
            SalesOrderNo=web.SalesOrderNo,
            web_order_id=web.order_id,
            order_number=web.order_number,
            where=where,
            web=web,
        )
        (past_orders if ended else open_orders).append(order)
    return open_orders, past_orders
