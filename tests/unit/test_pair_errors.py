"""What a pair file must not say: each mistake is told with file, line, key, what is wrong and what helps."""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mappings.pair import PairFileError, load_pair
from tests.unit.conftest import DEMO_FILE

DEMO = DEMO_FILE.read_text("utf-8")


class Mistake(NamedTuple):
    """`old` becomes `new`; the error is on the first line that changed, `below` lines below it."""

    old: str
    new: str
    key: str
    problem: str
    remedy: str
    below: int = 0


SCOPE, HEADER, LIMIT = "  scope: integration", "  header: {}", "credit: {limit_zero: unlimited}"
MINUTES, BASKET = "minutes: 10}", "  - {name: same_basket, on_fail: anomaly, minutes: 10}"
TEXAS = "    - {country: US, region: TX, schedule: TX}"
GROUND = "    - {carrier: UPS, method: Ground"
STRIPE = "  - {gateway: stripe, payment_type: STRIP, route: clearing}"
DECIMALS, HISTORY, ALIAS = "  quantity_decimals: 2", "  history_days: 7", "  LEGACY-1001: DESK-OAK-120"


CHECKS = {name: f"checks[{index}]" for index, name in enumerate(re.findall(r"^  - {name: (\w+), on_fail", DEMO, re.M))}
"""The demo's checks: name → key."""


def header(column: str, value: str = '"1"') -> tuple[str, str]:
    return HEADER, f"  header: {{{column}: {value}}}"


def rule(key: str, text: str) -> tuple[str, str]:
    return HEADER, f"  header: {{}}\n  {key}: {text}"


UNKNOWN_KEYS = [
    Mistake("stock:\n", "stok:\n", "stok", "is not a key", "Did you mean 'stock'?"),
    Mistake(SCOPE, "  scpe: x", "clarity.scpe", "is not a key", "Did you mean 'scope'?"),
    Mistake("    token: /oauth", "    tokn: /oauth", "clarity.routes.tokn", "is not a key", "'token'"),
    Mistake("first_page: 0", "firstpage: 0", "clarity.paging.firstpage", "is not a key", "'first_page'"),
    Mistake("{processing:", "{procesing:", "clarity.statuses.procesing", "is not a key", "'processing'"),
    Mistake("  writers: 1", "  writer: 1", "sage.writer", "is not a key", "Did you mean 'writers'?"),
    Mistake("{source: web}", "{sorce: web}", "order.prices.sorce", "is not a key", "Did you mean 'source'?"),
    Mistake("  rounding: /ROUND", "  round: /ROUND", "charges.round", "is not a key", "Did you mean 'rounding'?"),
    Mistake("amount: charged", "ammount: charged", "charges.freight.ammount", "is not a key", "'amount'"),
    Mistake("  tolerance: 0.00", "  tolerence: 0", "tax.tolerence", "is not a key", "Did you mean 'tolerance'?"),
    Mistake("{country: US, region: TX,", "{country: US, state: TX,", "tax.schedules[0].state", "is not a key",
            "Keys here: country, region, when, schedule."),
    Mistake("{gateway: stripe, payment_type", "{gateway: stripe, paymenttype", "payments[0].paymenttype",
            "is not a key",
            "Did you mean 'payment_type'?"),
    Mistake("  customer_type: WEB", "  type: WEB", "customers.type", "is not a key", "Keys here: divisions,"),
    Mistake(MINUTES, "minute: 10}", f"{CHECKS['same_basket']}.minute", "is not a key", "Did you mean 'minutes'?"),
    Mistake("  rotation: 20", "  rotaton: 20", "pace.rotaton", "is not a key", "Did you mean 'rotation'?"),
    Mistake("  BillToName: 50", "  BilToName: 50", "columns.BilToName", "no text column", "'BillToName'"),
    Mistake("max_lines: 1000", "5: 1000", "5", "is not a key", "Keys here: company, go_live,"),
    Mistake("max_lines: 1000", "yes: 1000", "yes", "is not a key", "Keys here: company, go_live,"),
    Mistake("max_lines: 1000", "~: 1000", "~", "is not a key", "Keys here: company, go_live,"),
    Mistake("max_lines: 1000", "version: 1", "version", "taken from the file", "Remove it"),
]  # fmt: skip

