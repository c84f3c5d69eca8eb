"""A charge station made with the package `ocpp`: `station.py URL DESCRIPTION`.

In: the URL of a CSMS, which ends with the station's identity, and a description as JSON (see
tests/src/python_station.rs). Orders come as JSON, one a line, on standard input; at its end the
station ends. Out: what happened, as JSON, one event a line. How frames are built, read and checked is
the package's business alone: that is what this station is for.
"""

import asyncio
import base64
import json
import os
import re
import sys
import threading
from urllib.parse import unquote

import websockets
from ocpp.exceptions import OCPPError
from ocpp.routing import after, on
from ocpp.v16 import ChargePoint, call, call_result

# Between two tries to connect.
RETRY_SECONDS = 0.2


def tell(event: str, **facts) -> None:
    """Prints an event."""
    print(json.dumps({"event": event, **facts}), flush=True)


class Keys:
    """The configuration of a station, and the values that wait for a boot."""

    def __init__(self, table: dict) -> None:
        self.table = table
        self.waiting: dict[str, str] = {}

    def report(self, name: str) -> dict:
        key = self.table[name]
        reported = {"key": name, "readonly": key.get("readonly", False)}
        if not key.get("writeOnly"):
            reported["value"] = key["value"]
        return reported

    def change(self, name: str, value: str) -> str:
        key = self.table.get(name)
        if key is None:
            return "NotSupported"
        if key.get("readonly") or key.get("reject"):
            return "Rejected"
        if key.get("reboot"):
            self.waiting[name] = value
            return "RebootRequired"
        key["value"] = value
        return "Accepted"

    def boot(self) -> None:
        for name, value in self.waiting.items():
            self.table[name]["value"] = value
        self.waiting.clear()


class Station(ChargePoint):
    """One connection of the station."""

    def __init__(self, identity: str, connection, keys: Keys, silent: list[str]) -> None:
        super().__init__(identity, connection)
        self.keys = keys
        self.silent = silent
        self.received: dict[str, tuple[str, dict]] = {}
        self.reset = asyncio.Event()

    async def route_message(self, raw_msg):
        frame = json.loads(raw_msg)
        if frame[0] == 2 and frame[2] in self.silent:
            tell("call", action=frame[2], payload=frame[3], answer=None)
            return
        if frame[0] == 2:
            self.received[frame[1]] = (frame[2], frame[3])
        await super().route_message(raw_msg)

    async def _send(self, message):
        await super()._send(message)
        frame = json.loads(message)
        if frame[0] != 2 and frame[1] in self.received:
            action, payload = self.received.pop(frame[1])
            answer = frame[2] if frame[0] == 3 else {"error": frame[2], "description": frame[3]}
            tell("call", action=action, payload=payload, answer=answer)

    @on("GetConfiguration")
    def get_configuration(self, key=None):
        names = list(self.keys.table) if not key else key
        return call_result.GetConfiguration(
            configuration_key=[self.keys.report(name) for name in names if name in self.keys.table],
            unknown_key=[name for name in names if name not in self.keys.table],
        )

    @on("ChangeConfiguration")
    def change_configuration(self, key, value):
        return call_result.ChangeConfiguration(status=self.keys.change(key, value))

    @on("Reset")
    def reset_requested(self, type):
        return call_result.Reset(status="Accepted")

    @after("Reset")
    def reset_answered(self, type):
        self.reset.set()

    @on("TriggerMessage")
    def trigger_message(self, requested_message, connector_id=None):
        if requested_message != "StatusNotification":
            return call_result.TriggerMessage(status="NotImplemented")
        return call_result.TriggerMessage(status="Accepted")

    @after("TriggerMessage")
    async def message_triggered(self, requested_message, connector_id=None):
        if requested_message == "StatusNotification":
            await self.send_states()

    async def send(self, action: str, payload: dict) -> dict | None:
        """Sends a call and tells its answer."""
        snake = {re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower(): value for name, value in payload.items()}
        try:
            answer = await self.call(getattr(call, action)(**snake), suppress=False)
        except OCPPError as error:
            tell("sent", action=action, answer={"error": error.code, "description": error.description})
            return None
        except asyncio.TimeoutError:
            tell("sent", action=action, answer=None)
            return None
        tell("sent", action=action, answer=vars(answer))
        return vars(answer)

    async def send_states(self) -> None:
        connectors = int(self.keys.table.get("NumberOfConnectors", {}).get("value", "1"))
        for connector in range(connectors + 1):
            state = {"connectorId": connector, "errorCode": "NoError", "status": "Available"}
            await self.send("StatusNotification", state)

    async def boot_notification(self, description: dict) -> None:
        """Sends BootNotification until it is accepted, then the states and the heartbeats."""
        facts = {
            "chargePointVendor": description.get("vendor", "Nobody"),
            "chargePointModel": description.get("model", "Python"),
            "firmwareVersion": description.get("firmware", "1.0"),
        }
        if "serial" in description:
            facts["chargePointSerialNumber"] = description["serial"]
        while True:
            answer = await self.send("BootNotification", facts)
            interval = answer["interval"] if answer else 0
            if answer:
                tell("booted", status=answer["status"], interval=interval)
                if answer["status"] == "Accepted":
                    break
            # OCPP 1.6, section 4.2: a station chooses its own pause where it is told 0.
            await asyncio.sleep(interval or 10)
        await self.send_states()
        while True:
            await asyncio.sleep(interval or 3600)
            await self.send("Heartbeat", {})


