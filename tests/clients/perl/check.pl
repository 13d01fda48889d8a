# Net::Stomp against a broker: check.pl HOST PORT. Prints `ok NAME` for every step.
use strict;
use warnings;
use utf8;
use Encode qw(encode_utf8);
use Net::Stomp;

my ($host, $port) = @ARGV;
my $dialect = ($ENV{STOMPBOX_DIALECT} // '') eq '1';
my $patience = 10;
my $run = sprintf '%x%x', time, $$;
my $text = encode_utf8('grüße, 你好, 🐝');
my $receipts = 0;
$| = 1;

sub ok { print "ok $_[0]\n" }

sub expect {
    my ($condition, $what) = @_;
    die "failed: $what\n" unless $condition;
}

sub peer {
    my ($version) = @_;
    my $stomp = Net::Stomp->new({
        hostname => $host, port => $port, timeout => $patience, receipt_timeout => $patience, reconnect_on_fork => 0,
        initial_reconnect_attempts => 1,
    });
    my $frame = $stomp->connect({ 'accept-version' => $version, host => 'localhost' });
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
