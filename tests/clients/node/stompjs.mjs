// @stomp/stompjs over TCP against a broker: stompjs.mjs HOST PORT.
import { Client, Versions } from '@stomp/stompjs';
import { TcpSocket } from './socket.mjs';
import { Inbox, binary, expect, fail, host, dialect, ok, patiently, port, restarted, run, text } from './steps.mjs';

const header = 'wert: mit\nzeile \\ und 🐝';

class Peer {
  static async open(version, connectHeaders = {}) {
    const peer = new Peer();
    await patiently(
      new Promise((resolve) => {
        peer.client = new Client({
          webSocketFactory: () => (peer.socket = new TcpSocket(host, port)),
          stompVersions: new Versions([version]),
          connectHeaders,
          reconnectDelay: 0,
          heartbeatIncoming: 0,
          heartbeatOutgoing: 0,
          appendMissingNULLonIncoming: false,
          onConnect: resolve,
          onStompError: (frame) => fail(`ERROR ${frame.headers.message}: ${frame.body}`),
        });
        peer.client.activate();
      }),
      `CONNECTED ${version}`,
    );
    return peer;
  }

  receipts = 0;

  receipted(action) {
    const receipt = `${run}-${++this.receipts}`;
    const came = new Promise((resolve) => this.client.watchForReceipt(receipt, resolve));
    action({ receipt });
    return patiently(came, `receipt ${receipt}`);
  }

  send(destination, content, headers = {}) {
    const body = typeof content === 'string' ? { body: content } : { binaryBody: content };
    return this.receipted((receipt) =>
      this.client.publish({ destination, ...body, headers: { persistent: 'true', ...headers, ...receipt } }),
    );
  }

  subscribe(destination, ack, headers = {}) {
    const inbox = new Inbox();
    inbox.subscription = this.client.subscribe(destination, (message) => inbox.push(message), { ack, ...headers });
    return inbox;
  }

  async receive(inbox, body) {
    const message = await inbox.next(body);
    expect(message.body === body, `expected body ${body}, got ${message.body}`);
    return message;
  }

  leave() {
    return patiently(this.client.deactivate(), 'the receipt of DISCONNECT');
  }

  // As a crash: no DISCONNECT, no second connection.
  drop() {
    this.socket.terminate();
  }
}

async function checkRoundTrip(version) {
  const destination = `/queue/stompjs.${version}.${run}`;
  const peer = await Peer.open(version);
  expect(peer.client.connectedVersion === version, `expected ${version}, got ${peer.client.connectedVersion}`);
  ok(`connect ${version}`);
  await peer.send(destination, text);
  ok(`send with receipt ${version}`);
  const inbox = peer.subscribe(destination, 'client');
  const message = await peer.receive(inbox, text);
  expect(message.headers.destination === destination, JSON.stringify(message.headers));
  await peer.receipted((receipt) => message.ack(receipt));
  ok(`receive and ack with receipt ${version}`);
  await peer.leave();
  ok(`disconnect ${version}`);
}

async function checkHeadersAndBytes() {
  const destination = `/queue/stompjs.bytes.${run}`;
  const peer = await Peer.open('1.2');
  const inbox = peer.subscribe(destination, 'auto');
  await peer.send(destination, binary, { property: header, 'content-type': 'application/octet-stream' });
  const message = await inbox.next('a body with NUL');
  expect(Buffer.compare(message.binaryBody, binary) === 0, `body came as ${message.binaryBody}`);
  expect(message.headers.property === header, `property came as ${JSON.stringify(message.headers.property)}`);
  ok('header with colon, line end and emoji; body with NUL');
  await peer.leave();
}

async function checkTransactions() {
  const [source, target] = [`/queue/stompjs.in.${run}`, `/queue/stompjs.out.${run}`];
  const peer = await Peer.open('1.2');
  await peer.send(source, 'input');
  const inputs = peer.subscribe(source, 'client-individual');
  const outputs = peer.subscribe(target, 'auto');
  const received = await peer.receive(inputs, 'input');

  const aborted = peer.client.begin();
  peer.client.publish({ destination: target, body: 'aborted', headers: { transaction: aborted.id } });
  aborted.abort();
  await peer.send(target, 'after abort');
  await peer.receive(outputs, 'after abort');
  ok('abort hides');

  const transaction = peer.client.begin();
  received.ack({ transaction: transaction.id });
  peer.client.publish({ destination: target, body: 'committed', headers: { transaction: transaction.id } });
  transaction.commit();
  await peer.receive(outputs, 'committed');
  peer.drop();
  const other = await Peer.open('1.2');
  await other.send(source, 'next');
  await other.receive(other.subscribe(source, 'auto'), 'next');
  await other.leave();
  ok('commit shows what was sent and acknowledged in it');
}