COLUMNS = [
    Mistake(*header("SalepersonNo"), "order.header.SalepersonNo", "has no column", "Did you mean 'SalespersonNo'?"),
    Mistake(*header("Bogus"), "order.header.Bogus", "has no column", "UDF_"),
    Mistake(*header("SalesTaxAmt"), "order.header.SalesTaxAmt", "must not set", "Sage computes the tax"),
    Mistake(*header("TaxableAmt"), "order.header.TaxableAmt", "must not set", "tax.schedules"),
    Mistake(*header("CustomerNo"), "order.header.CustomerNo", "must not set", "customers"),
    Mistake(*header("ARDivisionNo"), "order.header.ARDivisionNo", "must not set", "customers"),
    Mistake(*header("UDF_WEB_ORDER_ID"), "order.header.UDF_WEB_ORDER_ID", "must not set", "links"),
    Mistake(*header("SalesOrderNo"), "order.header.SalesOrderNo", "must not set", "numbers"),
    Mistake(*header("CustomerPONo"), "order.header.CustomerPONo", "must not set", "purchase order number"),
    Mistake(*header("OrderDate"), "order.header.OrderDate", "must not set", "checkout"),
    Mistake(*header("OrderType"), "order.header.OrderType", "must not set", "standard orders"),
    Mistake(*header("OrderStatus"), "order.header.OrderStatus", "must not set", "Use order.order_status."),
    Mistake(*header("ShipToCity"), "order.header.ShipToCity", "must not set", "Addresses are the order's"),
    Mistake(*header("ShipVia"), "order.header.ShipVia", "must not set", "Use order.ship_via."),
    Mistake(*header("WarehouseCode"), "order.header.WarehouseCode", "must not set", "Use order.warehouse"),
    Mistake(*header("TaxSchedule"), "order.header.TaxSchedule", "must not set", "tax.schedules"),
    Mistake(*header("FreightAmt"), "order.header.FreightAmt", "must not set", "Use charges.freight."),
    Mistake(*header("DepositAmt"), "order.header.DepositAmt", "must not set", "payments"),
    Mistake(*header("PaymentType"), "order.header.PaymentType", "must not set", "payments"),
    Mistake(*header("CheckNoForDeposit"), "order.header.CheckNoForDeposit", "must not set", "payments"),
    Mistake(*header("DiscountAmt"), "order.header.DiscountAmt", "must not set", "charges.order_discount"),
    Mistake(*header("depositamt"), "order.header.depositamt", "must not set", "payments"),
    Mistake(*header("DateUpdated"), "order.header.DateUpdated", "is filled by Sage", "Leave it out."),
    Mistake(*header("CycleCode", "01"), "order.header.CycleCode", "YAML reads 01 as a number", 'quotation marks: "01"'),
    Mistake(*header("FOB", "yes"), "order.header.FOB", "YAML reads yes as true or false", 'quotation marks: "yes"'),
    Mistake(*header("CycleCode", '"001"'), "order.header.CycleCode", "CycleCode takes 2", "Shorten it to 2."),
    Mistake(*header("ConfirmTo", "Q" * 60), "order.header.ConfirmTo", "takes 50 (columns)", "Shorten it to 50."),
    Mistake(*header("ShipExpireDate", "soon"), "order.header.ShipExpireDate", "no valid date", "2026-01-31"),
    Mistake(*header("CommissionRate", '"1.2345"'), "order.header.CommissionRate", "no number", "3 decimals"),
    Mistake(HEADER, "  header:", "order.header", "is empty", "remove the line"),
    Mistake(*rule("header_values", "{PaymentType: notes}"), "order.header_values.PaymentType", "must not set",
            "payments",
            below=1),
    Mistake(*rule("line_values", "{ItemCode: line.name}"), "order.line_values.ItemCode", "must not set", "Use items",
            1),
    Mistake(*rule("line_values", "{QuantityOrdered: line.name}"), "order.line_values.QuantityOrdered", "must not set",
            "Quantities are the order's", 1),
    Mistake(*rule("line_values", "{UnitPrice: line.name}"), "order.line_values.UnitPrice", "must not set",
            "order.prices",
            1),
    Mistake(*rule("line_values", "{LineDiscountPercent: line.name}"), "order.line_values.LineDiscountPercent",
            "must not set", "charges.line_discount_as", 1),
    Mistake(*rule("line_values", "{UDF_WEB_LINE_ID: line.name}"), "order.line_values.UDF_WEB_LINE_ID", "must not set",
            "links", 1),
    Mistake(*rule("line_values", "{CycleCode: line.name}"), "order.line_values.CycleCode", "has no column",
            "order.header",
            1),
    Mistake("  ship_to: order_only", '  header: {CreditLimit: "5"}', "customers.header.CreditLimit", "must not set",
            "no credit"),
    Mistake("  ship_to: order_only", '  header: {ARDivisionNo: "01"}', "customers.header.ARDivisionNo", "must not set",
            "Use customers.new_division."),
    Mistake("  ship_to: order_only", "  header: {EmailAddress: a}", "customers.header.EmailAddress", "must not set",
            "the buyer's"),
    Mistake("  BillToName: 50", "  BillToName: 0", "columns.BillToName", "greater than or equal to 1",
            "Write a number"),
    Mistake("  BillToName: 50", "  BillToName: -5", "columns.BillToName", "is -5", "Write a number"),
    Mistake("  BillToName: 50", "  BillToName: fifty", "columns.BillToName", "no whole number", "in digits"),
    Mistake("  BillToName: 50", "  BillToName: 3.5", "columns.BillToName", "no whole number", "in digits"),
    Mistake("  BillToName: 50", "  BillToName: yes", "columns.BillToName", "no whole number", "in digits"),
]  # fmt: skip

