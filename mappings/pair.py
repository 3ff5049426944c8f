"""A pair file as models: everything in which one site differs from another, checked when loaded.

In: `mappings/pairs/<pair>.yaml`. Out: `Pair`. Raises `PairFileError` (file, line, key, problem, remedy). Money and
rates are Decimals, intervals are seconds unless the name says days.
"""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from functools import cache, partial
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from mappings.clarity_profile import AuthScheme, ClarityProfile, placeholders
from mappings.codes import (
    Country,
    Currency,
    Division,
    ItemCode,
    OptionalCancelReason,
    OptionalCustomerType,
    OptionalItemCode,
    OptionalPaymentType,
    OptionalTaxClass,
    OptionalTaxSchedule,
    OptionalUnit,
    OptionalWarehouse,
    ShipViaCode,
    TaxClass,
    TaxSchedule,
    TermsCode,
    Unit,
    Warehouse,
    Word,
    unknown_region,
)
from mappings.conditions import ItemCondition, LineCondition, LineExpression, OrderCondition, OrderExpression
from mappings.customer_rules import Consent, CustomerSync
from mappings.item_columns import NewItemColumn, SyncedColumn, is_number
from mappings.item_columns import does_not_fit as item_value_does_not_fit
from mappings.maintenance import MaintenanceWindow
from mappings.pair_file import (
    Contradiction,
    Lines,
    PairFileError,
    Path_,
    dotted,
    explain,
    nearest,
    read_all,
    refuse,
    wrong,
)
from mappings.problems import HoldReason
from mappings.sage_columns import SageTable, does_not_fit, settable_column, text_column
from mappings.section import Section
from mappings.shipments import ShipsOn

__all__ = ["AuthScheme", "ClarityProfile", "Pace", "Pair", "PairFileError", "load_pair", "load_pairs"]

HeaderColumn = Annotated[str, AfterValidator(partial(settable_column, table=SageTable.HEADER))]
LineColumn = Annotated[str, AfterValidator(partial(settable_column, table=SageTable.LINE))]
CustomerColumn = Annotated[str, AfterValidator(partial(settable_column, table=SageTable.CUSTOMER))]
TextColumn = Annotated[str, AfterValidator(text_column)]

MOST_TAX_TOLERANCE = Decimal(10)
"""Of an order, in the company's currency: rounding differs by cents, more hides a wrong schedule or tax class."""
MOST_PRICE_TOLERANCE = Decimal(1000)
"""Of an order, in the company's currency: beyond, the comparison with Clarity's total says nothing any more."""


R = TypeVar("R")


def never_reached(rules: Sequence[R], covers: Callable[[R, R], bool], key: Path_) -> Iterator[Contradiction]:
    """Rules of a first-match list that an earlier one always comes before."""
    for index, rule in enumerate(rules):
        first = next((earlier for earlier in range(index) if covers(rules[earlier], rule)), None)
        if first is not None:
            before = f"{dotted(key)}[{first}]" if key else f"entry [{first}]"
            remedy = "Keep one of the two." if covers(rule, rules[first]) else f"Put it before {before}, or remove it."
            yield Contradiction((*key, index), f"is never reached: {before} comes first for all that it fits", remedy)


@cache
def time_zones() -> frozenset[str]:
    """IANA's names; the disk is searched once."""
    return frozenset(available_timezones())


class Company(Section):
    """The Sage company."""

    code: str = Field(pattern=r"^[A-Z0-9]{3}$")
    """The company's code in Sage; the gateway gets it with every request."""
    currency: Currency
    """ISO 4217 code of the currency that the company keeps; orders in another are held."""
    time_zone: str
    """IANA name; Sage's dates and stamps are in it."""
    price_decimals: int = Field(ge=2, le=6)
    """Decimals of prices in this company, not those of the column's storage."""
    quantity_decimals: int = Field(ge=0, le=6)
    """Decimals of quantities in this company."""
    other_currencies: dict[Currency, str] = {}
    """Currency → the pair whose company keeps it and gets those orders; one not named here is held."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in time_zones():
            close = nearest(value, time_zones())
            wrong(
                f"{value!r} is no IANA time zone",
                f"Did you mean {close!r}?" if close else "Write one such as America/Chicago.",
            )
        return value

    @model_validator(mode="after")
    def _others_are_others(self) -> "Company":
        refuse(
            Contradiction(
                ("other_currencies", currency),
                f"the company itself keeps {currency}",
                "Remove it: only other currencies have another pair.",
            )
            for currency in self.other_currencies
            if currency == self.currency
        )
        return self

    @property
    def zone(self) -> ZoneInfo:
        """The time zone itself."""
        return ZoneInfo(self.time_zone)


class GatewayAuth(StrEnum):
    """How to sign in to the Sage gateway."""

    USER = "user"
    """User and password, for a token that expires."""
    API_KEY = "api_key"
    """A key in the header X-API-Key."""


class Sage(Section):
    """How to write to this company."""

    auth: GatewayAuth = GatewayAuth.USER
    """How to sign in to the gateway; the credentials are settings, never in this file."""
    writers: int = Field(default=1, ge=1, le=20)
    """Writes at the same time (concurrent-user licences)."""
    drop_ship: ShipsOn = ShipsOn.TRACKING
    """What proves that a drop-ship line was shipped: tracking (else posting), or posting."""
    posting_reduces_quantity: bool = True
    """Whether the Sales Journal update reduces QuantityOrdered to the rest, or leaves it (a [probe] of rules 3)."""
    history_has_udf: bool = True
    """Whether the site maps UDF_WEB_ORDER_ID into SO_SalesOrderHistoryHeader."""
    preview: bool = True
    """Whether the gateway can preview an order. Without, an order is created on hold (OrderStatus H), compared, and
    released, or deleted again when the totals differ (rules 4); the check `price` needs a preview."""
    maintenance: list[MaintenanceWindow] = []
    """When neither the gateway nor ODBC is called, in the company's time zone (docs/outages.md)."""
    writes_per_second: float | None = Field(default=None, gt=0)
    """At most so many steps that write begin in a second, over all workers; most make two calls. Without, no limit."""
    reads_per_second: float | None = Field(default=None, gt=0)
    """At most so many steps that read through ODBC begin in a second. Without, no limit."""


class ShipVia(Section):
    """One way of shipping: Clarity's words ↔ SO_SalesOrderHeader.ShipVia."""

    ship_via: ShipViaCode
    """The code in Sage (SO_SalesOrderHeader.ShipVia)."""
    carrier: str = ""
    """Clarity's carrier, compared without case; empty fits any."""
    method: str = ""
    """Clarity's shipping carrier and method, compared without case; empty matches any."""
    tracking_url: str = ""
    """Template with `{tracking}`, e.g. `https://www.ups.com/track?tracknum={tracking}`."""

    @model_validator(mode="after")
    def _knows_its_placeholder(self) -> "ShipVia":
        key = ("tracking_url",)
        found: list[Contradiction] = []
        if self.tracking_url and not re.match(r"https?://[^\s/]+", self.tracking_url):
            found.append(Contradiction(key, f"{self.tracking_url!r} is no address", "Begin it with https://."))
        found += [
            Contradiction(key, f"{{{name}}} is no placeholder here", "Write {tracking} for the tracking number.")
            for name in placeholders(self.tracking_url)
            if name != "tracking"
        ]
        refuse(found)
        return self

    def covers(self, other: "ShipVia") -> bool:
        """Whether every order that fits `other` fits this rule."""
        return self.carrier.casefold() in ("", other.carrier.casefold()) and self.method.casefold() in (
            "",
            other.method.casefold(),
        )


