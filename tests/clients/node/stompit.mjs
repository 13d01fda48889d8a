// stompit against a broker: stompit.mjs HOST PORT.
import stompit from 'stompit';
import { Inbox, binary, expect, fail, host, dialect, ok, patiently, port, restarted, run, text } from './steps.mjs';

class Peer {
  static open(headers = {}) {
    const options = { host, port, connectHeaders: { host: 'localhost', 'heart-beat': '0,0', ...headers } };
    const opened = new Promise((resolve, reject) =>
      stompit.connect(options, (error, client) => {
        if (error) return reject(error);
        const peer = new Peer();
        peer.client = client;
        client.on('error', (problem) => peer.dropped || fail(problem));
        resolve(peer);
      }),
    );
    return patiently(opened, 'CONNECTED');
  }

  send(headers, body) {
    const receipted = new Promise((resolve) => {
      const frame = this.client.send({ persistent: 'true', ...headers }, { onReceipt: resolve });
      frame.end(body);
    });
    return patiently(receipted, `the receipt of ${body}`);
  }

  subscribe(destination, ack, headers = {}) {
    const inbox = new Inbox();
    inbox.subscription = this.client.subscribe({ destination, ack, ...headers }, (error, message) => {
      if (error) return this.dropped || fail(error);
      const parts = [];
      message.on('data', (part) => parts.push(part));
      message.on('end', () => inbox.push({ message, headers: message.headers, body: Buffer.concat(parts) }));
    });
    return inbox;
  }

  async receive(inbox, body) {
    const message = await inbox.next(body);
    expect(Buffer.compare(message.body, Buffer.from(body)) === 0, `expected body ${body}, got ${message.body}`);
    return message;
  }

  leave() {
    const left = new Promise((resolve) => this.client.disconnect(() => resolve()));
    return patiently(left, 'the receipt of DISCONNECT');
  }

  // As a crash: no DISCONNECT.
  drop() {
    this.dropped = true;
    this.client.destroy();
  }
}

async function checkRoundTrip() {
  const destination = `/queue/stompit.${run}`;
  const peer = await Peer.open();
  ok('connect');
  await peer.send({ destination, property: 'wert: 🐝' }, text);
  ok('send with receipt');
  const inbox = peer.subscribe(destination, 'client');
  const received = await peer.receive(inbox, text);
  expect(received.headers.property === 'wert: 🐝', JSON.stringify(received.headers));
  peer.client.ack(received.message);
  await peer.send({ destination, 'content-length': binary.length }, Buffer.from(binary));
  peer.client.ack((await peer.receive(inbox, binary)).message);
  ok('receive and ack, also a body with NUL');
  await peer.leave();
  ok('disconnect');
}

async function checkTransactions() {
  const [source, target] = [`/queue/stompit.in.${run}`, `/queue/stompit.out.${run}`];
  const peer = await Peer.open();
  await peer.send({ destination: source }, 'input');
  const received = await peer.receive(peer.subscribe(source, 'client-individual'), 'input');
  const outputs = peer.subscribe(target, 'auto');

  const aborted = peer.client.begin({ transaction: 'a' });
  aborted.send({ destination: target }).end('aborted');
  aborted.abort();
  await peer.send({ destination: target }, 'after abort');
  await peer.receive(outputs, 'after abort');
  ok('abort hides');

  const transaction = peer.client.begin({ transaction: 'c' });
  peer.client.ack(received.message, { transaction: 'c' });
  transaction.send({ destination: target }).end('committed');
  transaction.commit();
  await peer.receive(outputs, 'committed');
  peer.drop();
  const other = await Peer.open();
  await other.send({ destination: source }, 'next');
  await other.receive(other.subscribe(source, 'auto'), 'next');
  await other.leave();
  ok('commit shows what was sent and acknowledged in it');
}

async function checkRedelivery() {
  const destination = `/queue/stompit.again.${run}`;
  const first = await Peer.open();
  await first.send({ destination }, 'again');
  await first.receive(first.subscribe(destination, 'client-individual'), 'again');
  first.drop();
  const second = await Peer.open();
  const inbox = second.subscribe(destination, 'client-individual');
  let received = await second.receive(inbox, 'again');
  expect(received.headers.redelivered === 'true', JSON.stringify(received.headers));
  ok('a lost connection returns what it held, redelivered:true');
  if (dialect) {
    second.client.nack(received.message, { 'x-delay': '0' });
    received = await second.receive(inbox, 'again');
    expect(received.headers.redelivered === 'true', JSON.stringify(received.headers));
    ok('nack redelivers');
  }
  second.client.ack(received.message);
  await second.leave();
}