RULES = [
    Mistake(*rule("header_values", "{UDF_G: buyr.email}"), "order.header_values.UDF_G", "buyr", "perhaps buyer", 1),
    Mistake(*rule("header_values", '{UDF_G: ""}'), "order.header_values.UDF_G", "is empty", "leave the key out", 1),
    Mistake(*rule("header_values", "{UDF_G: 5}"), "order.header_values.UDF_G", "is no text", "quotation marks", 1),
    Mistake(*rule("header_rules", '[{when: totals.grand, header: {FOB: "1"}}]'), "order.header_rules[0].when",
            "is a number", "compare it", 1),
    Mistake(*rule("header_rules", '[{when: "number =~ \'x\'", header: {FOB: "1"}}]'), "order.header_rules[0].when",
            "regular expressions", "starts_with", 1),
    Mistake(*rule("header_rules", '[{when: "number == \'x\'"}]'), "order.header_rules[0].header", "is missing",
            "Add it",
            1),
    Mistake(*rule("header_rules", '[{header: {FOB: "1"}}]'), "order.header_rules[0].when", "is missing", "Add it", 1),
    Mistake(*rule("header_rules", '[{when: "number == \'x\'", header: {}}]'), "order.header_rules[0].header",
            "is empty",
            "Write at least 1", 1),
    Mistake(*rule("header_rules", '{when: "true"}'), "order.header_rules", "where a list belongs", '"- "', 1),
    Mistake(*rule("warehouses", '[{when: "line.quantity > 5", warehouse: "0001"}]'), "order.warehouses[0].warehouse",
            "at most 3 characters", "Shorten it", 1),
    Mistake(*rule("warehouses", '[{when: "line.quantity > 5", warehouse: 001}]'), "order.warehouses[0].warehouse",
            "YAML reads 001 as a number", '"001"', 1),
    Mistake(*rule("warehouses",
            "\n    - {when: line.taxable, warehouse: '1'}\n    - {when: line.taxable, warehouse: '2'}"),
            "order.warehouses[1]", "is never reached", "Keep one", 3),
    Mistake(MINUTES, 'minutes: 10, when: "totals.grand >"}', f"{CHECKS['same_basket']}.when", "ends too early",
            "complete it"),
    Mistake(MINUTES, "minutes: 10, when: true}", f"{CHECKS['same_basket']}.when", "is no text", "quotation marks"),
    Mistake("name: credit,", "name: credits,", f"{CHECKS['credit']}.name", "cannot be 'credits'",
            "Did you mean 'credit'?"),
    Mistake(BASKET, "  - {name: stock, on_fail: out_of_stock}", f"{CHECKS['same_basket']}.name", "stands twice",
            "Keep one"),
    Mistake("{name: credit, on_fail: credit}", "{name: credit, on_fail: credit, minutes: 10}",
            f"{CHECKS['credit']}.minutes",
            "belongs to the check same_basket", "Remove it"),
    Mistake(MINUTES, "tolerance_percent: 1}", f"{CHECKS['same_basket']}.tolerance_percent",
            "belongs to the check price", "Remove it"),
    Mistake("on_fail: out_of_stock}", "on_fail: credit}", f"{CHECKS['stock']}.on_fail", "do not decide",
            "on_fail: out_of_stock"),
    Mistake("name: credit, on_fail: credit}", "name: credit, on_fail: deleted_in_sage}",
            f"{CHECKS['credit']}.on_fail", "do not decide",
            "credit or anomaly"),
    Mistake("name: credit, on_fail: credit}", "name: credit, on_fail: out_of_stock}", f"{CHECKS['credit']}.on_fail",
            "do not decide",
            "credit or anomaly"),
    Mistake("on_fail: anomaly,", "on_fail: credit,", f"{CHECKS['same_basket']}.on_fail", "do not decide",
            "on_fail: anomaly"),
    Mistake("on_fail: out_of_stock}", "on_fail: out_of_stock, keep: in_sage}", f"{CHECKS['stock']}.keep",
            "must not reach Sage",
            "stock.policy: backorder"),
    Mistake(GROUND, f"    - {{ship_via: ANY}}\n{GROUND}", "order.ship_via[1]", "is never reached", "Put it before", 1),
    Mistake("tracknum={tracking}\"", "tracknum={number}\"", "order.ship_via[0].tracking_url",
            "{number} is no placeholder",
            "{tracking}"),
    Mistake("https://www.ups.com/track?", "www.ups.com/track?", "order.ship_via[0].tracking_url", "is no address",
            "https://"),
]  # fmt: skip

