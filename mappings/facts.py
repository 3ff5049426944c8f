"""What one look at Sage means for an order: items resolved, customer decided, checks run.

In: the draft and what ODBC read. Out: `SageFacts`. Pure.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Final

from mappings.accounts import (
    known_ship_to,
    match_house_account,
    new_ship_to,
    other_bill_to,
    ship_to_to_add,
    with_own_bill_to,
)
from mappings.baskets import RecentBasket
from mappings.checks import not_approved, routed, run_checks
from mappings.customer_match import CustomerRecord, match_customer
from mappings.decisions import UNDECIDED, Decisions
from mappings.item_candidates import ItemCandidate, suggestion_for
from mappings.items import AliasFacts, ItemFacts, ItemLookup, Unresolved
from mappings.pair import Pair
from mappings.problems import Finding, HoldReason, Problem
from mappings.sales_order import (
    CustomerCandidate,
    CustomerDecision,
    CustomerKey,
    CustomerMatch,
    Draft,
    LineOrigin,
    SageFacts,
    SageItemType,
    SalesOrder,
    SalesOrderLine,
    SalesOrderOnSage,
    ShipToAddress,
)

NOTHING_NEAR: Final[Mapping[str, Sequence[ItemCandidate]]] = {}
SEARCHED_LINES: Final = 20
"""Unknown lines for which candidates are looked for; a hold shows few more."""


def differences_found(wanted: SalesOrder, existing: SalesOrderOnSage) -> list[str]:
    """Clarity's items that an order found in Sage has not, or has more of, in words.

    It may have been shipped, cut and split since it was created, so that less is no difference, nor a live line that is
    gone. Lines that do not say
    which item they are (the site keeps no UDF_WEB_LINE_ID in history) are not compared.
    """
    stored: dict[str, Decimal] = defaultdict(Decimal)
    for there in existing.Lines:
        if there.UDF_WEB_LINE_ID and not there.is_component:
            stored[there.UDF_WEB_LINE_ID] += there.QuantityOrdered
    if not stored:
        return []
    differences = []
    for line in wanted.Lines:
        if line.origin is not LineOrigin.ITEM:
            continue
        if line.UDF_WEB_LINE_ID not in stored and not existing.live:
            differences.append(f"item {line.UDF_WEB_LINE_ID} ({line.sku}) is not on it")
        elif stored.get(line.UDF_WEB_LINE_ID, Decimal(0)) > line.QuantityOrdered:
            differences.append(
                f"{stored[line.UDF_WEB_LINE_ID].normalize():f} of item {line.UDF_WEB_LINE_ID} ({line.sku}), "
                f"ordered {line.QuantityOrdered.normalize():f}"
            )
    return differences[:20]


def unknown_codes(draft: Draft, facts: SageFacts, decisions: Decisions) -> dict[str, str]:
    """Of the first unknown lines, the code that is none, and the product's name in the store."""
    unknown = {sku for one in facts.findings if one.reason is HoldReason.UNKNOWN_ITEM for sku in one.items}
    codes = {
        decisions.item_for(line.UDF_WEB_LINE_ID, line.sku) or line.sku: line.name
        for line in draft.sales_order.Lines
        if line.origin is LineOrigin.ITEM and line.sku in unknown
    }
    return dict(list(codes.items())[:SEARCHED_LINES])


