"""Arguments and results that travel through Temporal: starts, signals, updates, queries, activities.

Additive only: a running order started months ago still sends and receives these. Every model is one serialisable
object, so that a field can be added. Amounts are Decimals, instants are timezone-aware.
"""

from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Final

from pydantic import Field

from contracts.search_attributes import OrderState
from mappings.decisions import Decisions, Side
from mappings.frozen import Frozen, Sparse
from mappings.inventory import NeededStock
from mappings.pair import Check, Pace
from mappings.problems import Finding, HoldReason, Problem, Shortage
from mappings.sales_order import (
    CreatedLine,
    CustomerKey,
    CustomerMatch,
    CustomerSearch,
    Draft,
    ExpectedTotals,
    SalesOrder,
    SalesOrderOnSage,
    ShipToAddress,
)
from mappings.shipments import CancelledItem, CreditMemo, OrderProgress, SalesOrderStanding, ShipmentInvoice


class EventType(StrEnum):
    """Clarity's webhook types that concern orders."""

    ORDER_CREATED = "order.created"
    ORDER_UPDATED = "order.updated"
    ORDER_CANCELLED = "order.cancelled"


# ---- OrderFulfillmentWorkflow ---------------------------------------------------------------------------------------


class OrderStart(Frozen):
    """Start argument of `OrderFulfillmentWorkflow`: Clarity's payload as delivered (card numbers masked).

    `payload` stays plain JSON: it is parsed in the transform, where a problem becomes a hold, never here.
    """

    pair: str
    order_id: str
    payload: dict[str, Any]
    digest: str
    """Hash of the payload without the fields this integration writes."""
    received_at: datetime
    webhook_id: str = ""
    pace: Pace
    masked_fields: int = 0
    forced: str = ""
    """Who let the order start though it may have been here before, and why (rules 4)."""
    adopts: str = ""
    """The SalesOrderNo that people typed for this order before the pair went live: followed, never created again."""
    is_asked_daily: bool = False
    """The pair's watch asks the order once a day to look at Sage (signal `look_at_sage`): while it waits it has no
    timer of its own. Orders from before that have one."""


class ClarityOrderChanged(Frozen):
    """Signal `clarity_order_changed`: a later version of the order, or its cancellation."""

    event: str
    payload: dict[str, Any]
    digest: str
    webhook_id: str = ""


class ReleaseAction(StrEnum):
    """What support can decide on a held order; `HoldReason` says which of them apply."""

    RETRY = "retry"
    CANCEL = "cancel"
    CORRECT = "correct"
    USE_ITEM = "use_item"
    USE_CUSTOMER = "use_customer"
    CREATE_CUSTOMER = "create_customer"
    APPROVE = "approve"
    BACKORDER = "backorder"
    SHIP_AVAILABLE = "ship_available"


class Release(Frozen):
    """Argument of `release_hold`, update and signal alike.

    `by` is a claim (Temporal does not tell who sent a message) and is marked unverified in the trail. `reason` is the
    HoldReason meant, required in the signal; `hold` the hold's number.
    """

    action: ReleaseAction
    by: str = Field(min_length=1, max_length=100)
    reason: HoldReason | None = None
    hold: int | None = None
    note: str = Field(default="", max_length=1000)
    correction: dict[str, Any] | None = None
    """With `correct`: a JSON merge patch (RFC 7396) on the order, its items keyed by item id."""
    items: dict[str, str] = {}
    """With `use_item`: Clarity item id → ItemCode."""
    remember: bool = False
    """With `use_item`: keep the choice in Sage as an alias (IM_AliasItem). With `use_customer`: the buyer's later
    orders go to this account by themselves (a cross-reference at Clarity)."""
    customer_no: str = Field(default="", max_length=23)
    """With `use_customer`: division-number, `00-ABC001`."""
    winner: Side | None = None
    """With `approve` on `total_mismatch`: whose total is right."""


