//! Bugs that are put between the parts, to prove that they would be found.

use std::sync::Arc;

use stompbox_broker::core::dispatcher::{ConsumerPriority, Exclusivity};
use stompbox_broker::core::message::Target;
use stompbox_broker::core::port::{
    ConnectionId, Intent, Locality, Memory, Prefetch, Reply, Request, Subscribing,
};
use stompbox_store::{Batch, DueRequest, Operation, StoreEvent, Ticket};

use crate::model::FIRST_VISIT;
use crate::random::Random;

/// What goes wrong, now and then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plant {
    Nothing,
    /// The store does not carry out a settle.
    SettleIsLost,
    /// The store forgets a failure count.
    CountIsLost,
    /// A page lacks a row.
    RowIsLost,
    /// A page is answered from before the last commits: a row comes twice.
    RowComesTwice,
    /// The watermark is reported before the commit.
    WatermarkIsEarly,
    /// A receipt does not reach its session.
    ReceiptIsLost,
    /// A receipt comes twice.
    ReceiptComesTwice,
    /// A second delivery says that it is the first.
    RepeatIsHidden,
    /// A consumer gets what its selector does not match, too.
    SelectorIsIgnored,
    /// Others consume beside an exclusive consumer.
    ExclusiveShares,
    /// Consumers are served in turn whatever their priority.
    PriorityIsLost,
    /// A subscription is given as much as there may be, whatever it asks for.
    PrefetchIsIgnored,
    /// The same of bytes alone.
    WindowIsIgnored,
    /// A subscription hears its own connection although it asked not to.
    OwnIsHeard,
    /// Of several destinations of a SEND the last one gets no copy.
    CopyIsLost,
    /// A browser takes what it shows.
    BrowserTakes,
    /// The store forgets how far a durable subscription has come.
    FloorIsLost,
    /// The store believes that a durable subscription has come one message further.
    FloorIsHigh,
    /// A pattern or list of topics does not get what one of its topics is sent.
    FeedIsLost,
    /// It does not know which of its topics brought what.
    OriginIsLost,
    /// A route leads to fewer places.
    WayIsLost,
    /// A route is taken whatever its selector says.
    WayIsWide,
    /// What goes elsewhere instead stays where it was sent to, too.
    OriginalStays,
    /// What is scheduled comes before its time.
    DelayIsShort,
    /// What is scheduled is booked for a minute later than it says.
    FiringIsLate,
    /// What is looked for in the schedule by its name is not found.
    FoundIsLost,
    /// A look at what is scheduled lacks one.
    JobIsHidden,
    /// What has fired stays in the schedule.
    FiringIsKept,
    /// The store forgets the ids by which repeats are known.
    IdIsLost,
    /// Who was held back is not told to go on.
    UnblockIsLost,
    /// A queue's limit is not heeded that it should refuse at.
    RoomIsIgnored,
    /// A queue refuses before it is full.
    RoomIsDenied,
    /// A limit in bytes is not heeded.
    WeightIsIgnored,
    /// A topic keeps less than its policy says for those that begin with it.
    LessIsRetained,
    /// A subscription does not begin with what its topic has kept.
    NothingIsRecalled,
    /// Last values are told apart by another header.
    ValueIsAnother,
    /// What a consumer may not hold for ever it is left longer.
    TimeoutIsLate,
    /// What the console moves does not come out where it is to go.
    MoveIsLost,
    /// What the console moves stays where it was as well.
    MoveIsCopy,
    /// The dispatcher is not told what the full disk has refused.
    RefusalIsHidden,
    /// The dispatcher is not told that the disk has room again.
    RoomIsHidden,
    /// A topic drops one message more for a slow subscription than it has to.
    TooMuchIsDropped,
    /// A topic drops one message less.
    TooLittleIsDropped,
    /// The same in bytes.
    PendingWeightIsIgnored,
    /// A slow subscriber keeps its connection.
    CliffIsLow,
    /// A topic drops where its producers should wait.
    DamLeaks,
    /// How much a subscription wants kept for it is not heeded.
    PendingLimitIsIgnored,
    /// A listener is not told something.
    AdvisoryIsLost,
    /// It is told something twice, and not something else.
    AdvisoryComesTwice,
    /// The store keeps a durable subscription that was deleted.
    DeletionIsLost,
}