def facts_from(
    draft: Draft,
    existing: SalesOrderOnSage | None,
    items: Mapping[str, ItemFacts],
    aliases: Sequence[AliasFacts],
    candidates: Sequence[CustomerRecord],
    pair: Pair,
    *,
    invoiced: Sequence[str] = (),
    decisions: Decisions = UNDECIDED,
    recent: Sequence[RecentBasket] = (),
    nearest: Mapping[str, Sequence[ItemCandidate]] = NOTHING_NEAR,
    payment_method: str | None = "O",
    ship_tos: Sequence[ShipToAddress] = (),
    resolved: CustomerKey | None = None,
    own_attempt: str = "",
    adopts: bool = False,
) -> SageFacts:
    """Findings stand in this order: payment type, items, customer, then the pair's checks. An existing order has none.

    A finding that the pair keeps in Sage stops nothing here: the create finds it again.

    `invoiced` names orders of this purchase order number that only invoices know; `decisions` is what people decided
    on this order: it stands in for what the rules cannot know, never for what Sage says. `resolved` is the account
    that the buyer's resolution found. `own_attempt` is the number of a create of this order whose outcome is open.
    `adopts`: people typed the sales order, and nothing is created: an invoice stops nothing.
    `nearest` has what unknown codes may mean, `payment_method` is AR_PaymentType's of the draft's PaymentType (None:
    not on file).
    """
    match = (
        decided_customer(decisions, candidates, pair)
        or resolved_customer(resolved, candidates)
        or match_house_account(draft.customer, candidates, pair)
        or match_customer(draft.customer, candidates, pair)
    )
    own_invoiced = existing is None and bool(own_attempt) and own_attempt in invoiced
    own = own_invoiced or (existing is not None and existing.SalesOrderNo == own_attempt)
    if existing is not None and not own:
        return SageFacts(
            existing=existing,
            differences=differences_found(draft.sales_order, existing),
            sales_order=draft.sales_order,
            match=match,
        )
    suspicious = invoiced and not own and not adopts
    if suspicious and (before := not_approved(_invoiced_before(draft, invoiced), decisions)) is not None:
        return SageFacts(sales_order=draft.sales_order, match=match, findings=[before])
    order, unknown = _resolve_lines(draft.sales_order, match, items, aliases, decisions, pair, nearest)
    findings = [*_payment_type(draft.sales_order.PaymentType, payment_method, pair)]
    findings += [unknown] if unknown is not None else []
    if match.decision is CustomerDecision.REVIEW:
        findings.append(_review(match))
    customer = next((candidate for candidate in candidates if candidate.key == match.customer), None)
    remarks: list[str] = []
    added: ShipToAddress | None = None
    if match.customer is not None:
        order = order.for_customer(match.customer)
        order = order.model_copy(update={"ShipToCode": known_ship_to(order, ship_tos, pair)})
    prepaid = draft.expected.grand <= draft.expected.paid
    if customer is not None:
        order = order.model_copy(update={"TermsCode": customer.TermsCode})
        remarks = [text] if (text := other_bill_to(order, customer, pair)) else []
        order = with_own_bill_to(order, customer, pair)
        added = None if order.ShipToCode else ship_to_to_add(order, customer, ship_tos, pair)
        strange = None if order.ShipToCode else new_ship_to(order, customer, ship_tos, pair, paid=prepaid)
        if strange is not None and (left := not_approved(strange, decisions)) is not None:
            findings.append(left)
    if prepaid or match.decision is CustomerDecision.CREATE:
        # Rules 5: prepaid orders carry the prepaid TermsCode; a new web customer has no other. Money down on an
        # account with terms leaves the rest on those terms.
        order = order.model_copy(update={"TermsCode": pair.customers.terms_code})
    if own:
        # It takes the stock and the credit itself: the create compares it with what would be sent, and no check counts.
        findings = [finding for finding in findings if finding.reason is HoldReason.UNKNOWN_ITEM]
    elif unknown is None:
        order = routed(order, items, pair)
        checked = run_checks(order, draft.expected, customer, items, pair, decisions, recent, draft.checks)
        findings += [finding for finding in checked if not finding.in_sage]
    return SageFacts(
        existing=existing,
        own_invoiced=own_invoiced,
        sales_order=order,
        match=match,
        findings=findings,
        remarks=remarks,
        ship_to_to_add=added,
    )


CLEARING_METHODS = frozenset({"O", "C"})
"""AR_PaymentType.PaymentMethod of what a web payment may be: other, check (rules 5)."""


def _payment_type(payment_type: str, method: str | None, pair: Pair) -> Iterator[Finding]:
    if not payment_type or method in CLEARING_METHODS:
        return
    why = (
        "is not on file in Sage"
        if method is None
        else f"is of PaymentMethod {method} in Sage: Sage would charge the card or the bank account again"
    )
    yield Finding(
        reason=HoldReason.INVALID_DATA,
        problems=[
            Problem(
                field=f"AR_PaymentType.{payment_type}",
                message=f"The payment type {payment_type} {why}.",
                suggestion="Create one of PaymentMethod O for the gateway in Sage (Accounts Receivable, Payment Type "
                f"Maintenance), name it in {pair.name}.yaml, then release with retry.",
            )
        ],
    )


def decided_customer(decisions: Decisions, candidates: Sequence[CustomerRecord], pair: Pair) -> CustomerMatch | None:
    """What a person decided about the account; None when nobody did.

    An account must be there, active, and of the pair's divisions.
    """
    if decisions.create_customer:
        return CustomerMatch(decision=CustomerDecision.CREATE)
    if decisions.customer is None:
        return None
    record = next((candidate for candidate in candidates if candidate.key == decisions.customer), None)
    ours = decisions.customer.ARDivisionNo in pair.customers.divisions
    if record is not None and record.is_active and ours:
        return CustomerMatch(decision=CustomerDecision.MATCHED, customer=record.key, by="a person's choice")
    why = "is not in Sage" if record is None else "is inactive in Sage" if ours else "is of another pair's division"
    return CustomerMatch(
        decision=CustomerDecision.REVIEW,
        candidates=[CustomerCandidate(customer=decisions.customer, reasons=[f"chosen by a person, but {why}"])],
    )


