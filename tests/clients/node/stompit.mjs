// stompit against a broker: stompit.mjs HOST PORT.
import stompit from 'stompit';
import { Inbox, binary, expect, fail, host, dialect, ok, patiently, port, run, text } from './steps.mjs';

class Peer {
  static open() {
    const options = { host, port, connectHeaders: { host: 'localhost', 'heart-beat': '0,0' } };
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

  subscribe(destination, ack) {
    const inbox = new Inbox();
    this.client.subscribe({ destination, ack }, (error, message) => {
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

try {
  await checkRoundTrip();
  await checkTransactions();
  await checkRedelivery();
  process.exit(0);
} catch (error) {
  fail(error);
}
