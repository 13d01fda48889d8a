//! A message comes in: into its queue, or to each subscription of its topic.

use stompbox_store::{MessageNumber, Operation, Sequence, Ticket};

use super::effect::Promise;
use super::entry::{AT_ONCE, Durability, Entry};
use super::key::{PeerKey, QueueKey, TopicKey};
use super::{Dispatcher, Place};
use crate::config::Dispatch;
use crate::core::clock::Now;
use crate::core::message::{DeliveryMode, Publication};
use crate::core::port::ReceiptId;

impl Dispatcher {
    pub(super) fn send(
        &mut self,
        peer: PeerKey,
        publication: Publication,
        receipt: Option<ReceiptId>,
        now: Now,
    ) {
        let place = match self.ensure_of(peer, &publication.destination, now) {
            Ok(place) => place,
            Err(refusal) => return self.refuse(peer, refusal, receipt),
        };
        let promise = self.publish(place, publication, AT_ONCE, now);
        self.answer(peer, receipt, promise);
        self.hold_producer_back(peer, place);
    }

    /// Routes one message. It becomes visible when the watermark has reached `visible_after`.
    pub(super) fn publish(
        &mut self,
        place: Place,
        publication: Publication,
        visible_after: Ticket,
        now: Now,
    ) -> Promise {
        self.counters.enqueued += 1;
        let sequence = self.next_sequence();
        let number = MessageNumber(sequence.0);
        match place {
            Place::Queue(queue) => {
                self.queues[queue.0].counters.enqueued += 1;
                self.enqueue(queue, sequence, number, publication, visible_after)
            }
            Place::Topic(topic) => {
                self.topics[topic.0].counters.enqueued += 1;
                self.publish_in_turn(topic, number, publication, visible_after, now);
                Promise::Kept
            }
        }
    }

    fn enqueue(
        &mut self,
        key: QueueKey,
        sequence: Sequence,
        number: MessageNumber,
        publication: Publication,
        visible_after: Ticket,
    ) -> Promise {
        let Publication {
            message,
            mode,
            expires_ms,
            ..
        } = publication;
        let rank = message.priority.rank();
        let queue = &self.queues[key.0];
        let mut entry = Entry::new(number, message, mode, expires_ms, Durability::Volatile);
        entry.visible_after = visible_after;
        let promise = match mode {
            DeliveryMode::NonPersistent => Promise::Kept,
            DeliveryMode::Persistent => {
                entry.durability = Durability::Pending(self.next_ticket);
                if queue.policy.dispatch == Dispatch::Durable {
                    entry.visible_after = self.next_ticket;
                }
                let append = entry.to_append(queue.key(rank, sequence), Box::default());
                self.store(key, Operation::Append(append));
                Promise::WithBatch
            }
        };
        self.add(key, rank, sequence, entry);
        promise
    }

    /// A new entry of a queue takes its place.
    pub(super) fn add(
        &mut self,
        key: QueueKey,
        rank: stompbox_store::Rank,
        sequence: Sequence,
        entry: Entry,
    ) {
        if entry.visible_after > self.watermark {
            self.hidden
                .push_back((entry.visible_after, Place::Queue(key)));
        }
        if entry.expires_ms != 0 {
            self.expiring_queues.insert(key);
        }
        self.may_page_out(key, rank, sequence, &entry);
        let queue = &mut self.queues[key.0];
        queue.depth += 1;
        queue.depth_bytes += entry.message.bytes() as u64;
        queue.put(rank, sequence, entry);
        self.mark(key);
    }

    /// A topic's messages keep their order: behind one that a COMMIT holds back, others wait too.
    fn publish_in_turn(
        &mut self,
        key: TopicKey,
        number: MessageNumber,
        publication: Publication,
        visible_after: Ticket,
        now: Now,
    ) {
        let topic = &mut self.topics[key.0];
        if visible_after <= self.watermark && topic.held.is_empty() {
            return self.fan_out(key, number, publication, now);
        }
        let visible_after = match topic.held.back() {
            Some((ticket, ..)) => visible_after.max(*ticket),
            None => visible_after,
        };
        topic.held.push_back((visible_after, number, publication));
        self.hidden.push_back((visible_after, Place::Topic(key)));
    }

    pub(super) fn publish_held(&mut self, key: TopicKey, now: Now) {
        let watermark = self.watermark;
        while let Some((_, number, publication)) = self.topics[key.0]
            .held
            .pop_front_if(|(ticket, ..)| *ticket <= watermark)
        {
            self.fan_out(key, number, publication, now);
        }
    }
}
