"""From one shipment invoice to the shipments that Clarity is told, one per package (rules 2).

In: the order's counting lines and the invoice. Out: `ClarityShipment`s whose quantities sum to what the invoice
shipped. Quantities come from the contents of each package where Sage knows them; else the first package carries all.
"""

from collections import defaultdict
from collections.abc import Iterable
from decimal import Decimal

from mappings.pair import Pair, ShipVia
from mappings.sales_order import CreatedLine
from mappings.shipments import NO_PACKAGE, ClarityShipment, Package, ShipmentInvoice, ShipmentItem


def plan_shipments(
    order_id: str, lines: Iterable[CreatedLine], invoice: ShipmentInvoice, pair: Pair
) -> list[ClarityShipment]:
    """One shipment per package, `0000` when the invoice has none; items that are not the buyer's are left out.

    An invoice that ships nothing of the buyer's (charges only) is no shipment.
    """
    web_ids = {line.LineKey: line.UDF_WEB_LINE_ID for line in lines if line.UDF_WEB_LINE_ID}
    packages = invoice.Packages or [Package(PackageNo=NO_PACKAGE, ShipVia=invoice.ShipVia)]
    contents = _contents(invoice, packages, web_ids)
    if not any(contents.values()):
        return []
    return [_shipment(order_id, invoice, package, contents[package.PackageNo], pair) for package in packages]


def _contents(
    invoice: ShipmentInvoice, packages: list[Package], web_ids: dict[str, str]
) -> dict[str, dict[str, Decimal]]:
    """PackageNo → Clarity item id → quantity."""
    contents: dict[str, dict[str, Decimal]] = {package.PackageNo: defaultdict(Decimal) for package in packages}
    left = {
        line.LineKey: line.QuantityShipped
        for line in invoice.Lines
        if line.LineKey in web_ids and line.QuantityShipped > 0
    }
    item_of = {line.LineKey: line.ItemCode for line in invoice.Lines}
    for package in packages:
        for item in package.Items:
            quantity = item.Quantity
            for key, rest in list(left.items()):
                taken = min(rest, quantity) if item_of[key] == item.ItemCode else Decimal(0)
                if taken > 0:
                    left[key] = rest - taken
                    quantity -= taken
                    contents[package.PackageNo][web_ids[key]] += taken
    first = packages[0].PackageNo
    for key, quantity in left.items():
        if quantity > 0:
            contents[first][web_ids[key]] += quantity
    return contents


def _shipment(
    order_id: str, invoice: ShipmentInvoice, package: Package, content: dict[str, Decimal], pair: Pair
) -> ClarityShipment:
    ship_via = package.ShipVia or invoice.ShipVia
    rule = next((rule for rule in pair.order.ship_via if rule.ship_via == ship_via), None) or ShipVia(
        ship_via=ship_via or "?"
    )
    shipped = invoice.ShipDate or invoice.InvoiceDate
    return ClarityShipment(
        orderId=order_id,
        externalReference=f"{invoice.SalesOrderNo}-{invoice.InvoiceNo}-{package.PackageNo}",
        carrier=rule.carrier or ship_via,
        service=rule.method,
        trackingNumber=package.TrackingID,
        trackingUrl=rule.tracking_url.replace("{tracking}", package.TrackingID) if package.TrackingID else "",
        shippedDate=shipped.isoformat() if shipped else "",
        items=[
            ShipmentItem(orderItemId=item_id, quantity=quantity)
            for item_id, quantity in content.items()
            if quantity > 0
        ],
    )