class WarehouseRule(Section):
    """Lines for which `when` holds ship from this warehouse; the first rule that holds counts."""

    when: LineCondition
    """The lines that it is for."""
    warehouse: Warehouse
    """WarehouseCode of those lines."""
    else_from: list[Warehouse] = []
    """Where that warehouse cannot ship the whole line: the first of these that can; none can: it stays."""


class HeaderRule(Section):
    """Header columns of orders for which `when` holds (SalespersonNo, CycleCode, …); later rules override earlier."""

    when: OrderCondition
    """The orders that it is for."""
    header: dict[HeaderColumn, str] = Field(min_length=1)
    """Fixed values by Sage column."""


class PriceSource(StrEnum):
    """Whose prices stand on the lines of items."""

    WEB = "web"
    SAGE = "sage"


class Prices(Section):
    """Prices of items (rules 5)."""

    source: PriceSource = PriceSource.WEB
    """`web`: Clarity's, which override Sage's. `sage`: no price is sent, Sage's own pricing counts."""
    tolerance: Decimal = Field(default=Decimal(0), ge=0)
    """With `sage`: allowed difference of the order totals beside `tax.tolerance`, in the company's currency."""

    @model_validator(mode="after")
    def _tolerance_of_sages_prices(self) -> "Prices":
        key = ("tolerance",)
        if self.tolerance and self.source is PriceSource.WEB:
            refuse([Contradiction(key, "tolerance belongs to source: sage", "Remove it: web prices are exact.")])
        if self.tolerance > MOST_PRICE_TOLERANCE:
            problem = f"{self.tolerance} would let any total pass"
            refuse([Contradiction(key, problem, f"Write at most {MOST_PRICE_TOLERANCE}.")])
        return self


class CancelInSage(StrEnum):
    """What becomes of a sales order whose web order the buyer cancelled (rules 7)."""

    DELETE = "delete"
    """Deleted, with the reason code: only where Sage keeps deleted orders in its history."""
    HOLD = "hold"
    """OrderStatus H with a comment: a person deletes it."""


class CancelRules(Section):
    """Orders that the buyer cancels after Sage has them and before anything is shipped."""

    in_sage: CancelInSage = CancelInSage.HOLD
    """`delete` with the reason code, where Sage keeps deleted orders in its history; `hold`: a person deletes it."""
    reason_code: OptionalCancelReason = ""
    """CancelReasonCode (Sales Order, Cancel and Reason Code Maintenance) of orders that are deleted."""

    @model_validator(mode="after")
    def _deleted_with_a_reason(self) -> "CancelRules":
        if self.in_sage is CancelInSage.DELETE and not self.reason_code:
            problem = "reason_code is needed where cancelled orders are deleted"
            refuse([Contradiction(("reason_code",), problem, "Write a CancelReasonCode of Sage, such as CUST.")])
        return self


class OrderRules(Section):
    """Header and comment rules."""

    order_status: Literal["N", "O"] = "N"
    """OrderStatus of created orders: what leads to picking at this site, N (new) or O (open)."""
    warehouse: OptionalWarehouse = ""
    """WarehouseCode of orders and lines that no rule of `warehouses` sends elsewhere; without, Sage decides."""
    comment_item: ItemCode = "/C"
    """ItemCode of comment lines."""
    notes: bool = True
    """The buyer's notes become a comment line."""
    expedite: OrderCondition | None = None
    """Orders for which this holds go before the others wherever steps wait: after an outage, and on a busy day."""
    prices: Prices = Prices()
    cancel: CancelRules = CancelRules()
    header: dict[HeaderColumn, str] = {}
    """Fixed values by Sage column (CycleCode, SalespersonNo, FOB, …)."""
    header_rules: list[HeaderRule] = []
    """Header columns of some orders; all rules that hold count, later ones override earlier."""
    header_values: dict[HeaderColumn, OrderExpression] = {}
    """Values by Sage column from the order, e.g. `UDF_GIFT: attributes&["gift"]`; an empty value is not sent."""
    line_values: dict[LineColumn, LineExpression] = {}
    """Likewise for the lines of items, e.g. `UDF_ENGRAVING: line.attributes&["engraving"]`."""
    unit_attribute: str = ""
    """Clarity's attribute of an item that names the unit of its quantity (`unitOfMeasure`); without, the sales unit."""
    units: dict[Word, Unit] = {}
    """The shop's names of units → Sage's (UnitOfMeasure), such as `cs: CASE`; case is ignored."""
    warehouses: list[WarehouseRule] = []
    """Before `warehouse`, line by line."""
    else_from: list[Warehouse] = []
    """As `warehouses[].else_from`, for lines that ship from `warehouse`."""
    ship_via: list[ShipVia] = []
    """Clarity's ways of shipping, the first that fits; an order that fits none is held."""

    @model_validator(mode="after")
    def _every_rule_is_reached(self) -> "OrderRules":
        refuse(
            [
                *never_reached(self.ship_via, ShipVia.covers, ("ship_via",)),
                *never_reached(self.warehouses, lambda earlier, rule: earlier.when == rule.when, ("warehouses",)),
            ]
        )
        return self


class DiscountAs(StrEnum):
    """Where a line's discount goes in the ledger."""

    CHARGE_LINE = "charge_line"
    NET_PRICE = "net_price"


class FreightTo(StrEnum):
    """Where shipping stands on the order."""

    FREIGHT_AMT = "freight_amt"
    CHARGE_LINE = "charge_line"


class FreightAmount(StrEnum):
    """Who decides what shipping costs."""

    CHARGED = "charged"
    ACTUAL = "actual"


class Freight(Section):
    """Shipping (rules 5): `charged` is what the buyer was told, `actual` what Sage's shipping writes back."""

    to: FreightTo = FreightTo.FREIGHT_AMT
    """The column FreightAmt, or a line of `item`."""
    amount: FreightAmount = FreightAmount.CHARGED
    """With `actual` FreightAmt is left to Sage, and the totals are compared without shipping."""
    item: OptionalItemCode = ""
    """With `charge_line`: the charge or miscellaneous item that posts to the freight account."""

    @model_validator(mode="after")
    def _belongs_together(self) -> "Freight":
        found: list[Contradiction] = []
        if self.to is FreightTo.CHARGE_LINE and not self.item:
            problem = "to: charge_line needs item, the charge item that posts to the freight account"
            found.append(Contradiction(("to",), problem, "Add item."))
        if self.to is FreightTo.FREIGHT_AMT and self.item:
            problem = "item is used with to: charge_line only"
            found.append(Contradiction(("item",), problem, "Remove it, or write to: charge_line."))
        if self.to is FreightTo.CHARGE_LINE and self.amount is FreightAmount.ACTUAL:
            problem = "amount: actual needs to: freight_amt, where Sage's shipping writes it back"
            found.append(Contradiction(("amount",), problem, "Write to: freight_amt, or amount: charged."))
        refuse(found)
        return self


class DiscountCode(Section):
    """What a discount code is in Sage."""

    item: ItemCode
    """The charge item that posts to the discount's account."""
    tax_class: OptionalTaxClass = ""
    """SO_SalesOrderDetail.TaxClass of the whole discount, e.g. `NT` for free shipping where freight is untaxed;
    without, it is shared between taxable and exempt goods as `order_discount` is."""


