"""Keeping customers in step, as data: the keys `customers.consent` and `customers.sync` of a pair file.

In: a pair file. Out: `Consent`, `CustomerSync`. Every field has one owner; nothing is written without one (rules 6).
"""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import AfterValidator, BeforeValidator, model_validator

from mappings.codes import Word
from mappings.pair_file import Contradiction, refuse, wrong
from mappings.sage_columns import SageTable, account_column, cannot_be_set, is_own_column
from mappings.section import Section


def _own_column(column: str) -> str:
    if column and (not is_own_column(column) or cannot_be_set(column, SageTable.CUSTOMER) is not None):
        wrong(f"{column!r} is no column of the site's own", "Name a UDF of AR_Customer, such as UDF_MARKETING_OK.")
    return column


class Consent(Section):
    """Who agreed to be written to for marketing. What says nothing says no, and one no outweighs every yes."""

    clarity_attribute: str = ""
    """Clarity's custom attribute of a customer that holds it."""
    sage_column: Annotated[str, AfterValidator(_own_column)] = ""
    """The UDF of AR_Customer that holds it."""
    granted: list[Word] = ["true", "yes", "y", "1"]
    """What stands there when it was given, compared without case; anything else that stands there is a no."""

    def told(self, value: str) -> bool | None:
        """What a value says; None when nothing stands there."""
        text = value.strip().casefold()
        return None if not text else text in {one.casefold() for one in self.granted}


class FieldOwner(StrEnum):
    """Whose value counts."""

    CLARITY = "clarity"
    SAGE = "sage"


ADDRESS: Final = "Address"
"""Stands for the billing address: the columns of `ADDRESS_COLUMNS`, which change together or not at all."""
ADDRESS_COLUMNS: Final = ("AddressLine1", "AddressLine2", "AddressLine3", "City", "State", "ZipCode", "CountryCode")
FROM_CLARITY: Final = ("CustomerName", ADDRESS, "TelephoneNo", "EmailAddress")
"""What Clarity may own, beside columns of the site's own."""


class SyncedField(Section):
    """Who owns a field; `TelephoneNo: clarity` is short for the owner alone."""

    owner: FieldOwner
    """`clarity`: its value goes to Sage. `sage`: its value goes to the attribute at Clarity."""
    attribute: str = ""
    """Clarity's custom attribute: of every field that Sage owns, and of a UDF that Clarity owns."""


def _whole_field(value: object) -> object:
    return {"owner": value} if isinstance(value, str) else value


ShortSyncedField = Annotated[SyncedField, BeforeValidator(_whole_field, json_schema_input_type=str | SyncedField)]


class SyncedAccounts(StrEnum):
    """The accounts that Clarity's changes may reach."""

    WEB = "web"
    """Plain web accounts only: a consumer division, the web's terms, no price level, discount or exemption."""
    ALL = "all"
    """Accounts with terms, too: the site's opt-in. Several buyers may share one."""


class ShipToSync(StrEnum):
    """What becomes of a customer's shipping addresses."""

    OFF = "off"
    WEB = "web"
    """New ones are added to plain web accounts (SO_ShipToAddress)."""
    ALL = "all"
    """To accounts with terms, too: the site's opt-in (rules 6)."""


class CustomerSync(Section):
    """`customer.updated` to Sage, and what Sage owns to Clarity (docs/flows.md, Customers); off without a key."""

    fields: dict[Word, ShortSyncedField] = {}
    """Column of AR_Customer → its owner, e.g. `{TelephoneNo: clarity, TermsCode: {owner: sage, attribute: terms}}`;
    `Address` is the billing address. What is not named is never written."""
    accounts: SyncedAccounts = SyncedAccounts.WEB
    """With fields that Clarity owns: `web` accounts only, or `all`, which have terms, too."""
    ship_to: ShipToSync = ShipToSync.OFF
    """New shipping addresses become ship-tos: of no account (`off`), of `web` accounts, of `all`. None is changed."""
    link: bool = False
    """An account without UDF_WEB_CUSTOMER_ID that its number or our cross-reference names gets the customer's id."""
    in_doubt: Literal["ignore", "review"] = "ignore"
    """A customer whom nothing or too much links to an account, a value that Sage cannot take: counted and left alone,
    or kept until a person decides."""

    @property
    def is_on(self) -> bool:
        """Whether `customer.updated` does anything."""
        return bool(self.fields) or self.ship_to is not ShipToSync.OFF or self.link

    @property
    def of_clarity(self) -> dict[str, SyncedField]:
        """Fields whose value comes from Clarity."""
        return {name: field for name, field in self.fields.items() if field.owner is FieldOwner.CLARITY}

    @property
    def of_sage(self) -> dict[str, str]:
        """Column → attribute, of fields whose value comes from Sage."""
        return {name: field.attribute for name, field in self.fields.items() if field.owner is FieldOwner.SAGE}

    @model_validator(mode="after")
    def _one_owner_each(self) -> "CustomerSync":
        refuse(self._contradictions())
        return self

    def _contradictions(self) -> Iterator[Contradiction]:
        attributes: dict[str, str] = {}
        for name, field in self.fields.items():
            key = ("fields", name)
            if field.owner is FieldOwner.CLARITY:
                yield from self._from_clarity(name, field)
            elif (problem := account_column(name)) is not None:
                yield Contradiction(key, *problem)
            elif not field.attribute:
                remedy = f"Write {{owner: sage, attribute: {name.lower()}}}."
                yield Contradiction(key, f"{name} needs the attribute at Clarity that shows it", remedy)
            if field.attribute and attributes.setdefault(field.attribute, name) != name:
                problem_ = f"{attributes[field.attribute]} and {name} both have the attribute {field.attribute!r}"
                yield Contradiction((*key, "attribute"), problem_, "Name another attribute for one of the two.")

    def _from_clarity(self, name: str, field: SyncedField) -> Iterator[Contradiction]:
        key = ("fields", name)
        if name in FROM_CLARITY:
            if field.attribute:
                remedy = f"Write {name}: clarity."
                yield Contradiction((*key, "attribute"), f"{name} is a field of Clarity's customer itself", remedy)
        elif not is_own_column(name) or cannot_be_set(name, SageTable.CUSTOMER) is not None:
            allowed = ", ".join(FROM_CLARITY)
            remedy = f"Clarity may own {allowed} and UDFs of the site's own; write owner: sage for it, or remove it."
            yield Contradiction(key, f"a web customer must not decide {name} (rules 6)", remedy)
        elif not field.attribute:
            remedy = f"Write {{owner: clarity, attribute: {name.removeprefix('UDF_').lower()}}}."
            yield Contradiction(key, f"{name} needs the attribute at Clarity that holds it", remedy)
