"""A customer as Clarity has it: in, JSON in the contract's words; out, `WebCustomer`. Pure.

Field names are this project's assumption of Clarity's contract (docs/openapi/clarity.yaml, Customer).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from mappings.canonical import Address, Buyer
from mappings.clarity_order import Reader, read_address, read_buyer
from mappings.problems import Problem

MOST_ADDRESSES = 50
"""Shipping addresses of one customer that are looked at."""


class WebCustomer(Buyer):
    """A customer of the store with addresses and custom attributes."""

    billing: Address = Address()
    shipping: list[Address] = []
    attributes: dict[str, str] = {}
    """Clarity's custom attributes, scalars as text."""
    updated: datetime | None = None

    @property
    def name(self) -> str:
        """The company's name; a person's where there is none."""
        return self.company or f"{self.first_name} {self.last_name}".strip()


def read_customer(body: Mapping[str, Any] | object) -> tuple[WebCustomer, list[Problem]]:
    """The customer, and what of it makes no sense: such a part is empty."""
    problems: list[Problem] = []
    customer = Reader(body, "data", problems)
    buyer = read_buyer(customer)
    return WebCustomer(
        **buyer.model_dump(),
        billing=read_address(customer.inside("billingAddress", required=False)),
        shipping=[read_address(one) for one in customer.each("shippingAddresses", limit=MOST_ADDRESSES)],
        attributes=customer.attributes("attributes"),
        updated=customer.instant("updatedDate"),
    ), problems
