"""A pair file as models: everything in which one site differs from another, checked when loaded.

In: `mappings/pairs/<pair>.yaml`. Out: `Pair`. Raises `PairFileError` (file, line, key, problem, remedy). Money and
rates are Decimals, intervals are seconds unless the name says days.
"""

import hashlib
import re
from datetime import date, datetime, time
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from mappings.clarity_profile import AuthScheme, ClarityProfile, Section
from mappings.conditions import LineCondition, LineExpression, OrderCondition, OrderExpression
from mappings.pair_file import PairFileError, explain, read_yaml
from mappings.problems import HoldReason
from mappings.shipments import ShipsOn

__all__ = ["AuthScheme", "ClarityProfile", "Pace", "Pair", "PairFileError", "load_pair", "load_pairs"]


Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
"""ISO 4217."""


class Company(Section):
    """The Sage company."""

    code: str = Field(pattern=r"^[A-Z0-9]{3}$")
    currency: Currency
    time_zone: str
    """IANA name; Sage's dates and stamps are in it."""
    price_decimals: int = Field(ge=2, le=6)
    quantity_decimals: int = Field(ge=0, le=6)
    other_currencies: dict[Currency, str] = {}
    """Currency → the pair whose company keeps it and gets those orders; one not named here is held."""

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no IANA time zone such as America/Chicago")
        return value

    @property
    def zone(self) -> ZoneInfo:
        """The time zone itself."""
        return ZoneInfo(self.time_zone)


class GatewayAuth(StrEnum):
    """How to sign in to the Sage gateway."""

    USER = "user"
    API_KEY = "api_key"


class Sage(Section):
    """How to write to this company."""

    auth: GatewayAuth = GatewayAuth.USER
    writers: int = Field(default=1, ge=1, le=20)
    """Writes at the same time (concurrent-user licences)."""
    drop_ship: ShipsOn = ShipsOn.TRACKING
    """What proves that a drop-ship line was shipped: tracking (else posting), or posting."""
    posting_reduces_quantity: bool = True
    """Whether the Sales Journal update reduces QuantityOrdered to the rest, or leaves it (a [probe] of rules 3)."""
    history_has_udf: bool = True
    """Whether the site maps UDF_WEB_ORDER_ID into SO_SalesOrderHistoryHeader."""


class ShipVia(Section):
    """One way of shipping: Clarity's words ↔ SO_SalesOrderHeader.ShipVia."""

    ship_via: str = Field(min_length=1, max_length=15)
    carrier: str = ""
    method: str = ""
    """Clarity's shipping carrier and method, compared without case; empty matches any."""
    tracking_url: str = ""
    """Template with `{tracking}`."""


class WarehouseRule(Section):
    """Lines for which `when` holds ship from this warehouse; the first rule that holds counts."""

    when: LineCondition
    warehouse: str = Field(min_length=1, max_length=3)


class HeaderRule(Section):
    """Header columns of orders for which `when` holds (SalespersonNo, CycleCode, …); later rules override earlier."""

    when: OrderCondition
    header: dict[str, str] = Field(min_length=1)


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


class OrderRules(Section):
    """Header and comment rules."""

    order_status: Literal["N", "O"] = "N"
    warehouse: str = Field(default="", max_length=3)
    comment_item: str = "/C"
    notes: bool = True
    """The buyer's notes become a comment line."""
    prices: Prices = Prices()
    header: dict[str, str] = {}
    """Fixed values by Sage column (CycleCode, SalespersonNo, FOB, …)."""
    header_rules: list[HeaderRule] = []
    header_values: dict[str, OrderExpression] = {}
    """Values by Sage column from the order, e.g. `UDF_GIFT: attributes&["gift"]`; an empty value is not sent."""
    line_values: dict[str, LineExpression] = {}
    """Likewise for the lines of items, e.g. `UDF_ENGRAVING: line.attributes&["engraving"]`."""
    unit_attribute: str = ""
    """Clarity's attribute of an item that names the unit of its quantity (`unitOfMeasure`); without, the sales unit."""
    units: dict[str, str] = {}
    """The shop's names of units → Sage's (UnitOfMeasure), such as `cs: CASE`; case is ignored."""
    warehouses: list[WarehouseRule] = []
    """Before `warehouse`, line by line."""
    ship_via: list[ShipVia] = []


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
    amount: FreightAmount = FreightAmount.CHARGED
    """With `actual` FreightAmt is left to Sage, and the totals are compared without shipping."""
    item: str = ""
    """With `charge_line`: the charge or miscellaneous item that posts to the freight account."""

    @model_validator(mode="after")
    def _belongs_together(self) -> "Freight":
        if self.to is FreightTo.CHARGE_LINE and not self.item:
            raise ValueError("to: charge_line needs item, the charge item that posts to the freight account")
        if self.to is FreightTo.FREIGHT_AMT and self.item:
            raise ValueError("item is used with to: charge_line only")
        if self.to is FreightTo.CHARGE_LINE and self.amount is FreightAmount.ACTUAL:
            raise ValueError("amount: actual needs to: freight_amt, where Sage's shipping writes it back")
        return self


