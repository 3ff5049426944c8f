"""What counts as card data, however it is written, and that looking for it takes no time."""

import json
from time import monotonic
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mappings.card_numbers import MASK, is_card_number, mask_card_numbers

CARDS = (
    "4222222222222",  # 13
    "30569309025904",  # 14
    "378282246310005",  # 15
    "4111111111111111",
    "6304000000000000",  # no card prefix that is known here
    "36227206271667",
    "4000000000000000006",  # 19
)
KNOWN = tuple(card for card in CARDS if is_card_number(card))


@pytest.mark.parametrize("separator", ["", " ", "-", "\u00a0", "\u2009", "\u202f", "\u2011", "\u2013"])
@pytest.mark.parametrize("card", KNOWN)
def test_card_numbers_are_masked_by_any_separator(card: str, separator: str) -> None:
    for size in (1, 3, 4, 6):
        written = separator.join(card[start : start + size] for start in range(0, len(card), size))
        masked, count = mask_card_numbers({"notes": f"pay with {written}, thanks", f"x{written}": 1})
        assert (masked, count) == ({"notes": f"pay with {MASK}, thanks", f"x{MASK}": 1}, 2)


def test_the_planted_numbers_are_known() -> None:
    assert len(KNOWN) == len(CARDS) - 1


@pytest.mark.parametrize(
    "name",
    [
        "cvv", "CVV2", "cvc", "cvcCode", "cvv_code", "cardCvv", "card-cvc", "securityCode", "card_security_code",
        "cardNumber", "card_number", "creditCardNumber", "CreditCard_No", "cc_number", "ccnum", "pan", "track",
        "track_1", "track2Data", "magstripe", "PIN_block", "cardVerificationValue", "primary_account_number",
    ],
)  # fmt: skip
def test_fields_named_like_card_data_are_masked(name: str) -> None:
    for value in ("123", 123, ["123"], ";9=1"):
        assert mask_card_numbers({"a": [{name: value}]}) == ({"a": [{name: MASK}]}, 1)
    empty: list[Any] = ["", None, []]
    for value in empty:
        assert mask_card_numbers({name: value}) == ({name: value}, 0)


@pytest.mark.parametrize(
    "name",
    ["number", "orderNumber", "giftCardNumber", "trackingNumber", "tracking", "company", "postalCode", "card", "last4",
     "verification", "code", "accountNumber", "panel", "discountCode", "cardType"],
)  # fmt: skip
def test_other_names_are_left_alone(name: str) -> None:
    assert mask_card_numbers({name: "123"}) == ({name: "123"}, 0)


def test_numbers_below_zero_hide_no_card() -> None:
    assert mask_card_numbers([-4111111111111111, -4111111111111111.0, 4111111111111111]) == ([MASK] * 3, 3)


@pytest.mark.parametrize("note", ["1 " * 50_000, "4111111111111111 " * 5_000, "4" * 100_000, "4-1" * 20_000])
def test_a_long_note_is_looked_through_at_once(note: str) -> None:
    began = monotonic()
    masked, _ = mask_card_numbers({"notes": note})
    assert monotonic() - began < 5
    assert "4111111111111111" not in masked["notes"]


DIGITS = st.lists(st.sampled_from([*KNOWN, "12", "4", "1600", "x", ", "]), max_size=12)


@given(DIGITS, st.sampled_from([" ", "-", "\u00a0", "/", ", "]))
def test_no_card_number_of_whole_groups_is_left(words: list[str], separator: str) -> None:
    masked, count = mask_card_numbers(separator.join(words))
    assert (masked == separator.join(words)) == (count == 0)
    again, more = mask_card_numbers(masked)
    assert (again, more) == (masked, 0)
    if separator in ("/", ", "):
        assert all(word not in masked for word in words if word in KNOWN)


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.floats(-1e11, 1e11) | st.integers(-(10**11), 10**11) | st.text("abc .,", max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abxy", max_size=5), inner, max_size=3),
)  # fmt: skip


@given(JSON)
def test_what_holds_no_card_data_stays_as_it_is(value: Any) -> None:
    masked, count = mask_card_numbers(value)
    assert count == 0
    assert json.dumps(masked) == json.dumps(value)
