//! Hand-written histories: one that is right, and for every kind of violation one that is wrong.

use super::*;

const QUEUE: &str = "/queue/q";
const OTHER: &str = "/queue/other";

/// Writes a history; every method is one thing that a client did or saw.
#[derive(Default)]
struct Script {
    events: Vec<Event>,
    life: u32,
    operations: u64,
    deliveries: u64,
}

impl Script {
    fn new() -> Script {
        let mut script = Script::default();
        script.restart();
        script
    }

    /// The broker is killed and starts again.
    fn restart(&mut self) {
        self.life += 1;
        self.events.push(Event::Started(Life(self.life)));
    }

    fn operation(&mut self) -> OperationId {
        self.operations += 1;
        OperationId(self.operations)
    }

    fn receipt(&mut self, operation: OperationId) {
        self.events.push(Event::Receipted(operation));
    }

    fn send_in(&mut self, number: u64, destination: &str, scope: Scope) {
        self.events.push(Event::Sent {
            life: Life(self.life),
            name: name(number),
            destination: destination.into(),
            scope,
        });
    }

    fn send_in_doubt(&mut self, number: u64) -> OperationId {
        let operation = self.operation();
        self.send_in(number, QUEUE, Scope::Alone(operation));
        operation
    }

    fn send(&mut self, number: u64) {
        let operation = self.send_in_doubt(number);
        self.receipt(operation);
    }

    fn deliver(&mut self, number: u64, count: u32) -> DeliveryId {
        self.deliver_from(QUEUE, 1, number, count)
    }

    fn deliver_from(
        &mut self,
        destination: &str,
        consumer: u32,
        number: u64,
        count: u32,
    ) -> DeliveryId {
        self.deliveries += 1;
        let id = DeliveryId(self.deliveries);
        self.events.push(Event::Delivered(Delivery {
            id,
            life: Life(self.life),
            consumer: ConsumerId(self.life * 10 + consumer),
            destination: destination.into(),
            name: name(number),
            priority: 4,
            message_id: format!("ID:{number}").into(),
            redelivered: count > 1,
            count,
        }));
        id
    }

    fn settle_in(&mut self, verdict: Verdict, deliveries: &[DeliveryId], scope: Scope) {
        let deliveries = deliveries.to_vec();
        self.events.push(Event::Settled {
            verdict,
            deliveries,
            scope,
        });
    }

    fn settle_in_doubt(&mut self, verdict: Verdict, deliveries: &[DeliveryId]) -> OperationId {
        let operation = self.operation();
        self.settle_in(verdict, deliveries, Scope::Alone(operation));
        operation
    }

    fn settle(&mut self, verdict: Verdict, deliveries: &[DeliveryId]) {
        let operation = self.settle_in_doubt(verdict, deliveries);
        self.receipt(operation);
    }

    fn ack(&mut self, delivery: DeliveryId) {
        self.settle(Verdict::Consumed, &[delivery]);
    }

    fn commit_in_doubt(&mut self, transaction: u64) -> OperationId {
        let operation = self.operation();
        let transaction = TransactionId(transaction);
        self.events.push(Event::Committed {
            transaction,
            operation,
        });
        operation
    }

    fn last_delivery(&mut self) -> &mut Delivery {
        match self.events.last_mut() {
            Some(Event::Delivered(delivery)) => delivery,
            other => panic!("the last event is {other:?}"),
        }
    }

    #[track_caller]
    fn check(self, expected: &[Kind]) {
        let history = History::of(self.events);
        let violations = check(&history);
        let kinds: Vec<Kind> = violations.iter().map(|violation| violation.kind).collect();
        let told: Vec<String> = violations.iter().map(Violation::to_string).collect();
        assert_eq!(kinds, expected, "{told:#?}");
    }
}

fn name(number: u64) -> Name {
    Name {
        producer: ProducerId(1),
        number,
    }
}

/// One message is sent and taken in a transaction that sends the next one on; COMMIT is in doubt.
fn transaction_in_doubt() -> (Script, DeliveryId) {
    let mut script = Script::new();
    script.send(1);
    let input = script.deliver(1, 1);
    let scope = Scope::In(TransactionId(1));
    script.settle_in(Verdict::Consumed, &[input], scope);
    script.send_in(2, OTHER, scope);
    script.commit_in_doubt(1);
    (script, input)
}

