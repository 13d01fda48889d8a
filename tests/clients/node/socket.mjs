// A TCP socket with the face of a WebSocket: what @stomp/stompjs needs of its `webSocketFactory`.
import net from 'node:net';

export class TcpSocket {
  constructor(host, port) {
    this.readyState = 0; // CONNECTING, as WebSocket numbers its states
    this.url = `tcp://${host}:${port}`;
    this.protocol = '';
    this.socket = net.connect(port, host, () => {
      this.readyState = 1;
      this.onopen?.();
    });
    this.socket.on('data', (bytes) => {
      // An exact ArrayBuffer: a Buffer of Node's may be a window into a larger one.
      this.onmessage?.({ data: bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) });
    });
    this.socket.on('error', (error) => this.onerror?.(error));
    this.socket.on('close', () => {
      this.readyState = 3;
      this.onclose?.({ code: 1000, reason: 'closed', wasClean: true });
    });
  }

  send(data) {
    this.socket.write(typeof data === 'string' ? data : Buffer.from(data));
  }

  close() {
    this.readyState = 2;
    this.socket.end();
  }

  // Breaks the connection, as a crash does.
  terminate() {
    this.socket.destroy();
  }
}