class Life:
    """The station over all of its connections."""

    def __init__(self, url: str, description: dict) -> None:
        self.url = url
        self.identity = unquote(url.rsplit("/", 1)[1])
        self.description = description
        self.keys = Keys(description.get("keys", {}))
        self.boots = description.get("boot", True)
        self.station: Station | None = None
        self.tasks: set[asyncio.Task] = set()

    def headers(self) -> dict[str, str]:
        password = self.description.get("password")
        if password is None:
            return {}
        credentials = base64.b64encode(f"{self.identity}:{password}".encode())
        return {"Authorization": f"Basic {credentials.decode()}"}

    async def live(self) -> None:
        """Connects, again and again."""
        while True:
            try:
                connection = await websockets.connect(
                    self.url, subprotocols=["ocpp1.6"], additional_headers=self.headers(), proxy=None
                )
            except websockets.exceptions.InvalidStatus as refusal:
                tell("refused", status=refusal.response.status_code)
            except (OSError, websockets.exceptions.WebSocketException) as error:
                tell("refused", status=None, error=str(error))
            else:
                async with connection:
                    await self.serve(connection)
                tell("disconnected", code=connection.close_code)
            await asyncio.sleep(RETRY_SECONDS)

    async def serve(self, connection) -> None:
        """Uses one connection until it ends or the station boots."""
        self.station = Station(self.identity, connection, self.keys, self.description.get("silent", []))
        tell("connected", subprotocol=connection.subprotocol)
        tasks = [asyncio.create_task(self.station.start()), asyncio.create_task(self.station.reset.wait())]
        sending = []
        if self.boots:
            sending = [asyncio.create_task(self.station.boot_notification(self.description))]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if self.station.reset.is_set():
            self.boot()
        self.station = None
        for task in tasks + sending:
            task.cancel()
        ended = await asyncio.gather(*tasks, *sending, return_exceptions=True)
        for error in ended:
            if isinstance(error, Exception) and not isinstance(error, websockets.exceptions.ConnectionClosed):
                print(f"station.py: {error!r}", file=sys.stderr, flush=True)

    def boot(self) -> None:
        self.keys.boot()
        self.boots = self.description.get("boot", True)

    def obey(self, order: dict) -> None:
        """Does what a line on standard input says."""
        if order["do"] == "change":
            self.keys.table[order["key"]]["value"] = order["value"]
            tell("changed", key=order["key"], value=order["value"])
        elif order["do"] == "boot":
            if self.station:
                self.station.reset.set()
            else:
                self.boot()
        elif order["do"] == "reconnect":
            self.boots = False
            if self.station:
                self.keep(self.station._connection.close())
        elif order["do"] == "send" and self.station:
            self.keep(self.station.send(order["action"], order["payload"]))

    def keep(self, coroutine) -> None:
        task = asyncio.get_running_loop().create_task(coroutine)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)


def take_orders(life: Life, loop: asyncio.AbstractEventLoop) -> None:
    """Reads standard input, in a thread of its own, and ends the program with it."""
    for line in sys.stdin:
        loop.call_soon_threadsafe(life.obey, json.loads(line))
    os._exit(0)


async def main() -> None:
    life = Life(sys.argv[1], json.loads(sys.argv[2]))
    threading.Thread(target=take_orders, args=(life, asyncio.get_running_loop()), daemon=True).start()
    await life.live()


if __name__ == "__main__":
    asyncio.run(main())