class Charges(Section):
    """Item codes of the lines that are no goods (SO_SalesOrderDetail.ItemType 5)."""

    line_discount: ItemCode
    """The item of discounts on single lines."""
    line_discount_as: DiscountAs = DiscountAs.CHARGE_LINE
    """A line of its own, or a lower price of the item."""
    order_discount: ItemCode
    """The item of discounts on the whole order: shared between taxable and exempt goods and fees by their amounts."""
    discounts: dict[Word, DiscountCode] = {}
    """Discount code → item and tax class, e.g. `FREESHIP: {item: /WEBFRT, tax_class: NT}`; compared without case. A
    code that is not named takes `order_discount`."""
    rounding: ItemCode
    """The item of what an item's price of `company.price_decimals` cannot say."""
    rounding_limit: Decimal = Field(default=Decimal("0.05"), ge=0)
    """What one item's line may leave to the rounding line, in the company's currency; beyond, the order is held. Prices
    rounded to three decimals lose at most 0.05 on 100 pieces, to two decimals on 10; more tells of a price per piece
    that wants a unit of 100 or 1000, or more `price_decimals`."""
    fees: dict[Word, ItemCode] = {}
    """Clarity's fee code → item code."""
    freight: Freight = Freight()
    tax_class: TaxClass = "TX"
    """TaxClass of charges that are taxed."""
    non_taxable_class: TaxClass = "NT"
    """TaxClass of charges and items that are not taxed."""

    @model_validator(mode="after")
    def _classes_differ(self) -> "Charges":
        if self.tax_class == self.non_taxable_class:
            problem = f"non_taxable_class is {self.tax_class!r}, as tax_class is: Sage would tax both or neither"
            refuse([Contradiction(("non_taxable_class",), problem, "Name two different tax classes of Sage's.")])
        return self


class TaxRule(Section):
    """Ship-to country (ISO-2), region and condition → TaxSchedule; what is left out fits every order."""

    country: Country = ""
    """ISO code of the ship-to's country; left out, any."""
    region: str = ""
    """Code of the ship-to's state or province; left out, any."""
    when: OrderCondition | None = None
    """A further condition, e.g. `totals.tax == 0`."""
    schedule: TaxSchedule
    """TaxSchedule in Sage."""

    @model_validator(mode="after")
    def _says_when(self) -> "TaxRule":
        if not self.country and self.when is None:
            problem = "a rule needs country or when"
            refuse([Contradiction((), problem, "Add one; the schedule of every other order is tax.default.")])
        if self.region and not self.country:
            refuse([Contradiction(("region",), "region needs country", "Add country, such as country: US.")])
        if (unknown := unknown_region(self.country, self.region)) is not None:
            refuse([unknown])
        return self

    def covers(self, other: "TaxRule") -> bool:
        """Whether every order that fits `other` fits this rule."""
        return (
            self.country in ("", other.country)
            and self.region in ("", other.region)
            and (self.when is None or self.when == other.when)
        )


class TaxPolicy(StrEnum):
    """Who works out the tax (rules 5)."""

    SAGE = "sage"
    ENGINE = "engine"
    LINE = "line"


UNTAXED_NAMES = frozenset({"NONTAX", "NOTAX", "NON TAX", "NO TAX", "EXEMPT", "NONE"})
"""What companies call the schedule without tax."""


class TaxCommitter(StrEnum):
    """The side that commits to the tax engine."""

    CLARITY = "clarity"
    SAGE = "sage"


class Tax(Section):
    """Tax (rules 5); SalesTaxAmt is never written, as Sage recalculates it.

    `sage`: Sage computes from schedule, class and exemption. `engine`: Sage asks the tax engine that Clarity asks; its
    schedule is `default`. Both are compared on Sage's preview. `line`: Clarity's tax is a charge line.
    """

    policy: TaxPolicy = TaxPolicy.SAGE
    """Who works out the tax: Sage, the engine that Clarity asks too, or Clarity (a charge line)."""
    commits: TaxCommitter | None = None
    """With `engine`: which side commits; the other one must be switched to quotes only, or tax is filed twice."""
    item: OptionalItemCode = ""
    """With `line`: the charge item that posts to the tax-liability account."""
    controller_consent: bool = False
    """With `line`: the controller knows that Sage's tax reports will not show this tax."""
    tolerance: Decimal = Field(default=Decimal(0), ge=0)
    """Allowed difference of the order totals, in the company's currency."""
    schedules: list[TaxRule] = []
    """With `sage`: the TaxSchedule of a ship-to, the first rule that fits."""
    default: TaxSchedule
    """TaxSchedule of orders that fit no rule; with `engine`, the engine's schedule of all orders."""
    exempt: TaxSchedule
    """TaxSchedule without tax: of exempt buyers and, with `line`, of all orders."""
    exempt_regions: list[Annotated[str, Field(pattern=r"^([A-Z]{2}-)?[A-Z0-9]{1,3}$")]] = []
    """Ship-to regions in which an exemption number takes `exempt`, as `IL` or, where the code alone says too little,
    `US-IL`; empty: everywhere. Elsewhere the buyer is taxed as `schedules` say, whose rules may ask for the number:
    `exempt_regions: [TX, US-WA]` and `{country: US, region: IL, when: "buyer.tax_exempt_no != ''", schedule: ILEX}`.
    A number that came without an account number or our cross-reference exempts nowhere (rules 6)."""

    @model_validator(mode="after")
    def _belongs_together(self) -> "Tax":
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        line, engine = self.policy is TaxPolicy.LINE, self.policy is TaxPolicy.ENGINE
        at_policy = ("policy",)
        if line and not self.item:
            problem = "policy: line needs item, the charge item that posts to the tax-liability account"
            yield Contradiction(at_policy, problem, "Add item.")
        if line and not self.controller_consent:
            problem = "policy: line needs the controller's consent, as Sage's tax reports will not show this tax"
            key = ("controller_consent",) if "controller_consent" in self.model_fields_set else at_policy
            yield Contradiction(key, problem, "Ask, then write controller_consent: true.")
        if line and (unknown_region("US", self.exempt) is None or unknown_region("CA", self.exempt) is None):
            problem = f"policy: line gives every order the schedule exempt, and {self.exempt!r} is called like a state"
            yield Contradiction(("exempt",), problem, "Name the schedule without tax: it would be charged twice.")
        for name, given in (("item", self.item), ("controller_consent", self.controller_consent)):
            if given and not line:
                yield Contradiction((name,), f"{name} belongs to policy: line", "Remove it, or write policy: line.")
        if engine and self.commits is None:
            problem = "policy: engine needs commits, the side that commits to the engine"
            yield Contradiction(at_policy, problem, "Add commits: clarity or commits: sage; the other one only quotes.")
        if not engine and self.commits is not None:
            problem = "commits belongs to policy: engine"
            yield Contradiction(("commits",), problem, "Remove it, or write policy: engine.")
        if engine and (self.default == self.exempt or self.default.upper() in UNTAXED_NAMES):
            problem = f"policy: engine gives orders the schedule {self.default!r}, which is one without tax"
            yield Contradiction(("default",), problem, "Name the schedule that asks the tax engine.")
        if self.policy is not TaxPolicy.SAGE and self.schedules:
            problem = f"schedules belong to policy: sage; {self.policy} uses default, and exempt for the exempt"
            yield Contradiction(("schedules",), problem, "Remove them, or write policy: sage.")
        if self.tolerance > MOST_TAX_TOLERANCE:
            problem = f"{self.tolerance} would hide a wrong tax: rounding differs by cents"
            yield Contradiction(("tolerance",), problem, f"Write at most {MOST_TAX_TOLERANCE}, better 0.00.")
        yield from never_reached(self.schedules, TaxRule.covers, ("schedules",))