class DiscountCode(Section):
    """What a discount code is in Sage."""

    item: str = Field(min_length=1, max_length=30)
    """The charge item that posts to the discount's account."""
    tax_class: str = Field(default="", max_length=2)
    """SO_SalesOrderDetail.TaxClass of the whole discount, e.g. `NT` for free shipping where freight is untaxed;
    without, it is shared between taxable and exempt goods as `order_discount` is."""


class Charges(Section):
    """Item codes of the lines that are no goods (SO_SalesOrderDetail.ItemType 5)."""

    line_discount: str
    line_discount_as: DiscountAs = DiscountAs.CHARGE_LINE
    """A line of its own, or a lower price of the item."""
    order_discount: str
    """The item of discounts on the whole order: shared between taxable and exempt goods and fees by their amounts."""
    discounts: dict[str, DiscountCode] = {}
    """Discount code → item and tax class, e.g. `FREESHIP: {item: /WEBFRT, tax_class: NT}`; compared without case. A
    code that is not named takes `order_discount`."""
    rounding: str
    """The item of what an item's price of `company.price_decimals` cannot say."""
    rounding_limit: Decimal = Field(default=Decimal("0.05"), ge=0)
    """What one item's line may leave to the rounding line, in the company's currency; beyond, the order is held. Prices
    rounded to three decimals lose at most 0.05 on 100 pieces, to two decimals on 10; more tells of a price per piece
    that wants a unit of 100 or 1000, or more `price_decimals`."""
    fees: dict[str, str] = {}
    """Clarity's fee code → item code."""
    freight: Freight = Freight()
    tax_class: str = "TX"
    non_taxable_class: str = "NT"


class TaxRule(Section):
    """Ship-to country (ISO-2), region and condition → TaxSchedule; what is left out fits every order."""

    country: str = Field(default="", pattern=r"^([A-Z]{2})?$")
    region: str = ""
    when: OrderCondition | None = None
    schedule: str = Field(min_length=1, max_length=9)

    @model_validator(mode="after")
    def _says_when(self) -> "TaxRule":
        if not self.country and self.when is None:
            raise ValueError("a rule needs country or when; the schedule of every other order is tax.default")
        if self.region and not self.country:
            raise ValueError("region needs country")
        return self


