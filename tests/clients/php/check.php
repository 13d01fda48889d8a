<?php
// PHP's STOMP extension against a broker: check.php HOST PORT. Prints `ok NAME` for every step.
declare(strict_types=1);

[, $host, $port] = $argv;
$dialect = getenv('STOMPBOX_DIALECT') === '1';
$run = getenv('STOMPBOX_RUN') ?: bin2hex(random_bytes(6));
$topic = "/topic/php.news.$run";
const DURABLE = ['activemq.subscriptionName' => 'news'];
const PATIENCE_S = 10;
const TEXT = 'grüße, 你好, 🐝';

function ok(string $name): void
{
    echo "ok $name\n";
}

function expect(bool $condition, string $what): void
{
    if (!$condition) {
        fwrite(STDERR, "failed: $what\n");
        exit(1);
    }
}

// Without headers the extension is a client of 1.0, as most of its users know it. It knows nothing of 1.2's ack ids.
function peer(array $headers = ['accept-version' => '1.0,1.1']): Stomp
{
    global $host, $port;
    $stomp = new Stomp("tcp://$host:$port", '', '', $headers);
    $stomp->setReadTimeout(PATIENCE_S);
    return $stomp;
}

function receive(Stomp $stomp, string $body): StompFrame
{
    $frame = $stomp->readFrame();
    expect($frame instanceof StompFrame, "waited in vain for $body: " . $stomp->error());
    expect($frame->command === 'MESSAGE', 'expected a MESSAGE, got ' . print_r($frame, true));
    expect($frame->body === $body, "expected body $body, got " . print_r($frame, true));
    return $frame;
}

// The extension waits for the receipt itself and answers false when another one comes.
function send(Stomp $stomp, string $destination, string $body, array $headers = []): void
{
    global $run;
    static $receipts = 0;
    $receipt = ['receipt' => "$run-" . ++$receipts];
    $sent = $stomp->send($destination, $body, ['persistent' => 'true'] + $headers + $receipt);
    expect($sent, "no receipt for $body: " . $stomp->error());
}

// 1.1 wants the subscription named beside the message-id that the extension passes on itself.
function name(StompFrame $frame): array
{
    return array_intersect_key($frame->headers, ['subscription' => true]);
}

function durable(): Stomp
{
    global $run, $topic;
    $stomp = peer(['accept-version' => '1.1', 'client-id' => "php-$run"]);
    // The extension waits for the receipt: the subscription is there, also for who sends on another connection.
    $receipt = ['receipt' => "$run-" . uniqid()];
    $subscribed = $stomp->subscribe($topic, ['id' => 'd', 'ack' => 'client-individual'] + DURABLE + $receipt);
    expect($subscribed, 'subscribe: ' . $stomp->error());
    return $stomp;
}

