# The gem `stomp` against a broker: check.rb HOST PORT. Prints `ok NAME` for every step.
require 'securerandom'
require 'stomp'
require 'timeout'

HOST = ARGV.fetch(0)
PORT = Integer(ARGV.fetch(1))
DIALECT = ENV['STOMPBOX_DIALECT'] == '1'
PATIENCE = 10
RUN = ENV['STOMPBOX_RUN'] || SecureRandom.hex(6)
TEXT = 'grüße, 你好, 🐝'.freeze
HEADER = "wert: mit\nzeile \\ und 🐝".freeze

$stdout.sync = true

def ok(name)
  puts "ok #{name}"
end

def expect(condition, what)
  abort "failed: #{what}" unless condition
end

# One connection; receipts and messages are told apart as they come.
class Peer
  attr_reader :connection

  def initialize(version, more = {})
    headers = { 'accept-version' => version, 'host' => 'localhost' }.merge(more)
    hash = { hosts: [{ login: '', passcode: '', host: HOST, port: PORT }], reliable: false, connect_headers: headers }
    @connection = Stomp::Connection.new(hash)
    expect(@connection.connection_frame.command == 'CONNECTED', @connection.connection_frame.to_s)
    expect(@connection.protocol == version, "speaks #{@connection.protocol}")
    @messages = []
    @receipt_count = 0
  end

  def send_receipted(destination, body, headers = {})
    receipted { |receipt| @connection.publish(destination, body, { 'persistent' => 'true' }.merge(headers, receipt)) }
  end

  def receipted
    @receipt_count += 1
    id = "#{RUN}-#{@receipt_count}"
    yield({ 'receipt' => id })
    loop do
      frame = read("receipt #{id}")
      return if frame.command == 'RECEIPT' && frame.headers['receipt-id'] == id

      expect(frame.command == 'MESSAGE', "expected receipt #{id}, got #{frame}")
      @messages << frame
    end
  end

  def receive(body)
    frame = @messages.shift || read(body)
    expect(frame.command == 'MESSAGE', "expected a MESSAGE, got #{frame}")
    expect(frame.body.b == body.b, "expected body #{body.inspect}, got #{frame.body.inspect}")
    frame
  end

  def acknowledge(frame, headers = {})
    @connection.ack(*settlement(frame, headers))
  end

  def refuse(frame, headers = {})
    @connection.nack(*settlement(frame, headers))
  end

  def leave
    @connection.disconnect('receipt' => "#{RUN}-bye")
    receipt = @connection.disconnect_receipt
    expect(receipt && receipt.headers['receipt-id'] == "#{RUN}-bye", 'no receipt of DISCONNECT')
  end

  # Breaks the connection, as a crash does.
  def drop
    @connection.instance_variable_get(:@socket).close
  end

  private

  def read(what)
    Timeout.timeout(PATIENCE) { @connection.receive }
  rescue Timeout::Error
    abort "failed: waited in vain for #{what.inspect}"
  end

  def settlement(frame, headers)
    case @connection.protocol
    when '1.2' then [frame.headers['ack'], headers]
    when '1.1' then [frame.headers['message-id'], { subscription: frame.headers['subscription'] }.merge(headers)]
    else [frame.headers['message-id'], headers]
    end
  end
end

TOPIC = "/topic/ruby.news.#{RUN}".freeze
DURABLE = { 'activemq.subscriptionName' => 'news' }.freeze

def durable
  peer = Peer.new('1.2', 'client-id' => "ruby-#{RUN}")
  peer.connection.subscribe(TOPIC, { 'id' => 'd', 'ack' => 'client-individual' }.merge(DURABLE), 'd')
  peer
end

if ENV['STOMPBOX_PHASE'] == 'restarted'
  peer = durable
  peer.acknowledge(peer.receive('before the restart'))
  peer.receipted { |receipt| peer.connection.unsubscribe(TOPIC, { 'id' => 'd' }.merge(DURABLE, receipt), 'd') }
  peer.leave
  ok 'a durable subscription lives through a restart of the broker'
  exit
end

%w[1.0 1.1 1.2].each do |version|
  destination = "/queue/ruby.#{version}.#{RUN}"
  peer = Peer.new(version)
  ok "connect #{version}"
  peer.send_receipted(destination, TEXT)
  ok "send with receipt #{version}"
  peer.connection.subscribe(destination, { 'id' => 's', 'ack' => 'client' }, 's')
  frame = peer.receive(TEXT)
  peer.receipted { |receipt| peer.acknowledge(frame, receipt) }
  ok "receive and ack with receipt #{version}"
  peer.leave
  ok "disconnect #{version}"
end

destination = "/queue/ruby.bytes.#{RUN}"
peer = Peer.new('1.2')
peer.connection.subscribe(destination, { 'id' => 's', 'ack' => 'auto' }, 's')
binary = "\0one\0two\0\n\n\0"
peer.send_receipted(destination, binary, 'property' => HEADER)
frame = peer.receive(binary)
expect(frame.headers['property'] == HEADER, "property came as #{frame.headers['property'].inspect}")
ok 'header with colon, line end and emoji; body with NUL'
peer.leave