class TaxPolicy(StrEnum):
    """Who works out the tax (rules 5)."""

    SAGE = "sage"
    ENGINE = "engine"
    LINE = "line"


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
    commits: TaxCommitter | None = None
    """With `engine`: which side commits; the other one must be switched to quotes only, or tax is filed twice."""
    item: str = ""
    """With `line`: the charge item that posts to the tax-liability account."""
    controller_consent: bool = False
    """With `line`: the controller knows that Sage's tax reports will not show this tax."""
    tolerance: Decimal = Field(default=Decimal(0), ge=0)
    """Allowed difference of the order totals, in the company's currency."""
    schedules: list[TaxRule] = []
    default: str
    exempt: str
    exempt_regions: list[Annotated[str, Field(pattern=r"^([A-Z]{2}-)?[A-Z0-9]{1,3}$")]] = []
    """Ship-to regions in which an exemption number takes `exempt`, as `IL` or, where the code alone says too little,
    `US-IL`; empty: everywhere. Elsewhere the buyer is taxed as `schedules` say, whose rules may ask for the number:
    `exempt_regions: [TX, US-WA]` and `{country: US, region: IL, when: "buyer.tax_exempt_no != ''", schedule: ILEX}`.
    A number that came without an account number or our cross-reference exempts nowhere (rules 6)."""

    @model_validator(mode="after")
    def _belongs_together(self) -> "Tax":
        if self.policy is TaxPolicy.LINE:
            if not self.item:
                raise ValueError("policy: line needs item, the charge item that posts to the tax-liability account")
            if not self.controller_consent:
                raise ValueError(
                    "policy: line needs controller_consent: true, as Sage's tax reports will not show this tax"
                )
        elif self.item or self.controller_consent:
            raise ValueError("item and controller_consent belong to policy: line")
        if (self.policy is TaxPolicy.ENGINE) is not (self.commits is not None):
            raise ValueError("policy: engine needs commits (clarity or sage); the other policies take none")
        if self.policy is not TaxPolicy.SAGE and self.schedules:
            raise ValueError(f"schedules belong to policy: sage; {self.policy} uses default, and exempt for the exempt")
        return self


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

    gateway: str
    method: str = ""
    payment_type: str = Field(default="", max_length=5)
    """AR_PaymentType of PaymentMethod O or C; Sage would charge a card again."""
    route: PaymentRoute = PaymentRoute.CLEARING
    charge_item: str = ""
    """For gift cards: they reduce the order by a line of this item, which posts to the gift-card liability."""
    reference: PaymentReference = PaymentReference.OTHER
    """Where the transaction id of a deposit goes: `check_no` with a payment_type of PaymentMethod C, e.g.
    `{gateway: wire, payment_type: CHECK, reference: check_no}`. What is longer than the column stands in a comment."""

    @model_validator(mode="after")
    def _type_or_item(self) -> "PaymentRule":
        if self.charge_item:
            if self.payment_type or self.route is not PaymentRoute.CLEARING:
                raise ValueError("charge_item stands alone: a gift card's line takes no payment_type and no route")
        elif not self.payment_type:
            raise ValueError("needs payment_type (or charge_item for gift cards)")
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

    divisions: list[str] = Field(min_length=1)
    """Matching stays within these."""
    consumer_divisions: list[str] = []
    """Accounts that an e-mail match may use."""
    new_division: str = Field(min_length=2, max_length=2)
    terms_code: str = Field(max_length=2)
    customer_type: str = Field(default="", max_length=4)
    house_account: str = Field(default="", pattern=r"^([A-Z0-9]{2}-[A-Z0-9]{1,20})?$")
    """Account (`02-WEBGUEST`) of buyers without an account at Clarity, if paid; without, each becomes a customer."""
    ship_to: ShipToRule = ShipToRule.ORDER_ONLY
    new_ship_to: NewShipTo = NewShipTo.HOLD_UNPAID
    """On accounts with terms: an address that Sage does not know of the account."""
    tax_schedule: str = Field(default="", max_length=9)
    """AR_Customer.TaxSchedule of created customers; without, the schedule of their first order's ship-to."""
    guest_ids: list[str] = []
    """Customer ids that Clarity gives every guest, beside 0, -1, the zero GUID, `guest` and `anonymous`: nobody's."""
    role_mailboxes: list[str] = []
    """Local parts that belong to nobody in particular and never match, beside the usual ones (`info`, `sales`, …)."""
    header: dict[str, str] = {}

    @model_validator(mode="after")
    def _new_division_is_ours(self) -> "Customers":
        if self.new_division not in self.divisions:
            raise ValueError(f"new_division {self.new_division!r} is not among divisions {self.divisions}")
        if self.house_account and self.house_account[:2] not in self.divisions:
            raise ValueError(f"house_account {self.house_account!r} is not of one of the divisions {self.divisions}")
        return self


class CheckName(StrEnum):
    """The checks there are."""

    CREDIT = "credit"
    STOCK = "stock"
    SAME_BASKET = "same_basket"
    PRICE = "price"


class HoldKept(StrEnum):
    """Where a hold is kept."""

    OUTSIDE = "outside"
    IN_SAGE = "in_sage"