#[test]
fn history_that_keeps_every_promise_passes() {
    let mut script = Script::new();
    for number in 1..=4 {
        script.send(number);
    }
    let in_doubt = script.send_in_doubt(5);
    let first = script.deliver(1, 1);
    script.ack(first);
    let second = script.deliver(2, 1);
    let third = script.deliver(3, 1);
    script.settle_in_doubt(Verdict::Consumed, &[second, third]);
    script.restart();
    // The cumulative acknowledgement in doubt did not happen; message 5, in doubt too, did.
    for number in 2..=5 {
        let delivery = script.deliver(number, 2);
        script.ack(delivery);
    }
    assert_eq!(in_doubt, OperationId(5));
    script.check(&[]);
}

#[test]
fn what_is_in_doubt_may_be_gone_or_not() {
    let mut script = Script::new();
    script.send_in_doubt(1);
    script.send(2);
    let delivery = script.deliver(2, 1);
    script.settle_in_doubt(Verdict::Consumed, &[delivery]);
    script.restart();
    script.check(&[]);
}

#[test]
fn receipted_message_that_vanishes_is_lost() {
    let mut script = Script::new();
    script.send(1);
    script.restart();
    script.check(&[Kind::Lost]);
}

#[test]
fn message_that_came_back_and_then_vanished_is_lost() {
    let mut script = Script::new();
    script.send(1);
    let delivery = script.deliver(1, 1);
    script.settle_in_doubt(Verdict::Consumed, &[delivery]);
    script.restart();
    script.deliver(1, 2);
    script.restart();
    script.check(&[Kind::Lost]);
}

#[test]
fn output_of_receipted_commit_that_vanishes_is_lost() {
    let (mut script, _) = transaction_in_doubt();
    script.receipt(OperationId(2));
    script.restart();
    script.check(&[Kind::Lost]);
}

#[test]
fn dead_letter_that_vanishes_is_lost() {
    let mut script = Script::new();
    script.send(1);
    let delivery = script.deliver(1, 1);
    script.settle(Verdict::Dead, &[delivery]);
    script.restart();
    script.check(&[Kind::Lost]);
}

#[test]
fn acknowledged_message_that_returns_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    let delivery = script.deliver(1, 1);
    script.ack(delivery);
    script.restart();
    script.deliver(1, 2);
    script.check(&[Kind::SettledReturned]);
}

#[test]
fn every_message_of_a_cumulative_acknowledgement_is_settled() {
    let mut script = Script::new();
    script.send(1);
    script.send(2);
    let deliveries = [script.deliver(1, 1), script.deliver(2, 1)];
    script.settle(Verdict::Consumed, &deliveries);
    script.restart();
    script.deliver(1, 2);
    script.check(&[Kind::SettledReturned]);
}

#[test]
fn input_of_receipted_commit_that_returns_is_noticed() {
    let (mut script, _) = transaction_in_doubt();
    script.receipt(OperationId(2));
    script.restart();
    script.deliver(1, 2);
    let output = script.deliver_from(OTHER, 1, 2, 2);
    script.ack(output);
    script.check(&[Kind::SettledReturned]);
}

#[test]
fn dead_letter_that_returns_to_its_origin_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    let delivery = script.deliver(1, 1);
    script.settle(Verdict::Dead, &[delivery]);
    script.restart();
    let again = script.deliver(1, 2);
    script.ack(again);
    script.check(&[Kind::SettledReturned]);
}

#[test]
fn message_in_both_queues_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    let delivery = script.deliver(1, 1);
    // In doubt: only that it has been seen in the dead-letter queue proves that it happened.
    script.settle_in_doubt(Verdict::Dead, &[delivery]);
    script.restart();
    let dead = script.deliver_from(DEAD_LETTERS, 1, 1, 2);
    script.ack(dead);
    let again = script.deliver(1, 2);
    script.ack(again);
    script.check(&[Kind::SettledReturned]);
}

#[test]
fn message_that_outlives_its_failures_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    for count in 1..=FAILURES_MAX as u32 {
        let delivery = script.deliver(1, count);
        script.settle(Verdict::Failed, &[delivery]);
    }
    let delivery = script.deliver(1, FAILURES_MAX as u32 + 1);
    script.ack(delivery);
    script.check(&[Kind::SettledReturned]);
}