CODES = [
    Mistake("code: ABC", "code: abcd", "company.code", "match pattern", "three capital letters"),
    Mistake("currency: USD", "currency: usd", "company.currency", "no currency", "Did you mean 'USD'"),
    Mistake("currency: USD", "currency: ZZZ", "company.currency", "no currency", "such as USD"),
    Mistake("America/Chicago", "Amerika/Chicago", "company.time_zone", "no IANA", "'America/Chicago'"),
    Mistake(DECIMALS, f"{DECIMALS}\n  other_currencies: {{Cad: demo}}", "company.other_currencies.Cad", "no currency",
            "'CAD'", 1),
    Mistake(DECIMALS, f"{DECIMALS}\n  other_currencies: {{USD: demo}}", "company.other_currencies.USD", "itself keeps",
            "Remove it", 1),
    Mistake("{country: US, region: TX", "{country: USA, region: TX", "tax.schedules[0].country", "no country", "'US'"),
    Mistake("{country: US, region: TX", "{country: XX, region: TX", "tax.schedules[0].country", "no country", "two"),
    Mistake("{country: US, region: TX", "{country: PR, region: TX", "tax.schedules[0].country", "a territory",
            "region: PR"),
    Mistake("region: TX, schedule", "region: Texas, schedule", "tax.schedules[0].region", "no region", '"TX" (Texas)'),
    Mistake("region: TX, schedule", "region: XX, schedule", "tax.schedules[0].region", "no region", '"'),
    Mistake('region: "ON"', "region: ON", "tax.schedules[5].region", "YAML reads ON as true", '"ON"'),
    Mistake("default: NONTAX", "default: NONTAXABLESCHED", "tax.default", "has 15 characters", "Shorten it to 9"),
    Mistake("default: NONTAX", 'default: ""', "tax.default", "is empty", "Write the code as Sage has it"),
    Mistake("default: NONTAX", 'default: " NONTAX"', "tax.default", "has blanks", 'Write "NONTAX".'),
    Mistake("ship_via: UPS GROUND", "ship_via: UPS GROUND AND MORE", "order.ship_via[0].ship_via", "at most 15",
            "to 15"),
    Mistake("payment_type: STRIP", "payment_type: STRIPE", "payments[0].payment_type", "at most 5", "Shorten it to 5"),
    Mistake('terms_code: "00"', 'terms_code: "000"', "customers.terms_code", "at most 2", "Shorten it to 2"),
    Mistake('terms_code: "00"', "terms_code: 00", "customers.terms_code", "YAML reads 00 as a number", '"00"'),
    Mistake("customer_type: WEB", "customer_type: WEBSTORE", "customers.customer_type", "at most 4", "Shorten it to 4"),
    Mistake("tax_class: TX", "tax_class: TAX", "charges.tax_class", "at most 2 characters", "Shorten it to 2"),
    Mistake("comment_item: /C", 'comment_item: ""', "order.comment_item", "is empty", "Write the code"),
    Mistake("rounding: /ROUND", 'rounding: ""', "charges.rounding", "is empty", "Write the code"),
    Mistake("rounding: /ROUND", f"rounding: {'R' * 31}", "charges.rounding", "at most 30", "Shorten it to 30"),
    Mistake("gift_wrap: /GIFT", "gift_wrap: ", "charges.fees.gift_wrap", "is empty", "Write what belongs here"),
    Mistake(ALIAS, '  LEGACY-1001: ""', "items.LEGACY-1001", "is empty", "Write the code"),
    Mistake('new_division: "02"', "new_division: 02", "customers.new_division", "YAML reads 02 as a number", '"02"'),
    Mistake('new_division: "02"', 'new_division: "2"', "customers.new_division", "has 1 characters", "Write the code"),
    Mistake('new_division: "02"', 'new_division: "09"', "customers.new_division", "not among divisions", "Name one"),
    Mistake('consumer_divisions: ["02"]', 'consumer_divisions: ["07"]', "customers.consumer_divisions[0]", "not among",
            "Name one"),
    Mistake('divisions: ["01", "02"]', 'divisions: "01"', "customers.divisions", "where a list belongs", '["01"]'),
    Mistake("  ship_to: order_only", "  house_account: WEBGUEST", "customers.house_account", "match pattern", "02-WEB"),
    Mistake("  ship_to: order_only", "  house_account: 07-GUEST", "customers.house_account", "not among", "Name one"),
    Mistake("  ship_to: order_only", "  ship_to: knwon", "customers.ship_to", "cannot be", "Did you mean 'known'?"),
]  # fmt: skip