class PaymentRoute(StrEnum):
    """How captured money comes into the ledger (rules 5); signed off by the controller."""

    CLEARING = "clearing"
    """DepositAmt, with a payment type whose asset account is the gateway's clearing account."""
    DEPOSIT_LIABILITY = "deposit_liability"
    """DepositAmt, and one cash receipt to Customer Deposits."""
    PREPAYMENT = "prepayment"
    """A cash receipt to an open PP invoice, no DepositAmt."""
    ON_INVOICE = "on_invoice"
    """A cash receipt against the posted invoice, no DepositAmt."""
    LIST = "list"
    """Accounting books it by hand."""


class PaymentReference(StrEnum):
    """The column that takes the gateway's transaction id beside a deposit."""

    CHECK_NO = "check_no"
    """SO_SalesOrderHeader.CheckNoForDeposit: for AR_PaymentType.PaymentMethod C."""
    OTHER = "other"
    """SO_SalesOrderHeader.OtherPaymentTypeRefNo: for PaymentMethod O."""


class PaymentRule(Section):
    """Gateway (and method) → AR_PaymentType and cash route, or for gift cards the item of their line."""

    gateway: Word
    """Clarity's name of the gateway, compared without case."""
    method: str = ""
    """Clarity's words, compared without case; an empty method matches any."""
    payment_type: OptionalPaymentType = ""
    """AR_PaymentType of PaymentMethod O or C; Sage would charge a card again."""
    route: PaymentRoute = PaymentRoute.CLEARING
    """How the money gets into the ledger."""
    charge_item: OptionalItemCode = ""
    """For gift cards: they reduce the order by a line of this item, which posts to the gift-card liability."""
    reference: PaymentReference = PaymentReference.OTHER
    """Where the transaction id of a deposit goes: `check_no` with a payment_type of PaymentMethod C, e.g.
    `{gateway: wire, payment_type: CHECK, reference: check_no}`. What is longer than the column stands in a comment."""

    @model_validator(mode="after")
    def _type_or_item(self) -> "PaymentRule":
        if self.charge_item:
            alone = "charge_item stands alone: a gift card's line takes no payment_type and no route"
            refuse(
                Contradiction((name,), alone, f"Remove {name}, or charge_item.")
                for name in ("payment_type", "route", "reference")
                if name in self.model_fields_set
            )
        elif not self.payment_type:
            refuse(
                [
                    Contradiction(
                        ("charge_item",) if "charge_item" in self.model_fields_set else (),
                        "needs payment_type (or charge_item for gift cards)",
                        "Add payment_type, a code of Sage's payment types such as STRIP.",
                    )
                ]
            )
        return self


class ShipToRule(StrEnum):
    """What happens with a ship-to address; a new one is never added to an account (rules 6)."""

    ORDER_ONLY = "order_only"
    """It stands on the order."""
    KNOWN = "known"
    """One that the account has in SO_ShipToAddress gives the order its ShipToCode."""


class NewShipTo(StrEnum):
    """What happens when an order for an account with terms goes to an address that Sage does not know of it (rules 6).

    The account's own address is known, and so are its rows of SO_ShipToAddress. Whatever is chosen, the address stands
    on the order.
    """

    HOLD_UNPAID = "hold_unpaid"
    """A person looks at it unless the order is paid in full: goods on open terms to a strange door."""
    ORDER_ONLY = "order_only"
    """Nobody looks; the address stands on the order only."""
    HOLD = "hold"
    """A person looks at it, paid or not."""
    ADD = "add"
    """It is added to the account (SO_ShipToAddress); the site's opt-in."""


class Customers(Section):
    """Matching and creating customers (rules 6)."""

    divisions: list[Division] = Field(min_length=1)
    """Matching stays within these."""
    consumer_divisions: list[Division] = []
    """Accounts that an e-mail match may use."""
    new_division: Division
    """Division of created customers."""
    terms_code: TermsCode
    """AR_Customer.TermsCode of created customers, and the terms of prepaid orders."""
    customer_type: OptionalCustomerType = ""
    """CustomerType of created customers."""
    house_account: str = Field(default="", pattern=r"^([A-Z0-9]{2}-[A-Z0-9]{1,20})?$")
    """Account (`02-WEBGUEST`) of buyers without an account at Clarity, if paid; without, each becomes a customer."""
    ship_to: ShipToRule = ShipToRule.ORDER_ONLY
    """Whether an order may name a ship-to address of its account."""
    new_ship_to: NewShipTo = NewShipTo.HOLD_UNPAID
    """On accounts with terms: an address that Sage does not know of the account."""
    tax_schedule: OptionalTaxSchedule = ""
    """AR_Customer.TaxSchedule of created customers; without, the schedule of their first order's ship-to."""
    guest_ids: list[Word] = []
    """Customer ids that Clarity gives every guest, beside 0, -1, the zero GUID, `guest` and `anonymous`: nobody's."""
    role_mailboxes: list[Word] = []
    """Local parts that belong to nobody in particular and never match, beside the usual ones (`info`, `sales`, …)."""
    header: dict[CustomerColumn, str] = {}
    """Fixed values of created customers by AR_Customer column, e.g. `SalespersonNo: "0100"`."""
    consent: Consent = Consent()
    sync: CustomerSync = CustomerSync()

    @model_validator(mode="after")
    def _new_division_is_ours(self) -> "Customers":
        listed = ", ".join(self.divisions)
        foreign = [
            Contradiction(
                (*key,), f"{division!r} is not among divisions ({listed})", "Name one of them, or add it there."
            )
            for key, division in (
                (("new_division",), self.new_division),
                *((("consumer_divisions", index), one) for index, one in enumerate(self.consumer_divisions)),
                (("house_account",), self.house_account[:2]),
            )
            if division and division not in self.divisions
        ]
        refuse(foreign)
        return self


class CheckName(StrEnum):
    """The checks there are."""

    PAYMENT = "payment"
    CREDIT = "credit"
    STOCK = "stock"
    SAME_BASKET = "same_basket"
    PRICE = "price"


class PaymentAccepted(StrEnum):
    """What the check `payment` takes for money."""

    CAPTURED = "captured"
    AUTHORISED = "authorised"


REASONS: Final[dict[CheckName, tuple[HoldReason, ...]]] = {
    CheckName.PAYMENT: (HoldReason.CREDIT, HoldReason.ANOMALY),
    CheckName.CREDIT: (HoldReason.CREDIT, HoldReason.ANOMALY),
    CheckName.STOCK: (HoldReason.OUT_OF_STOCK,),
    CheckName.SAME_BASKET: (HoldReason.ANOMALY,),
    CheckName.PRICE: (HoldReason.ANOMALY, HoldReason.CREDIT),
}
"""The holds that a check may ask for: those whose actions decide what it finds. Only `out_of_stock` wakes when stock
comes and offers back orders; `credit` and `anomaly` are approved."""

OWN_KEYS: Final[dict[str, CheckName]] = {
    "minutes": CheckName.SAME_BASKET,
    "tolerance_percent": CheckName.PRICE,
    "accept": CheckName.PAYMENT,
}
"""Keys that one check alone reads."""


class HoldKept(StrEnum):
    """Where a hold is kept."""

    OUTSIDE = "outside"
    IN_SAGE = "in_sage"


class ItemEntry(Section):
    """What a SKU of the shop stands for; `SKU: ItemCode` is short for one in the item's sales unit."""

    item: ItemCode
    """CI_Item.ItemCode."""
    unit: OptionalUnit = ""
    """SO_SalesOrderDetail.UnitOfMeasure: the item's sales, standard or purchase unit."""

    def __str__(self) -> str:
        return f"{self.item} in {self.unit}" if self.unit else self.item


def _whole_entry(value: object) -> object:
    return {"item": value} if isinstance(value, str) else value


ShortItemEntry = Annotated[ItemEntry, BeforeValidator(_whole_entry, json_schema_input_type=str | ItemEntry)]