#[test]
fn message_that_failed_often_enough_is_dead() {
    let mut script = Script::new();
    script.send(1);
    for count in 1..=FAILURES_MAX as u32 {
        let delivery = script.deliver(1, count);
        script.settle(Verdict::Failed, &[delivery]);
    }
    let dead = script.deliver_from(DEAD_LETTERS, 1, 1, 1);
    script.ack(dead);
    script.check(&[]);
}

#[test]
fn message_that_is_dead_without_reason_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    let delivery = script.deliver(1, 1);
    script.settle(Verdict::Failed, &[delivery]);
    let dead = script.deliver_from(DEAD_LETTERS, 1, 1, 1);
    script.ack(dead);
    script.check(&[Kind::WronglyDead]);
}

#[test]
fn repeat_without_mark_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    script.deliver(1, 1);
    script.restart();
    let again = script.deliver(1, 1);
    script.ack(again);
    script.check(&[Kind::RepeatUnmarked]);
}

#[test]
fn mark_and_count_that_contradict_each_other_are_noticed() {
    let mut script = Script::new();
    script.send(1);
    script.restart();
    let delivery = script.deliver(1, 2);
    script.last_delivery().redelivered = false;
    script.ack(delivery);
    script.check(&[Kind::WrongCount]);
}

#[test]
fn first_delivery_of_a_life_that_claims_to_be_a_repeat_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    let delivery = script.deliver(1, 2);
    script.ack(delivery);
    script.check(&[Kind::WrongCount]);
}

#[test]
fn message_that_is_out_twice_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    script.deliver(1, 1);
    let second = script.deliver_from(QUEUE, 2, 1, 2);
    script.ack(second);
    script.check(&[Kind::DeliveredTwice]);
}

#[test]
fn transaction_in_doubt_may_have_happened() {
    let (mut script, _) = transaction_in_doubt();
    script.restart();
    let output = script.deliver_from(OTHER, 1, 2, 2);
    script.ack(output);
    script.check(&[]);
}

#[test]
fn transaction_in_doubt_may_not_have_happened() {
    let (mut script, _) = transaction_in_doubt();
    script.restart();
    let input = script.deliver(1, 2);
    script.ack(input);
    script.check(&[]);
}

#[test]
fn transaction_that_shows_its_output_and_keeps_its_input_is_split() {
    let (mut script, _) = transaction_in_doubt();
    script.restart();
    let input = script.deliver(1, 2);
    script.ack(input);
    let output = script.deliver_from(OTHER, 1, 2, 2);
    script.ack(output);
    script.check(&[Kind::SplitTransaction]);
}

#[test]
fn transaction_that_eats_its_input_without_output_is_split() {
    let (mut script, _) = transaction_in_doubt();
    script.restart();
    script.check(&[Kind::SplitTransaction]);
}

#[test]
fn input_that_was_never_promised_may_vanish_with_its_transaction() {
    let mut script = Script::new();
    script.send_in_doubt(1);
    let input = script.deliver(1, 1);
    let scope = Scope::In(TransactionId(1));
    script.settle_in(Verdict::Consumed, &[input], scope);
    script.send_in(2, OTHER, scope);
    script.commit_in_doubt(1);
    script.restart();
    script.check(&[]);
}

#[test]
fn input_that_outlived_a_crash_does_not_vanish_without_output() {
    let mut script = Script::new();
    script.send_in_doubt(1);
    script.restart();
    let input = script.deliver(1, 2);
    let scope = Scope::In(TransactionId(1));
    script.settle_in(Verdict::Consumed, &[input], scope);
    script.send_in(2, OTHER, scope);
    script.commit_in_doubt(1);
    script.restart();
    script.check(&[Kind::SplitTransaction]);
}

/// A message that was taken in a transaction, which sent another and was aborted.
fn aborted_transaction() -> Script {
    let mut script = Script::new();
    script.send(1);
    let input = script.deliver(1, 1);
    let scope = Scope::In(TransactionId(1));
    script.settle_in(Verdict::Consumed, &[input], scope);
    script.send_in(2, OTHER, scope);
    let operation = script.operation();
    let transaction = TransactionId(1);
    script.events.push(Event::Aborted {
        transaction,
        operation,
    });
    script.receipt(operation);
    script
}