OWN_ACTIONS: dict[HoldReason, list[ReleaseAction]] = {
    HoldReason.INVALID_DATA: [ReleaseAction.CORRECT],
    HoldReason.REJECTED_BY_SAGE: [ReleaseAction.CORRECT],
    HoldReason.REJECTED_BY_CLARITY: [ReleaseAction.CORRECT],
    HoldReason.UNKNOWN_ITEM: [ReleaseAction.USE_ITEM, ReleaseAction.CORRECT],
    HoldReason.CUSTOMER_REVIEW: [ReleaseAction.USE_CUSTOMER, ReleaseAction.CREATE_CUSTOMER],
    HoldReason.CREDIT: [ReleaseAction.APPROVE],
    HoldReason.ANOMALY: [ReleaseAction.APPROVE],
    HoldReason.ORDER_CHANGED: [ReleaseAction.APPROVE],
    HoldReason.DELETED_IN_SAGE: [ReleaseAction.APPROVE],
    HoldReason.OUT_OF_STOCK: [ReleaseAction.BACKORDER, ReleaseAction.SHIP_AVAILABLE],
    HoldReason.TOTAL_MISMATCH: [ReleaseAction.CORRECT, ReleaseAction.APPROVE],
}
"""Actions of a hold besides `retry` and `cancel` (design, holds)."""


def actions_for(reason: HoldReason) -> list[ReleaseAction]:
    """What can be decided on a hold."""
    return [ReleaseAction.RETRY, ReleaseAction.CANCEL, *OWN_ACTIONS.get(reason, [])]


class ReleaseAccepted(Frozen):
    """Result of the update: the decision is recorded; the order goes on by itself."""

    order_id: str
    hold: int
    reason: HoldReason
    action: ReleaseAction
    changes: list[str] = []
    """With `correct`: what the correction changed, field by field."""


class TrailEntry(Frozen):
    """One line of the audit trail."""

    at: datetime
    what: str
    times: int = 1
    """How often, when the same came again and again."""
    decision: bool = False
    """A release of a hold: kept however long the trail becomes."""


class HoldView(Frozen):
    """An open hold as support sees it."""

    hold: int
    reason: HoldReason
    since: datetime
    problems: list[Problem]
    check: str = ""
    """The check that found it, where one of the pair's list did."""
    items: list[str] = []
    shortages: list[Shortage] = []
    no_back_orders: list[str] = []
    """Items among `items` of which Sage drops what it cannot ship (AllowBackOrders N)."""
    choices: dict[str, str] = {}
    """With `unknown_item`: Clarity's item id → the likeliest ItemCode, empty when nothing is near."""
    difference: Decimal = Decimal(0)
    """With `total_mismatch`: Sage's total less Clarity's."""
    actions: list[ReleaseAction]
    reminders: int = 0


class Ending(StrEnum):
    """How an order ended, beside its state (rules 3)."""

    SHIPPED_IN_FULL = "shipped_in_full"
    CLOSED_SHORT = "closed_short"
    """Shipped and cancelled quantities both present."""
    CANCELLED = "cancelled"


class OrderView(Frozen):
    """Answer of the query `state`."""

    pair: str
    order_id: str
    order_number: str = ""
    title: str = ""
    state: OrderState
    waits_for: str
    hold: HoldView | None = None
    sales_order_no: str = ""
    customer_no: str = ""
    mapping_version: str = ""
    packages: list[str] = []
    """External references of the shipments that Clarity was told."""
    invoices: list[str] = []
    cancelled: list[CancelledItem] = []
    """What will not come, as Clarity was told."""
    ending: Ending | None = None
    digest: str = ""
    """Of Clarity's version that the order works on: backfill compares with it."""
    cancelled_at_clarity: bool = False
    """The order knows that Clarity cancelled it."""
    unused_number: str = ""
    """A SalesOrderNo that was reserved and never used: the gap in Sage's numbers is explained."""
    trail: list[TrailEntry] = []


class StockNeeds(Frozen):
    """Answer of the query `stock_needs`: what the order will take that Sage does not know yet."""

    known: bool = True
    """False before the order was understood: its payload tells as much."""
    customer: CustomerKey | None = None
    """The account, once settled: it may have aliases of its own."""
    lines: list[NeededStock] = []
    """Nothing once the sales order is in Sage, and of a cancelled order."""


