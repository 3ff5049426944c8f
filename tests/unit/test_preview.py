"""`python -m mappings preview` and `check`, as a developer uses them."""

import json
import os
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.sage100.gateway import order_body
from mappings.__main__ import main
from mappings.clarity_profile import CONTRACT, Kind, from_contract
from mappings.order_file import read_order
from mappings.pair import Pair, load_pair
from mappings.transform import transform
from tests.support.processes import ROOT
from tests.unit.conftest import DEMO_FILE, SAMPLES, sample

EXPECTED = yaml.safe_load((ROOT / "sandbox/expected.yaml").read_text("utf-8"))["orders"]


def demo_with(directory: Path, **sections: dict[str, Any]) -> Path:
    """A folder with the demo pair whose sections have these keys, too."""
    content: dict[str, Any] = yaml.safe_load(DEMO_FILE.read_text("utf-8"))
    for name, keys in sections.items():
        content[name] |= keys
    (directory / "demo.yaml").write_text(yaml.safe_dump(content), "utf-8")
    return directory


def order_file(directory: Path, payload: object) -> Path:
    file = directory / "order.json"
    file.write_text(json.dumps(payload), "utf-8")
    return file


def shown(
    capsys: pytest.CaptureFixture[str], order: Path, *flags: str, pairs: Path = DEMO_FILE.parent, width: str = "80"
) -> str:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", width)
        assert main(["--pairs-dir", str(pairs), "preview", str(order), "--pair", "demo", *flags]) == 0
    return capsys.readouterr().out


def preview(capsys: pytest.CaptureFixture[str], name: str, *flags: str, pairs: Path = DEMO_FILE.parent) -> str:
    return shown(capsys, ROOT / "sandbox/orders" / f"{name}.json", *flags, pairs=pairs)


