"""From one shipment invoice to the shipments that Clarity is told, one per package (rules 2), and the steps that bring
what Clarity knows in line with them.

In: the order's lines and the invoice. Out: `Shipment`s whose quantities sum to what the invoice shipped.
Quantities come from the contents of each package where Sage knows them; else the first package carries all.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from mappings.canonical import Shipment, ShippedLine
from mappings.frozen import Frozen
from mappings.pair import Pair, ShipVia
from mappings.progress import in_order_unit
from mappings.sales_order import CreatedLine
from mappings.shipments import (
    NO_PACKAGE,
    InvoicedLine,
    Package,
    PackageItem,
    ShipmentInvoice,
    ShipsOn,
)

DROP_SHIPPED = "DROP"
"""PackageNo under which the drop-ship lines of a mixed invoice are told: they come from elsewhere, at another time."""

Contents = dict[str, dict[str, Decimal]]
"""PackageNo → Clarity item id → quantity."""


def plan_shipments(order_id: str, lines: Iterable[CreatedLine], invoice: ShipmentInvoice, pair: Pair) -> list[Shipment]:
    """One shipment per package, `0000` when the invoice has none; zero quantities and charges are never sent.

    Goods that the buyer did not order as such (a substitute, a late component of a kit) are told by their tracking,
    without items. An invoice that ships charges only is no shipment.
    """
    known = {line.LineKey: line for line in lines}
    goods = [line for line in invoice.shipped_lines if line.component or _counts(known.get(line.LineKey))]
    if not goods:
        return []
    packages = list(invoice.Packages) or [Package(PackageNo=NO_PACKAGE, ShipVia=invoice.ShipVia)]
    items = [line for line in goods if not line.component and known[line.LineKey].UDF_WEB_LINE_ID]
    apart = [line for line in items if line.ships_on is not ShipsOn.INVOICE]
    contents_known = any(package.Items for package in packages)
    if apart and len(apart) < len(items) and not contents_known:
        packages.append(Package(PackageNo=DROP_SHIPPED, ShipVia=invoice.ShipVia))
    else:
        apart = []
    contents = _contents([line for line in items if line not in apart], packages, known)
    for line in apart:
        contents[DROP_SHIPPED][known[line.LineKey].UDF_WEB_LINE_ID] += in_order_unit(line, known[line.LineKey])
    if not any(contents.values()):
        packages = [package for package in packages if package.TrackingID]
    return [_shipment(order_id, invoice, package, contents[package.PackageNo], pair) for package in packages]


def _counts(line: CreatedLine | None) -> bool:
    return line is not None and line.counts


def _contents(lines: list[InvoicedLine], packages: list[Package], known: Mapping[str, CreatedLine]) -> Contents:
    contents: Contents = {package.PackageNo: defaultdict(Decimal) for package in packages}
    left: dict[str, Decimal] = defaultdict(Decimal)
    item_of: dict[str, str] = {}
    for line in lines:
        left[line.LineKey] += in_order_unit(line, known[line.LineKey])
        item_of[line.LineKey] = line.ItemCode
    for package in packages:
        for item in package.Items:
            quantity = item.Quantity
            for key, rest in list(left.items()):
                taken = min(rest, quantity) if item_of[key] == item.ItemCode else Decimal(0)
                if taken > 0:
                    left[key] = rest - taken
                    quantity -= taken
                    contents[package.PackageNo][known[key].UDF_WEB_LINE_ID] += taken
    first = packages[0].PackageNo
    for key, quantity in left.items():
        if quantity > 0:
            contents[first][known[key].UDF_WEB_LINE_ID] += quantity
    return contents


def share_packages(
    packages: Sequence[Package], lines: Mapping[str, Sequence[InvoicedLine]]
) -> dict[str, list[Package]]:
    """The packages of an invoice that serves several orders, per SalesOrderNo, each with its own contents only.

    A package whose contents are known and hold nothing of an order is none of that order's; one without known
    contents may be anybody's.
    """
    if len(lines) < 2:
        return {number: list(packages) for number in lines}
    left: dict[str, dict[str, Decimal]] = {number: defaultdict(Decimal) for number in lines}
    for number, own in lines.items():
        for line in own:
            left[number][line.ItemCode] += line.QuantityShipped
    shared: dict[str, list[Package]] = {number: [] for number in lines}
    for package in packages:
        contents: dict[str, list[PackageItem]] = {number: [] for number in lines}
        for item in package.Items:
            quantity = item.Quantity
            for number in lines:
                taken = min(left[number][item.ItemCode], quantity)
                if taken > 0:
                    left[number][item.ItemCode] -= taken
                    quantity -= taken
                    contents[number].append(PackageItem(ItemCode=item.ItemCode, Quantity=taken))
        for number in lines:
            if contents[number] or not package.Items:
                shared[number].append(package.model_copy(update={"Items": contents[number]}))
    return shared


def _shipment(
    order_id: str, invoice: ShipmentInvoice, package: Package, content: dict[str, Decimal], pair: Pair
) -> Shipment:
    ship_via = package.ShipVia or invoice.ShipVia
    rule = next((rule for rule in pair.order.ship_via if rule.ship_via == ship_via), None) or ShipVia(
        ship_via=ship_via or "?"
    )
    return Shipment(
        order_id=order_id,
        reference=f"{reference_prefix(invoice.SalesOrderNo, invoice.InvoiceNo)}{package.PackageNo}",
        carrier=rule.carrier or ship_via,
        service=rule.method,
        tracking_number=package.TrackingID,
        tracking_url=rule.tracking_url.replace("{tracking}", package.TrackingID) if package.TrackingID else "",
        shipped_on=invoice.ShipDate or invoice.InvoiceDate,
        lines=[
            ShippedLine(item_id=item_id, quantity=quantity) for item_id, quantity in content.items() if quantity > 0
        ],
    )


def reference_prefix(sales_order_no: str, invoice_no: str) -> str:
    """What the references of one order's share of an invoice begin with."""
    return f"{sales_order_no}-{invoice_no}-"


