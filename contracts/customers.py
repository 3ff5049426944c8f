"""What travels between the API, `CustomerSyncWorkflow`, `CustomerSweepWorkflow` and their activities.

Additive only. Customers' facts travel in the arguments and results of activities, never in ids or attributes.
"""

from datetime import datetime
from enum import StrEnum
from typing import Any, Final, NamedTuple

from pydantic import Field

from contracts.inventory import BucketDigest
from mappings.customer_account import Account
from mappings.frozen import Frozen
from mappings.pair import Pace
from mappings.problems import Problem
from mappings.sales_order import CustomerKey, ShipToAddress

PAGE: Final = 20
"""Past orders, and invoices, of one page of a view."""
MOST_PAGE: Final = 100
MOST_HITS: Final = 20
"""Accounts that a search shows."""
MOST_BUYERS: Final = 20
"""Web customers of one account that a view shows."""


# ---- the view (standalone activities, started by the API) -----------------------------------------------------------


class ReadAccount(Frozen):
    """`read_account`: one account of Sage's with a page of its past."""

    pair: str
    customer: CustomerKey
    page: int = Field(default=PAGE, ge=1, le=MOST_PAGE)
    orders_before: str = ""
    invoices_before: str = ""


class AccountRead(Frozen):
    """None: Sage has no such account."""

    account: Account | None = None


class FindAccounts(Frozen):
    """`find_accounts`: by exactly one of these."""

    pair: str
    email: str = ""
    name: str = ""
    sales_order: str = ""
    customer_no: str = ""
    """With or without its division."""


class AccountHit(Frozen):
    """An account that a search found, as Sage has it now."""

    customer: str
    """Division-number."""
    CustomerName: str
    City: str = ""
    State: str = ""
    ZipCode: str = ""
    CustomerStatus: str = ""
    UDF_WEB_CUSTOMER_ID: str = ""


class AccountsFound(Frozen):
    """The accounts, the likeliest first."""

    hits: list[AccountHit] = []
    index_age: float | None = None
    """Seconds since the customers were read for the index of e-mails and names; None: it is still being filled."""


class ReadWebCustomers(Frozen):
    """`read_web_customers`: by the cross-reference, or by id."""

    pair: str
    reference: str = ""
    ids: list[str] = []


class WebCustomersRead(Frozen):
    """As Clarity has them, in the contract's words."""

    customers: list[dict[str, Any]] = []


# ---- CustomerSyncWorkflow -------------------------------------------------------------------------------------------

CUSTOMER_UPDATED: Final = "customer.updated"
"""Clarity's webhook type, in the contract's words."""


class CustomerSyncStart(Frozen):
    """Start argument of `CustomerSyncWorkflow`. What changed is not in it: the customer is read when it is due."""

    pair: str
    clarity_id: str
    pace: Pace
    review: bool = False
    """`customers.sync.in_doubt: review`: what is in doubt waits for a person."""


class CustomerChanged(Frozen):
    """Signal `customer_changed`: look (again)."""

    webhook_id: str = ""


class CustomerAction(StrEnum):
    """What a person can decide on a customer in doubt."""

    USE_ACCOUNT = "use_account"
    """This account is the customer's: the cross-reference is kept, and the change goes there."""
    RETRY = "retry"
    """Look again: Clarity or Sage was mended."""
    IGNORE = "ignore"
    """Leave it alone."""


class DecideCustomer(Frozen):
    """Argument of the update and signal `decide`."""

    action: CustomerAction
    by: str = Field(min_length=1, max_length=100)
    customer_no: str = Field(default="", max_length=23)
    """With `use_account`: division-number."""
    note: str = Field(default="", max_length=1000)


class SyncOutcome(StrEnum):
    """How a change of a customer ended."""

    UPDATED = "updated"
    """Something was written, in Sage or at Clarity."""
    UNCHANGED = "unchanged"
    """Both sides say the same, in every field that is synchronised."""
    NOT_LINKED = "not_linked"
    """Nothing links it to an account, or the pair's rules leave the account alone."""
    IN_DOUBT = "in_doubt"
    """A person would have to decide, and the pair says `ignore`; what was clear was written."""
    IGNORED = "ignored"
    """A person said so."""
    GONE = "gone"
    """Clarity has no such customer any more."""