def flat(text: str) -> str:
    """The words of a text, however it is wrapped."""
    return " ".join(text.split())


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_every_sample_shows_its_draft_with_sources_or_its_problems(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    text, parsed = preview(capsys, name), json.loads(preview(capsys, name, "--json"))
    assert text.startswith(f"#{SAMPLES[name]['data']['number']} · ")
    assert max(map(len, text.splitlines())) <= 80
    assert parsed["order"]["order_id"] == str(SAMPLES[name]["data"]["id"])
    if parsed["draft"] is None:
        assert parsed["problems"]
        assert parsed["understood"] == "order"
        for problem in parsed["problems"]:
            assert f"problem {problem['field']}: {problem['message']}" in flat(text)
            assert problem["suggestion"] in flat(text)
        assert "shipping.postal_code" in text
        return
    assert parsed["understood"] == "draft"
    columns, sources = parsed["columns"], parsed["sources"]
    for shown_columns, shown_sources in (
        (columns["header"], sources["header"]),
        (columns["new_customer"], sources["new_customer"]),
        *zip(columns["lines"], sources["lines"], strict=True),
    ):
        assert list(shown_columns) == list(shown_sources)
        assert all(shown_sources.values())
        for column, value in shown_columns.items():
            assert f"  {column} " in text
            assert value is None or flat(value)[:30] in flat(text)
    assert f"{Decimal(EXPECTED[name]['Total']):,.2f}" in text if "Total" in EXPECTED[name] else "must be" in text


@pytest.mark.parametrize("name", sorted(SAMPLES))
def test_the_columns_are_what_the_gateway_is_sent(name: str, pair: Pair, capsys: pytest.CaptureFixture[str]) -> None:
    draft = transform(SAMPLES[name], pair).draft
    if draft is None:
        return
    columns = json.loads(preview(capsys, name, "--json"))["columns"]
    body = order_body(draft.sales_order)
    known = {column: value for column, value in columns["header"].items() if value is not None}
    # TermsCode joins the order when the account is known.
    known.pop("TermsCode", None)
    assert known == {column: str(value) for column, value in body.items() if column != "Lines"}
    for shown_line, line in zip(columns["lines"], body["Lines"], strict=True):
        known = {column: value for column, value in shown_line.items() if value is not None}
        assert known == {column: str(value) for column, value in line.items() if column != "ItemType"}


def test_rules_that_fired_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = demo_with(
        tmp_path,
        order={
            "header": {"CycleCode": "01", "FOB": "DOCK"},
            "header_rules": [
                {"when": "totals.grand > 100000", "header": {"SalespersonNo": "0900"}},
                {"when": "shipping.region == 'TX'", "header": {"SalespersonNo": "0100"}},
            ],
            "header_values": {"Comment": "buyer.first_name", "FOB": "attributes&['fob']"},
        },
    )
    header = json.loads(preview(capsys, "01-consumer-new", "--json", pairs=pairs))["sources"]["header"]
    assert header["CycleCode"] == "order.header"
    assert header["FOB"] == "order.header", "an expression without a value sets nothing"
    assert header["SalespersonNo"] == "order.header_rules[1]: shipping.region == 'TX'"
    assert header["Comment"] == "order.header_values: buyer.first_name"
    assert header["TaxSchedule"] == "tax.schedules[0]: data.shippingAddress"
    assert header["ShipVia"] == "order.ship_via[0]: data.shipping.carrier, method"


def test_an_overridden_column_stands_once_with_the_rule_that_won(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = demo_with(
        tmp_path,
        order={
            "header": {"TermsCode": "30", "SalespersonNo": "0001"},
            "header_rules": [{"when": "totals.grand > 5", "header": {"SalespersonNo": "0100"}}],
        },
    )
    text = preview(capsys, "01-consumer-new", pairs=pairs)
    parsed = json.loads(preview(capsys, "01-consumer-new", "--json", pairs=pairs))
    header = text.partition("Line 1")[0]
    assert header.count("  SalespersonNo ") == header.count("  TermsCode ") == 1
    assert parsed["columns"]["header"]["SalespersonNo"] == "0100"
    assert parsed["sources"]["header"]["SalespersonNo"] == "order.header_rules[0]: totals.grand > 5"
    assert parsed["columns"]["header"]["TermsCode"] == "30"
    assert parsed["sources"]["header"]["TermsCode"] == "order.header"


def test_custom_fields_and_the_warehouse_of_each_line_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = demo_with(
        tmp_path,
        order={
            "warehouses": [{"when": "line.quantity >= 2", "warehouse": "001"}],
            "line_values": {"UDF_ENGRAVING": "line.attributes&['engraving']"},
            "header_values": {"UDF_GIFT": "attributes&['gift']"},
        },
    )
    order = sample("01-consumer-new")
    order["data"]["attributes"] = {"gift": "Enjoy"}
    order["data"]["items"][0]["attributes"] = {"engraving": "Ada"}
    order["data"]["items"][1]["taxable"] = False
    file = order_file(tmp_path, order)
    text = shown(capsys, file, pairs=pairs)
    assert "UDF_ENGRAVING Ada ← order.line_values: line.attributes&['engraving']" in flat(text)
    assert "UDF_GIFT Enjoy ← order.header_values: attributes&['gift']" in flat(text)
    assert "WarehouseCode 001 ← order.warehouses[0]: line.quantity >= 2" in flat(text)
    parsed = json.loads(shown(capsys, file, "--json", pairs=pairs))
    first, second = parsed["columns"]["lines"][:2]
    assert (first["WarehouseCode"], second["WarehouseCode"]) == ("000", "001")
    assert (first["UDF_ENGRAVING"], "UDF_ENGRAVING" in second) == ("Ada", False)
    assert (first["TaxClass"], second["TaxClass"]) == (None, "NT")
    sources = parsed["sources"]["lines"]
    assert sources[0]["WarehouseCode"] == "order.warehouse"
    assert sources[1]["TaxClass"] == "charges.non_taxable_class: data.items[1].taxable"


def test_each_charge_names_its_key_and_its_field(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    order = sample("01-consumer-new")["data"]
    order["items"][1]["discount"] = 5
    order["items"][1]["taxable"] = False
    order["discounts"] = [{"code": "TEN", "amount": 10}]
    order["purchaseOrderNumber"] = "PO-" + "9" * 40
    order["notes"] = "Ring twice"
    order["payments"][0]["gateway"] = "giftcard"
    pairs = demo_with(
        tmp_path,
        charges={"freight": {"to": "charge_line", "item": "/FRT"}},
    )
    content = yaml.safe_load((tmp_path / "demo.yaml").read_text("utf-8"))
    content["payments"].append({"gateway": "giftcard", "charge_item": "/GIFTCARD"})
    (tmp_path / "demo.yaml").write_text(yaml.safe_dump(content), "utf-8")
    file = order_file(tmp_path, {"type": "order.created", "data": order})
    parsed = json.loads(shown(capsys, file, "--json", pairs=pairs))
    found = [
        (line["ItemCode"], line.get("UnitPrice") or line.get("CommentText")) for line in parsed["sources"]["lines"][2:]
    ]
    assert found == [
        ("charges.line_discount", "data.items[1].discount"),
        ("charges.order_discount", "data.discounts"),
        ("charges.order_discount", "data.discounts"),
        ("charges.fees.gift_wrap", "data.fees[0].amount"),
        ("charges.freight.item", "data.totals.shipping"),
        ("payments[3].charge_item", "data.payments"),
        ("order.comment_item", "data.purchaseOrderNumber, longer than CustomerPONo"),
        ("order.comment_item", "order.notes: data.notes"),
    ]


def test_coupons_and_exemptions_name_the_rule_that_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = demo_with(
        tmp_path,
        charges={"discounts": {"FREESHIP": {"item": "/WEBFRT", "tax_class": "XX"}}},
        tax={"exempt_regions": ["TX"]},
        customers={"tax_schedule": "WEB"},
    )
    order = sample("01-consumer-new")["data"]
    order["customer"] |= {"taxExemptNo": "1-23", "accountNumber": "01-ABF"}
    order["shippingAddress"]["region"] = "Texas"
    order["discounts"] = [{"code": "TEN", "amount": 3}, {"code": "freeship", "amount": 2}]
    file = order_file(tmp_path, {"type": "order.created", "data": order})
    parsed = json.loads(shown(capsys, file, "--json", pairs=pairs))
    assert parsed["order"]["shipping"]["region"] == "TX", "as conditions see it"
    assert parsed["sources"]["header"]["TaxSchedule"] == "tax.exempt: data.customer.taxExemptNo"
    assert parsed["sources"]["new_customer"]["TaxSchedule"] == "customers.tax_schedule"
    found = {
        line["ItemCode"]: line["TaxClass"]
        for line in parsed["sources"]["lines"]
        if line["ItemCode"].startswith("charges.")
    }
    assert found["charges.discounts.FREESHIP"] == "charges.discounts.FREESHIP"
    assert found["charges.order_discount"] == "charges.tax_class"


def test_terms_and_the_new_customer_say_where_they_come_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = demo_with(tmp_path, customers={"header": {"SalespersonNo": "0100"}})
    text = preview(capsys, "01-consumer-new", pairs=pairs)
    parsed = json.loads(preview(capsys, "01-consumer-new", "--json", pairs=pairs))
    assert parsed["columns"]["header"]["TermsCode"] == "00"
    assert parsed["sources"]["header"]["TermsCode"] == "customers.terms_code: paid at checkout"
    customer, sources = parsed["columns"]["new_customer"], parsed["sources"]["new_customer"]
    assert (customer["ARDivisionNo"], sources["ARDivisionNo"]) == ("02", "customers.new_division")
    assert (customer["SalespersonNo"], sources["SalespersonNo"]) == ("0100", "customers.header")
    assert sources["TaxSchedule"] == "tax.schedules[0]: data.shippingAddress"
    assert customer["CustomerNo"] is None
    assert "New customer, if no account matches" in text
    unpaid = json.loads(preview(capsys, "03-dealer-on-terms", "--json"))
    assert unpaid["columns"]["header"]["TermsCode"] is None
    assert "the account's own terms" in unpaid["sources"]["header"]["TermsCode"]


def test_a_guest_goes_to_the_house_account(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pairs = demo_with(tmp_path, customers={"house_account": "02-WEBGUEST"})
    order = sample("01-consumer-new")
    del order["data"]["customer"]["id"]
    file = order_file(tmp_path, order)
    parsed = json.loads(shown(capsys, file, "--json", pairs=pairs))
    assert parsed["columns"]["header"]["CustomerNo"] == "WEBGUEST"
    assert parsed["columns"]["header"]["ARDivisionNo"] == "02"
    assert parsed["columns"]["new_customer"] == {}
    assert "New customer" not in shown(capsys, file, pairs=pairs)
    order["data"]["payments"] = []
    parsed = json.loads(shown(capsys, order_file(tmp_path, order), "--json", pairs=pairs))
    assert parsed["columns"]["header"]["CustomerNo"] is None
    assert "a person decides" in parsed["sources"]["header"]["CustomerNo"]


# ---- orders that would be held --------------------------------------------------------------------------------------


def test_an_order_that_cannot_be_read_shows_its_number_and_every_problem(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    order = sample("08-hundred-and-twenty-lines")
    for item in order["data"]["items"][:40]:
        item["quantity"] = -1
    file = order_file(tmp_path, order)
    text, parsed = shown(capsys, file), json.loads(shown(capsys, file, "--json"))
    assert text.startswith(f"#{order['data']['number']} · cannot be read as an order")
    assert (parsed["order_number"], parsed["understood"]) == (order["data"]["number"], "nothing")
    assert "40 problems" in text
    assert text.count("  problem  data.items[") == len(parsed["problems"]) == 40
    assert "more may show once these are corrected" in flat(text)
    assert "data.items[0].quantity -1" in flat(text)
    assert "more values" in flat(text).rpartition("… and ")[2]
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("payload", [{}, {"data": 5}, {"data": {"number": True}}, {"type": "order.created"}])
def test_what_is_no_order_shows_problems(
    payload: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = shown(capsys, order_file(tmp_path, payload))
    assert text.startswith("An order without a number · cannot be read as an order")
    assert "  problem  " in text


def test_an_order_with_problems_shows_what_was_understood(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = sample("01-consumer-new")
    order["data"]["fees"] = [{"code": "unheard", "amount": 1}]
    order["data"]["attributes"] = {"x" * 70: "y" * 300}
    text = shown(capsys, order_file(tmp_path, order))
    assert "#W-10001 · 2 lines" in text
    assert "has no item code" in flat(text)
    assert "fees[0].code unheard" in flat(text)
    assert "lines[1].quantity 2" in flat(text)
    assert "… (300 characters in all)" in flat(text)
    assert max(map(len, text.splitlines())) <= 80


def test_card_numbers_are_masked_as_on_the_way_in(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = sample("01-consumer-new")
    order["data"]["notes"] = "my card 4111 1111 1111 1111, thanks"
    for quantity in (1, -1):
        order["data"]["items"][0]["quantity"] = quantity
        file = order_file(tmp_path, order)
        text, whole = shown(capsys, file), shown(capsys, file, "--json")
        assert "note card data was masked in 1 value" in flat(text)
        assert json.loads(whole)["notes"] == ["card data was masked in 1 value"]
        assert "my card [masked], thanks" in flat(text)
        assert "1111" not in text + whole


def test_an_order_that_would_not_start_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = sample("01-consumer-new")
    order["data"]["status"] = "On Hold"
    assert "note nothing would be started for this order now:" in flat(shown(capsys, order_file(tmp_path, order)))


# ---- output ---------------------------------------------------------------------------------------------------------


def test_long_notes_with_line_breaks_stay_in_their_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    order = sample("01-consumer-new")
    order["data"]["notes"] = "First line\nSecond line\t" + "and so on " * 150
    file = order_file(tmp_path, order)
    text = shown(capsys, file)
    assert "CommentText First line\\nSecond line\\tand so on" in flat(text)
    assert "characters in all)" in text
    assert max(map(len, text.splitlines())) <= 80
    (comment,) = [line["CommentText"] for line in json.loads(shown(capsys, file, "--json"))["columns"]["lines"][-1:]]
    assert comment == order["data"]["notes"].strip()


def test_a_wide_terminal_has_one_row_for_each_column(capsys: pytest.CaptureFixture[str]) -> None:
    order = ROOT / "sandbox/orders/01-consumer-new.json"
    wide, narrow = shown(capsys, order, width="200"), shown(capsys, order, width="20")
    assert "\n      ←" not in wide
    assert max(map(len, wide.splitlines())) <= 120
    assert max(map(len, narrow.splitlines())) <= 60


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "utf-8"])
def test_every_output_encoding_works(encoding: str, tmp_path: Path) -> None:
    order = sample("09-umlauts-known-by-email")
    order["data"]["notes"] = "王 😀 ł \udc9f"
    order["data"]["attributes"] = {"lone": "\udc9f"}
    file = order_file(tmp_path, order)
    for flags in ([], ["--json"]):
        done = subprocess.run(
            [sys.executable, "-m", "mappings", "preview", str(file), "--pair", "demo", *flags],
            cwd=ROOT,
            env={**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0", "COLUMNS": "80"},
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, b"")
        text = done.stdout.decode(encoding)
        if flags:
            notes = json.loads(text)["order"]["notes"]
            assert notes.startswith("王 😀 ł")
        else:
            assert ("←" in text) is (encoding == "utf-8")
            assert ("<-" in text) is (encoding != "utf-8")
            assert max(map(len, text.splitlines())) <= (80 if encoding == "utf-8" else 90)


# ---- files ----------------------------------------------------------------------------------------------------------


def refused(capsys: pytest.CaptureFixture[str], file: Path, pair_name: str = "demo") -> str:
    """The one line that says why."""
    assert main(["--pairs-dir", str(DEMO_FILE.parent), "preview", str(file), "--pair", pair_name]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    (line,) = error.splitlines()
    assert line.startswith("mappings: ")
    return line


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"[]", "holds no JSON object"),
        (b'"text"', "holds no JSON object"),
        (b"null", "holds no JSON object"),
        (b'{"data": }', "order.json:1:10: is not JSON"),
        (b'{"data": 1}\n{', "order.json:2:1: is not JSON"),
        (b"\x00\xff\xfe", "is not text in UTF-8"),
        ('{"data": 1}'.encode("utf-16"), "is not text in UTF-8"),
        (b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "is nested too deeply"),
        (b'{"data": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_001, "is nested too deeply"),
        (b'{"data": ' + b"[" * 700 + b"]" * 700 + b"}", "is nested too deeply"),
    ],
)
def test_a_file_that_holds_no_order_is_refused(
    content: bytes, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "order.json"
    file.write_bytes(content)
    assert words in refused(capsys, file)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert refused(capsys, tmp_path / "gone.json").endswith("gone.json: no such file")
    assert "is a directory" in refused(capsys, tmp_path)
    assert "there is no pair 'gone'" in refused(capsys, ROOT / "sandbox/orders/01-consumer-new.json", "gone")
    file = order_file(tmp_path, SAMPLES["01-consumer-new"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_text", denied)
        with pytest.raises(ValueError, match=r"order\.json: cannot be read: Permission denied"):
            read_order(file, CONTRACT)


def denied(_self: Path, **_options: object) -> str:
    raise PermissionError(13, "Permission denied")


def test_a_byte_order_mark_is_no_obstacle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "order.json"
    file.write_bytes(b"\xef\xbb\xbf" + (ROOT / "sandbox/orders/01-consumer-new.json").read_bytes())
    assert shown(capsys, file).startswith("#W-10001 · 2 lines")


def test_an_order_is_taken_in_each_form_in_which_one_has_it(tmp_path: Path) -> None:
    body = sample("02-known-web-customer")
    read = json.loads(json.dumps(body), parse_float=Decimal)
    start = {"pair": "demo", "order_id": "10002", "payload": body, "digest": "x"}
    shorthand = {"events": [{"workflowExecutionStartedEventAttributes": {"input": [start]}}]}
    for content in (body, start, [start], shorthand):
        assert read_order(order_file(tmp_path, content), CONTRACT) == read
    alone = read_order(order_file(tmp_path, body["data"]), CONTRACT)
    assert alone == {"type": "order.created", "data": read["data"]}
    history = read_order(ROOT / "tests/histories/plain.json", CONTRACT)
    assert history["data"]["number"] == "W-10002"


def test_an_order_of_another_release_is_taken_too(tmp_path: Path) -> None:
    other = tmp_path / "other.yaml"
    content = yaml.safe_load(DEMO_FILE.read_text("utf-8"))
    content["clarity"] = yaml.safe_load((ROOT / "tests/connectors/profiles/module_entity.yaml").read_text("utf-8"))
    other.write_text(yaml.safe_dump(content), "utf-8")
    profile = load_pair(other).clarity
    body = sample("01-consumer-new")
    sent = from_contract(body, Kind.EVENT, profile)
    read = read_order(order_file(tmp_path, sent), profile)
    assert read["data"]["items"][0]["sku"] == body["data"]["items"][0]["sku"]
    alone = read_order(order_file(tmp_path, from_contract(body["data"], Kind.ORDER, profile)), profile)
    assert alone["data"] == read["data"]
    kept = {"pair": "other", "order_id": "10001", "payload": read}
    assert read_order(order_file(tmp_path, json.loads(json.dumps(kept, default=str))), profile)["data"].keys() == (
        read["data"].keys()
    )


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ({"payloads": [{"metadata": {"encoding": "YmluYXJ5L3psaWI="}, "data": "AAAA"}]}, "packed (binary/zlib)"),
        ({"payloads": [{"metadata": {"encoding": "anNvbi9wbGFpbg=="}, "data": "e30="}]}, "not start with an order"),
        ({"payloads": [{"metadata": {}, "data": "?"}]}, "is not base64"),
        ({"payloads": []}, "not start with an order"),
        (None, "not start with an order"),
    ],
)
def test_a_history_without_a_readable_order_is_refused(
    argument: object, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    history = {"events": [{"workflowExecutionStartedEventAttributes": {"input": argument}}]}
    assert words in refused(capsys, order_file(tmp_path, history))


@pytest.mark.parametrize(
    "number", ["NaN", "Infinity", "1e999999999", "-1e9999999999999999999999", "1" * 401, "9" * 5_000, "1e-99999"]
)
def test_numbers_beyond_all_bounds_are_problems(
    number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = json.dumps(SAMPLES["01-consumer-new"]).replace("517.9", number, 1)
    assert number in text
    file = tmp_path / "order.json"
    file.write_text(text, "utf-8")
    shown_text = shown(capsys, file)
    assert "  problem  data." in shown_text
    json.loads(shown(capsys, file, "--json"))


# ---- check ----------------------------------------------------------------------------------------------------------


def test_check_names_the_file_line_key_and_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = DEMO_FILE.read_text("utf-8")
    for broken, words in (
        (text.replace("  warehouse:", "  warehose:"), "order.warehose"),
        (text.replace("on_fail: anomaly, minutes: 10}", "on_fail: anomaly, when: 'totals.grnd > 5'}"), "grnd"),
        (text.replace("on_fail: anomaly, minutes: 10}", "on_fail: anomaly, when: 'totals.grand >'}"), "when"),
    ):
        assert broken != text
        (tmp_path / "demo.yaml").write_text(broken, "utf-8")
        assert main(["--pairs-dir", str(tmp_path), "check"]) == 1
        error = capsys.readouterr().err
        assert words in error
        assert "demo.yaml:" in error
        assert "Traceback" not in error