CONTRADICTIONS = [
    Mistake("polling:\n", "cash_receipts: {write: true}\npolling:\n", "cash_receipts.write",
            "needs reconciliation.bank_code", "such as W"),
    Mistake("polling:\n", "cash_receipts: {customer_deposits: 12-34}\npolling:\n", "cash_receipts.customer_deposits",
            "match pattern", ""),
    Mistake("policy: sage ", "policy: lines ", "tax.policy", "cannot be 'lines'", "Did you mean 'line'?"),
    Mistake("policy: sage ", "commits: sage ", "tax.commits", "belongs to policy: engine", "Remove it"),
    Mistake("policy: sage ", "item: /TAX ", "tax.item", "belongs to policy: line", "Remove it"),
    Mistake("tolerance: 0.00", "tolerance: 1e99", "tax.tolerance", "would hide a wrong tax", "Write at most 10"),
    Mistake("tolerance: 0.00", "tolerance: 0,05", "tax.tolerance", "no number", "a point"),
    Mistake("tolerance: 0.00", "tolerance: .inf", "tax.tolerance", "no number", "a point"),
    Mistake("tolerance: 0.00", "tolerance: -1", "tax.tolerance", "greater than or equal to 0", "Write a number"),
    Mistake("{country: US, region: CA, schedule: CA}", "{country: US, region: TX, schedule: CA}", "tax.schedules[1]",
            "is never reached", "Keep one of the two"),
    Mistake(TEXAS, f"{TEXAS}\n    - {{country: US, when: \"notes == 'x'\", region: TX, schedule: X}}",
            "tax.schedules[1]",
            "is never reached", "Put it before schedules[0]", 1),
    Mistake("{country: US, region: TX, schedule: TX}", "{schedule: TX}", "tax.schedules[0]", "needs country or when",
            "tax.default"),
    Mistake("{country: US, region: TX, schedule: TX}", "{when: notes == 'x', region: TX, schedule: TX}",
            "tax.schedules[0].region", "needs country", "Add country"),
    Mistake("non_taxable_class: NT", "non_taxable_class: TX", "charges.non_taxable_class", "as tax_class is",
            "different"),
    Mistake("{source: web}", "{source: web, tolerance: 1}", "order.prices.tolerance", "belongs to source: sage",
            "Remove"),
    Mistake("{source: web}", "{source: sage, tolerance: 1e9}", "order.prices.tolerance", "any total", "Write at most"),
    Mistake("to: freight_amt, amount", "to: charge_line, amount", "charges.freight.to", "needs item", "Add item."),
    Mistake("amount: charged}", "amount: charged, item: /F}", "charges.freight.item", "charge_line only", "Remove it"),
    Mistake("payment_type: STRIP, ", "", "payments[0]", "needs payment_type", "Add payment_type"),
    Mistake("payment_type: STRIP, route: clearing", "payment_type: STRIP, charge_item: /G", "payments[0].payment_type",
            "stands alone", "Remove payment_type"),
    Mistake(STRIPE, f"{STRIPE}\n  - {{gateway: Stripe, method: card, payment_type: X, route: list}}", "payments[1]",
            "is never reached", "Put it before", 1),
    Mistake("route: clearing", "route: cleared", "payments[0].route", "cannot be", "Did you mean 'clearing'?"),
    Mistake("order: /api/v1/orders/{id}", "order: /api/v1/orders/", "clarity.routes.order", "{id} 0 times", "once"),
    Mistake("orders: /api/v1/orders\n", "orders: /api/v1/orders/{id}\n", "clarity.routes.orders", "no placeholder",
            "Remove it"),
    Mistake("orders: /api/v1/orders\n", "orders: api/v1/orders\n", "clarity.routes.orders", "no path",
            "Begin it with /"),
    Mistake("shipped: Shipped", "shipped: Processing", "clarity.statuses.shipped", "stands for both", "remove it"),
    Mistake(SCOPE, "  fields: {order: {id: x, number: x}}", "clarity.fields.order", "both called 'x'", "null"),
    Mistake(SCOPE, "  headers: {fixed: {authorization: a}}", "clarity.headers.fixed.authorization", "a secret",
            "settings"),
    Mistake(SCOPE, '  headers: {fixed: {"X Brand": a}}', "clarity.headers.fixed.X Brand", "match pattern", "hyphens"),
    Mistake(SCOPE, "  payment_types: {capture: refund}", "clarity.payment_types.capture", "stands for both", "another"),
    Mistake(SCOPE, "  captures: {status: Completed}", "clarity.captures.by", "is missing", "Add it"),
    Mistake(HISTORY, f'{HISTORY}\n  business_hours: {{start: "06:00", end: "06:00"}}', "polling.business_hours.end",
            "begins and ends at 06:00", "another hour", 1),
    Mistake(HISTORY, f"{HISTORY}\n  business_hours: {{start: 10:00}}", "polling.business_hours.start",
            "YAML reads 10:00 as a number", '"10:00"', 1),
    Mistake(HISTORY, f"{HISTORY}\n  business_hours: {{days: [monday]}}", "polling.business_hours.days[0]", "cannot be",
            "Did you mean 'mon'?", 1),
    Mistake(HISTORY, f"{HISTORY}\n  business_hours: {{days: []}}", "polling.business_hours.days", "is empty",
            "at least",
            1),
]  # fmt: skip

