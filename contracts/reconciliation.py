"""What travels between `PaymentReconciliationWorkflow`, the activities that read both books, and the one that compares.

Additive, as all messages. No personal data: ids, codes, days and amounts. Lists are bounded by those who fill them.
"""

from datetime import date, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Final

from pydantic import Field

from mappings.differences import Difference, Reason, Status
from mappings.frozen import Frozen
from mappings.ledger import OrderNamed, Payout
from mappings.pair import Pace
from mappings.reconciliation_report import Age, ControlSums, CustomerDeposits

LONGEST_PAYOUT: Final = timedelta(days=14)
"""From a payment to the payout that holds it: a payout of the first day of a range holds payments from before it."""


class ReconciliationStart(Frozen):
    """Start argument of `PaymentReconciliationWorkflow`. Without a range it is a nightly run, up to yesterday."""

    pair: str
    pace: Pace
    time_zone: str
    """IANA name; the company's days are in it."""
    days: int = 35
    """How far a nightly run looks back."""
    since: date | None = None
    until: date | None = None
    """By hand: both days included."""
    same_company: list[str] = []
    """Other pairs whose orders stand in the same Sage company: theirs are none of this pair's business."""


class MoneyPage(Frozen):
    """`list_web_orders`, `list_gateway_payments`, `list_payouts`: some pages of a list, from this one on."""

    pair: str
    since: datetime
    """What changed at this instant or later."""
    page: int = 0
    first: date
    last: date
    """The range: orders with a payment of these days are looked at."""
    payout_ids: list[str] = []
    """Likewise those with a payment that is in one of these."""


class WebOrdersRead(Frozen):
    """Orders with payments, of the pages that were read, or of the ids that were asked for."""

    keys: dict[str, list[str]] = {}
    """Order id → Clarity's external reference (a SalesOrderNo, or empty), and what may stand in CustomerPONo."""
    content: str = "[]"
    """The orders, `WebOrder`s as JSON: the workflow carries them and never opens them."""
    paid: list[str] = []
    """Those that are looked at."""
    oldest: date | None = None
    """The day of their first payment."""
    first_days: dict[str, date] = {}
    """Order id → the day of its first payment, where that lies before the range, looked at or not: Sage may name it."""
    unreadable: int = 0
    """Payments that make no sense."""
    ignored: list[str] = []
    """Orders from before the pair's go-live, or of another pair's currency."""
    missing: list[str] = []
    """Of ids: Clarity has no such order."""
    entries: int = 0
    """Entries of the list that were read, with payments or not."""
    total: int = 0
    """Entries of the whole list, as the last page says."""
    next_page: int | None = None
    """None at the end."""


class PaymentsRead(Frozen):
    """Entries of the list of payments."""

    content: str = "[]"
    """`ListedPayment`s as JSON, likewise."""
    paid: list[str] = []
    """Orders that are looked at for them."""
    oldest: date | None = None
    unreadable: int = 0
    entries: int = 0
    total: int = 0
    next_page: int | None = None


class PayoutsRead(Frozen):
    """Payouts; None where the release has no such list."""

    payouts: list[Payout] | None = None
    unreadable: int = 0


class ReadWebOrders(Frozen):
    """`read_web_orders`: single orders."""

    pair: str
    order_ids: list[str] = Field(max_length=500)


class FindBilledOrders(Frozen):
    """`find_billed_orders`: sales orders on invoices posted on these days."""

    pair: str
    days: list[date]


class FindOpenDeposits(Frozen):
    """`find_open_deposits`: live orders with a deposit, from this SalesOrderNo on."""

    pair: str
    after: str = ""


class OrdersFound(Frozen):
    """Sales orders that have to be looked at; `last` is where to go on, empty at the end."""

    orders: list[OrderNamed] = []
    last: str = ""


class SoughtOrder(Frozen):
    """A web order, and by what its sales orders are found."""

    order_id: str = ""
    """Empty: a sales order without a web order."""
    numbers: list[str] = []
    """SalesOrderNos that may be its."""
    purchase_orders: list[str] = []


class ReadSageMoney(Frozen):
    """`read_sage_money`: these orders with deposits and invoices."""

    pair: str
    orders: list[SoughtOrder] = Field(max_length=500)


class SageMoneyRead(Frozen):
    """Sales orders (`DepositedOrder`s as JSON), each with what it was sought for in `web_order_id`."""

    content: str = "[]"


class ReadReceipts(Frozen):
    """`read_cash_receipts`: posted ones of these days; with `unposted` also the batches that are not."""

    pair: str
    days: list[date]
    unposted: bool = False
    all_types: bool = False
    """Also those of payment types that are none of the pair's: a person may have chosen another one."""


class ReceiptsRead(Frozen):
    """Cash receipts that may be web money (`Receipt`s as JSON)."""

    content: str = "[]"


class SheetKind(StrEnum):
    """What a sheet lists."""

    ORDERS = "orders"
    LISTED = "listed"
    SALES_ORDERS = "sales_orders"
    RECEIPTS = "receipts"
    PAYOUTS = "payouts"
    SOUGHT = "sought"
    """Ids of the orders that are looked at; of other orders only the transactions count."""


class Sheet(Frozen):
    """Answer of the query `sheet`: some of what was read, as JSON. An order on a later sheet replaces it."""

    kind: SheetKind
    content: str


class CompareBooks(Frozen):
    """`compare_books`: ask the workflow for its sheets, compare what is on them, write the files."""

    pair: str
    since: date
    until: date
    as_of: date
    sheets: int
    tells_payouts: bool
    opening: Decimal | None = None
    """Customer deposits as the last run closed, when it closed on the day before."""
    unreadable: int = 0


class ReconciliationResult(Frozen):
    """Result of the workflow and answer of the query `result`; the nightly run's is the memory of the next one."""

    since: date
    until: date
    as_of: date
    currency: str
    orders: dict[Status, int]
    reasons: dict[Reason, int]
    controls: ControlSums
    customer_deposits: CustomerDeposits
    ageing: list[Age]
    unexplained: int = 0
    """Unexplained differences."""
    findings: list[Difference] = []
    """The first of them, the largest first."""
    payouts: int | None = None
    """None: this release of Clarity does not tell payouts."""
    payouts_differ: int = 0
    unreadable: int = 0
    """Payments and payouts at Clarity that make no sense."""
    folder: str = ""
    """Where the files are: below REPORTS_DIR of the process that wrote them."""
    carried: list[str] = []
    """Order ids that are unexplained: the next nightly run looks at them whatever their day."""

    @property
    def needs_a_person(self) -> bool:
        """Whether an alert is raised."""
        return bool(self.unexplained or self.payouts_differ or self.unreadable or not self.controls.adds_up)
