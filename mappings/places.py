"""Countries and regions: what Clarity sends → the codes that Sage stores.

Full address normalisation is a rule of its own; here stand only the codes and the parts without which nothing ships.
"""

from functools import cache
from typing import Any

import pycountry

SUBDIVISIONS: Any = pycountry.subdivisions
"""pycountry leaves this one untyped."""

REGION_COUNTRIES = frozenset({"US", "CA"})
"""Countries whose addresses need a state or province (SO_SalesOrderHeader.ShipToState, C2)."""
POSTAL_COUNTRIES = frozenset({"US", "CA", "GB", "DE", "FR", "AU"})
"""Countries whose addresses need a postal code."""


@cache
def country_code(text: str) -> str | None:
    """ISO 3166-1 alpha-2 of a code or an English name; None when unknown."""
    wanted = text.strip()
    if not wanted:
        return None
    country = pycountry.countries.get(alpha_2=wanted.upper()) or pycountry.countries.get(alpha_3=wanted.upper())
    if country is None:
        try:
            country = pycountry.countries.lookup(wanted)
        except LookupError:
            country = {"uk": pycountry.countries.get(alpha_2="GB"), "usa": pycountry.countries.get(alpha_2="US")}.get(
                wanted.lower()
            )
    return str(country.alpha_2) if country else None


@cache
def sage_country(alpha_2: str) -> str:
    """The 3-letter code that Sage stores (`USA`); empty when unknown."""
    country = pycountry.countries.get(alpha_2=alpha_2)
    return str(country.alpha_3) if country else ""


@cache
def region_code(alpha_2: str, text: str) -> str | None:
    """Code of a state or province by code or name (`TX`, `texas`); None when unknown."""
    wanted = text.strip()
    subdivision = SUBDIVISIONS.get(code=f"{alpha_2}-{wanted.upper()}")
    if subdivision is not None:
        return str(subdivision.code).split("-", 1)[1]
    for candidate in SUBDIVISIONS.get(country_code=alpha_2) or ():
        if candidate.name.casefold() == wanted.casefold():
            return str(candidate.code).split("-", 1)[1]
    return None