SHAPES = [
    Mistake(LIMIT, "credit:", "credit", "is empty", "Keys here: limit_zero."),
    Mistake(LIMIT, "credit: unlimited", "credit", "keys with values belong", "Keys here: limit_zero."),
    Mistake(LIMIT, "credit: {}", "credit.limit_zero", "is missing", "What CreditLimit 0 means"),
    Mistake(LIMIT, "credit: {limit_zero: 0}", "credit.limit_zero", "cannot be '0'", "'unlimited' or 'none'"),
    Mistake(ALIAS, "  - LEGACY-1001", "items", "is a list", 'lines "key: value"', -1),
    Mistake("go_live: 2026-01-01", "go_live: 01/01/2026", "go_live", "no valid date", "2026-01-31"),
    Mistake("max_lines: 1000", "max_lines: 0", "max_lines", "is 0", "Write a number"),
    Mistake("max_lines: 1000", "max_lines: 99999999999999999999", "max_lines", "less than or equal", "Write a number"),
    Mistake("price_decimals: 3", "price_decimals: three", "company.price_decimals", "no whole number", "in digits"),
    Mistake("  notes: true", "  notes: maybe", "order.notes", "not true or false", "Write true or false."),
    Mistake("order_status: N ", "order_status: H ", "order.order_status", "cannot be 'H'", "'N' or 'O'"),
    Mistake("rotation: 20", "rotation: inf", "pace.rotation", "no number", "digits"),
    Mistake("max_lines: 1000", "max_lines: 1000\nmax_lines: 500", "max_lines", "stands twice, first", "Keep one", 1),
    Mistake(LIMIT, "credit: {limit_zero: none, limit_zero: none}", "credit.limit_zero", "stands twice", "Keep one"),
    Mistake("max_lines: 1000", "? [a, b]\n: 1000", "file", "as a key", '"key: value"'),
    Mistake("policy: hold ", "policy: &p hold ", "YAML", "is an anchor", "Remove it"),
    Mistake("policy: hold ", "policy: *p ", "YAML", "*p is an alias", "Write the value out"),
    Mistake(LIMIT, "credit: {<<: {limit_zero: none}}", "YAML", "is a merge", "Write the keys out"),
    Mistake("policy: hold ", 'policy: !!python/object/apply:os.system ["true"] #', "YAML", "is a tag", "Remove it"),
    Mistake("policy: hold ", "policy: !env POLICY #", "YAML", "!env is a tag", "Remove it"),
    Mistake("max_lines: 1000", "max_lines: !!int abc", "YAML", "!!int is a tag", "Remove it"),
    Mistake("notes: true", "notes: !!bool maybe", "YAML", "!!bool is a tag", "Remove it"),
    Mistake("go_live: 2026-01-01", "go_live: !!timestamp abc", "YAML", "!!timestamp is a tag", "Remove it"),
    Mistake(SCOPE, "\tscope: integration", "YAML", "found character", "tabs"),
    Mistake(SCOPE, "   scope: integration", "YAML", "expected <block end>", "indentation"),
    Mistake('divisions: ["01", "02"]', 'divisions: ["01", "02"', "YAML", "begun on line", "brackets", 1),
    Mistake("max_lines: 1000", "max_lines 1000", "YAML", "could not find expected ':'", "a colon and a blank", 2),
    Mistake(SCOPE, "  scope: int\x00egration", "YAML", "control character U+0000", "Remove it"),
    Mistake(SCOPE, "  scope: int\x07egration", "YAML", "control character U+0007", "Remove it"),
    Mistake("items:  ", "items: " + "[" * 3000 + "]" * 3000 + " #", "YAML", "nested deeper than 20",
            "Close the brackets"),
]  # fmt: skip

NAME = "{sage: ItemCodeDesc, clarity: name, owner: clarity}"
FLAG = 'values: {"N": true, "Y": false}'
PRODUCTS = [
    Mistake(NAME, NAME.replace("Desc", "Dsc"), "products.fields[0].sage", "no ItemCodeDsc", "Did you mean"),
    Mistake(NAME, NAME.replace("ItemCodeDesc", "ItemCode"), "products.fields[0].sage", "not kept in step", "SKU"),
    Mistake(NAME, NAME.replace("ItemCodeDesc", "ItemType"), "products.fields[0].sage", "not kept in step", "template"),
    Mistake(NAME, NAME.replace("name", "title"), "products.fields[0].clarity", "title", ""),
    Mistake(NAME, NAME.replace("name", "price"), "products.fields[1].clarity", "price stands twice", "Keep one", 1),
    Mistake(FLAG, FLAG.replace("false", "true"), "products.fields[2].values", "same value", "a value of its own"),
    Mistake(NAME, NAME.replace("}", ", per: sales}"), "products.fields[0].per", "is no number", "Remove per."),
    Mistake("{ProductLine: WEB, ", "{", "products.new_products", "needs template.ProductLine", "Add template", -1),
    Mistake("  new_products: approve", "  new_products: ignore", "products.template", "belongs to", "approve", 1),
    Mistake("{ProductLine: WEB, ", "{ProductLine: WEBSHOP, ", "products.template.ProductLine", "takes 4", "Shorten"),
    Mistake("{ProductLine: WEB, ", "{ProductLine: WEB, SalesUMConvFctr: ten, ", "products.template.SalesUMConvFctr",
            "is no number", "1 or 12.5"),
]  # fmt: skip