class ItemEntry(Section):
    """What a SKU of the shop stands for; `SKU: ItemCode` is short for one in the item's sales unit."""

    item: str = Field(min_length=1, max_length=30)
    """CI_Item.ItemCode."""
    unit: str = Field(default="", max_length=4)
    """SO_SalesOrderDetail.UnitOfMeasure: the item's sales, standard or purchase unit."""

    def __str__(self) -> str:
        return f"{self.item} in {self.unit}" if self.unit else self.item


def _whole_entry(value: object) -> object:
    return {"item": value} if isinstance(value, str) else value


ShortItemEntry = Annotated[ItemEntry, BeforeValidator(_whole_entry, json_schema_input_type=str | ItemEntry)]


class Check(Section):
    """One check of the ordered list; `on_fail` is the hold it asks for."""

    name: CheckName
    on_fail: HoldReason
    minutes: float = Field(default=10, gt=0, le=1440)
    """With `same_basket`: an order of the account that is not older counts."""
    tolerance_percent: Decimal = Field(default=Decimal(0), ge=0, le=100)
    """With `price`: how far a web price may lie below Sage's price for the account, or below the item's cost."""
    keep: HoldKept = HoldKept.OUTSIDE
    """`outside`: the order waits here. `in_sage`: it is created with OrderStatus H, and released in Sage."""
    when: OrderCondition | None = None
    """Only orders for which this holds are checked, e.g. `totals.grand > 500`."""

    @model_validator(mode="after")
    def _can_be_kept_there(self) -> "Check":
        if self.keep is HoldKept.IN_SAGE and self.name not in (CheckName.CREDIT, CheckName.SAME_BASKET):
            raise ValueError(
                "keep: in_sage is for credit and same_basket; an order that is short of stock or wrongly priced must "
                "not reach Sage before it is decided (stock.policy: backorder lets Sage back-order)"
            )
        return self


class Credit(Section):
    """Credit rules (rules 7)."""

    limit_zero: Literal["unlimited", "none"]
    """What CreditLimit 0 means in this company; no default on purpose."""


class Stock(Section):
    """Stock rules (rules 7)."""

    policy: Literal["hold", "backorder"] = "hold"
    """`hold` stops an order that Sage cannot ship in full; `backorder` lets Sage back-order the rest."""
    not_checked: list[str] = []
    """ItemCodes that have no stock of their own: sales kits, made to order."""


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

    days: list[Weekday] = [Weekday.MON, Weekday.TUE, Weekday.WED, Weekday.THU, Weekday.FRI]
    start: str = Field(default="06:00", pattern=_HOUR)
    end: str = Field(default="20:00", pattern=_HOUR)
    """As text, `"06:00"`: YAML reads the bare form as a number."""

    def cover(self, moment: datetime) -> bool:
        """Whether a moment, in the company's time zone, lies within."""
        return list(Weekday)[moment.weekday()] in self.days and (
            time.fromisoformat(self.start) <= moment.time() < time.fromisoformat(self.end)
        )


class Polling(Section):
    """How far the poller looks back, in days."""

    cold_start_days: int = Field(default=7, ge=1)
    history_days: int = Field(default=7, ge=1)
    business_hours: BusinessHours | None = None
    """When it is worth polling quickly; without, always."""


