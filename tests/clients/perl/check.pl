# Net::Stomp against a broker: check.pl HOST PORT. Prints `ok NAME` for every step.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use Time::HiRes qw(time);
use Net::Stomp;

my ($host, $port) = @ARGV;
my $dialect = ($ENV{STOMPBOX_DIALECT} // '') eq '1';
my $patience = 10;
my $run = $ENV{STOMPBOX_RUN} // sprintf '%x%x', 1000 * time, $$;
my $text = encode_utf8('grüße, 你好, 🐝');
my $receipts = 0;
$| = 1;

sub ok { print "ok $_[0]\n" }

sub expect {
    my ($condition, $what) = @_;
    die "failed: $what\n" unless $condition;
}

sub peer {
    my ($version, %more) = @_;
    my $stomp = Net::Stomp->new({
        hostname => $host, port => $port, timeout => $patience, receipt_timeout => $patience, reconnect_on_fork => 0,
        initial_reconnect_attempts => 1,
    });
    my $frame = $stomp->connect({ 'accept-version' => $version, host => 'localhost', %more });
    expect($frame && $frame->command eq 'CONNECTED', 'no CONNECTED: ' . ($frame ? $frame->as_string : 'nothing'));
    # Receipt ids are built from the session id and headers never unescaped: one with a colon, as peers have it, would
    # never be recognised above 1.0.
    $stomp->session_id('perl') unless $dialect;
    return $stomp;
}

sub send_receipted {
    my ($stomp, $destination, $body, %headers) = @_;
    expect($stomp->send_with_receipt({ destination => $destination, body => $body, persistent => 'true', %headers }),
        "no receipt for $body");
}

sub receive {
    my ($stomp, $body) = @_;
    my $frame = $stomp->receive_frame({ timeout => $patience });
    expect($frame, "waited in vain for $body");
    expect($frame->command eq 'MESSAGE', "expected a MESSAGE, got " . $frame->as_string);
    expect($frame->body eq $body, "expected body $body, got " . $frame->body);
    return $frame;
}

# A command with a receipt, for those that the package has no method for.
sub receipted {
    my ($stomp, $command, %headers) = @_;
    my $receipt = "$run-" . ++$receipts;
    $stomp->send_frame(Net::Stomp::Frame->new({ command => $command, headers => { %headers, receipt => $receipt } }));
    my $frame = $stomp->receive_frame({ timeout => $patience });
    expect($frame && $frame->command eq 'RECEIPT' && $frame->headers->{'receipt-id'} eq $receipt,
        "no receipt for $command: " . ($frame ? $frame->as_string : 'nothing'));
}

# By the version's name for a delivery; the package itself always sends message-id.
sub settled {
    my ($version, $frame) = @_;
    return (id => $frame->headers->{ack}) if $version eq '1.2';
    my %by = ('message-id' => $frame->headers->{'message-id'});
    $by{subscription} = $frame->headers->{subscription} if $version eq '1.1';
    return %by;
}

my $topic = "/topic/perl.news.$run";
my %durable = ('activemq.subscriptionName' => 'news');

sub durable {
    my $stomp = peer('1.1', 'client-id' => "perl-$run");
    $stomp->subscribe({ destination => $topic, id => 'd', ack => 'client-individual', %durable });
    return $stomp;
}

if (($ENV{STOMPBOX_PHASE} // '') eq 'restarted') {
    my $stomp = durable();
    my $frame = receive($stomp, 'before the restart');
    receipted($stomp, 'ACK', settled('1.1', $frame));
    receipted($stomp, 'UNSUBSCRIBE', id => 'd', %durable);
    $stomp->disconnect;
    ok('a durable subscription lives through a restart of the broker');
    exit;
}

for my $version ('1.0', '1.1', '1.2') {
    my $destination = "/queue/perl.$version.$run";
    my $stomp = peer($version);
    ok("connect $version");
    send_receipted($stomp, $destination, $text, property => 'plain');
    ok("send with receipt $version");
    $stomp->subscribe({ destination => $destination, id => 's', ack => 'client' });
    my $frame = receive($stomp, $text);
    expect($frame->headers->{property} eq 'plain', $frame->as_string);
    receipted($stomp, 'ACK', settled($version, $frame));
    ok("receive and ack with receipt $version");
    my $binary = "\0one\0two\0\n\n\0";
    # This package frames by the body's length when it is told to send bytes.
    # It takes the next frame for its receipt: a message that overtakes it must go to another connection.
    my $producer = peer($version);
    send_receipted($producer, $destination, $binary, bytes_message => 1);
    $producer->disconnect;
    $frame = receive($stomp, $binary);
    if ($version ne '1.2') {
        $stomp->ack({ frame => $frame, $version eq '1.1' ? (subscription => 's') : () });
    } else {
        receipted($stomp, 'ACK', settled($version, $frame));
    }
    ok("body with NUL $version");
    receipted($stomp, 'DISCONNECT');
    ok("disconnect $version");
}

my ($source, $target) = ("/queue/perl.in.$run", "/queue/perl.out.$run");
my $stomp = peer('1.1');
send_receipted($stomp, $source, 'input');
$stomp->subscribe({ destination => $source, id => 'in', ack => 'client-individual' });
my $received = receive($stomp, 'input');
$stomp->subscribe({ destination => $target, id => 'out', ack => 'auto' });
$stomp->send_frame(Net::Stomp::Frame->new({ command => 'BEGIN', headers => { transaction => 'a' } }));
$stomp->send({ destination => $target, body => 'aborted', transaction => 'a' });
$stomp->send_frame(Net::Stomp::Frame->new({ command => 'ABORT', headers => { transaction => 'a' } }));
$stomp->send({ destination => $target, body => 'after abort' });
receive($stomp, 'after abort');
ok('abort hides');
# send_transactional waits for the SEND's receipt before it commits.
expect($stomp->send_transactional({ destination => $target, body => 'transactional', timeout => $patience }),
    'send_transactional had no receipt');
receive($stomp, 'transactional');
ok('send_transactional');
$stomp->send_frame(Net::Stomp::Frame->new({ command => 'BEGIN', headers => { transaction => 'c' } }));
$stomp->ack({ frame => $received, subscription => 'in', transaction => 'c' });
$stomp->send({ destination => $target, body => 'committed', transaction => 'c' });
$stomp->send_frame(Net::Stomp::Frame->new({ command => 'COMMIT', headers => { transaction => 'c' } }));
receive($stomp, 'committed');
$stomp->socket->close;
my $other = peer('1.1');
send_receipted($other, $source, 'next');
$other->subscribe({ destination => $source, id => 's', ack => 'auto' });
receive($other, 'next');
ok('commit shows what was sent and acknowledged in it');
$other->disconnect;

my $destination = "/queue/perl.again.$run";
my $first = peer('1.1');
send_receipted($first, $destination, 'again');
$first->subscribe({ destination => $destination, id => 's', ack => 'client-individual' });
receive($first, 'again');
$first->socket->close;
my $second = peer('1.1');
$second->subscribe({ destination => $destination, id => 's', ack => 'client-individual' });
my $frame = receive($second, 'again');
expect(($frame->headers->{redelivered} // '') eq 'true', $frame->as_string);
ok('a lost connection returns what it held, redelivered:true');
if ($dialect) {
    $second->nack({ frame => $frame, subscription => 's', 'x-delay' => 0 });
    $frame = receive($second, 'again');
    expect(($frame->headers->{redelivered} // '') eq 'true', $frame->as_string);
    ok('nack redelivers');
}
$second->ack({ frame => $frame, subscription => 's' });
$second->disconnect;

# It takes the next frame for its receipt: whoever listens does not send with one.
my ($questions, $own) = ("/queue/perl.questions.$run", '/temp-queue/answers');
my ($server, $asker, $sender) = (peer('1.1'), peer('1.1'), peer('1.1'));
$server->subscribe({ destination => $questions, id => 's', ack => 'auto' });
$asker->subscribe({ destination => $own, id => 'a', ack => 'auto' });
$asker->send({ destination => $questions, body => 'how much?', 'reply-to' => $own, 'correlation-id' => 7 });
my $question = receive($server, 'how much?');
send_receipted($sender, $question->headers->{'reply-to'}, '4.20',
    'correlation-id' => $question->headers->{'correlation-id'});
my $answer = receive($asker, '4.20');
expect($answer->headers->{'correlation-id'} eq '7', $answer->as_string);
$_->disconnect for $server, $asker;
ok('request and reply through a temporary queue');

my $fruit = "/queue/perl.fruit.$run";
my $picky = peer('1.1');
$picky->subscribe({ destination => $fruit, id => 's', ack => 'auto', selector => "colour = 'red' AND weight > 2" });
for (['pear', 'green', 3], ['cherry', 'red', 1], ['apple', 'red', 3]) {
    my ($body, $colour, $weight) = @$_;
    send_receipted($sender, $fruit, $body, colour => $colour, weight => $weight);
}
receive($picky, 'apple');
my $rest = peer('1.1');
$rest->subscribe({ destination => $fruit, id => 's', ack => 'auto' });
receive($rest, $_) for 'pear', 'cherry';
$_->disconnect for $picky, $rest;
ok('a selector takes its part and leaves the rest');

my $members = "/queue/perl.group.$run";
my $holder = peer('1.1');
$holder->subscribe({ destination => $members, id => 's', ack => 'client-individual' });
send_receipted($sender, $members, '1', JMSXGroupID => 'g');
receive($holder, '1');
my $heir = peer('1.1');
$heir->subscribe({ destination => $members, id => 's', ack => 'client-individual' });
for my $body (2, 3) {
    send_receipted($sender, $members, $body, JMSXGroupID => 'g');
    my $frame = receive($holder, $body);
    expect(!$dialect || $frame->headers->{JMSXGroupID} eq 'g', $frame->as_string);
}
$holder->socket->close;
receive($heir, $_) for 1, 2, 3;
$heir->disconnect;
ok('a group stays with its consumer and goes on in order when that has gone');

my $later = "/queue/perl.later.$run";
my $patient = peer('1.1');
$patient->subscribe({ destination => $later, id => 's', ack => 'auto' });
my $began = time;
send_receipted($sender, $later, 'later', AMQ_SCHEDULED_DELAY => 500);
send_receipted($sender, $later, 'now');
receive($patient, $_) for 'now', 'later';
expect(time - $began >= 0.5, 'too early');
$patient->disconnect;
ok('a scheduled message comes when it is due');

receipted(durable(), 'DISCONNECT');
send_receipted($sender, $topic, 'while away');
my $late = durable();
receipted($late, 'ACK', settled('1.1', receive($late, 'while away')));
receipted($late, 'DISCONNECT');
ok('a durable subscription gets what came while it was away');
send_receipted($sender, $topic, 'before the restart');
$sender->disconnect;