class OrderOutcome(Frozen):
    """Result of the workflow."""

    state: OrderState
    ending: Ending | None = None
    cancelled: list[CancelledItem] = []
    sales_order_no: str = ""
    customer_no: str = ""
    packages: list[str] = []
    invoices: list[str] = []
    unused_number: str = ""
    note: str = ""


# ---- the order's activities -----------------------------------------------------------------------------------------


class TransformRequest(Frozen):
    """`transform_order`."""

    pair: str
    payload: dict[str, Any]


class FactsRequest(Sparse):
    """`read_sage_facts`."""

    pair: str
    draft: Draft
    decisions: Decisions = Decisions()
    """What people decided on this order."""
    resolved: CustomerKey | None = None
    """The account that `CustomerResolutionWorkflow` found for this buyer."""
    own_attempt: str = ""
    """The number under which this order has tried a create of unknown or differing outcome: it is no order to adopt."""
    deleted: list[str] = []
    """Numbers of sales orders that this order made and deleted again: history may still know them."""
    reference: str = ""
    """What Clarity holds as our reference: the order may stand in Sage under another purchase order number."""
    adopts: str = ""
    """Going live: the SalesOrderNo that people typed for the order. It is linked, and nothing is created."""


class ReserveRequest(Frozen):
    """`reserve_sales_order_number`, `reserve_customer_number`."""

    pair: str


class CreateSalesOrder(Sparse):
    """`create_sales_order`: preview, compare, create under the reserved number."""

    pair: str
    SalesOrderNo: str
    sales_order: SalesOrder
    expected: ExpectedTotals
    decisions: Decisions = Decisions()
    checks: list[Check] | None = None
    look_first: bool = False
    """An earlier create under this number had an unknown or a differing outcome: read it before anything else."""
    ship_to_to_add: ShipToAddress | None = None
    """By the pair's opt-in: create it on the account first, under its code, and name it on the order."""
    authenticated: bool = True
    """The account was named by its number or our cross-reference (rules 6)."""
    deleted: list[str] = []
    """Numbers of sales orders that this order made and deleted again: none of them is taken up."""


class SalesOrderCreated(Sparse):
    """Exactly one of: `created`; `number_taken` (reserve another); `elsewhere`; `problems` with their hold."""

    created: SalesOrderOnSage | None = None
    number_taken: bool = False
    number_used: bool = False
    """An order of ours under the number was deleted again; the next attempt takes a new one."""
    elsewhere: str = ""
    """An order with this web order id has come to stand under this other number: look again, and take it up."""
    unread: bool = False
    """With `created`: a person has said that it is as sent, because Sage could not tell. With `hold`: a person is asked
    that; the outcome of the create stays open."""
    hold: HoldReason | None = None
    problems: list[Problem] = []
    difference: Decimal = Decimal(0)
    """With `total_mismatch`: Sage's total less Clarity's."""
    items: list[str] = []
    """ItemCodes that the hold is about."""
    shortages: list[Shortage] = []
    no_back_orders: list[str] = []
    check: str = ""
    """The check that found it."""
    short_after: list[Problem] = []
    """With `created`: stock that was gone between the look and the create; the short lines are back-ordered."""
    held_in_sage: list[Problem] = []
    """With `created`: why it has OrderStatus H and waits in Sage."""

    @property
    def finding(self) -> Finding:
        """The hold to take, when nothing was created."""
        return Finding(
            reason=self.hold or HoldReason.REJECTED_BY_SAGE,
            problems=self.problems,
            items=self.items,
            shortages=self.shortages,
            no_back_orders=self.no_back_orders,
            check=self.check,
        )


class ChangeSalesOrder(Frozen):
    """`change_sales_order`: bring a sales order to a later version of the buyer's order."""

    pair: str
    SalesOrderNo: str
    before: SalesOrder | None = None
    """As it was sent; None when this run did not create it."""
    after: SalesOrder
    expected: ExpectedTotals
    expected_before: ExpectedTotals | None = None
    decisions: Decisions = Decisions()
    checks: list[Check] | None = None
    lines: list[CreatedLine]
    """As the order knows them: what each line was created with."""