class Check(Section):
    """One check of the ordered list; `on_fail` is the hold it asks for."""

    name: CheckName
    """`payment`: the money is there. `credit`: no CreditHold, and within the CreditLimit. `stock`: enough is available.
    `same_basket`: the account did not just order the same. `price`: not below Sage's price or the item's cost."""
    on_fail: HoldReason
    """The hold of an order that fails it."""
    minutes: float = Field(default=10, gt=0, le=1440)
    """With `same_basket`: an order of the account that is not older counts."""
    tolerance_percent: Decimal = Field(default=Decimal(0), ge=0, le=100)
    """With `price`: how far a web price may lie below Sage's price for the account, or below the item's cost."""
    accept: PaymentAccepted = PaymentAccepted.CAPTURED
    """With `payment`: `captured` money only, or also what is `authorised`, where the site captures at shipment."""
    keep: HoldKept = HoldKept.OUTSIDE
    """`outside`: the order waits here. `in_sage`: it is created with OrderStatus H, and released in Sage."""
    when: OrderCondition | None = None
    """Only orders for which this holds are checked, e.g. `totals.grand > 500`."""

    @model_validator(mode="after")
    def _can_be_kept_there(self) -> "Check":
        if self.keep is HoldKept.IN_SAGE and self.name not in (CheckName.CREDIT, CheckName.SAME_BASKET):
            problem = (
                "keep: in_sage is for credit and same_basket; an order that is short of stock or wrongly priced must "
                "not reach Sage before it is decided"
            )
            refuse([Contradiction(("keep",), problem, "Remove it (stock.policy: backorder lets Sage back-order).")])
        return self


def _check_as_written(check: Check) -> Check:
    """What a pair file may not say of a check. A check that travels with its order has every key, and is not asked."""
    found = [
        Contradiction((key,), f"{key} belongs to the check {owner}", f"Remove it, {check.name} does not read it.")
        for key, owner in OWN_KEYS.items()
        if key in check.model_fields_set and check.name is not owner
    ]
    if check.on_fail not in REASONS[check.name]:
        allowed = " or ".join(REASONS[check.name])
        problem = f"the actions of a hold {check.on_fail} do not decide what the check {check.name} finds"
        found.append(Contradiction(("on_fail",), problem, f"Write on_fail: {allowed}."))
    refuse(found)
    return check


def _checks_once(checks: list[Check]) -> list[Check]:
    """A check stands once, or several times with different conditions."""

    def covers(earlier: Check, check: Check) -> bool:
        return earlier.name is check.name and (earlier.when is None or check.when is None or earlier.when == check.when)

    refuse(
        Contradiction(
            (index, "name"), f"the check {check.name} stands twice", "Keep one, or give each a condition (when)."
        )
        for index, check in enumerate(checks)
        if any(covers(earlier, check) for earlier in checks[:index])
    )
    return checks


Checks = Annotated[list[Annotated[Check, AfterValidator(_check_as_written)]], AfterValidator(_checks_once)]


def _payments_reached(rules: list[PaymentRule]) -> list[PaymentRule]:
    def covers(earlier: PaymentRule, rule: PaymentRule) -> bool:
        return earlier.gateway.casefold() == rule.gateway.casefold() and earlier.method.casefold() in (
            "",
            rule.method.casefold(),
        )

    refuse(never_reached(rules, covers, ()))
    return rules


def _inventory_rules_reached(rules: "list[InventoryRule]") -> "list[InventoryRule]":
    refuse(never_reached(rules, lambda earlier, rule: earlier.when == rule.when, ()))
    return rules


class Credit(Section):
    """Credit rules (rules 7)."""

    limit_zero: Literal["unlimited", "none"]
    """What CreditLimit 0 means in this company; no default on purpose."""


class Stock(Section):
    """Stock rules (rules 7)."""

    policy: Literal["hold", "backorder"] = "hold"
    """`hold` stops an order that Sage cannot ship in full; `backorder` lets Sage back-order the rest."""
    not_checked: list[ItemCode] = []
    """ItemCodes that have no stock of their own: sales kits, made to order."""


class CountAs(StrEnum):
    """What the store is told of an item's stock."""

    STOCK = "stock"
    """What Sage has available: of a kit, as many as its components make."""
    FIXED = "fixed"
    """Always `quantity`: made to order, or shipped by its vendor."""
    NONE = "none"
    """Nothing: the store's own number stays."""


class InventoryRule(Section):
    """What the store is told of items for which `when` holds; the first rule that holds counts."""

    when: ItemCondition
    """The items that it is for, e.g. `item.product_line == 'TOYS'` or `item.drop_shipped`."""
    count: CountAs = CountAs.STOCK
    """`stock`: what Sage has available. `fixed`: always `quantity`. `none`: nothing, the store's own number stays."""
    quantity: int | None = Field(default=None, ge=0, le=999_999_999)
    """With `fixed`: the number in each warehouse of the store, in the unit in which it sells."""
    safety_stock: Decimal | None = Field(default=None, ge=0)
    """With `stock`: kept back of each, in the item's standard unit; without, `inventory.safety_stock`."""

    @model_validator(mode="after")
    def _belongs_together(self) -> "InventoryRule":
        found: list[Contradiction] = []
        if self.count is CountAs.FIXED and self.quantity is None:
            found.append(Contradiction(("count",), "count: fixed needs quantity", "Add quantity, such as 99."))
        if self.count is not CountAs.FIXED and self.quantity is not None:
            remedy = "Remove it, or write count: fixed."
            found.append(Contradiction(("quantity",), "quantity belongs to count: fixed", remedy))
        if self.count is not CountAs.STOCK and self.safety_stock is not None:
            remedy = "Remove it: nothing is counted."
            found.append(Contradiction(("safety_stock",), "safety_stock belongs to count: stock", remedy))
        refuse(found)
        return self


class Inventory(Section):
    """Stock from Sage to the store (docs/flows.md); without `warehouses` none is sent."""

    warehouses: dict[Warehouse, Word] = {}
    """WarehouseCode in Sage → the store's name of it; several may go into one. Others are not counted."""
    safety_stock: Decimal = Field(default=Decimal(0), ge=0)
    """Kept back of each item in each warehouse of the store, in the item's standard unit."""
    rules: Annotated[list[InventoryRule], AfterValidator(_inventory_rules_reached)] = []
    """Items that are counted otherwise, the first rule that holds. Without a rule regular items and kits are counted,
    inactive ones are 0, and nothing is said of drop-shipped items, services and charges."""
    aliases: bool = False
    """Whether the store also sells under Sage's general aliases (IM_AliasItem, Type G): each gets its item's count."""
    shares_stock_with: list[Word] = []
    """Other pairs whose stores sell from the same Sage company: what they have accepted and Sage does not know yet
    counts here, too."""

    @property
    def store_warehouses(self) -> list[str]:
        """The store's warehouses, each once, in the order of the file."""
        return list(dict.fromkeys(self.warehouses.values()))


class FieldOwner(StrEnum):
    """The side whose value of a product's field counts."""

    CLARITY = "clarity"
    SAGE = "sage"


class PricePer(StrEnum):
    """What the store's number is of, where the item's units differ."""

    STANDARD = "standard"
    """The item's standard unit, as in Sage."""
    SALES = "sales"
    """The unit in which the product is sold: Sage's number times its conversion."""


