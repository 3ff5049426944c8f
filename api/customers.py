"""The one view of a customer over HTTP: profile, orders, invoices, credit; search; files for the people who need them.

In: a customer's number in Sage, or what a search knows. Out: `CustomerView` as JSON, rows as CSV or JSON. Reads alone;
a key with the scope `read` is enough. E-mails and names are searched for by POST: addresses end up in logs.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Final

from fastapi import FastAPI, Path, Query
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.responses import JSONResponse, Response
from temporalio.client import Client

from api.customer_sources import NOT_ASKED, TOLD, CustomerSources
from api.edge import EdgeError, PairEdge, PairName, edge_of, errors
from api.problem import RETRY_AFTER_SECONDS
from contracts import ids
from contracts.customers import MOST_PAGE, PAGE, AccountHit, FindAccounts, ReadAccount
from mappings.customer_account import Account
from mappings.customer_export import Audience, ExportFormat, export_of, to_csv
from mappings.customer_view import CustomerView, Sources, Told, WebOrder, view_of
from mappings.pair import Pair
from mappings.sales_order import CustomerKey

CustomerNo = Annotated[
    str,
    Path(
        pattern=r"""^[A-Za-z0-9]{2}-[^\s'"\\/\x00-\x1f][^'"\\/\x00-\x1f]{0,19}$""",
        description="Division and number of AR_Customer: `01-ABF`",
    ),
]
Before = Annotated[str, Query(pattern=r"^[A-Za-z0-9]{0,7}$")]
MOST_EXPORT_PAGES: Final = 10
"""Pages of `MOST_PAGE` past orders and invoices that an export holds."""
Text = Annotated[str, Field(max_length=250)]


class CustomerSearchRequest(BaseModel):
    """Body of a search: exactly one of these."""

    model_config = ConfigDict(extra="forbid")

    email: Text = Field(default="", description="Of the account, of a contact or of a ship-to in Sage")
    name: Text = Field(default="", description="Words of AR_Customer.CustomerName; nicknames count")
    order: Annotated[str, Field(max_length=64)] = Field(default="", description="Clarity's order number or id")
    sales_order: Annotated[str, Field(max_length=7)] = Field(default="", description="SalesOrderNo")
    customer_no: Annotated[str, Field(max_length=23)] = Field(
        default="", description="CustomerNo, with or without its division"
    )

    @model_validator(mode="after")
    def _exactly_one(self) -> "CustomerSearchRequest":
        wanted = (self.email, self.name, self.order, self.sales_order, self.customer_no)
        if sum(bool(value.strip()) for value in wanted) != 1:
            raise ValueError("send exactly one of email, name, order, sales_order, customer_no")
        return self


class CustomerSearchAnswer(BaseModel):
    """What was found."""

    customers: list[AccountHit] = Field(description="Accounts, the likeliest first; GET them by `customer`")
    orders: list[WebOrder] = Field(default=[], description="Web orders that a search by order found")
    index_age: float | None = Field(
        default=None, description="Searching by e-mail or name: seconds since all customers were read"
    )
    sources: Sources