class SalesOrderChanged(Frozen):
    """What became of it. `problems`: a person must look, and nothing was changed."""

    too_late: bool = False
    """The order is no live one any more."""
    changed: bool = False
    said: list[str] = []
    """Each change in words."""
    remarks: list[str] = []
    problems: list[Problem] = []
    lines: list[CreatedLine] = []
    """The order's lines after the change."""
    standing: SalesOrderStanding | None = None
    """Where the order stands after it."""


class CancelSalesOrder(Frozen):
    """`cancel_sales_order`: the buyer cancelled, and Sage has the order."""

    pair: str
    SalesOrderNo: str


class CancelOutcome(StrEnum):
    """What cancelling in Sage came to."""

    CANCELLED = "cancelled"
    """It is no live order any more, and nothing of it was shipped."""
    ON_HOLD = "on_hold"
    """OrderStatus H and a comment: a person deletes it."""
    INVOICED = "invoiced"
    """Something was or is being shipped."""
    REFUSED = "refused"


class SalesOrderCancelled(Frozen):
    """The outcome; `invoices` that stand in the way, `problems` that Sage named."""

    outcome: CancelOutcome
    invoices: list[str] = []
    problems: list[Problem] = []


class RememberAlias(Frozen):
    """`remember_alias`: SKU → ItemCode as an alias in Sage, general or of one customer."""

    pair: str
    AliasItemNo: str
    ItemCode: str
    customer: CustomerKey | None = None
    """Whose order it was: on an account with terms the alias is that customer's own part number."""


class AliasRemembered(Frozen):
    """Whether the alias stands in Sage now, and if not, why."""

    stored: bool
    why: str = ""
    of_customer: bool = False
    """The alias holds for this customer only."""


class Acknowledge(Frozen):
    """`acknowledge_to_clarity`: status Processing, external reference, and the buyer's cross-reference when known."""

    pair: str
    order_id: str
    SalesOrderNo: str
    customer: CustomerKey
    clarity_customer_id: str = ""


class PostShipment(Frozen):
    """`post_shipment`: the packages of one invoice, and with the last one the order's status."""

    pair: str
    order_id: str
    lines: list[CreatedLine]
    invoice: ShipmentInvoice
    order_shipped: bool
    by_hand: bool = False
    """People typed the order, and may have entered its shipments at Clarity, too: those are not told again."""
    taken: list[str] = []
    """Clarity's ids of such shipments that stand for other invoices."""


class ShipmentPosted(Frozen):
    """External references of the invoice that Clarity now knows, voided ones left out."""

    references: list[str]
    by_hand: list[str] = []
    """Clarity's ids of shipments of the invoice that people entered there."""


class VoidShipment(Frozen):
    """`void_shipment`: an invoice was deleted before it was posted; `reopen` sets the order back to Processing."""

    pair: str
    order_id: str
    SalesOrderNo: str
    InvoiceNo: str
    reopen: bool


class RecordCancelled(Frozen):
    """`record_cancelled_items`: every quantity that will not come, the whole list each time."""

    pair: str
    order_id: str
    items: list[CancelledItem]


class RecordInvoices(Frozen):
    """`record_invoices`: the posted invoices on Clarity's order."""

    pair: str
    order_id: str
    invoices: list[ShipmentInvoice]


class CreditMemoStart(Frozen):
    """Start argument of `CreditMemoWorkflow`, and of its step `tell_refund_due`."""

    pair: str
    order_id: str
    SalesOrderNo: str
    memo: CreditMemo
    pace: Pace = Pace()


class CancelAtClarity(Frozen):
    """`cancel_at_clarity`: the order ends before Sage knew it."""

    pair: str
    order_id: str


class ReadShipments(Frozen):
    """`read_shipments`: the order reads Sage itself."""

    pair: str
    SalesOrderNo: str
    known_lines: list[str] = []
    """LineKeys that the order knows already."""