async function checkRequestAndReply() {
  const [questions, own] = [`/queue/stompit.questions.${run}`, '/temp-queue/answers'];
  const [server, asker] = [await Peer.open(), await Peer.open()];
  const asked = server.subscribe(questions, 'auto');
  const answers = asker.subscribe(own, 'auto');
  await asker.send({ destination: questions, 'reply-to': own, 'correlation-id': '7' }, 'how much?');
  const { headers } = await server.receive(asked, 'how much?');
  await server.send({ destination: headers['reply-to'], 'correlation-id': headers['correlation-id'] }, '4.20');
  const answer = await asker.receive(answers, '4.20');
  expect(answer.headers['correlation-id'] === '7', JSON.stringify(answer.headers));
  await server.leave();
  await asker.leave();
  ok('request and reply through a temporary queue');
}

async function checkSelector() {
  const destination = `/queue/stompit.fruit.${run}`;
  const [picky, other] = [await Peer.open(), await Peer.open()];
  const taken = picky.subscribe(destination, 'auto', { selector: "colour = 'red' AND weight > 2" });
  await other.send({ destination, colour: 'green', weight: '3' }, 'pear');
  await other.send({ destination, colour: 'red', weight: '1' }, 'cherry');
  await other.send({ destination, colour: 'red', weight: '3' }, 'apple');
  await picky.receive(taken, 'apple');
  const rest = other.subscribe(destination, 'auto');
  await other.receive(rest, 'pear');
  await other.receive(rest, 'cherry');
  await picky.leave();
  await other.leave();
  ok('a selector takes its part and leaves the rest');
}

async function checkGroup() {
  const destination = `/queue/stompit.group.${run}`;
  const [first, second] = [await Peer.open(), await Peer.open()];
  const own = first.subscribe(destination, 'client-individual');
  await first.send({ destination, JMSXGroupID: 'g' }, '1');
  await first.receive(own, '1');
  const later = second.subscribe(destination, 'client-individual');
  for (const body of ['2', '3']) {
    await second.send({ destination, JMSXGroupID: 'g' }, body);
    const message = await first.receive(own, body);
    expect(!dialect || message.headers.JMSXGroupID === 'g', JSON.stringify(message.headers));
  }
  first.drop();
  for (const body of ['1', '2', '3']) await second.receive(later, body);
  await second.leave();
  ok('a group stays with its consumer and goes on in order when that has gone');
}

async function checkSchedule() {
  const destination = `/queue/stompit.later.${run}`;
  const peer = await Peer.open();
  const inbox = peer.subscribe(destination, 'auto');
  const began = performance.now();
  await peer.send({ destination, AMQ_SCHEDULED_DELAY: '500' }, 'later');
  await peer.send({ destination }, 'now');
  await peer.receive(inbox, 'now');
  await peer.receive(inbox, 'later');
  expect(performance.now() - began >= 500, 'too early');
  await peer.leave();
  ok('a scheduled message comes when it is due');
}

const [topic, durable] = [`/topic/stompit.news.${run}`, { 'activemq.subscriptionName': 'news' }];
const owner = () => Peer.open({ 'client-id': `stompit-${run}` });

async function checkDurable() {
  const early = await owner();
  early.subscribe(topic, 'client-individual', durable);
  await early.leave();
  const other = await Peer.open();
  await other.send({ destination: topic }, 'while away');
  const late = await owner();
  late.client.ack((await late.receive(late.subscribe(topic, 'client-individual', durable), 'while away')).message);
  await late.leave();
  ok('a durable subscription gets what came while it was away');
  await other.send({ destination: topic }, 'before the restart');
  await other.leave();
}

// The package has no header for its UNSUBSCRIBE: the subscription is left, not deleted.
async function checkDurableAfterRestart() {
  const peer = await owner();
  const inbox = peer.subscribe(topic, 'client-individual', durable);
  peer.client.ack((await peer.receive(inbox, 'before the restart')).message);
  inbox.subscription.unsubscribe();
  await peer.leave();
  ok('a durable subscription lives through a restart of the broker');
}

try {
  if (restarted) {
    await checkDurableAfterRestart();
    process.exit(0);
  }
  await checkRoundTrip();
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