source = "/queue/ruby.in.#{RUN}"
target = "/queue/ruby.out.#{RUN}"
peer = Peer.new('1.2')
peer.send_receipted(source, 'input')
peer.connection.subscribe(source, { 'id' => 'in', 'ack' => 'client-individual' }, 'in')
received = peer.receive('input')
peer.connection.subscribe(target, { 'id' => 'out', 'ack' => 'auto' }, 'out')
peer.connection.begin('a')
peer.connection.publish(target, 'aborted', 'transaction' => 'a')
peer.connection.abort('a')
peer.send_receipted(target, 'after abort')
peer.receive('after abort')
ok 'abort hides'
peer.connection.begin('c')
peer.acknowledge(received, 'transaction' => 'c')
peer.connection.publish(target, 'committed', 'transaction' => 'c')
peer.receipted { |receipt| peer.connection.commit('c', receipt) }
peer.receive('committed')
peer.drop
other = Peer.new('1.2')
other.send_receipted(source, 'next')
other.connection.subscribe(source, { 'id' => 's', 'ack' => 'auto' }, 's')
other.receive('next')
other.leave
ok 'commit shows what was sent and acknowledged in it'

destination = "/queue/ruby.again.#{RUN}"
first = Peer.new('1.2')
first.send_receipted(destination, 'again')
first.connection.subscribe(destination, { 'id' => 's', 'ack' => 'client-individual' }, 's')
frame = first.receive('again')
expect(frame.headers.fetch('redelivered', 'false') == 'false', frame.headers)
first.drop
second = Peer.new('1.2')
second.connection.subscribe(destination, { 'id' => 's', 'ack' => 'client-individual' }, 's')
frame = second.receive('again')
expect(frame.headers['redelivered'] == 'true', frame.headers)
ok 'a lost connection returns what it held, redelivered:true'
if DIALECT
  second.refuse(frame, 'x-delay' => '0')
  frame = second.receive('again')
  expect(frame.headers['redelivered'] == 'true', frame.headers)
  expect(frame.headers['JMSXDeliveryCount'] == '3', frame.headers)
  ok 'nack redelivers, JMSXDeliveryCount:3'
end
second.receipted { |receipt| second.acknowledge(frame, receipt) }
second.leave

questions = "/queue/ruby.questions.#{RUN}"
server = Peer.new('1.2')
asker = Peer.new('1.1')
server.connection.subscribe(questions, { 'id' => 's', 'ack' => 'auto' }, 's')
asker.connection.subscribe('/temp-queue/answers', { 'id' => 'a', 'ack' => 'auto' }, 'a')
asker.send_receipted(questions, 'how much?', 'reply-to' => '/temp-queue/answers', 'correlation-id' => '7')
question = server.receive('how much?')
server.send_receipted(question.headers['reply-to'], '4.20', 'correlation-id' => question.headers['correlation-id'])
answer = asker.receive('4.20')
expect(answer.headers['correlation-id'] == '7', answer.headers)
server.leave
asker.leave
ok 'request and reply through a temporary queue'

destination = "/queue/ruby.fruit.#{RUN}"
picky = Peer.new('1.2')
selector = "colour = 'red' AND weight > 2"
picky.connection.subscribe(destination, { 'id' => 's', 'ack' => 'auto', 'selector' => selector }, 's')
other = Peer.new('1.2')
[%w[pear green 3], %w[cherry red 1], %w[apple red 3]].each do |body, colour, weight|
  other.send_receipted(destination, body, 'colour' => colour, 'weight' => weight)
end
picky.receive('apple')
other.connection.subscribe(destination, { 'id' => 's', 'ack' => 'auto' }, 's')
%w[pear cherry].each { |body| other.receive(body) }
picky.leave
other.leave
ok 'a selector takes its part and leaves the rest'

destination = "/queue/ruby.group.#{RUN}"
first = Peer.new('1.2')
first.connection.subscribe(destination, { 'id' => 's', 'ack' => 'client-individual' }, 's')
first.send_receipted(destination, '1', 'JMSXGroupID' => 'g')
first.receive('1')
second = Peer.new('1.2')
second.connection.subscribe(destination, { 'id' => 's', 'ack' => 'client-individual' }, 's')
%w[2 3].each do |body|
  second.send_receipted(destination, body, 'JMSXGroupID' => 'g')
  frame = first.receive(body)
  expect(!DIALECT || frame.headers['JMSXGroupID'] == 'g', frame.headers)
end
first.drop
%w[1 2 3].each { |body| second.receive(body) }
second.leave
ok 'a group stays with its consumer and goes on in order when that has gone'

destination = "/queue/ruby.later.#{RUN}"
peer = Peer.new('1.2')
peer.connection.subscribe(destination, { 'id' => 's', 'ack' => 'auto' }, 's')
began = Process.clock_gettime(Process::CLOCK_MONOTONIC)
peer.send_receipted(destination, 'later', 'AMQ_SCHEDULED_DELAY' => '500')
peer.send_receipted(destination, 'now')
%w[now later].each { |body| peer.receive(body) }
expect(Process.clock_gettime(Process::CLOCK_MONOTONIC) - began >= 0.5, 'too early')
peer.leave
ok 'a scheduled message comes when it is due'

durable.leave
other = Peer.new('1.2')
other.send_receipted(TOPIC, 'while away')
peer = durable
frame = peer.receive('while away')
peer.receipted { |receipt| peer.acknowledge(frame, receipt) }
peer.leave
ok 'a durable subscription gets what came while it was away'
other.send_receipted(TOPIC, 'before the restart')
other.leave
