"""Types of the codes in a pair file: how long Sage's are, and which countries, currencies and regions there are.

In: text as written. Out: the same text, or a problem with a remedy. Lengths are those of Sage's columns (sage100.md 1);
currencies are ISO 4217, countries ISO 3166-1, regions as addresses are normalised (`mappings/places.py`).
"""

import difflib
from typing import Annotated, Any

import pycountry
from pydantic import AfterValidator, Field, WithJsonSchema

from mappings.pair_file import Contradiction, nearest, wrong
from mappings.places import CODED_REGIONS, US_TERRITORIES, country_code, postal_rules

CURRENCIES: Any = pycountry.currencies
"""pycountry leaves its databases untyped."""
COUNTRIES: Any = pycountry.countries


def _without_blanks(text: str) -> str:
    if text != text.strip() or any(not char.isprintable() for char in text):
        wrong(f"{text!r} has blanks or control characters around it", f'Write "{text.strip()}".')
    return text


def _currency(text: str) -> str:
    known: dict[str, str] = {one.alpha_3: one.name for one in CURRENCIES}
    if text in known:
        return text
    by_name = {name: code for code, name in known.items()}
    close = by_name.get(nearest(text, by_name)) or nearest(text, known)
    wrong(
        f"{text!r} is no currency of ISO 4217",
        f"Did you mean {close!r}, {known[close]}?" if close else "Write three capital letters, such as USD.",
    )


def _country(text: str) -> str:
    if text in US_TERRITORIES:
        wrong(
            f"{text!r} is a territory of the United States, whose orders have country US and region {text}",
            f"Write country: US, region: {text}.",
        )
    if not text or text == "XK" or (COUNTRIES.get(alpha_2=text) is not None and text.isupper()):
        return text
    close = country_code(text) or country_code(nearest(text, (country.name for country in COUNTRIES)))
    wrong(
        f"{text!r} is no country of ISO 3166-1",
        f"Did you mean {close!r}?" if close else "Write the country's two capital letters, such as US.",
    )


def unknown_region(country: str, region: str) -> Contradiction | None:
    """Why no normalised address of the country has this region; None when some may have it."""
    regions = postal_rules(country).regions
    if not region or not regions:
        return None
    found = postal_rules(country).region(region)
    if found is not None and (found.code == region or country not in CODED_REGIONS):
        return None
    if found is None:
        by_name = {one.name: one for one in regions.values()} | {one.code: one for one in regions.values()}
        close = difflib.get_close_matches(region, by_name, n=1)
        found = by_name[close[0]] if close else None
    return Contradiction(
        ("region",),
        f"{country} has no region {region!r} under this code",
        f'Did you mean "{found.code}" ({found.name})?'
        if found is not None
        else "Write the code as in addresses, such as "
        + ", ".join(f'"{code}"' for code in sorted({one.code for one in regions.values()})[:3])
        + ".",
    )


Currency = Annotated[str, AfterValidator(_currency), WithJsonSchema({"type": "string", "pattern": "^[A-Z]{3}$"})]
"""ISO 4217."""
Country = Annotated[str, AfterValidator(_country), WithJsonSchema({"type": "string", "pattern": "^([A-Z]{2})?$"})]
"""ISO 3166-1 alpha-2; empty: any."""

_PLAIN = AfterValidator(_without_blanks)
Division = Annotated[str, Field(min_length=2, max_length=2), _PLAIN]
"""AR_Division.ARDivisionNo."""
ItemCode = Annotated[str, Field(min_length=1, max_length=30), _PLAIN]
"""CI_Item.ItemCode."""
OptionalItemCode = Annotated[str, Field(max_length=30), _PLAIN]
TaxSchedule = Annotated[str, Field(min_length=1, max_length=9), _PLAIN]
"""SY_SalesTaxSchedule.TaxSchedule."""
TaxClass = Annotated[str, Field(min_length=1, max_length=2), _PLAIN]
"""CI_Item.TaxClass."""
OptionalTaxSchedule = Annotated[str, Field(max_length=9), _PLAIN]
OptionalTaxClass = Annotated[str, Field(max_length=2), _PLAIN]
Unit = Annotated[str, Field(min_length=1, max_length=4), _PLAIN]
"""CI_UnitOfMeasure.UnitOfMeasure."""
OptionalUnit = Annotated[str, Field(max_length=4), _PLAIN]
TermsCode = Annotated[str, Field(min_length=1, max_length=2), _PLAIN]
"""AR_TermsCode.TermsCode."""
Warehouse = Annotated[str, Field(min_length=1, max_length=3), _PLAIN]
"""IM_Warehouse.WarehouseCode."""
OptionalWarehouse = Annotated[str, Field(max_length=3), _PLAIN]
ShipViaCode = Annotated[str, Field(min_length=1, max_length=15), _PLAIN]
"""SO_ShippingRateHeader.ShippingCode."""
OptionalPaymentType = Annotated[str, Field(max_length=5), _PLAIN]
"""AR_PaymentType.PaymentType."""
OptionalCancelReason = Annotated[str, Field(max_length=5), _PLAIN]
OptionalCustomerType = Annotated[str, Field(max_length=4), _PLAIN]
"""AR_CustomerType.CustomerType."""
Word = Annotated[str, Field(min_length=1), _PLAIN]
"""A name or code of Clarity's."""