class KnownShipment(Frozen):
    """A shipment as Clarity has it, under Clarity's `id`; the other fields as in `Shipment`."""

    id: str
    reference: str
    void: bool = False
    carrier: str = ""
    service: str = ""
    tracking_number: str = ""
    tracking_url: str = ""
    lines: list[ShippedLine] = []

    @property
    def base_reference(self) -> str:
        """The reference without its revision."""
        return _REVISION.sub("", self.reference)


_REVISION = re.compile(r"-R\d+$")


@dataclass(frozen=True)
class Create:
    """`POST /shipments`."""

    shipment: Shipment


@dataclass(frozen=True)
class Update:
    """`PATCH /shipments/{id}`: carrier and tracking."""

    id: str
    shipment: Shipment


@dataclass(frozen=True)
class Void:
    """`PATCH /shipments/{id}`: the goods did not leave, or left otherwise."""

    id: str


Step = Create | Update | Void


def steps_towards(wanted: Sequence[Shipment], known: Sequence[KnownShipment]) -> list[Step]:
    """What to do so that Clarity's shipments of one invoice become `wanted`; nothing when they are already.

    Tracking that came late updates the same shipment, also the one that was told without a package. Other contents
    cannot be changed at Clarity: such a shipment is voided and told again under a revision of its reference (`-R2`).
    Voids stand first.
    """
    live = {one.base_reference: one for one in known if not one.void}
    told: dict[str, int] = defaultdict(int)
    for one in known:
        told[one.base_reference] += 1
    voids: list[Step] = []
    others: list[Step] = []
    unplaced = [shipment for shipment in wanted if shipment.reference not in live]
    wanted_references = {shipment.reference for shipment in wanted}
    orphans = {reference: one for reference, one in live.items() if reference not in wanted_references}
    for shipment in wanted:
        match = live.get(shipment.reference)
        if match is None and unplaced and shipment is unplaced[0]:
            # The shipment told before there was any package becomes the first package's.
            reference = next((one for one in orphans if one.endswith(f"-{NO_PACKAGE}")), None)
            if reference is not None and _content(orphans[reference].lines) == _content(shipment.lines):
                match = orphans.pop(reference)
        if match is None:
            others.append(Create(_revised(shipment, told[shipment.reference])))
        elif _content(match.lines) != _content(shipment.lines):
            voids.append(Void(match.id))
            others.append(Create(_revised(shipment, told[shipment.reference])))
        elif _tracking(match) != _tracking(shipment):
            others.append(Update(match.id, shipment))
    return [*voids, *(Void(one.id) for one in orphans.values()), *others]


def entered_by_hand(
    wanted: Sequence[Shipment], known: Sequence[KnownShipment]
) -> tuple[list[KnownShipment], list[Shipment]]:
    """Shipments that people entered at Clarity for what an invoice shipped, and what is left to tell. One for one: by
    tracking number; else, where one of both has none, by the very same contents."""
    found: list[KnownShipment] = []
    left: list[Shipment] = []
    rest = list(known)
    for shipment in wanted:
        tracking = _bare(shipment.tracking_number)
        match = next((one for one in rest if tracking and _bare(one.tracking_number) == tracking), None) or next(
            (
                one
                for one in rest
                if not (tracking and _bare(one.tracking_number)) and _content(one.lines) == _content(shipment.lines)
            ),
            None,
        )
        if match is None:
            left.append(shipment)
        else:
            rest.remove(match)
            found.append(match)
    return found, left


def _bare(tracking_number: str) -> str:
    """As people and carriers write it alike."""
    return re.sub(r"[^0-9A-Za-z]", "", tracking_number).upper()


def _revised(shipment: Shipment, told: int) -> Shipment:
    if not told:
        return shipment
    return shipment.model_copy(update={"reference": f"{shipment.reference}-R{told + 1}"})


def _content(lines: Iterable[ShippedLine]) -> dict[str, Decimal]:
    content: dict[str, Decimal] = defaultdict(Decimal)
    for line in lines:
        content[line.item_id] += line.quantity
    return dict(content)


def _tracking(shipment: KnownShipment | Shipment) -> tuple[str, str, str, str]:
    return (shipment.carrier, shipment.service, shipment.tracking_number, shipment.tracking_url)