class CustomerSyncResult(Frozen):
    """Result of the workflow, and answer of the query `state`."""

    outcome: SyncOutcome | None = None
    """None while it works or waits."""
    customer: str = ""
    """Division-number, once found."""
    by: str = ""
    """What led to the account."""
    columns: list[str] = []
    """Columns of AR_Customer that were written, by name."""
    ship_tos: list[str] = []
    """ShipToCodes that were added."""
    attributes: list[str] = []
    """Clarity's attributes that were written, by name."""
    linked: bool = False
    """The cross-reference was written at Clarity."""
    problems: list[Problem] = []
    notes: list[str] = []
    looks: int = 0


class PlanCustomerSync(Frozen):
    """`plan_customer_sync`: what this customer's record means for Sage and Clarity."""

    pair: str
    customer: dict[str, Any]
    """As `read_web_customers` told it."""
    decided: CustomerKey | None = None
    """The account that a person chose."""


class WriteCustomer(Frozen):
    """`write_customer`: columns of an account, then new ship-tos."""

    pair: str
    customer: CustomerKey
    clarity_id: str
    columns: dict[str, str] = {}
    ship_tos: list[ShipToAddress] = []


class TellWebCustomer(Frozen):
    """`tell_web_customer`: the cross-reference, and what Sage owns."""

    pair: str
    clarity_id: str
    reference: str = ""
    attributes: dict[str, str] = {}


# ---- CustomerSweepWorkflow -------------------------------------------------------------------------------------

PAGE_ACCOUNTS: Final = 500
"""Accounts in one message between workflow and activity, one bucket more at most."""
FIRST_CUSTOMERS: Final = 20
"""Customers that a result names."""


class AccountRow(NamedTuple):
    """What Sage owns of one account, in the order of the pair's columns."""

    customer: str
    """Division-number."""
    web_id: str
    """UDF_WEB_CUSTOMER_ID."""
    values: list[str]


class CustomerSweepStart(Frozen):
    """Start argument of `CustomerSweepWorkflow`."""

    pair: str
    pace: Pace
    owned: bool = True
    """The pair names fields that Sage owns."""
    dry_run: bool = False
    """Every account is compared with Clarity, and nothing is written."""


class CustomerSweepTally(Frozen):
    """What a run did; answer of the query `progress`."""

    listed: int = 0
    """Customers that changed at Clarity since the last run."""
    missed: int = 0
    """Of those, customers whose webhook never came: they are looked at now."""
    missed_ids: list[str] = []
    accounts: int = 0
    """Accounts in Sage."""
    looked_at: int = 0
    """Accounts that changed since the last run, or of which nobody knew."""
    customers: int = 0
    """Their web customers."""
    told: int = 0
    """Web customers whose attributes or cross-reference differed, and were written (dry run: would be)."""
    told_ids: list[str] = []
    missing: int = 0
    """Ids in UDF_WEB_CUSTOMER_ID that Clarity does not know."""
    refused: int = 0
    """Web customers that Clarity refused to change."""
    why_refused: str = ""


class CustomerSweepMemory(Frozen):
    """Result of a run, which the next one takes up; losing it costs one look at every account."""

    digests: str = ""
    """`mappings.inventory.Digests`, by bucket of accounts: what Clarity was told."""
    listed_since: datetime | None = None
    """From when on the next run lists Clarity's changed customers."""
    tally: CustomerSweepTally = CustomerSweepTally()


class CatchUpCustomers(Frozen):
    """`catch_up_customers`: start what no webhook told."""

    pair: str
    since: datetime
    now: datetime


class CustomersCaughtUp(Frozen):
    """What was started, and from when on the next run lists."""

    listed: int = 0
    started: int = 0
    started_ids: list[str] = []
    next_since: datetime


class FindAccountChanges(Frozen):
    """`find_account_changes`: the next page of accounts whose values are not those of the digests."""

    pair: str
    digests: str = ""
    from_bucket: int = 0
    fresh: bool = False
    """Read Sage now; otherwise the page follows from the last reading."""


class AccountChanges(Frozen):
    """Rows, and the digests of their buckets once Clarity has them."""

    rows: list[AccountRow] = []
    buckets: list[BucketDigest] = []
    next_bucket: int | None = None
    """Where the next page begins; None: that was all."""
    accounts: int = 0


class TellAttributes(Frozen):
    """`tell_attributes`: each account's web customers get the attributes."""

    pair: str
    rows: list[AccountRow]
    dry_run: bool = False