#[test]
fn input_of_an_aborted_transaction_returns() {
    let mut script = aborted_transaction();
    let again = script.deliver(1, 2);
    script.ack(again);
    script.check(&[]);
}

#[test]
fn input_of_an_aborted_transaction_that_vanishes_is_lost() {
    aborted_transaction().check(&[Kind::Lost]);
}

#[test]
fn output_of_an_aborted_transaction_is_noticed() {
    let mut script = aborted_transaction();
    let again = script.deliver(1, 2);
    script.ack(again);
    let output = script.deliver_from(OTHER, 1, 2, 1);
    script.ack(output);
    script.check(&[Kind::Phantom]);
}

#[test]
fn output_before_commit_is_noticed() {
    let mut script = Script::new();
    script.send_in(1, QUEUE, Scope::In(TransactionId(1)));
    let early = script.deliver(1, 1);
    script.ack(early);
    script.commit_in_doubt(1);
    script.check(&[Kind::Phantom]);
}

#[test]
fn output_of_a_transaction_that_was_never_committed_is_noticed() {
    let mut script = Script::new();
    script.send_in(1, QUEUE, Scope::In(TransactionId(1)));
    script.restart();
    let delivery = script.deliver(1, 2);
    script.ack(delivery);
    script.check(&[Kind::Phantom]);
}

#[test]
fn message_that_nobody_sent_is_noticed() {
    let mut script = Script::new();
    script.deliver(1, 1);
    script.check(&[Kind::Phantom]);
}

#[test]
fn first_deliveries_out_of_order_are_noticed() {
    let mut script = Script::new();
    script.send(1);
    script.send(2);
    for number in [2, 1] {
        let delivery = script.deliver(number, 1);
        script.ack(delivery);
    }
    script.check(&[Kind::OutOfOrder]);
}

#[test]
fn order_holds_across_lives_where_one_consumer_sees_all() {
    let mut script = Script::new();
    script.send(1);
    script.send(2);
    let second = script.deliver(2, 1);
    script.ack(second);
    script.restart();
    let first = script.deliver(1, 2);
    script.ack(first);
    script.check(&[Kind::OutOfOrder]);
}

#[test]
fn competing_consumers_share_an_order_without_seeing_it() {
    let mut script = Script::new();
    for number in 1..=4 {
        script.send(number);
    }
    for (consumer, number) in [(2, 2), (1, 1), (1, 3)] {
        let delivery = script.deliver_from(QUEUE, consumer, number, 1);
        script.ack(delivery);
    }
    // What the other consumer had been sent, and nobody read before the crash.
    script.restart();
    let delivery = script.deliver(4, 2);
    script.ack(delivery);
    script.check(&[]);
}

#[test]
fn repeats_and_other_priorities_may_pass() {
    let mut script = Script::new();
    for number in 1..=3 {
        script.send(number);
    }
    let refused = script.deliver(1, 1);
    let second = script.deliver(2, 1);
    script.ack(second);
    script.settle(Verdict::Failed, &[refused]);
    let third = script.deliver(3, 1);
    script.ack(third);
    let again = script.deliver(1, 2);
    script.ack(again);
    script.send(4);
    script.send(5);
    for (number, priority) in [(5, 9), (4, 4)] {
        let delivery = script.deliver(number, 1);
        script.last_delivery().priority = priority;
        script.ack(delivery);
    }
    script.check(&[]);
}

#[test]
fn message_that_changes_its_id_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    script.deliver(1, 1);
    script.restart();
    let again = script.deliver(1, 2);
    script.last_delivery().message_id = "ID:new".into();
    script.ack(again);
    script.check(&[Kind::WrongId]);
}

#[test]
fn id_that_is_used_again_is_noticed() {
    let mut script = Script::new();
    script.send(1);
    script.send(2);
    let first = script.deliver(1, 1);
    script.ack(first);
    let second = script.deliver(2, 1);
    script.last_delivery().message_id = "ID:1".into();
    script.ack(second);
    script.check(&[Kind::WrongId]);
}

#[test]
fn broken_connection_is_reported() {
    let mut script = Script::new();
    script.events.push(Event::Broken("ERROR".to_owned()));
    script.check(&[Kind::Broken]);
}