MISTAKES = [*UNKNOWN_KEYS, *COLUMNS, *RULES, *CODES, *CONTRADICTIONS, *SHAPES, *PRODUCTS]


def test_there_are_many() -> None:
    assert len(MISTAKES) == len({mistake[:2] for mistake in MISTAKES}) > 180


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: f"{mistake.key}: {mistake.new.strip()[:30]!r}")
def test_a_mistake_is_told_at_its_line_with_its_key_and_a_remedy(mistake: Mistake, tmp_path: Path) -> None:
    assert DEMO.count(mistake.old) >= 1
    text = DEMO.replace(mistake.old, mistake.new, 1)
    file = tmp_path / "demo.yaml"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(PairFileError) as raised:
        load_pair(file)
    error = next((one for one in raised.value.errors if one.key == mistake.key), None)
    assert error is not None, raised.value
    line = DEMO[: DEMO.index(mistake.old)].count("\n") + 1 + mistake.below
    assert str(error).startswith(f"{file}:{line}: {mistake.key}: ")
    assert mistake.problem in error.problem
    assert mistake.remedy in f"{error.problem}. {error.remedy}"
    assert error.remedy.endswith((".", "?", ")")), error.remedy
    assert "\n" not in str(error)


def errors_of(file: Path) -> Iterator[str]:
    with pytest.raises(PairFileError) as raised:
        load_pair(file)
    yield from str(raised.value).splitlines()


POLICIES = [
    ("policy: line ", ["tax.policy: policy: line needs item", "tax.policy: policy: line needs the controller's consent",
                       "tax.schedules: schedules belong to policy: sage"]),
    ("policy: engine ", ["tax.policy: policy: engine needs commits", "tax.default: policy: engine gives orders",
                         "tax.schedules: schedules belong to policy: sage"]),
    ("policy: line\n  item: /TAX\n  controller_consent: false\n  exempt: TX # ", ["tax.exempt",
            "tax.controller_consent"]),
]  # fmt: skip