class ProductField(Section):
    """One field that both systems keep."""

    sage: SyncedColumn
    """Column of CI_Item, such as `ItemCodeDesc`, `StandardUnitPrice`, `InactiveItem`, or one of your own (`UDF_…`)."""
    clarity: str = Field(
        pattern=r"^(name|description|price|listPrice|active|weight|taxCode|attributes\.[A-Za-z0-9_-]{1,64})$"
    )
    """Field of the store's product: `name`, `description`, `price`, `listPrice`, `active`, `weight`, `taxCode`, or a
    custom one, `attributes.colour`."""
    owner: FieldOwner
    """The side whose value counts. The other one's is put right, and what is overwritten there is told."""
    values: dict[Annotated[str, Field(max_length=30)], str | bool] = {}
    """Sage's code → the store's value, where they differ: `{"N": true, "Y": false}` for `InactiveItem` and `active`."""
    per: PricePer = PricePer.STANDARD
    """Of a number: `sales` where the store's price is of a sales unit, such as a case of ten."""

    @model_validator(mode="after")
    def _belongs_together(self) -> "ProductField":
        found: list[Contradiction] = []
        if self.values and is_number(self.sage):
            found.append(Contradiction(("values",), f"{self.sage} is a number", "Remove values: they are of codes."))
        meanings = [(type(one), one) for one in self.values.values()]
        if len(set(meanings)) != len(meanings):
            problem = "two codes have the same value, so that nobody can tell which one it means"
            found.append(Contradiction(("values",), problem, "Give each code a value of its own."))
        if self.per is PricePer.SALES and not is_number(self.sage):
            found.append(Contradiction(("per",), f"{self.sage} is no number", "Remove per."))
        refuse(found)
        return self


class NewProducts(StrEnum):
    """What happens with a product whose SKU is no item in Sage."""

    IGNORE = "ignore"
    """Nothing; it is counted."""
    APPROVE = "approve"
    """It waits for a person, then the item is created."""
    CREATE = "create"
    """The item is created at once."""


class ConflictPolicy(StrEnum):
    """What happens when a field was changed by the side that does not own it, or on both sides."""

    OWNER = "owner"
    """The owner's value is put back, and people are told the one that it replaced."""
    ASK = "ask"
    """Neither side is written until a person decides."""


class OtherNames(StrEnum):
    """What a product gives and takes that is sold under another name than the item's code (an alias, `items`)."""

    RECEIVE = "receive"
    """It takes what Sage owns, and writes nothing to the item, which may be sold under several names."""
    BOTH = "both"
    """As if its SKU was the item's code."""


class Products(Section):
    """Products and items kept in step, field by field (docs/flows.md); without `fields` only new items are made."""

    fields: list[ProductField] = []
    """What is kept in step, each with the side that owns it."""
    conflicts: ConflictPolicy = ConflictPolicy.OWNER
    """A field changed by the side that does not own it, or on both sides."""
    when: ItemCondition | None = None
    """Items that take part, e.g. `item.product_line == 'WEB'`; without, all that the store sells."""
    skip: list[Word] = []
    """SKUs of products that are left alone."""
    other_names: OtherNames = OtherNames.RECEIVE
    """Products whose SKU is an alias of an item, or stands under `items`."""
    new_products: NewProducts = NewProducts.IGNORE
    """Products whose SKU is no item and no alias in Sage."""
    template: dict[NewItemColumn, str] = {}
    """Columns of new items, beside `fields`: `{ProductLine: WEB, StandardUnitOfMeasure: EACH, TaxClass: TX}`."""

    @property
    def is_on(self) -> bool:
        """Whether anything is kept in step."""
        return bool(self.fields) or self.new_products is not NewProducts.IGNORE

    @model_validator(mode="after")
    def _belongs_together(self) -> "Products":
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        for name in ("sage", "clarity"):
            seen: dict[str, int] = {}
            for index, field in enumerate(self.fields):
                value = getattr(field, name)
                if seen.setdefault(value, index) != index:
                    yield Contradiction(("fields", index, name), f"{value} stands twice", "Keep one of the two.")
        creates = self.new_products is not NewProducts.IGNORE
        if creates and not self.template.get("ProductLine"):
            problem = f"new_products: {self.new_products} needs template.ProductLine, without which Sage has no item"
            yield Contradiction(("new_products",), problem, "Add template: {ProductLine: …}.")
        if self.template and not creates:
            problem = "template belongs to new_products: approve or create"
            yield Contradiction(("template",), problem, "Remove it, or write new_products: approve.")


_HOUR = r"^([01]\d|2[0-3]):[0-5]\d$"


class Weekday(StrEnum):
    """Days of a week."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"


class BusinessHours(Section):
    """Days and hours in the company's time zone."""

    days: list[Weekday] = Field(default=[Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU, Weekday.FRI], min_length=1)
    """Days on which it is worth polling quickly."""
    start: str = Field(default="06:00", pattern=_HOUR)
    """As text, `"06:00"`: YAML reads the bare form as a number."""
    end: str = Field(default="20:00", pattern=_HOUR)
    """As text, `"06:00"`: YAML reads the bare form as a number. An end before the start is on the next day."""

    @model_validator(mode="after")
    def _last_some_time(self) -> "BusinessHours":
        if self.start == self.end:
            problem = f"begins and ends at {self.start}"
            refuse([Contradiction(("end",), problem, "Write another hour, or remove business_hours: always.")])
        return self

    def cover(self, moment: datetime) -> bool:
        """Whether a moment, in the company's time zone, lies within; hours past midnight belong to the day before."""
        start, end, now = time.fromisoformat(self.start), time.fromisoformat(self.end), moment.time()
        week = list(Weekday)
        today, yesterday = week[moment.weekday()], week[moment.weekday() - 1]
        if start < end:
            return today in self.days and start <= now < end
        return (today in self.days and now >= start) or (yesterday in self.days and now < end)


class Polling(Section):
    """How far the poller looks back, in days."""

    cold_start_days: int = Field(default=7, ge=1)
    """How far a poller without a memory looks back."""
    history_days: int = Field(default=7, ge=1)
    """How far each round through the past looks back, for what was entered late."""
    business_hours: BusinessHours | None = None
    """When it is worth polling quickly; without, always."""


class ReconciliationRules(Section):
    """Clarity's payments against Sage's books, each night (docs/reconciliation.md)."""

    tolerance: Decimal = Field(default=Decimal(0), ge=0, le=1)
    """What an order's money in Sage may differ from what was captured, in the company's currency; best nothing."""
    days: int = Field(default=35, ge=1, le=400)
    """How many days the nightly run looks back, yesterday included."""
    at: str = Field(default="04:00", pattern=_HOUR)
    """When it begins, in the company's time zone; as text, `"04:00"`: YAML reads the bare form as a number. The hour
    after two is missing in the night when summer time begins."""
    bank_code: str = Field(default="", pattern=r"^[A-Z0-9]?$")
    """BankCode of the cash receipts of web money; without, none are read, and routes with cash receipts never match."""


class Mode(StrEnum):
    """Whether a pair writes."""

    LIVE = "live"
    SHADOW = "shadow"


class ShadowRules(Section):
    """Shadow mode's comparison with the orders that people type, and the go-live (docs/going-live.md)."""

    typed_as: list[Annotated[str, Field(pattern=r"^[^{}]*\{(number|id|purchase_order)\}[^{}]*$", max_length=40)]] = (
        Field(default=["{number}"], min_length=1, max_length=5)
    )
    """What people type as CustomerPONo of a web order, in the order in which it is looked for: `{number}` is the web
    order's number, `{id}` its id at Clarity, `{purchase_order}` the buyer's own; `WEB {number}` has a text before it.
    What is longer than CustomerPONo is looked for as it was cut."""
    typed_within_days: int = Field(default=3, ge=0, le=60)
    """An order that is older and not in Sage counts as not found; a younger one as not typed yet."""
    days: int = Field(default=14, ge=1, le=90)
    """How many days of web orders the daily comparison looks back."""
    at: str = Field(default="05:00", pattern=_HOUR)
    """When it begins, in the company's time zone; as text, like `reconciliation.at`."""
    tolerance: Decimal = Field(default=Decimal("0.01"), ge=0, le=1)
    """Amounts that differ by no more count as the same, in the company's currency."""