class ShipmentsRead(Frozen):
    """Every shipment invoice of the order that is ready, and where the order stands."""

    invoices: list[ShipmentInvoice]
    standing: SalesOrderStanding
    outstanding: list[str] = []
    """Every unposted invoice of the order, ready or not."""
    added_lines: list[CreatedLine] = []
    """Lines that the order does not know yet; comments left out."""
    reasons: dict[str, str] = {}
    """LineKey → CancelReasonCode, where history has one."""


class AlertSeverity(StrEnum):
    """How soon somebody should look; each has its own targets (`connectors.alerts`)."""

    INFO = "info"
    WARNING = "warning"
    HIGH = "high"


class AlertKind(StrEnum):
    """What an alert is about."""

    HOLD = "hold"
    REMINDER = "reminder"
    HELD_IN_SAGE = "held_in_sage"
    """Created with OrderStatus H: somebody has to release the order in Sage."""
    ORDER_CHANGED = "order_changed"
    SHORT = "short"
    """Stock is negative after the order was created: somebody in Sage took it at the same moment."""
    NOT_POSTED = "not_posted"
    REFUND_DUE = "refund_due"
    """A paid quantity will not come: the entry for accounting's refund list."""
    UNREADABLE = "unreadable"
    """The poller met something in Sage that it cannot read."""
    OUTAGE = "outage"
    """A system of a pair does not answer: of high priority, once per outage."""
    OUTAGE_REMINDER = "outage_reminder"
    ALL_CLEAR = "all_clear"
    SIGNED_OUT = "signed_out"
    """A system refuses the credentials: a person must look at the settings."""
    WEBHOOK_REFUSED = "webhook_refused"
    """A delivery was refused that may have been Clarity's: too large, or signed and no JSON."""
    ORDER_REFUSED = "order_refused"
    """An order that cannot be taken in at all: a person enters it by hand."""
    DRIFT = "drift"
    """The store's own stock numbers were not those that it was told; they were put right."""
    STOCK_STUCK = "stock_stuck"
    """Stock numbers do not reach the store for a reason that does not pass by itself."""
    NEW_PRODUCT = "new_product"
    """A product of the store is no item in Sage: a person approves the item, or discards it."""
    PRODUCT_CONFLICT = "product_conflict"
    """A product's field was changed by the side that does not own it: what was overwritten, or what is asked."""
    PRODUCT_REFUSED = "product_refused"
    """A product cannot be brought in step: what does not fit, or what a system refuses."""
    GAP = "gap"
    """Backfill started orders whose webhook never came."""
    DEAD_LETTER = "dead_letter"
    """A signed event became no order and no change of one: a person replays or discards it."""
    ORDER_ENDED = "order_ended"
    """An order's workflow was terminated, cancelled, failed or timed out: nobody follows the order any more."""
    TASKS_FAILING = "tasks_failing"
    """A workflow stands still because its code raises: mend the code, it goes on by itself."""
    FLOW_FAILED = "flow_failed"
    """A run of the poller, backfill, stock, reconciliation … failed: until one succeeds that flow stands still."""
    SHADOW = "shadow"
    """Of a pair in shadow mode: orders that people typed are not what the integration would have created."""
    RECONCILIATION = "reconciliation"
    """Money that nobody can explain: Clarity's payments and Sage's books differ."""
    CUSTOMER_REVIEW = "customer_review"
    """A change of a customer waits for a person, or attributes that Sage owns are refused by Clarity."""
    ACCOUNTING_LIST = "accounting_list"
    """Payments that a person has to book are new on the accounting list."""
    CHANNEL_DOWN = "channel_down"
    """A target of alerts cannot be reached; told through the others."""

    @property
    def severity(self) -> AlertSeverity:
        """`warning` unless the kind says otherwise."""
        return SEVERITIES.get(self, AlertSeverity.WARNING)


SEVERITIES: Final = {
    AlertKind.ORDER_ENDED: AlertSeverity.HIGH,
    AlertKind.TASKS_FAILING: AlertSeverity.HIGH,
    AlertKind.FLOW_FAILED: AlertSeverity.HIGH,
    AlertKind.CHANNEL_DOWN: AlertSeverity.HIGH,
    AlertKind.OUTAGE: AlertSeverity.HIGH,
    AlertKind.OUTAGE_REMINDER: AlertSeverity.HIGH,
    AlertKind.ALL_CLEAR: AlertSeverity.HIGH,
}
"""What is not a warning."""


