"""The Clarity release of a site as data: routes, statuses, paging, sign-in (section `clarity` of a pair file)."""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Section(BaseModel):
    """A section of a pair file: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class AuthScheme(StrEnum):
    """How to sign in to Clarity."""

    OAUTH = "oauth"
    API_KEY = "api_key"


class ClarityRoutes(Section):
    """Paths of Clarity's API; `{id}` is replaced."""

    token: str = "/oauth/token"
    orders: str = "/api/v1/orders"
    order: str = "/api/v1/orders/{id}"
    shipments: str = "/api/v1/shipments"
    shipment: str = "/api/v1/shipments/{id}"
    customer: str = "/api/v1/customers/{id}"


class ClarityStatuses(Section):
    """Clarity's names for the states that this integration sets or reads."""

    processing: str = "Processing"
    shipped: str = "Shipped"
    completed: str = "Completed"
    cancelled: str = "Cancelled"
    shipment_void: str = "Void"

    @property
    def finished(self) -> tuple[str, ...]:
        """States in which nothing is left to do for us."""
        return (self.shipped, self.completed, self.cancelled)


class Paging(Section):
    """How lists are paged."""

    first_page: int = 0
    page_size: int = Field(default=50, ge=1, le=1000)


class ClarityProfile(Section):
    """The Clarity release of this site: routes, names, paging, sign-in."""

    auth: AuthScheme = AuthScheme.OAUTH
    scope: str = ""
    routes: ClarityRoutes = ClarityRoutes()
    statuses: ClarityStatuses = ClarityStatuses()
    paging: Paging = Paging()
    webhook_tolerance_seconds: int = Field(default=300, ge=1)
