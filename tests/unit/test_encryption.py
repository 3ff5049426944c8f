"""Encryption of payloads: keys, rotation, what is refused and how it is told; what leaves in logs and traces."""

import base64
import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import Status, StatusCode
from pydantic import BaseModel, ValidationError
from temporalio.api.common.v1 import Header, Payload, Payloads, SearchAttributes
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import History, HistoryEvent
from temporalio.converter import DataConverter
from temporalio.exceptions import ApplicationError

from connectors.errors import Refused
from workers.codec import CIPHER_NAME, KEY_ID, UndecodablePayload, payload_codec
from workers.encryption import PLAIN, Usage, keys_in, verdicts
from workers.encryption_keys import EncryptionKeys, new_key, parse_keys
from workers.plugin import data_converter, integration_plugin
from workers.redaction import WithoutValues, WithoutValuesExporter, without_values
from workers.settings import SettingsError, load_settings

OLD, NEW = new_key("2026-05"), new_key("2026-11")
STREET = "1515 Bellevue Avenue"


def converter(*entries: str) -> DataConverter:
    return data_converter(parse_keys(",".join(entries)))


# ---- payloads -------------------------------------------------------------------------------------------------------


@given(data=st.binary(max_size=300), metadata=st.dictionaries(st.text(max_size=20), st.binary(max_size=20), max_size=3))
async def test_any_payload_comes_back_as_it_was_and_nothing_of_it_is_seen(
    data: bytes, metadata: dict[str, bytes]
) -> None:
    codec, payload = payload_codec(parse_keys(NEW)), Payload(metadata=metadata, data=data)
    (encoded,) = await codec.encode([payload])
    assert len(data) < 4 or data not in encoded.data
    assert dict(encoded.metadata) == {
        "encoding": b"binary/encrypted",
        "encryption-cipher": b"AES-256-GCM",
        "encryption-key-id": b"2026-11",
    }
    assert await codec.decode([encoded]) == [payload]


async def test_the_same_payload_twice_looks_different() -> None:
    first, second = await payload_codec(parse_keys(NEW)).encode([Payload(data=b"x")] * 2)
    assert first.data != second.data


async def test_what_is_large_is_deflated_before_it_is_encrypted() -> None:
    codec, payload = payload_codec(parse_keys(NEW)), Payload(data=b"1515 Bellevue Avenue " * 20_000)
    (encoded,) = await codec.encode([payload])
    assert len(encoded.data) < len(payload.data) / 20
    assert await codec.decode([encoded]) == [payload]


async def test_after_a_rotation_old_and_new_payloads_are_read_and_new_ones_have_the_new_key() -> None:
    before, after = converter(OLD), converter(NEW, OLD)
    old, new = await before.encode([STREET]), await after.encode([STREET])
    assert [one.metadata[KEY_ID] for one in (*old, *new)] == [b"2026-05", b"2026-11"]
    assert await after.decode([*old, *new]) == [STREET, STREET]
    # A process that knows the new key already, but does not use it yet, reads both, too: the first step of a roll-out.
    assert await converter(OLD, NEW).decode([*old, *new]) == [STREET, STREET]


async def test_plain_payloads_of_cli_web_ui_and_older_times_are_read() -> None:
    assert await converter(NEW).decode(await converter().encode([STREET])) == [STREET]
    assert (await converter().encode([STREET]))[0].metadata["encoding"] == b"json/plain"


@pytest.mark.parametrize("here", [[NEW], []], ids=["another key", "no key"])
async def test_a_missing_key_is_named_with_the_remedy(here: list[str]) -> None:
    encoded = await converter(OLD).encode([STREET])
    with pytest.raises(UndecodablePayload, match=r"'2026-05', which is not here .* Add it to ENCRYPTION_KEYS"):
        await converter(*here).decode(encoded)


async def test_another_key_of_the_same_id_is_told_apart() -> None:
    encoded = await converter(OLD).encode([STREET])
    with pytest.raises(UndecodablePayload, match=r"does not open.*Compare ENCRYPTION_KEYS"):
        await converter(new_key("2026-05")).decode(encoded)