def resolved_customer(resolved: CustomerKey | None, candidates: Sequence[CustomerRecord]) -> CustomerMatch | None:
    """The account that the resolution of this buyer found, if it is active still."""
    record = next((candidate for candidate in candidates if candidate.key == resolved), None)
    if record is None or not record.is_active:
        return None
    return CustomerMatch(
        decision=CustomerDecision.MATCHED, customer=record.key, by="the resolution of this buyer (first orders)"
    )


def _resolve_lines(
    order: SalesOrder,
    match: CustomerMatch,
    items: Mapping[str, ItemFacts],
    aliases: Sequence[AliasFacts],
    decisions: Decisions,
    pair: Pair,
    nearest: Mapping[str, Sequence[ItemCandidate]],
) -> tuple[SalesOrder, Finding | None]:
    lines: list[SalesOrderLine] = []
    problems: list[Problem] = []
    unknown: list[str] = []
    choices: dict[str, str] = {}
    lookup = ItemLookup(match.customer, items, aliases, pair)
    number = -1
    for line in order.Lines:
        if line.origin is LineOrigin.COMMENT:
            lines.append(line)
            continue
        if line.origin is LineOrigin.ITEM:
            number += 1
            field, sku = f"data.items[{number}].sku", line.sku
        else:
            field, sku = f"pair.charges.{line.origin.value}", line.ItemCode
        chosen = decisions.item_for(line.UDF_WEB_LINE_ID, line.sku) if line.origin is LineOrigin.ITEM else ""
        found = lookup.line(line, chosen)
        if isinstance(found, Unresolved):
            near = found.with_nearest(nearest.get(chosen or sku, ())) if line.origin is LineOrigin.ITEM else []
            unknown.append(sku)
            if line.origin is LineOrigin.ITEM and line.UDF_WEB_LINE_ID:
                choices[line.UDF_WEB_LINE_ID] = near[0].ItemCode if near else ""
            problems.append(
                Problem(
                    field=field,
                    message=found.why + (f"; nearest: {', '.join(map(str, near))}" if near else ""),
                    suggestion=found.remedy or suggestion_for(line.UDF_WEB_LINE_ID, near),
                )
            )
            lines.append(line)
            continue
        item = found.item
        item_type = line.ItemType if item.ItemType in ("1", "2") else item.ItemType
        lines.append(
            line.model_copy(
                update={
                    "ItemCode": item.ItemCode,
                    "ItemType": SageItemType(item_type),
                    "UnitOfMeasure": found.UnitOfMeasure,
                    "UnitOfMeasureConvFactor": found.UnitOfMeasureConvFactor,
                    "TaxClass": line.TaxClass or item.TaxClass,
                }
            )
        )
    order = order.model_copy(update={"Lines": lines})
    if problems:
        # An order that people typed is linked by the items that are known.
        return order, Finding(reason=HoldReason.UNKNOWN_ITEM, problems=problems, items=unknown, choices=choices)
    return order, None


def _invoiced_before(draft: Draft, invoiced: Sequence[str]) -> Finding:
    """Only invoices still know an order with this number: it may be this one (rules 4), and must not come twice."""
    numbers = ", ".join(invoiced[:5])
    return Finding(
        reason=HoldReason.ANOMALY,
        check="invoiced_before",
        problems=[
            Problem(
                field="AR_InvoiceHistoryHeader.CustomerPONo",
                message=f"Sage has invoiced sales order {numbers} under the same purchase order number "
                f"({draft.sales_order.CustomerPONo}), or under the reference that Clarity has, and keeps no history "
                "that tells whether it is this order.",
                suggestion="Look at the invoice in Sage. Another order: release with approve. This one: cancel.",
            )
        ],
    )


def _review(match: CustomerMatch) -> Finding:
    return Finding(reason=HoldReason.CUSTOMER_REVIEW, problems=review_problems(match))


def review_problems(match: CustomerMatch) -> list[Problem]:
    """The candidates as problems on which a person can decide."""
    return [
        Problem(
            field=f"AR_Customer.{candidate.customer}",
            message="; ".join(candidate.reasons) + (f" (likeness {candidate.score})" if candidate.score else ""),
            suggestion=f'Release with use_customer ("customer_no": "{candidate.customer}") or create_customer; or make '
            "one match certain, then retry.",
        )
        for candidate in match.candidates
    ]
