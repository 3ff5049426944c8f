"""What travels between the API, `CustomerSyncWorkflow`, `CustomerAttributesWorkflow` and their activities.

Additive only. Customers' facts travel in the arguments and results of activities, never in ids or attributes.
"""

from typing import Any, Final

from pydantic import Field

from mappings.customer_account import Account
from mappings.frozen import Frozen
from mappings.sales_order import CustomerKey

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