impl Plant {
    /// What the policies say, and what the broker reads instead.
    pub(crate) fn wrong_policy(self) -> Option<(&'static str, &'static str)> {
        match self {
            Plant::RoomIsIgnored => Some(("max_bytes = 400", "max_bytes = 4_000")),
            Plant::RoomIsDenied => Some(("max_messages = 4", "max_messages = 3")),
            Plant::WeightIsIgnored => Some(("max_bytes = 500", "max_bytes = 5_000")),
            Plant::TimeoutIsLate => Some(("ack_timeout = \"1s\"", "ack_timeout = \"2s\"")),
            Plant::WayIsLost => Some((", \"/topic/VirtualTopic.v\"]", "]")),
            Plant::WayIsWide => Some(("selector = \"colour = 'red'\"\n", "")),
            Plant::OriginalStays => Some(("forward_only = true", "forward_only = false")),
            Plant::ValueIsAnother => Some(("last_value = \"colour\"", "last_value = \"weight\"")),
            Plant::TooMuchIsDropped => Some((
                "pending_messages = 3\nretained",
                "pending_messages = 2\nretained",
            )),
            Plant::TooLittleIsDropped => Some((
                "pending_messages = 3\nretained",
                "pending_messages = 4\nretained",
            )),
            Plant::PendingWeightIsIgnored => {
                Some(("pending_bytes = \"1 KiB\"", "pending_bytes = \"8 KiB\""))
            }
            Plant::CliffIsLow => Some((
                "slow_consumer = \"disconnect\"",
                "slow_consumer = \"drop-oldest\"",
            )),
            Plant::DamLeaks => Some((
                "slow_consumer = \"block\"",
                "slow_consumer = \"drop-oldest\"",
            )),
            Plant::LessIsRetained => Some(("retained_messages = 3", "retained_messages = 2")),
            _ => None,
        }
    }

    /// Of a thousand chances. A lost count shows only when the message has failed again after a restart, a lost floor after one; what a frame
    /// asks for is misunderstood always or not at all.
    fn odds(self) -> usize {
        match self {
            Plant::CountIsLost
            | Plant::FloorIsLost
            | Plant::FloorIsHigh
            | Plant::DeletionIsLost
            | Plant::IdIsLost
            | Plant::JobIsHidden
            | Plant::UnblockIsLost
            | Plant::SelectorIsIgnored
            | Plant::ExclusiveShares
            | Plant::PriorityIsLost
            | Plant::PrefetchIsIgnored
            | Plant::WindowIsIgnored
            | Plant::OwnIsHeard
            | Plant::CopyIsLost
            | Plant::NothingIsRecalled
            | Plant::MoveIsLost
            | Plant::MoveIsCopy
            | Plant::RefusalIsHidden
            | Plant::RoomIsHidden
            | Plant::PendingLimitIsIgnored
            | Plant::BrowserTakes => 1_000,
            _ => 30,
        }
    }

    fn strikes(self, plant: Plant, random: &mut Random) -> bool {
        self == plant && random.in_thousand(self.odds())
    }

    /// On their way to the dispatcher.
    pub(crate) fn spoil_requests(
        self,
        connection: ConnectionId,
        requests: &mut Vec<Request>,
        random: &mut Random,
    ) {
        if connection.0 >= FIRST_VISIT {
            self.spoil_visit(requests, random);
        }
        for request in requests {
            match request {
                Request::Send { publication, .. } if self.strikes(Plant::FiringIsLate, random) => {
                    if let Some(later) = &mut publication.later {
                        later.firing.due_ms += 60_000;
                    }
                }
                Request::Subscribe(subscribing) => self.spoil_subscribing(subscribing, random),
                Request::Send { publication, .. } if self.strikes(Plant::CopyIsLost, random) => {
                    if let Target::Each(names) = &mut publication.target {
                        let mut fewer = names.to_vec();
                        fewer.pop();
                        *names = Arc::new(fewer);
                    }
                }
                _ => {}
            }
        }
    }

    fn spoil_visit(self, requests: &mut Vec<Request>, random: &mut Random) {
        requests.retain_mut(|request| {
            match request {
                Request::Commit { sends, .. } if self.strikes(Plant::MoveIsLost, random) => {
                    sends.clear();
                }
                Request::Acknowledge {
                    transaction: Some(_),
                    ..
                } => return !self.strikes(Plant::MoveIsCopy, random),
                _ => {}
            }
            true
        });
    }

    fn spoil_subscribing(self, subscribing: &mut Subscribing, random: &mut Random) {
        if self.strikes(Plant::SelectorIsIgnored, random) {
            subscribing.selector = None;
        }
        if self.strikes(Plant::ExclusiveShares, random) {
            subscribing.exclusivity = Exclusivity::Shared;
        }
        if self.strikes(Plant::PriorityIsLost, random) {
            subscribing.priority = ConsumerPriority(0);
        }
        if self.strikes(Plant::PrefetchIsIgnored, random) {
            subscribing.prefetch = Prefetch::default();
        }
        if self.strikes(Plant::WindowIsIgnored, random) {
            subscribing.prefetch.bytes = None;
        }
        if self.strikes(Plant::OwnIsHeard, random) {
            subscribing.locality = Locality::All;
        }
        if self.strikes(Plant::NothingIsRecalled, random) {
            subscribing.memory = Memory::Prospective;
        }
        if self.strikes(Plant::PendingLimitIsIgnored, random) {
            subscribing.pending_max = None;
        }
        if self.strikes(Plant::BrowserTakes, random) {
            subscribing.intent = Intent::Consume;
        }
    }

    /// On its way to the store.
    pub(crate) fn spoil_batch(self, batch: &mut Batch, random: &mut Random) {
        if self.strikes(Plant::SettleIsLost, random) {
            batch
                .operations
                .retain(|operation| !matches!(operation, Operation::Settle { .. }));
        }
        if self.strikes(Plant::CountIsLost, random) {
            batch
                .operations
                .retain(|operation| !matches!(operation, Operation::Count { .. }));
        }
        self.spoil_subscriptions(batch, random);
    }