@pytest.mark.parametrize("change", ["data", "nonce", "cut", "empty", "key id", "cipher"])
async def test_nothing_of_an_encrypted_payload_can_be_changed(change: str) -> None:
    same = OLD.partition(":")[2]
    keys = parse_keys(f"{OLD},copy:{same}")
    (encoded,) = await payload_codec(keys).encode([Payload(data=b"x")])
    data = bytearray(encoded.data)
    if change in ("data", "nonce"):
        data[-1 if change == "data" else 0] ^= 1
    encoded.data = {"cut": bytes(data[:20]), "empty": b""}.get(change, bytes(data))
    if change == "key id":
        # The very same key under another id: only the id is wrong.
        encoded.metadata[KEY_ID] = b"copy"
    if change == "cipher":
        encoded.metadata[CIPHER_NAME] = b"AES-128-GCM"
    with pytest.raises(UndecodablePayload):
        await payload_codec(keys).decode([encoded])


async def test_failures_are_encrypted_with_a_key_and_readable_without() -> None:
    def raised() -> ApplicationError:
        try:
            raise ValueError(f"no such street: {STREET}")
        except ValueError as error:
            caught = ApplicationError(f"refused: {STREET}", {"street": STREET}, type="Refused")
            caught.__cause__ = error
            return caught

    failure = Failure()
    await converter(NEW).encode_failure(raised(), failure)
    assert STREET.encode() not in failure.SerializeToString()
    assert keys_in(failure) == {"2026-11"}
    back = await converter(NEW, OLD).decode_failure(failure)
    assert isinstance(back, ApplicationError)
    assert (back.message, back.details) == (f"refused: {STREET}", ({"street": STREET},))
    plain = Failure()
    await converter().encode_failure(raised(), plain)
    assert plain.message == f"refused: {STREET}"
    assert isinstance(await converter(NEW).decode_failure(plain), ApplicationError)


# ---- settings -------------------------------------------------------------------------------------------------------