class CashReceiptRules(Section):
    """Cash receipts of the web's money, each night (docs/flows.md, Payments and invoices)."""

    write: bool = False
    """True: receipts of the routes deposit_liability, prepayment and on_invoice are entered in Sage, in batches that
    accounting looks at and posts. Without, accounting enters them: what is due stands on the accounting list."""
    customer_deposits: str = Field(default="", pattern=r"^[0-9A-Z]{0,9}$")
    """AR_CashReceiptsDetail.AccountKey of Customer Deposits: what receipts of the route deposit_liability go to."""
    days: int = Field(default=35, ge=1, le=400)
    """How many days of payments and invoices the nightly run looks back, yesterday included."""
    at: str = Field(default="03:00", pattern=_HOUR)
    """When it begins, in the company's time zone, best before `reconciliation.at`; as text, like that."""


class Pace(Section):
    """Intervals and deadlines: production values by default, seconds in the demo. Travels in start arguments."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    poll_interval: float = Field(default=15.0, gt=0)
    """Between two polls of Sage."""
    quiet_interval: float = Field(default=30.0, gt=0)
    """Between polls when nothing is unposted, or outside business hours."""
    rotation: float = Field(default=600.0, gt=0)
    """Every open order of ours is read at least so often."""
    agree_time: float = Field(default=60.0, gt=0)
    """Between the two reads that must agree before a quantity, an order or an invoice counts as gone."""
    shift_length: float = Field(default=600.0, gt=0)
    """After this long a poller hands over to a new run."""
    poll_heartbeat_timeout: float = Field(default=45.0, gt=0)
    """A poller that is silent for so long is started anew."""
    settle_time: float = Field(default=600.0, ge=0)
    """An unposted invoice unchanged for so long is ready without tracking …"""
    grace_time: float = Field(default=14_400.0, ge=0)
    """… but tracking is waited for at least this long."""
    daily_read: float = Field(default=86_400.0, gt=0)
    """Between two looks of an open order at its own shipments in Sage."""
    settle_days: float = Field(default=30.0, gt=0)
    """An order shipped so many days ago ends, its invoices posted or not."""
    not_posted_alert_days: float = Field(default=7.0, gt=0)
    """An alert is raised for invoices that are not posted after so many days."""
    hold_reminder: float = Field(default=86_400.0, gt=0)
    """Between two reminders of a hold."""
    stock_sweep: float = Field(default=60.0, gt=0)
    """Between two looks at the stock of what orders are held for."""
    stock_second_look: float = Field(default=60.0, gt=0)
    """After a hold for stock began."""
    customer_deadline: float = Field(default=120.0, gt=0)
    """An order that waits for its new customer asks again after this."""
    call_limit: float = Field(default=120.0, gt=0)
    """Start-to-close of one activity attempt with a few calls."""
    alert_group: float = Field(default=60.0, gt=0)
    """Alerts of one kind and reason within this time are one message; those of severity high wait a sixth of it."""
    watch_interval: float = Field(default=30.0, gt=0)
    """Between two looks for failing workflow tasks and for orders that ended without being completed."""
    retry_initial: float = Field(default=5.0, gt=0)
    """Before the second attempt of a call that failed."""
    retry_maximum: float = Field(default=300.0, gt=0)
    """Attempts are never further apart."""
    backfill_interval: float = Field(default=300.0, gt=0)
    """Between two looks at Clarity's list for orders whose webhook never came."""
    backfill_overlap: float = Field(default=900.0, gt=0)
    """Each look goes back so far behind the last one, the grace of a webhook added."""
    webhook_grace: float = Field(default=300.0, ge=0)
    """A change younger than this is left to its webhook, which may only be late."""
    inventory_sweep: float = Field(default=600.0, gt=0)
    """Between two readings of the whole stock in Sage."""
    inventory_look: float = Field(default=15.0, gt=0)
    """Between two looks at which orders were accepted or went to Sage; their items are counted at once."""
    inventory_compare: float = Field(default=86_400.0, gt=0)
    """Between two comparisons with the store's own numbers."""
    products_interval: float = Field(default=900.0, gt=0)
    """Between two comparisons of products and items, for what no webhook told and for what Sage owns."""
    customer_sweep: float = Field(default=900.0, gt=0)
    """Between two looks at what Sage owns of customers, for their attributes at Clarity."""
    probe_interval: float = Field(default=15.0, gt=0)
    """Between two looks whether a system answers again."""
    outage_alert: float = Field(default=600.0, gt=0)
    """An outage that lasts longer raises an alert."""
    outage_reminder: float = Field(default=3_600.0, gt=0)
    """Between two reminders of an outage."""


class PaceInFile(Pace):
    """The section `pace` of a pair file: a misspelt key is an error; on its way an older worker ignores a new one."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Pair(Section):
    """One integration pair."""

    not_in_file: ClassVar[tuple[str, ...]] = ("name", "version")

    name: str
    version: str
    """Content hash of the file: the mapping version of the orders that it transformed."""
    company: Company
    go_live: date
    """Orders created before this day are recorded and never started."""
    mode: Mode = Mode.LIVE
    """`shadow`: everything but writes. Web orders are taken in, looked up and previewed, and compared each day with
    what people type in Sage; nothing is written to Sage or Clarity, and `go_live` does not count yet
    (docs/going-live.md)."""
    shadow: ShadowRules = ShadowRules()
    max_lines: int = Field(default=1_000, ge=1, le=10_000)
    """An order with more items is held."""
    clarity: ClarityProfile = ClarityProfile()
    sage: Sage = Sage()
    order: OrderRules
    items: dict[Word, ShortItemEntry] = {}
    """The site's own aliases: SKU → ItemCode, or `{item: ItemCode, unit: CASE}`."""
    charges: Charges
    tax: Tax
    payments: Annotated[list[PaymentRule], AfterValidator(_payments_reached)]
    mixed_payment_type: OptionalPaymentType = ""
    """PaymentType of orders whose money came through several; without, they are held."""
    customers: Customers
    credit: Credit
    stock: Stock = Stock()
    inventory: Inventory = Inventory()
    products: Products = Products()
    checks: Checks
    columns: dict[TextColumn, Annotated[int, Field(strict=True, ge=1)]] = {}
    """Text lengths by Sage column; a value that does not fit is a problem, never cut."""
    polling: Polling = Polling()
    reconciliation: ReconciliationRules = ReconciliationRules()
    cash_receipts: CashReceiptRules = CashReceiptRules()
    pace: PaceInFile = PaceInFile()
    """Intervals and deadlines, in seconds unless the name says days."""

    @field_validator("tax")
    @classmethod
    def _tax_of_freight(cls, value: Tax, info: ValidationInfo) -> Tax:
        charges = info.data.get("charges")
        actual = isinstance(charges, Charges) and charges.freight.amount is FreightAmount.ACTUAL
        if actual and value.policy is TaxPolicy.LINE:
            problem = (
                "policy: line does not go with charges.freight.amount: actual, as Clarity's tax is on the freight that "
                "it charged"
            )
            remedy = "Write charges.freight.amount: charged, or let Sage work out the tax (policy: sage)."
            refuse([Contradiction(("policy",), problem, remedy)])
        return value

    @field_validator("cash_receipts")
    @classmethod
    def _receipts_have_a_bank(cls, value: CashReceiptRules, info: ValidationInfo) -> CashReceiptRules:
        rules = info.data.get("reconciliation")
        if value.write and isinstance(rules, ReconciliationRules) and not rules.bank_code:
            problem = "needs reconciliation.bank_code: the bank that takes the web's money, by which receipts are found"
            refuse([Contradiction(("write",), problem, "Add reconciliation.bank_code, a BankCode of Sage such as W.")])
        liable = any(rule.route is PaymentRoute.DEPOSIT_LIABILITY for rule in info.data.get("payments", []))
        if value.write and liable and not value.customer_deposits:
            problem = "needs customer_deposits: a payment goes the route deposit_liability"
            remedy = "Add customer_deposits, the AccountKey of Customer Deposits, such as 000000215."
            refuse([Contradiction(("write",), problem, remedy)])
        return value

    @property
    def is_shadow(self) -> bool:
        """Whether nothing may be written."""
        return self.mode is Mode.SHADOW

    @field_validator("name")
    @classmethod
    def _pair_name(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9]{1,15}", value):
            wrong(
                f"the file's name {value!r} is no pair's name",
                "Call the file by 2 to 16 small letters and digits, a letter first: demo.yaml.",
            )
        return value

    @model_validator(mode="after")
    def _template_fits(self) -> "Pair":
        found: list[Contradiction] = []
        for index, field in enumerate(self.products.fields):
            name = field.clarity.partition(".")[0]
            if self.clarity.fields.product.model_dump()[name] is None:
                problem = f"the store has no {name} (clarity.fields.product.{name} is null)"
                found.append(Contradiction(("products", "fields", index, "clarity"), problem, "Remove the field."))
        for column, value in self.products.template.items():
            key = ("products", "template", column)
            if is_number(column) and not re.fullmatch(r"\d+(\.\d+)?", value):
                found.append(Contradiction(key, f"{value!r} is no number", "Write one such as 1 or 12.5."))
            elif complaint := item_value_does_not_fit(column, value, {}, self.company.price_decimals):
                found.append(Contradiction(key, *complaint))
        refuse(found)
        return self

    @model_validator(mode="after")
    def _fixed_values_fit(self) -> "Pair":
        refuse(
            Contradiction((*path, column), *complaint)
            for path, values in (
                (("order", "header"), self.order.header),
                *(
                    (("order", "header_rules", index, "header"), rule.header)
                    for index, rule in enumerate(self.order.header_rules)
                ),
                (("customers", "header"), self.customers.header),
            )
            for column, value in values.items()
            if (complaint := does_not_fit(column, value, self.columns)) is not None
        )
        return self