class Alert(Frozen):
    """`raise_alert`: something a person should know. Ids, codes and reasons only: no personal data."""

    pair: str
    kind: AlertKind
    workflow_id: str
    title: str
    text: str
    reason: HoldReason | None = None
    """Of a hold and its reminders: alerts of one reason are told together."""
    occurrence: str = ""
    """Tells two alerts with the same words apart: the run and the alert's number in it. Empty: the words alone."""

    @property
    def key(self) -> str:
        """The business key: the same alert raised twice (a repeated attempt) is told once."""
        return "|".join((self.kind.value, self.workflow_id, self.occurrence, self.text))


# ---- customers ------------------------------------------------------------------------------------------------------


class CustomerStart(Frozen):
    """Start argument of `CustomerResolutionWorkflow`."""

    pair: str
    search: CustomerSearch
    pace: Pace


class CustomerRequest(Frozen):
    """`request_customer`: attach an order to the resolution of its buyer (signal-with-start)."""

    start: CustomerStart
    order_workflow_id: str


class CustomerResolved(Frozen):
    """Signal `customer_resolved` to each waiting order: an account, or the hold to take."""

    customer: CustomerKey | None = None
    created: bool = False
    asked: str = ""
    """The buyer it is about (`mappings.customer_match.buyer_of`): an order may have asked about another one since."""
    hold: HoldReason | None = None
    problems: list[Problem] = []


class FindCustomer(Frozen):
    """`find_customer`: look again, in Sage as it is now."""

    pair: str
    search: CustomerSearch
    just_created: list[CustomerKey] = []
    """Accounts that the same resolution created for other orders."""


class CustomerFound(Frozen):
    """What the fresh look told."""

    match: CustomerMatch


class CreateCustomer(Frozen):
    """`create_customer` under a reserved number."""

    pair: str
    CustomerNo: str
    search: CustomerSearch


class CustomerCreated(Frozen):
    """The created account, or `number_taken`: somebody else's account stands under that number."""

    customer: CustomerKey | None = None
    number_taken: bool = False


# ---- the Sage poller ------------------------------------------------------------------------------------------------


class PollCursor(Frozen):
    """What a shift hands to the next; at most 4 KB.

    `unposted` are our invoices ("InvoiceNo/SalesOrderNo") seen unposted at the last poll: one that leaves is looked up
    in history by its key. `polled_on` is the company's date (ISO) when the last full round over the invoice dates
    began. `unresolved` are posted invoices that map to no order yet ("InvoiceNo/SalesOrderNo@seconds since 1970"),
    tried again for a day.
    """

    polled_on: str = ""
    unposted: list[str] = []
    unresolved: list[str] = []
    polls: int = 0
    signals: int = 0
    not_ours: int = 0
    not_found: int = 0
    unreadable: int = 0


class PollShift(Frozen):
    """`poll`: poll until `until`, starting from the cursor."""

    pair: str
    cursor: PollCursor | None
    until: datetime
    pace: Pace


# ---- dead letters ---------------------------------------------------------------------------------------------------


class DeadLetterReason(StrEnum):
    """Why a signed event became nothing."""

    NO_ORDER_ID = "no_order_id"
    NO_PRODUCT_ID = "no_product_id"
    """An event of a product without id or SKU."""
    NO_CUSTOMER_ID = "no_customer_id"
    UNKNOWN_TYPE = "unknown_type"
    ORDER_CLOSED = "order_closed"
    ORDER_ENDED = "order_ended"
    """The order's workflow was terminated, cancelled or failed: restart it."""
    NEEDS_FORCE = "needs_force"
    """No workflow knows the order, but it may have been in Sage before (rules 4): only a person starts it."""


class DeadLetter(Frozen):
    """Start argument of `DeadLetterWorkflow`: the event as it came, card numbers masked."""

    pair: str
    reason: DeadLetterReason
    webhook_id: str
    received_at: datetime
    explanation: str
    body: Any = None