def add_customers(app: FastAPI, edges: Mapping[str, PairEdge], client: Client) -> None:
    """The routes."""

    @app.get(
        "/customers/{pair}/{customer}",
        summary="One view of a customer: Sage, Clarity and Temporal beside one another",
        description="`sources` says which systems told their part; what the others know is missing, not empty.",
        responses=errors(404, 422, 503),
    )
    async def get_customer(
        pair: PairName,
        customer: CustomerNo,
        page: Annotated[int, Query(ge=1, le=MOST_PAGE, description="Past orders, and invoices, of a page")] = PAGE,
        orders_before: Before = "",
        invoices_before: Before = "",
    ) -> CustomerView:
        edge = edge_of(edges, pair)
        key = key_of(customer)
        told, sources = await CustomerSources(client, edge.pair).ask_all(
            key, page=page, orders_before=orders_before, invoices_before=invoices_before
        )
        return known_view(key, told, sources, edge.pair)

    @app.get(
        "/customers/{pair}/{customer}/export",
        summary="The customer as a file for sales, service or marketing",
        description="`marketing` holds only people who consented. Every cell of a CSV is safe in a spreadsheet. "
        "X-Complete: false when the customer's past is longer than the file.",
        responses={200: {"content": {"text/csv": {}, "application/json": {}}}, **errors(404, 422, 503)},
        response_class=Response,
    )
    async def export_customer(
        pair: PairName,
        customer: CustomerNo,
        audience: Audience,
        format: ExportFormat = ExportFormat.CSV,  # noqa: A002 - the query's name
    ) -> Response:
        edge = edge_of(edges, pair)
        key = key_of(customer)
        told, sources = await whole(CustomerSources(client, edge.pair), key, edge.pair)
        if sources.missing:
            raise EdgeError(
                503,
                f"{' and '.join(sources.missing)} did not answer, and half a file looks like a whole one.",
                "Try again when the system answers; the view shows what there is.",
                RETRY_AFTER_SECONDS,
            )
        view = known_view(key, told, sources, edge.pair)
        export = export_of(view, audience)
        cut = bool(view.past_orders_before or view.invoices_before or view.more)
        name = f"{pair}-{audience.value}.{format.value}"
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Complete": str(not cut).lower(),
            "Cache-Control": "no-store",
        }
        if format is ExportFormat.CSV:
            return Response(to_csv(export), media_type="text/csv; charset=utf-8", headers=headers)
        return JSONResponse({**export.model_dump(mode="json"), "complete": not cut}, headers=headers)

    @app.get(
        "/customers/{pair}",
        summary="Find a customer by an order",
        responses=errors(404, 422, 503),
    )
    async def find_by_order(
        pair: PairName,
        order: Annotated[str, Query(max_length=64, description="Clarity's order number or id")] = "",
        sales_order: Annotated[str, Query(max_length=7, description="SalesOrderNo")] = "",
    ) -> CustomerSearchAnswer:
        edge = edge_of(edges, pair)
        if bool(order) == bool(sales_order):
            raise EdgeError(
                422,
                "query: needs exactly one of order and sales_order.",
                "E-mails and names are searched for by POST /customers/{pair}/search.",
            )
        return await search(CustomerSources(client, edge.pair), edge.pair, order=order, sales_order=sales_order)

    @app.post(
        "/customers/{pair}/search",
        summary="Find a customer by e-mail, name, number, order or sales order",
        description="A POST, so that an e-mail stands in no address and no log. Needs the scope `read`.",
        responses=errors(404, 422, 503),
    )
    async def find_customer(pair: PairName, wanted: CustomerSearchRequest) -> CustomerSearchAnswer:
        edge = edge_of(edges, pair)
        sources = CustomerSources(client, edge.pair)
        if wanted.order or wanted.sales_order:
            return await search(sources, edge.pair, order=wanted.order, sales_order=wanted.sales_order)
        return await search_people(sources, edge.pair, wanted)


def key_of(customer: str) -> CustomerKey:
    """`01-ABF`, as the path's pattern has checked it."""
    return CustomerKey(ARDivisionNo=customer[:2].upper(), CustomerNo=customer[3:].rstrip().upper())


def known_view(key: CustomerKey, told: Told, sources: Sources, pair: Pair) -> CustomerView:
    """The view; 404 when those who answered know nothing of such a customer, and Sage is among them."""
    view = view_of(key, told, sources, pair, datetime.now(UTC))
    if view.is_known:
        return view
    if sources.missing:
        raise EdgeError(
            503,
            f"Nothing is known of {key} here, but {' and '.join(sources.missing)} did not answer.",
            "Try again when the system answers.",
            RETRY_AFTER_SECONDS,
        )
    raise EdgeError(404, f"There is no customer {key} in Sage.", "Write division and number, such as 01-ABF.")