def load_pair(file: Path) -> Pair:
    """Load and check one pair file; its stem is the pair's name. Raises PairFileError with every error."""
    return _read_pair(file)[0]


def _read_pair(file: Path) -> tuple[Pair, Lines]:
    content, lines, errors = read_all(file)
    if not isinstance(content, dict):
        raise PairFileError(file, 1, "file", "holds no keys", "mappings/pairs/demo.yaml shows the sections.")
    for reserved in Pair.not_in_file:
        if reserved in content:
            remedy = "Remove it: the name is the file's, the version its content's."
            errors.append(PairFileError(file, lines[reserved,], reserved, "is taken from the file itself", remedy))
            del content[reserved]
    version = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    try:
        pair = Pair.model_validate({"name": file.stem, "version": version, **content})
    except ValidationError as error:
        errors.append(explain(file, lines, error, Pair))
    if errors:
        raise PairFileError.of(errors)
    return pair, lines


class PairFolder(NamedTuple):
    """What a folder of pair files holds."""

    pairs: dict[str, Pair]
    """By name, those without an error."""
    lines: dict[str, Lines]
    """Where the keys of these stand."""
    errors: list[PairFileError]
    """One per file that cannot be used, each with all that is wrong in it."""
    unread: list[str]
    """Files that look like pair files and are called otherwise (`demo.yml`)."""


def read_folder(directory: Path) -> PairFolder:
    """Every `*.yaml` of a directory. Raises PairFileError when there is none, or the directory cannot be read."""
    names = _files_in(directory)
    found = PairFolder({}, {}, [], [name for name in names if re.search(r"(?i)\.ya?ml$", name)])
    for name in names:
        if name.endswith(".yaml"):
            found.unread.remove(name)
            try:
                pair, lines = _read_pair(directory / name)
            except PairFileError as error:
                found.errors.append(error)
            else:
                found.pairs[pair.name], found.lines[pair.name] = pair, lines
    if not found.pairs and not found.errors:
        seen = f", only {', '.join(found.unread)}" if found.unread else ""
        remedy = "Set PAIRS_DIR to their folder."
        if found.unread:
            remedy = f"Rename it to {Path(found.unread[0]).stem}.yaml."
        raise PairFileError(directory, 0, "folder", f"holds no pair file (*.yaml){seen}", remedy)
    for name in [*found.pairs]:
        file = directory / f"{name}.yaml"
        wrong_targets = [*_other_pairs(file, name, found), *_sharing_pairs(file, name, found)]
        if wrong_targets:
            found.errors.append(PairFileError.of(wrong_targets))
    for broken in found.errors:
        found.pairs.pop(broken.file.stem, None)
    return found


def _files_in(directory: Path) -> list[str]:
    try:
        return sorted(entry.name for entry in directory.iterdir())
    except FileNotFoundError:
        problem, remedy = "does not exist", "Set PAIRS_DIR to the folder of pair files."
    except NotADirectoryError:
        problem, remedy = "is a file", "Set PAIRS_DIR to the folder that it is in."
    except OSError as error:
        problem, remedy = f"cannot be read: {error.strerror or error}", "Check its permissions."
    raise PairFileError(directory, 0, "folder", problem, remedy)


def _other_pairs(file: Path, name: str, found: PairFolder) -> Iterator[PairFileError]:
    """The pairs that this one sends other currencies to must be there, and keep those."""
    broken = {error.file.stem for error in found.errors}
    for currency, target in found.pairs[name].company.other_currencies.items():
        other = found.pairs.get(target)
        if target in broken or (other is not None and other.company.currency == currency):
            continue
        key = ("company", "other_currencies", currency)
        problem = f"there is no pair {target!r} here"
        if other is not None:
            problem = f"{target}'s company keeps {other.company.currency}"
        remedy = f"Name the pair whose company keeps {currency}."
        yield PairFileError(file, found.lines[name].nearest(key), dotted(key), problem, remedy)


def _sharing_pairs(file: Path, name: str, found: PairFolder) -> Iterator[PairFileError]:
    """The pairs whose stores sell the same stock must be there, with the same company."""
    broken = {error.file.stem for error in found.errors}
    here = found.pairs[name]
    for index, other_name in enumerate(here.inventory.shares_stock_with):
        other = found.pairs.get(other_name)
        if other_name in broken or (
            other is not None and other is not here and other.company.code == here.company.code
        ):
            continue
        problem = f"there is no pair {other_name!r} here"
        if other is not None:
            problem = "that is this pair itself" if other is here else f"{other_name} is another Sage company"
        key: Path_ = ("inventory", "shares_stock_with", index)
        remedy = "Name a pair whose store sells from the same company, or remove it."
        yield PairFileError(file, found.lines[name].nearest(key), dotted(key), problem, remedy)


def load_pairs(directory: Path) -> dict[str, Pair]:
    """Every `*.yaml` of a directory, by pair name. Raises PairFileError with every error of every file."""
    found = read_folder(directory)
    if found.errors:
        raise PairFileError.of(found.errors)
    return found.pairs