try {
    if (getenv('STOMPBOX_PHASE') === 'restarted') {
        $stomp = durable();
        $frame = receive($stomp, 'before the restart');
        expect($stomp->ack($frame, name($frame) + ['receipt' => "$run-ack"]), 'ack: ' . $stomp->error());
        $gone = $stomp->unsubscribe($topic, ['id' => 'd', 'receipt' => "$run-gone"] + DURABLE);
        expect($gone, 'unsubscribe: ' . $stomp->error());
        ok('a durable subscription lives through a restart of the broker');
        exit(0);
    }
    foreach (['1.0' => [], '1.1' => ['accept-version' => '1.1']] as $version => $headers) {
        $stomp = peer($headers);
        expect($stomp->getSessionId() !== '', 'no session id');
        ok("connect $version");
        $destination = "/queue/php.$version.$run";
        send($stomp, $destination, TEXT, ['property' => 'wert 🐝']);
        ok("send with receipt $version");
        expect($stomp->subscribe($destination, ['id' => 's', 'ack' => 'client']), 'subscribe: ' . $stomp->error());
        $frame = receive($stomp, TEXT);
        expect($frame->headers['property'] === 'wert 🐝', print_r($frame->headers, true));
        expect($stomp->ack($frame, name($frame)), 'ack: ' . $stomp->error());
        ok("receive and ack $version");
        $binary = "\0one\0two\0\n\n\0";
        send($stomp, $destination, $binary, ['content-length' => (string) strlen($binary)]);
        $frame = receive($stomp, $binary);
        expect($stomp->ack($frame, name($frame) + ['receipt' => "$run-ack-$version"]), 'ack: ' . $stomp->error());
        ok("body with NUL $version");
    }

    [$source, $target] = ["/queue/php.in.$run", "/queue/php.out.$run"];
    $producer = peer();
    send($producer, $source, 'input');
    $inputs = peer();
    $inputs->subscribe($source, ['id' => 'in', 'ack' => 'client-individual']);
    $received = receive($inputs, 'input');
    $outputs = peer();
    $outputs->subscribe($target, ['id' => 'out', 'ack' => 'auto']);
    $inputs->begin('a');
    $inputs->send($target, 'aborted', ['transaction' => 'a']);
    $inputs->abort('a');
    $inputs->send($target, 'after abort');
    receive($outputs, 'after abort');
    ok('abort hides');
    $inputs->begin('c');
    $inputs->ack($received, name($received) + ['transaction' => 'c']);
    $inputs->send($target, 'committed', ['transaction' => 'c']);
    expect($inputs->commit('c', ['receipt' => "$run-commit"]), 'commit: ' . $inputs->error());
    receive($outputs, 'committed');
    unset($inputs, $outputs);
    send($producer, $source, 'next');
    $inputs = peer();
    $inputs->subscribe($source, ['id' => 'in', 'ack' => 'auto']);
    receive($inputs, 'next');
    unset($inputs);
    ok('commit shows what was sent and acknowledged in it');

    $destination = "/queue/php.again.$run";
    send($producer, $destination, 'again');
    $first = peer();
    $first->subscribe($destination, ['id' => 's', 'ack' => 'client-individual']);
    receive($first, 'again');
    unset($first);
    $second = peer();
    $second->subscribe($destination, ['id' => 's', 'ack' => 'client-individual']);
    $frame = receive($second, 'again');
    expect($frame->headers['redelivered'] === 'true', print_r($frame->headers, true));
    ok('a closed connection returns what it held, redelivered:true');
    if ($dialect) {
        $second->nack($frame, name($frame) + ['x-delay' => '0']);
        $frame = receive($second, 'again');
        expect($frame->headers['redelivered'] === 'true', print_r($frame->headers, true));
        ok('nack redelivers');
    }
    $second->ack($frame, name($frame));
    unset($second);

    $questions = "/queue/php.questions.$run";
    [$server, $asker] = [peer(), peer()];
    $server->subscribe($questions, ['id' => 's', 'ack' => 'auto']);
    $asker->subscribe('/temp-queue/answers', ['id' => 'a', 'ack' => 'auto']);
    $asker->send($questions, 'how much?', ['reply-to' => '/temp-queue/answers', 'correlation-id' => '7']);
    $question = receive($server, 'how much?');
    $correlation = ['correlation-id' => $question->headers['correlation-id']];
    send($producer, $question->headers['reply-to'], '4.20', $correlation);
    $answer = receive($asker, '4.20');
    expect($answer->headers['correlation-id'] === '7', print_r($answer->headers, true));
    unset($server, $asker);
    ok('request and reply through a temporary queue');

    $destination = "/queue/php.fruit.$run";
    $picky = peer();
    $selector = "colour = 'red' AND weight > 2";
    $picky->subscribe($destination, ['id' => 's', 'ack' => 'auto', 'selector' => $selector]);
    foreach ([['pear', 'green', '3'], ['cherry', 'red', '1'], ['apple', 'red', '3']] as [$body, $colour, $weight]) {
        send($producer, $destination, $body, ['colour' => $colour, 'weight' => $weight]);
    }
    receive($picky, 'apple');
    $rest = peer();
    $rest->subscribe($destination, ['id' => 's', 'ack' => 'auto']);
    receive($rest, 'pear');
    receive($rest, 'cherry');
    unset($picky, $rest);
    ok('a selector takes its part and leaves the rest');

    $destination = "/queue/php.group.$run";
    $first = peer();
    $first->subscribe($destination, ['id' => 's', 'ack' => 'client-individual']);
    send($producer, $destination, '1', ['JMSXGroupID' => 'g']);
    receive($first, '1');
    $second = peer();
    $second->subscribe($destination, ['id' => 's', 'ack' => 'client-individual']);
    foreach (['2', '3'] as $body) {
        send($producer, $destination, $body, ['JMSXGroupID' => 'g']);
        $frame = receive($first, $body);
        expect(!$dialect || $frame->headers['JMSXGroupID'] === 'g', print_r($frame->headers, true));
    }
    unset($first);
    foreach (['1', '2', '3'] as $body) {
        receive($second, $body);
    }
    unset($second);
    ok('a group stays with its consumer and goes on in order when that has gone');

    $destination = "/queue/php.later.$run";
    $patient = peer();
    $patient->subscribe($destination, ['id' => 's', 'ack' => 'auto']);
    $began = microtime(true);
    send($producer, $destination, 'later', ['AMQ_SCHEDULED_DELAY' => '500']);
    send($producer, $destination, 'now');
    receive($patient, 'now');
    receive($patient, 'later');
    expect(microtime(true) - $began >= 0.5, 'too early');
    unset($patient);
    ok('a scheduled message comes when it is due');

    $early = durable();
    unset($early);
    send($producer, $topic, 'while away');
    $late = durable();
    $frame = receive($late, 'while away');
    expect($late->ack($frame, name($frame) + ['receipt' => "$run-late"]), 'ack: ' . $late->error());
    unset($late);
    ok('a durable subscription gets what came while it was away');
    send($producer, $topic, 'before the restart');

    unset($producer, $stomp);
    ok('disconnect');
} catch (StompException $exception) {
    fwrite(STDERR, "failed: {$exception->getMessage()} {$exception->getDetails()}\n");
    exit(1);
}
