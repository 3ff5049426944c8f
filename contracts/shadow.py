"""What travels between `ShadowOrderWorkflow`, `ShadowComparisonWorkflow` and their activities (docs/going-live.md).

Additive, as all messages. Lists are bounded by those who fill them.
"""

from datetime import date, datetime

from pydantic import Field

from contracts.messages import OrderStart
from mappings.frozen import Frozen
from mappings.pair import Pace
from mappings.problems import Finding
from mappings.sales_order import SalesOrder, SalesOrderOnSage
from mappings.shadow import ComparedOrder, ComparisonTotals, ShadowOutcome


class ShadowStart(Frozen):
    """Start argument of `ShadowOrderWorkflow`: the order as its own workflow would have got it."""

    order: OrderStart
    cancelled: bool = False
    """Clarity cancelled it."""


class SalesOrderPreviewed(Frozen):
    """`preview_sales_order`: what `create_sales_order` would send, what Sage makes of it, and what would stop it."""

    sales_order: SalesOrder
    on_sage: SalesOrderOnSage | None = None
    """None where the site's gateway has no preview."""
    findings: list[Finding] = []


class ShadowComparisonStart(Frozen):
    """Start argument of `ShadowComparisonWorkflow`. Without a range it is a daily run, up to now."""

    pair: str
    pace: Pace
    time_zone: str
    """IANA name; the company's days are in it."""
    days: int = 14
    """How far a daily run looks back."""
    since: date | None = None
    until: date | None = None
    """By hand: both days included, by the order's checkout."""


class ListShadowOrders(Frozen):
    """`list_shadow_orders`: those that came since."""

    pair: str
    since: datetime


class ShadowRuns(Frozen):
    """The latest run of each order, the oldest order first; `unfinished` ones wait for Sage and are compared later."""

    workflow_ids: list[str] = []
    unfinished: int = 0


class CompareTyped(Frozen):
    """`compare_typed_orders`: these shadow orders with what people typed."""

    pair: str
    workflow_ids: list[str] = Field(max_length=200)
    since: date
    until: date
    today: date


class Compared(Frozen):
    """Some orders, compared; answer of the query `compared`."""

    orders: list[ComparedOrder] = []


class WriteComparison(Frozen):
    """`write_comparison`: ask the workflow for its sheets of compared orders, write the files, add up."""

    pair: str
    since: date
    until: date
    sheets: int
    unfinished: int = 0


class ShadowComparisonResult(Frozen):
    """Result of the workflow and answer of the query `result`."""

    since: date
    until: date
    totals: ComparisonTotals
    unfinished: int = 0
    """Orders that wait for Sage still."""
    examples: list[ComparedOrder] = []
    """The first that differ, would be held, or are not found."""
    folder: str = ""
    """Where the files are: below REPORTS_DIR of the process that wrote them."""

    @property
    def needs_a_person(self) -> bool:
        """Whether an alert is raised: something differs, or was not found in time."""
        return any(self.totals.orders.get(outcome) for outcome in (ShadowOutcome.DIFFERS, ShadowOutcome.NOT_FOUND))