    fn spoil_subscriptions(self, batch: &mut Batch, random: &mut Random) {
        if self.strikes(Plant::FloorIsLost, random) {
            batch.operations.retain(|operation| {
                !matches!(operation, Operation::Floor { .. } | Operation::Pass { .. })
            });
        }
        if self.strikes(Plant::DeletionIsLost, random) {
            batch
                .operations
                .retain(|operation| !matches!(operation, Operation::Unsubscribe(_)));
        }
        if self.strikes(Plant::FiringIsKept, random) {
            batch
                .operations
                .retain(|operation| !matches!(operation, Operation::Unschedule(_)));
        }
        if self.strikes(Plant::IdIsLost, random) {
            batch
                .operations
                .retain(|operation| !matches!(operation, Operation::Remember(_)));
        }
        let is_fed = |operation: &Operation| matches!(operation, Operation::Log(append) if append.tag > 0xFF);
        if self.strikes(Plant::FeedIsLost, random) {
            batch.operations.retain(|operation| !is_fed(operation));
        }
        for operation in &mut batch.operations {
            if let Operation::Log(append) = operation
                && self.strikes(Plant::OriginIsLost, random)
            {
                append.tag &= 0xFF;
            }
            if let Operation::Floor { floor, .. } = operation
                && self.strikes(Plant::FloorIsHigh, random)
            {
                *floor = floor.next();
            }
        }
    }

    /// On its way to the store.
    pub(crate) fn spoil_due(self, request: &mut DueRequest, random: &mut Random) {
        if self.strikes(Plant::DelayIsShort, random) {
            request.until_ms += 400;
        }
        if crate::model::is_listing(request) && self.strikes(Plant::JobIsHidden, random) {
            request.rows_max = 1;
        }
    }

    /// On its way from the store.
    pub(crate) fn spoil_event(self, event: &mut StoreEvent, random: &mut Random) {
        match event {
            StoreEvent::Page(page) => {
                if self.strikes(Plant::RowIsLost, random) && page.rows.len() > 1 {
                    page.rows.remove(0);
                }
                if self.strikes(Plant::RowComesTwice, random)
                    && let Some(row) = page.rows.first()
                {
                    let mut again = row.clone();
                    again.sequence = again.sequence.next();
                    page.rows.insert(1, again);
                }
            }
            StoreEvent::Refused(operations) if self.strikes(Plant::RefusalIsHidden, random) => {
                operations.clear();
            }
            StoreEvent::Resumed if self.strikes(Plant::RoomIsHidden, random) => {
                *event = StoreEvent::Durable(Ticket(0));
            }
            StoreEvent::Schedule(list) if self.strikes(Plant::FoundIsLost, random) => {
                list.rows.clear();
            }
            StoreEvent::Durable(ticket) if self.strikes(Plant::WatermarkIsEarly, random) => {
                *ticket = Ticket(ticket.0 + 1);
            }
            _ => {}
        }
    }

    /// As the dispatcher makes them.
    pub(crate) fn spoil_told(
        self,
        replies: &mut [(ConnectionId, Vec<Reply>)],
        random: &mut Random,
    ) {
        for (_, replies) in replies {
            let last = replies.last().and_then(advisory_in);
            if last.is_some() && self.strikes(Plant::AdvisoryIsLost, random) {
                replies.pop();
            }
            if let [.., first, second] = &mut replies[..]
                && advisory_in(first).is_some()
                && advisory_in(first) == advisory_in(second)
                && let (Reply::Deliver(first), Reply::Deliver(second)) = (first, second)
                && self.strikes(Plant::AdvisoryComesTwice, random)
            {
                second.message = Arc::clone(&first.message);
            }
        }
    }

    /// On their way to the sessions.
    pub(crate) fn spoil_replies(
        self,
        replies: &mut [(ConnectionId, Vec<Reply>)],
        random: &mut Random,
    ) {
        for (_, replies) in replies {
            let is_receipt = |reply: &Reply| matches!(reply, Reply::Receipt(_));
            if self.strikes(Plant::ReceiptIsLost, random) {
                replies.retain(|reply| !is_receipt(reply));
            }
            if self.strikes(Plant::UnblockIsLost, random) {
                replies.retain(|reply| !matches!(reply, Reply::Unblock));
            }
            if self.strikes(Plant::ReceiptComesTwice, random)
                && let Some(Reply::Receipt(id)) = replies.iter().find(|reply| is_receipt(reply))
            {
                let again = Reply::Receipt(id.clone());
                replies.push(again);
            }
            for reply in replies {
                if let Reply::Deliver(delivery) = reply
                    && self.strikes(Plant::RepeatIsHidden, random)
                {
                    delivery.deliveries = 1;
                }
            }
        }
    }
}

/// The topic of an advisory to who listens to several.
fn advisory_in(reply: &Reply) -> Option<&str> {
    let Reply::Deliver(delivery) = reply else {
        return None;
    };
    let name = delivery.destination.as_ref()?.wire();
    name.contains("ActiveMQ.Advisory.").then_some(name)
}