def test_keys_come_from_the_environment_or_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENCRYPTION_KEYS", "")
    monkeypatch.setenv("ENCRYPTION_KEYS_FILE", "")
    assert not load_settings().payload_keys().is_on
    monkeypatch.setenv("ENCRYPTION_KEYS", f" {NEW} , {OLD}")
    keys = load_settings().payload_keys()
    assert (keys.active, list(keys.by_id)) == ("2026-11", ["2026-11", "2026-05"])
    secret = base64.b64encode(keys.by_id["2026-11"]).decode()
    assert secret not in f"{keys!r} {load_settings()!r}"
    file = tmp_path / "keys"
    file.write_text(f"# made on Monday, by two people\n{NEW}\n\n{OLD}\n")
    monkeypatch.setenv("ENCRYPTION_KEYS_FILE", str(file))
    with pytest.raises(SettingsError, match="both set; unset one"):
        load_settings()
    monkeypatch.delenv("ENCRYPTION_KEYS")
    assert load_settings().payload_keys() == keys


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("7QjSH3AknXc8jDqKnCZ/ca6RgVtxfiCeVDvGax+DtiA=", "entry 1 is not `id:key`"),
        (f"{NEW},a b:xx", "entry 2 is not `id:key`"),
        ("a:no+base+64!", "key a is not base64"),
        ("a:", "key a has 0 bytes and needs 32"),
        (f"a:{base64.b64encode(b'x' * 16).decode()}", "key a has 16 bytes and needs 32"),
        (f"{NEW},{NEW}", "2026-11 stands there twice"),
    ],
    ids=["no id", "an id with a blank", "no base64", "empty", "too short", "twice"],
)
def test_a_wrong_key_is_told_with_its_setting_and_remedy_and_never_shown(
    text: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENCRYPTION_KEYS", text)
    for read in (load_settings, integration_plugin):
        with pytest.raises(SettingsError) as caught:
            read()
        message = str(caught.value)
        assert "ENCRYPTION_KEYS" in message
        assert told in message
        assert "Correct it in the environment, in .env or in SECRETS_DIR." in message
        assert not any(len(part) > 8 and part in message for part in text.replace(",", ":").split(":"))


@pytest.mark.parametrize(("content", "told"), [(None, "cannot be read"), (b"\xff", "no text"), (b"# none", "no key")])
def test_a_file_of_keys_that_cannot_be_used_is_named(
    content: bytes | None, told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "payload-keys"
    if content is not None:
        file.write_bytes(content)
    monkeypatch.setenv("ENCRYPTION_KEYS_FILE", str(file))
    with pytest.raises(SettingsError, match=rf"ENCRYPTION_KEYS_FILE: .*payload-keys.*{told}"):
        load_settings()


@pytest.mark.parametrize("origins", ["*", "temporal.example.com", "https://temporal.example.com/", "https://a b"])
def test_an_origin_is_an_origin(origins: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPORAL_UI_ORIGINS", origins)
    with pytest.raises(SettingsError, match=r"TEMPORAL_UI_ORIGINS: .*no origin"):
        load_settings()


# ---- which keys are needed ------------------------------------------------------------------------------------------


async def test_keys_are_found_wherever_a_payload_is_but_in_search_attributes_and_headers() -> None:
    (old,) = await converter(OLD).encode([STREET])
    (new,) = await converter(NEW).encode([STREET])
    plain = Payload(metadata={"encoding": b"json/plain"}, data=b"1")
    event = HistoryEvent()
    started = event.workflow_execution_started_event_attributes
    started.input.CopyFrom(Payloads(payloads=[old]))
    started.search_attributes.CopyFrom(SearchAttributes(indexed_fields={"Pair": plain}))
    started.header.CopyFrom(Header(fields={"trace": plain}))
    assert keys_in(History(events=[event])) == {"2026-05"}
    event.user_metadata.summary.CopyFrom(new)
    assert keys_in(History(events=[event])) == {"2026-05", "2026-11"}
    started.memo.fields["note"].CopyFrom(plain)
    assert keys_in(History(events=[event])) == {"2026-05", "2026-11", PLAIN}


def told(found: dict[str, Usage], *, narrowed: bool = False) -> str:
    keys = EncryptionKeys("new", {"new": b"", "old": b""})
    return "\n".join(verdicts(found, keys, timedelta(days=90), narrowed=narrowed))


def test_an_operator_is_told_what_still_needs_a_key() -> None:
    assert told({"new": Usage(running=1)}) == (
        "Key old is needed by nothing here: remove it from ENCRYPTION_KEYS of every process."
    )
    assert told({"new": Usage(running=1)}, narrowed=True) == ""
    closed = Usage(closed=2, last_closed=datetime(2026, 11, 1, tzinfo=UTC))
    assert "until 2027-01-30 00:00 UTC" in told({"old": closed})
    assert "workflows that run" in told({"old": Usage(running=1)})
    assert "python -m workers schedules" in told({"old": Usage(schedules=["sage-poll-demo"])})
    assert "Key lost is needed AND IS NOT HERE" in told({"lost": Usage(running=1)})
    assert "from before there was a key" in told({PLAIN: Usage(closed=1)})


# ---- logs and traces ------------------------------------------------------------------------------------------------


class Address(BaseModel):
    """What a mistake of validation quotes."""

    line1: int


def fails() -> None:
    try:
        Address.model_validate({"line1": STREET})
    except ValidationError as error:
        raise Refused("Sage gateway", "POST /SO/SalesOrder", f"AddressLine1 {STREET}", status=422) from error


def test_logs_tell_where_and_what_kind_but_no_values(caplog: pytest.LogCaptureFixture) -> None:
    caplog.handler.addFilter(WithoutValues())
    log = logging.getLogger("tried")
    try:
        fails()
    except Refused as error:
        log.exception("An order cannot be created")
        log.warning("It went wrong: %s", error)
    assert STREET not in caplog.text
    assert "in fails" in caplog.text
    assert "ValidationError\nIt led to:" in caplog.text
    assert "It went wrong: Refused: Sage gateway: POST /SO/SalesOrder" in caplog.text


def test_what_an_operator_must_know_is_told() -> None:
    assert without_values(UndecodablePayload("the key 'a' is missing")) == "UndecodablePayload: the key 'a' is missing"


def test_traces_hold_no_values() -> None:
    kept = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(WithoutValuesExporter(kept)))
    asked = {"temporalWorkflowID": "order-demo-1", "url.query": "email=a@example.com", "client.address": "192.0.2.1"}
    with (
        pytest.raises(Refused),
        provider.get_tracer("tried").start_as_current_span(
            "RunActivity", attributes=asked, set_status_on_exception=False
        ) as span,
    ):
        span.set_status(Status(StatusCode.ERROR, f"Refused: {STREET}"))
        fails()
    (sent,) = kept.get_finished_spans()
    assert isinstance(sent, ReadableSpan)
    assert STREET not in sent.to_json()
    assert dict(sent.attributes or {}) == {"temporalWorkflowID": "order-demo-1"}
    assert (sent.events[0].attributes or {})["exception.type"] == "connectors.errors.Refused"
    assert sent.status.description == "Refused"