@pytest.mark.parametrize(("policy", "wanted"), POLICIES, ids=lambda value: str(value)[:14])
def test_everything_that_a_tax_policy_lacks_is_told_at_once(policy: str, wanted: list[str], tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    text = DEMO.replace("  exempt: NONTAX\n", "") if "exempt" in policy else DEMO
    file.write_text(text.replace("policy: sage ", policy, 1), "utf-8")
    told = list(errors_of(file))
    for words in wanted:
        assert any(words in line for line in told), told


def test_every_mistake_of_a_file_is_told_in_the_order_of_lines(tmp_path: Path) -> None:
    text = DEMO
    for old, new in (
        ("limit_zero: unlimited", "limit_zero: x"),
        ("price_decimals: 3", "price_decimals: nine"),
        ("go_live: 2026-01-01", "go_live: soon"),
        ("max_lines: 1000", "max_lines: 1000\nmax_lines: 2"),
        ("  header: {}", '  header: {CustomerNo: "1", FOB: yes}'),
        ("new_division: ", "new_divsion: "),
        ("{name: credit, on_fail: credit}", "{name: credit, on_fail: internal_error, minutes: 3}"),
    ):
        assert old in text
        text = text.replace(old, new, 1)
    file = tmp_path / "demo.yaml"
    file.write_text(text, "utf-8")
    told = [re.sub(r"^.*demo\.yaml:(\d+): ([^:]+):.*", r"\1 \2", line) for line in errors_of(file)]
    keys = [line.partition(" ")[2] for line in told]
    assert keys == [
        "company.price_decimals",
        "go_live",
        "max_lines",
        "order.header.CustomerNo",
        "order.header.FOB",
        "customers.new_divsion",
        "credit.limit_zero",
        f"{CHECKS['credit']}.minutes",
        f"{CHECKS['credit']}.on_fail",
    ]
    numbers = [int(line.partition(" ")[0]) for line in told]
    assert numbers == sorted(numbers)


SPOILT_LINE = DEMO.partition("DESK-OAK-120")[0].count("\n") + 1
RAW = [
    ("", "holds no keys"),
    ("# nothing\n", "holds no keys"),
    ("~\n", "holds no keys"),
    ("- a\n", "holds no keys"),
    ("just text", "holds no keys"),
    (f"{DEMO}\n---\na: 1\n", "a second document begins here"),
    (
        DEMO.replace("DESK-OAK-120", "D\xc9SK").encode("latin-1", "replace"),
        f":{SPOILT_LINE}: file: cannot be read: byte 0xc9",
    ),
    (DEMO.encode("utf-16"), "UTF-16"),
    (bytes(range(256)), "is not UTF-8"),
    ("a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n", "*b is an alias"),
    ("a: &a {b: *a}\n", "*a is an alias"),
    ("a: [b\n", "begun on line"),
    ("{{{", "YAML"),
]


@pytest.mark.parametrize(("content", "words"), RAW, ids=lambda value: str(value)[:20])
def test_a_file_that_is_no_pair_file_at_all(content: str | bytes, words: str, tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    told = list(errors_of(file))
    assert any(words in line for line in told)
    assert all(re.match(r".*demo\.yaml:\d+: \S+: ", line) for line in told)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (ALIAS, "  1001: DESK-OAK-120"),
        (ALIAS, "  yes: DESK-OAK-120"),
        (ALIAS, "  007: {item: DESK-OAK-120}"),
        (HISTORY, f'{HISTORY}\n  business_hours: {{start: "20:00", end: "06:00"}}'),
        ("route: clearing", "route: list"),
        (*header("SalespersonNo", '"0100"'),),
        (*header("UDF_ANYTHING", "free"),),
        (*header("ShipExpireDate", "2026-12-31"),),
        (BASKET, f'{BASKET[:-1]}, when: "totals.grand > 5"}}\n{BASKET[:-1]}, when: "totals.grand < 5"}}'),
        ("  ship_to: order_only", '  header: {SalespersonNo: "0100", PriceLevel: "2"}'),
        (STRIPE, "  - {gateway: stripe, method: card, payment_type: STRIP}\n  - {gateway: stripe, payment_type: X}"),
        (TEXAS, "    - {country: US, region: PR, schedule: PR}\n    - {country: US, region: AE, schedule: AE}"),
        (TEXAS, "    - {country: DE, region: Bayern, schedule: DE}\n    - {country: GB, schedule: GB}"),
        ("on_fail: anomaly, minutes: 10}", "on_fail: anomaly}\n  - {name: price, on_fail: credit}"),
        (DEMO, DEMO.replace("\n", "\r\n")),
        (DEMO, f"\ufeff{DEMO}"),
        (f"{DEMO[:40]}", DEMO[:40]),
    ],
    ids=lambda value: value.strip()[:30],
)
def test_what_is_right_loads(old: str, new: str, tmp_path: Path) -> None:
    assert old in DEMO
    file = tmp_path / "demo.yaml"
    file.write_bytes(DEMO.replace(old, new, 1).encode())
    load_pair(file)


def test_keys_are_read_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "demo.yaml"
    file.write_text(DEMO.replace(ALIAS, "  007: A\n  yes: B\n  1_000: C\n  0x1F: D\n  ~: E"), "utf-8")
    assert list(load_pair(file).items) == ["007", "yes", "1_000", "0x1F", "~"]


ODD = st.sampled_from(
    [*"{}[]&*!|>%@`'\"#:,?-\t\n\x00~<=", "<<: ", "yes", "null", "[]", "{}", "1e999", "0x", "\ufeff", "é", "---\n"]
)


@given(place=st.integers(0, len(DEMO) - 1), cut=st.integers(0, 40), odd=ODD)
def test_whatever_happens_to_a_file_it_loads_or_is_told_where(
    place: int, cut: int, odd: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_bytes((DEMO[:place] + odd + DEMO[place + cut :]).encode())
    with contextlib.suppress(PairFileError):
        load_pair(file)
        return
    assert all(re.match(r".*fuzz\.yaml:\d+: \S.*: .*\. .+", line) for line in errors_of(file))


VALUES: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, "", " ", "x" * 300, [], {}, [None], {"a": None}, [[]], "2026-02-30", "{id}"]
)


def places(content: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    if path:
        yield path
    entries = content.items() if isinstance(content, dict) else enumerate(content) if isinstance(content, list) else ()
    for key, inner in entries:
        yield from places(inner, (*path, key))


PLACES = list(places(yaml.safe_load(DEMO)))


@given(place=st.sampled_from(PLACES), value=VALUES)
def test_whatever_stands_at_a_key_it_loads_or_is_told_there(
    place: tuple[str | int, ...], value: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    content = yaml.safe_load(DEMO)
    *outer, last = place
    section = content
    for part in outer:
        section = section[part]
    section[last] = value
    file = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")
    with contextlib.suppress(PairFileError):
        load_pair(file)
        return
    for line in errors_of(file):
        assert re.match(r".*fuzz\.yaml:\d+: \S.*: .*\. .+", line), line
        assert "Input should" not in line, line
        assert "valid dictionary" not in line, line
