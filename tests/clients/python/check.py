"""stomp.py against a broker: check.py HOST PORT. Prints `ok NAME` for every step."""

import os
import queue
import sys
import time
import uuid

import stomp

HOST, PORT = sys.argv[1], int(sys.argv[2])
DIALECT = os.environ.get("STOMPBOX_DIALECT") == "1"
PATIENCE = 10
RUN = os.environ.get("STOMPBOX_RUN") or uuid.uuid4().hex[:12]
RESTARTED = os.environ.get("STOMPBOX_PHASE") == "restarted"
TEXT = "grüße, 你好, 🐝"
HEADER = "wert: mit\nzeile \\ und 🐝"


class Inbox(stomp.ConnectionListener):
    """Frames by kind, for a test that waits for them."""

    def __init__(self):
        self.messages, self.receipts, self.errors = queue.Queue(), queue.Queue(), queue.Queue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame.headers["receipt-id"])

    def on_error(self, frame):
        self.errors.put(frame)
        self.messages.put(frame)
        self.receipts.put(f"ERROR {frame.headers} {frame.body}")


class Client:
    """One connection of one protocol version."""

    def __init__(self, kind, client_id=None, **options):
        self.inbox = Inbox()
        self.connection = kind([(HOST, PORT)], reconnect_attempts_max=1, **options)
        self.connection.set_listener("inbox", self.inbox)
        self.connection.connect(wait=True, headers={"client-id": client_id} if client_id else {})
        self.receipt_count = 0

    def receipt(self):
        self.receipt_count += 1
        return f"{RUN}-{self.receipt_count}"

    def send(self, destination, body, **headers):
        receipt = self.receipt()
        self.connection.send(destination, body, receipt=receipt, persistent="true", **headers)
        self.await_receipt(receipt)

    def await_receipt(self, receipt):
        got = self.inbox.receipts.get(timeout=PATIENCE)
        assert got == receipt, f"expected receipt {receipt}, got {got}"

    def receive(self, body):
        frame = self.inbox.messages.get(timeout=PATIENCE)
        assert frame.cmd == "MESSAGE", f"expected a MESSAGE, got {frame.cmd} {frame.headers} {frame.body}"
        assert frame.body == body, f"expected body {body!r}, got {frame.body!r}"
        return frame

    def drop(self):
        """Breaks the connection, as a crash does: no DISCONNECT."""
        self.connection.transport.disconnect_socket()
        self.connection.transport.stop()

    def leave(self):
        receipt = self.receipt()
        self.connection.disconnect(receipt=receipt)
        self.await_receipt(receipt)


def ok(name):
    print(f"ok {name}", flush=True)


def check_round_trip(version, kind):
    destination = f"/queue/python.{version}.{RUN}"
    client = Client(kind)
    ok(f"connect {version}")
    client.send(destination, TEXT)
    ok(f"send with receipt {version}")
    client.connection.subscribe(destination, id="s", ack="client")
    frame = client.receive(TEXT)
    assert frame.headers["destination"] == destination, frame.headers
    acknowledge(client, frame, version)
    client.send(destination, "second")
    acknowledge(client, client.receive("second"), version)
    ok(f"receive and ack {version}")
    client.leave()
    ok(f"disconnect {version}")


def acknowledge(client, frame, version, **options):
    if version == "1.2":
        client.connection.ack(frame.headers["ack"], **options)
    elif version == "1.1":
        client.connection.ack(frame.headers["message-id"], frame.headers["subscription"], **options)
    else:
        client.connection.ack(frame.headers["message-id"], **options)


def check_headers_and_bytes():
    destination = f"/queue/python.bytes.{RUN}"
    client = Client(stomp.Connection12, auto_decode=False)
    client.connection.subscribe(destination, id="s", ack="auto")
    binary = b"\x00one\x00two\x00\xff\xfe\n\n\x00"
    client.send(destination, binary, property=HEADER)
    frame = client.receive(binary)
    assert frame.headers["property"] == HEADER, f"property came as {frame.headers['property']!r}"
    assert frame.headers["content-length"] == str(len(binary)), frame.headers
    ok("header with colon, line end and emoji; body with NUL")
    large = os.urandom(3_000_000)
    client.send(destination, large)
    client.receive(large)
    ok("body of 3,000,000 bytes")
    client.leave()


def check_transactions():
    source, target = f"/queue/python.in.{RUN}", f"/queue/python.out.{RUN}"
    client = Client(stomp.Connection12)
    client.send(source, "input")
    client.connection.subscribe(source, id="in", ack="client-individual")
    client.connection.subscribe(target, id="out", ack="auto")
    received = client.receive("input")

    transaction = client.connection.begin()
    client.connection.send(target, "aborted", transaction=transaction)
    client.connection.abort(transaction)
    client.send(target, "after abort")
    client.receive("after abort")
    ok("abort hides")

    transaction = client.connection.begin()
    client.connection.ack(received.headers["ack"], transaction=transaction)
    client.connection.send(target, "committed", transaction=transaction)
    receipt = client.receipt()
    client.connection.commit(transaction, receipt=receipt)
    client.await_receipt(receipt)
    client.receive("committed")
    client.drop()
    other = Client(stomp.Connection12)
    other.send(source, "next")
    other.connection.subscribe(source, id="in", ack="auto")
    other.receive("next")
    other.leave()
    ok("commit shows what was sent and acknowledged in it")