async function checkRedelivery() {
  const destination = `/queue/stompjs.again.${run}`;
  const first = await Peer.open('1.2');
  await first.send(destination, 'again');
  let message = await first.receive(first.subscribe(destination, 'client-individual'), 'again');
  expect((message.headers.redelivered ?? 'false') === 'false', JSON.stringify(message.headers));
  first.drop();
  const second = await Peer.open('1.2');
  const inbox = second.subscribe(destination, 'client-individual');
  message = await second.receive(inbox, 'again');
  expect(message.headers.redelivered === 'true', JSON.stringify(message.headers));
  ok('a lost connection returns what it held, redelivered:true');
  if (dialect) {
    message.nack({ 'x-delay': '0' });
    message = await second.receive(inbox, 'again');
    expect(message.headers.redelivered === 'true', JSON.stringify(message.headers));
    expect(message.headers.JMSXDeliveryCount === '3', JSON.stringify(message.headers));
    ok('nack redelivers, JMSXDeliveryCount:3');
  }
  await second.receipted((receipt) => message.ack(receipt));
  await second.leave();
}

async function checkRequestAndReply() {
  const [questions, own] = [`/queue/stompjs.questions.${run}`, '/temp-queue/answers'];
  const [server, asker] = [await Peer.open('1.2'), await Peer.open('1.1')];
  const asked = server.subscribe(questions, 'auto');
  const answers = asker.subscribe(own, 'auto');
  await asker.send(questions, 'how much?', { 'reply-to': own, 'correlation-id': '7' });
  const question = await server.receive(asked, 'how much?');
  await server.send(question.headers['reply-to'], '4.20', { 'correlation-id': question.headers['correlation-id'] });
  const answer = await asker.receive(answers, '4.20');
  expect(answer.headers['correlation-id'] === '7', JSON.stringify(answer.headers));
  await server.leave();
  await asker.leave();
  ok('request and reply through a temporary queue');
}

async function checkSelector() {
  const destination = `/queue/stompjs.fruit.${run}`;
  const [picky, other] = [await Peer.open('1.2'), await Peer.open('1.2')];
  const taken = picky.subscribe(destination, 'auto', { selector: "colour = 'red' AND weight > 2" });
  await other.send(destination, 'pear', { colour: 'green', weight: '3' });
  await other.send(destination, 'cherry', { colour: 'red', weight: '1' });
  await other.send(destination, 'apple', { colour: 'red', weight: '3' });
  await picky.receive(taken, 'apple');
  const rest = other.subscribe(destination, 'auto');
  await other.receive(rest, 'pear');
  await other.receive(rest, 'cherry');
  await picky.leave();
  await other.leave();
  ok('a selector takes its part and leaves the rest');
}

async function checkGroup() {
  const destination = `/queue/stompjs.group.${run}`;
  const [first, second] = [await Peer.open('1.2'), await Peer.open('1.2')];
  const own = first.subscribe(destination, 'client-individual');
  await first.send(destination, '1', { JMSXGroupID: 'g' });
  await first.receive(own, '1');
  const later = second.subscribe(destination, 'client-individual');
  for (const body of ['2', '3']) {
    await second.send(destination, body, { JMSXGroupID: 'g' });
    const message = await first.receive(own, body);
    expect(!dialect || message.headers.JMSXGroupID === 'g', JSON.stringify(message.headers));
  }
  first.drop();
  for (const body of ['1', '2', '3']) await second.receive(later, body);
  await second.leave();
  ok('a group stays with its consumer and goes on in order when that has gone');
}

async function checkSchedule() {
  const destination = `/queue/stompjs.later.${run}`;
  const peer = await Peer.open('1.2');
  const inbox = peer.subscribe(destination, 'auto');
  const began = performance.now();
  await peer.send(destination, 'later', { AMQ_SCHEDULED_DELAY: '500' });
  await peer.send(destination, 'now');
  await peer.receive(inbox, 'now');
  await peer.receive(inbox, 'later');
  expect(performance.now() - began >= 500, 'too early');
  await peer.leave();
  ok('a scheduled message comes when it is due');
}

const [topic, durable] = [`/topic/stompjs.news.${run}`, { 'activemq.subscriptionName': 'news' }];
const owner = () => Peer.open('1.2', { 'client-id': `stompjs-${run}` });

async function checkDurable() {
  const early = await owner();
  early.subscribe(topic, 'client-individual', durable);
  await early.leave();
  const other = await Peer.open('1.2');
  await other.send(topic, 'while away');
  const late = await owner();
  const message = await late.receive(late.subscribe(topic, 'client-individual', durable), 'while away');
  await late.receipted((receipt) => message.ack(receipt));
  await late.leave();
  ok('a durable subscription gets what came while it was away');
  await other.send(topic, 'before the restart');
  await other.leave();
}

async function checkDurableAfterRestart() {
  const peer = await owner();
  const inbox = peer.subscribe(topic, 'client-individual', durable);
  (await peer.receive(inbox, 'before the restart')).ack();
  await peer.receipted((receipt) => inbox.subscription.unsubscribe({ ...durable, ...receipt }));
  await peer.leave();
  ok('a durable subscription lives through a restart of the broker');
}

try {
  if (restarted) {
    await checkDurableAfterRestart();
    process.exit(0);
  }
  for (const version of ['1.0', '1.1', '1.2']) await checkRoundTrip(version);
  await checkHeadersAndBytes();
  await checkTransactions();
  await checkRedelivery();
  await checkRequestAndReply();
  await checkSelector();
  await checkGroup();
  await checkSchedule();
  await checkDurable();
  process.exit(0);
} catch (error) {
  fail(error);
}