class Pace(Section):
    """Intervals and deadlines: production values by default, seconds in the demo. Travels in start arguments."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    poll_interval: float = Field(default=15.0, gt=0)
    quiet_interval: float = Field(default=30.0, gt=0)
    """Between polls when nothing is unposted, or outside business hours."""
    rotation: float = Field(default=600.0, gt=0)
    """Every open order of ours is read at least so often."""
    agree_time: float = Field(default=60.0, gt=0)
    """Between the two reads that must agree before a quantity, an order or an invoice counts as gone."""
    shift_length: float = Field(default=600.0, gt=0)
    poll_heartbeat_timeout: float = Field(default=45.0, gt=0)
    settle_time: float = Field(default=600.0, ge=0)
    """An unposted invoice unchanged for so long is ready without tracking …"""
    grace_time: float = Field(default=14_400.0, ge=0)
    """… but tracking is waited for at least this long."""
    daily_read: float = Field(default=86_400.0, gt=0)
    settle_days: float = Field(default=30.0, gt=0)
    not_posted_alert_days: float = Field(default=7.0, gt=0)
    hold_reminder: float = Field(default=86_400.0, gt=0)
    stock_sweep: float = Field(default=60.0, gt=0)
    """Between two looks at the stock of what orders are held for."""
    stock_second_look: float = Field(default=60.0, gt=0)
    """After a hold for stock began."""
    customer_deadline: float = Field(default=120.0, gt=0)
    call_limit: float = Field(default=120.0, gt=0)
    """Start-to-close of one activity attempt with a few calls."""
    retry_initial: float = Field(default=5.0, gt=0)
    retry_maximum: float = Field(default=300.0, gt=0)


class PaceInFile(Pace):
    """The section `pace` of a pair file: a misspelt key is an error; on its way an older worker ignores a new one."""

    model_config = ConfigDict(extra="forbid")


class Pair(Section):
    """One integration pair."""

    name: str
    version: str
    """Content hash of the file: the mapping version of the orders that it transformed."""
    company: Company
    go_live: date
    max_lines: int = Field(default=1_000, ge=1)
    clarity: ClarityProfile = ClarityProfile()
    sage: Sage = Sage()
    order: OrderRules
    items: dict[str, ShortItemEntry] = {}
    """The site's own aliases: SKU → ItemCode, or `{item: ItemCode, unit: CASE}`."""
    charges: Charges
    tax: Tax
    payments: list[PaymentRule]
    mixed_payment_type: str = Field(default="", max_length=5)
    """PaymentType of orders whose money came through several; without, they are held."""
    customers: Customers
    credit: Credit
    stock: Stock = Stock()
    checks: list[Check]
    columns: dict[str, int] = {}
    """Text lengths by Sage column; a value that does not fit is a problem, never cut."""
    polling: Polling = Polling()
    pace: PaceInFile = PaceInFile()

    @field_validator("tax")
    @classmethod
    def _tax_of_freight(cls, value: Tax, info: ValidationInfo) -> Tax:
        charges = info.data.get("charges")
        actual = isinstance(charges, Charges) and charges.freight.amount is FreightAmount.ACTUAL
        if actual and value.policy is TaxPolicy.LINE:
            raise ValueError(
                "policy: line does not go with charges.freight.amount: actual, as Clarity's tax is on the freight that "
                "it charged; write amount: charged, or let Sage work out the tax (policy: sage)"
            )
        return value

    @field_validator("name")
    @classmethod
    def _pair_name(cls, value: str) -> str:
        if not re.fullmatch(r"[a-z][a-z0-9]{1,15}", value):
            raise ValueError("a pair's name matches ^[a-z][a-z0-9]{1,15}$")
        return value


def load_pair(file: Path) -> Pair:
    """Load and check one pair file; its stem is the pair's name. Raises PairFileError."""
    content, lines = read_yaml(file)
    if not isinstance(content, dict):
        raise PairFileError(file, 1, "file", "holds no keys", "mappings/pairs/demo.yaml shows the sections.")
    for reserved in ("name", "version"):
        if reserved in content:
            raise PairFileError(file, lines[(reserved,)], reserved, "is taken from the file itself", "Remove it here.")
    version = hashlib.sha256(file.read_bytes()).hexdigest()[:12]
    try:
        return Pair.model_validate({"name": file.stem, "version": version, **content})
    except ValidationError as error:
        raise explain(file, lines, error, Pair) from None


def load_pairs(directory: Path) -> dict[str, Pair]:
    """Every `*.yaml` of a directory, by pair name. Raises PairFileError."""
    if not directory.is_dir():
        raise PairFileError(directory, 1, "directory", "does not exist", "Set PAIRS_DIR to the folder of pair files.")
    pairs = {pair.name: pair for pair in (load_pair(file) for file in sorted(directory.glob("*.yaml")))}
    for pair in pairs.values():
        for currency, name in pair.company.other_currencies.items():
            other = pairs.get(name)
            if other is None or other.company.currency != currency:
                file, key = directory / f"{pair.name}.yaml", ("company", "other_currencies", currency)
                raise PairFileError(
                    file,
                    read_yaml(file)[1].get(key, 1),
                    ".".join(key),
                    f"there is no pair {name!r} here"
                    if other is None
                    else f"{name}'s company keeps {other.company.currency}",
                    f"Name the pair whose company keeps {currency}.",
                )
    return pairs