def check_redelivery():
    destination = f"/queue/python.again.{RUN}"
    first = Client(stomp.Connection12)
    first.send(destination, "again")
    first.connection.subscribe(destination, id="s", ack="client-individual")
    frame = first.receive("again")
    assert frame.headers.get("redelivered", "false") == "false", frame.headers
    first.drop()
    second = Client(stomp.Connection12)
    second.connection.subscribe(destination, id="s", ack="client-individual")
    frame = second.receive("again")
    assert frame.headers.get("redelivered") == "true", frame.headers
    ok("a lost connection returns what it held, redelivered:true")
    if DIALECT:
        second.connection.nack(frame.headers["ack"], **{"x-delay": "0"})
        frame = second.receive("again")
        assert frame.headers.get("redelivered") == "true", frame.headers
        assert frame.headers.get("JMSXDeliveryCount") == "3", frame.headers
        ok("nack redelivers, JMSXDeliveryCount:3")
    receipt = second.receipt()
    second.connection.ack(frame.headers["ack"], receipt=receipt)
    second.await_receipt(receipt)
    ok("ack with receipt")
    second.leave()


def check_request_and_reply():
    questions, own = f"/queue/python.questions.{RUN}", "/temp-queue/answers"
    server, asker = Client(stomp.Connection12), Client(stomp.Connection11)
    server.connection.subscribe(questions, id="s", ack="auto")
    asker.connection.subscribe(own, id="a", ack="auto")
    asker.send(questions, "how much?", **{"reply-to": own, "correlation-id": "7"})
    question = server.receive("how much?")
    server.send(question.headers["reply-to"], "4.20", **{"correlation-id": question.headers["correlation-id"]})
    answer = asker.receive("4.20")
    assert answer.headers["correlation-id"] == "7", answer.headers
    server.leave()
    asker.leave()
    ok("request and reply through a temporary queue")


def check_selector():
    destination = f"/queue/python.fruit.{RUN}"
    picky, other = Client(stomp.Connection12), Client(stomp.Connection12)
    picky.connection.subscribe(destination, id="s", ack="auto", headers={"selector": "colour = 'red' AND weight > 2"})
    for body, colour, weight in (("pear", "green", "3"), ("cherry", "red", "1"), ("apple", "red", "3")):
        other.send(destination, body, colour=colour, weight=weight)
    picky.receive("apple")
    other.connection.subscribe(destination, id="s", ack="auto")
    other.receive("pear")
    other.receive("cherry")
    picky.leave()
    other.leave()
    ok("a selector takes its part and leaves the rest")


def check_group():
    destination = f"/queue/python.group.{RUN}"
    first, second = Client(stomp.Connection12), Client(stomp.Connection12)
    first.connection.subscribe(destination, id="s", ack="client-individual")
    first.send(destination, "1", JMSXGroupID="g")
    first.receive("1")
    second.connection.subscribe(destination, id="s", ack="client-individual")
    for body in ("2", "3"):
        second.send(destination, body, JMSXGroupID="g")
        frame = first.receive(body)
        assert not DIALECT or frame.headers["JMSXGroupID"] == "g", frame.headers
    first.drop()
    for body in ("1", "2", "3"):
        second.receive(body)
    second.leave()
    ok("a group stays with its consumer and goes on in order when that has gone")


def check_schedule():
    destination = f"/queue/python.later.{RUN}"
    client = Client(stomp.Connection12)
    client.connection.subscribe(destination, id="s", ack="auto")
    began = time.monotonic()
    client.send(destination, "later", AMQ_SCHEDULED_DELAY="500")
    client.send(destination, "now")
    client.receive("now")
    client.receive("later")
    assert time.monotonic() - began >= 0.5, "too early"
    client.leave()
    ok("a scheduled message comes when it is due")


TOPIC, NAME = f"/topic/python.news.{RUN}", {"activemq.subscriptionName": "news"}


def durable():
    client = Client(stomp.Connection12, client_id=f"python-{RUN}")
    client.connection.subscribe(TOPIC, id="d", ack="client-individual", headers=NAME)
    return client


def check_durable():
    durable().leave()
    other = Client(stomp.Connection12)
    other.send(TOPIC, "while away")
    client = durable()
    frame = client.receive("while away")
    receipt = client.receipt()
    client.connection.ack(frame.headers["ack"], receipt=receipt)
    client.await_receipt(receipt)
    client.leave()
    ok("a durable subscription gets what came while it was away")
    other.send(TOPIC, "before the restart")
    other.leave()


def check_durable_after_restart():
    client = durable()
    frame = client.receive("before the restart")
    client.connection.ack(frame.headers["ack"])
    receipt = client.receipt()
    client.connection.unsubscribe("d", receipt=receipt, **NAME)
    client.await_receipt(receipt)
    client.leave()
    ok("a durable subscription lives through a restart of the broker")


def main():
    if RESTARTED:
        return check_durable_after_restart()
    for version, kind in (("1.0", stomp.Connection10), ("1.1", stomp.Connection11), ("1.2", stomp.Connection12)):
        check_round_trip(version, kind)
    check_headers_and_bytes()
    check_transactions()
    check_redelivery()
    check_request_and_reply()
    check_selector()
    check_group()
    check_schedule()
    check_durable()


try:
    main()
except queue.Empty:
    sys.exit(f"no frame within {PATIENCE} s")