async def whole(sources: CustomerSources, key: CustomerKey, pair: Pair) -> tuple[Told, Sources]:
    """Everything of the customer's past, up to `MOST_EXPORT_PAGES`."""
    told, answered = await sources.ask_all(key, page=MOST_PAGE)
    account = told.account
    for _ in range(MOST_EXPORT_PAGES - 1):
        if account is None or not (account.past_orders_before or account.invoices_before):
            break
        request = ReadAccount(
            pair=pair.name,
            customer=key,
            page=MOST_PAGE,
            orders_before=account.past_orders_before or FIRST,
            invoices_before=account.invoices_before or FIRST,
        )
        read, source = await sources.read_account(request)
        if read is None or read.account is None:
            return told, answered.model_copy(update={"sage": source})
        account = appended(account, read.account)
    return told.model_copy(update={"account": account}), answered


FIRST: Final = "0"
"""Before every number: of a list that has ended, nothing more is read."""


def appended(account: Account, older: Account) -> Account:
    """The account with the next page of its past."""
    return account.model_copy(
        update={
            "past_orders": [*account.past_orders, *older.past_orders],
            "past_orders_before": older.past_orders_before,
            "invoices": [*account.invoices, *older.invoices],
            "invoices_before": older.invoices_before,
            "payments": [*account.payments, *(one for one in older.payments if not one.receipt)],
        }
    )


# ---- search ---------------------------------------------------------------------------------------------------------


async def search_people(sources: CustomerSources, pair: Pair, wanted: CustomerSearchRequest) -> CustomerSearchAnswer:
    """By e-mail or name, through the index of Sage's worker, or by number: only Sage knows."""
    request = FindAccounts(
        pair=pair.name,
        email=wanted.email.strip(),
        name=wanted.name.strip(),
        customer_no=wanted.customer_no.strip(),
    )
    found, sage = await sources.find_accounts(request)
    if found is None:
        raise EdgeError(503, f"Sage did not answer: {sage.detail}", "Try again later.", RETRY_AFTER_SECONDS)
    if found.index_age is None:
        raise EdgeError(503, "The index of customers is being filled.", "Try again in a moment.", RETRY_AFTER_SECONDS)
    told = Sources(sage=TOLD, clarity=NOT_ASKED, temporal=NOT_ASKED)
    return CustomerSearchAnswer(customers=found.hits, index_age=found.index_age, sources=told)


async def search(sources: CustomerSources, pair: Pair, *, order: str, sales_order: str) -> CustomerSearchAnswer:
    """By order: Temporal knows web orders, Sage its own."""
    wanted = (order or sales_order).strip()
    if any(character in wanted for character in "'\"\\") or not wanted.isprintable():
        raise EdgeError(422, "The number holds quotes or control characters.", "Write it as the order shows it.")
    conditions = [f"OrderNumber='{wanted}'"] if order else [f"SalesOrderNo='{wanted}'"]
    if order and ids.is_order_id(order):
        conditions.append(f"WorkflowId='{ids.order_workflow_id(pair.name, order)}'")
    orders, temporal, _ = await sources.orders_where(f"({' OR '.join(conditions)})")
    number = sales_order or next((one.SalesOrderNo for one in orders if one.SalesOrderNo), "")
    hits, sage = list[AccountHit](), NOT_ASKED
    if number:
        found, sage = await sources.find_accounts(FindAccounts(pair=pair.name, sales_order=number))
        hits = found.hits if found is not None else []
    known = {hit.customer for hit in hits}
    hits += [
        AccountHit(customer=one, CustomerName="")
        for one in dict.fromkeys(order.customer for order in orders if order.customer)
        if one not in known
    ]
    asked = Sources(sage=sage, clarity=NOT_ASKED, temporal=temporal)
    if not hits and not orders and asked.missing:
        raise EdgeError(503, f"{' and '.join(asked.missing)} did not answer.", "Try again later.", RETRY_AFTER_SECONDS)
    return CustomerSearchAnswer(customers=hits, orders=orders, sources=asked)