class Discard(Frozen):
    """Argument of the dead letter's update and signal `discard`."""

    by: str = Field(min_length=1, max_length=100)
    why: str = Field(min_length=1, max_length=1000)


class Replay(Frozen):
    """Argument of the dead letter's update and signal `replay`: take the event in again."""

    by: str = Field(min_length=1, max_length=100)
    correction: dict[str, Any] | None = None
    """A JSON merge patch (RFC 7396) on the event as it came: `{"data": {"id": "10032"}}`."""
    force: bool = False
    """For `needs_force`: start the order though it may have been here before; `note` says why."""
    note: str = Field(default="", max_length=1000)


class ReplayEvent(Frozen):
    """`replay_event`: an event to take in again, corrected already."""

    pair: str
    webhook_id: str
    body: Any = None
    forced: str = ""
    """By whom and why, where force was given."""


class Replayed(Frozen):
    """What became of it. Not accepted: the letter stays open, and `detail` says why."""

    accepted: bool
    result: str
    detail: str


# ---- backfill -------------------------------------------------------------------------------------------------------


class BackfillStart(Frozen):
    """Start argument of `OrderBackfillWorkflow`.

    With neither a range nor order ids it is a run of the Schedule, which goes on where the last one ended.
    """

    pair: str
    pace: Pace
    since: datetime | None = None
    until: datetime | None = None
    """By hand: orders created or changed from `since` (inclusive) to `until` (exclusive; None: now)."""
    order_ids: list[str] = Field(default=[], max_length=1_000)
    forced: str = Field(default="", max_length=1_200)
    """With order ids: who starts them though they may have been here before, and why."""


class BackfillTally(Frozen):
    """What a backfill did so far; answer of the query `progress`, and the heartbeat. Ids are the first 20 of each."""

    since: datetime | None = None
    """The window looks at what changed at this instant or later."""
    page: int = 0
    """The next page to read, from 0."""
    listed: int = 0
    """Orders in Clarity's list."""
    rounds: int = 0
    """Times the list was read to its end: it moves while it is read, so it may take more than one."""
    seen: int = 0
    """Orders taken in; one that changed in between counts again."""
    started: int = 0
    started_ids: list[str] = []
    gaps: int = 0
    """Of `started`: their webhook never came."""
    gap_ids: list[str] = []
    changed: int = 0
    """Running orders that had missed a change or a cancellation, and were told."""
    changed_ids: list[str] = []
    known: int = 0
    """Nothing new."""
    ignored: int = 0
    """Before go-live, or in a status in which nothing starts."""
    outside: int = 0
    """Of a range by hand: in the list, but neither created nor changed in the range."""
    young: int = 0
    """Left to their webhook, which may only be late; the next window looks again."""
    needs_force: int = 0
    """Not started, because they may have been here before (rules 4)."""
    needs_force_ids: list[str] = []
    dead_letters: int = 0
    not_found: int = 0
    """Order ids that Clarity does not know."""
    refused: int = 0
    """Orders that Temporal refused (larger than it carries)."""
    refused_ids: list[str] = []


class BackfillRequest(Frozen):
    """`backfill_orders`: the window or the ids, and the instant from which the next window must look."""

    start: BackfillStart
    since: datetime | None = None
    """Of a scheduled run: where the last one says to go on; None: `polling.cold_start_days` back."""
    now: datetime
    """When the run began."""


class BackfillResult(Frozen):
    """Result of the workflow; a scheduled run's is the cursor of the next one."""

    tally: BackfillTally
    next_since: datetime
    complete: bool = True
    """Whether the whole list was read; otherwise the next window begins where this one began."""


PROGRESS_STATE = {
    OrderProgress.OPEN: OrderState.OPEN,
    OrderProgress.PARTIALLY_SHIPPED: OrderState.PARTIALLY_SHIPPED,
    OrderProgress.SHIPPED: OrderState.SHIPPED,
    OrderProgress.COMPLETE: OrderState.SHIPPED,
    OrderProgress.CANCELLED: OrderState.OPEN,
}
"""OrderState shown for a progress; `complete` is shown when the workflow has recorded everything."""
