"""The store's webhook sender: a durable queue, retries as real senders do them; Standard Webhooks 1.0 by default.

The id of a delivery stays over its retries; the timestamp and the signature are made anew for each attempt.
"""

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import random
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx

from sandbox.clarity.store import Store

ATTEMPT_SECONDS = 5.0
CONCURRENT = 4
LOOK_SECONDS = 0.1


def sign(secret: str, webhook_id: str, timestamp: int, body: bytes) -> str:
    """`v1,` and the base64 HMAC-SHA256 of `{id}.{timestamp}.{body}` under the decoded secret."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    digest = hmac.new(key, f"{webhook_id}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return "v1," + base64.b64encode(digest).decode()


def write_standard(
    event: dict[str, Any], webhook_id: str, timestamp: int, secrets: list[str]
) -> tuple[bytes, dict[str, str]]:
    """Body and headers of Standard Webhooks 1.0; a signature per secret while secrets rotate."""
    body = json.dumps(event, ensure_ascii=False).encode()
    return body, {
        "webhook-id": webhook_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(sign(secret, webhook_id, timestamp, body) for secret in secrets),
    }


def is_of_order(event: dict[str, Any]) -> bool:
    """Whether an event is about an order."""
    return not str(event.get("type")).startswith("product.")


def id_of(event: dict[str, Any]) -> str:
    """The id of what it is about."""
    return str(event["data"].get("id", "")) if isinstance(event.get("data"), dict) else ""


Writer = Callable[[dict[str, Any], str, int, list[str]], tuple[bytes, dict[str, str]]]
"""Event, id, timestamp and secrets → the raw body and its headers."""


class Sender:
    """Delivers what is queued; `schedule` are the seconds between attempts."""

    def __init__(
        self, store: Store, url: str, secrets: list[str], schedule: list[float], write: Writer = write_standard
    ) -> None:
        self.store = store
        self.url = url
        self.secrets = secrets
        self.schedule = schedule
        self.write = write
        self.in_flight: set[str] = set()
        self.waiting = {one["key"]: one for one in store.all("delivery") if not one["done"]}
        """Deliveries that are not done, by key."""
        self.drop_share = 0.0
        """Of the deliveries that are queued, those that are lost: never sent."""
        self.drop_random = random.Random(0)  # noqa: S311 - a repeatable share, nothing secret

    def drop(self, share: float, seed: int = 0) -> None:
        """Lose this share of the deliveries from now on; the same seed loses the same ones."""
        self.drop_share = share
        self.drop_random = random.Random(seed)  # noqa: S311 - as above

    def queue(self, event: dict[str, Any], webhook_id: str | None = None) -> str:
        """Queue one delivery of an event."""
        id_ = webhook_id or f"msg_{uuid.uuid4().hex}"
        dropped = self.drop_random.random() < self.drop_share
        self._keep(
            {
                "key": uuid.uuid4().hex,
                "id": id_,
                "orderId": id_of(event) if is_of_order(event) else "",
                "productId": "" if is_of_order(event) else id_of(event),
                "type": event.get("type"),
                "event": event,
                "attempts": [],
                "next": time.time(),
                "done": dropped,
                "dropped": dropped,
            }
        )
        return id_

    def _keep(self, delivery: dict[str, Any]) -> None:
        self.store.put("delivery", delivery["key"], delivery)
        if delivery["done"]:
            self.waiting.pop(delivery["key"], None)
        else:
            self.waiting[delivery["key"]] = delivery

    async def run(self) -> None:
        """Deliver as long as the process lives."""
        async with httpx.AsyncClient(
            timeout=ATTEMPT_SECONDS, limits=httpx.Limits(max_connections=CONCURRENT)
        ) as client:
            tasks: set[asyncio.Task[None]] = set()
            while True:
                for delivery in list(self.waiting.values()):
                    due = delivery["next"] <= time.time()
                    if due and delivery["key"] not in self.in_flight and len(self.in_flight) < CONCURRENT:
                        self.in_flight.add(delivery["key"])
                        task = asyncio.create_task(self._attempt(client, delivery))
                        tasks.add(task)
                        task.add_done_callback(tasks.discard)
                await asyncio.sleep(LOOK_SECONDS)

    async def _attempt(self, client: httpx.AsyncClient, delivery: dict[str, Any]) -> None:
        status, wait = 0, None
        try:
            with contextlib.suppress(httpx.HTTPError):
                response = await self.send(client, delivery["id"], delivery["event"])
                status = response.status_code
                with contextlib.suppress(ValueError):
                    wait = float(response.headers.get("Retry-After", ""))
            attempts = [*delivery["attempts"], {"at": datetime.now(UTC).isoformat(), "status": status}]
            done = 200 <= status < 300 or len(attempts) > len(self.schedule)
            pause = self.schedule[min(len(attempts), len(self.schedule)) - 1] if self.schedule else 0.0
            self._keep({**delivery, "attempts": attempts, "done": done, "next": time.time() + max(pause, wait or 0.0)})
        finally:
            self.in_flight.discard(delivery["key"])

    async def send(
        self, client: httpx.AsyncClient, webhook_id: str, event: dict[str, Any], *, timestamp: int | None = None
    ) -> httpx.Response:
        """One signed attempt."""
        at = int(time.time()) if timestamp is None else timestamp
        body, headers = self.write(event, webhook_id, at, self.secrets)
        return await client.post(self.url, content=body, headers={"Content-Type": "application/json", **headers})
