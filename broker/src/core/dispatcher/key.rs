//! Places in the dispatcher's tables. A key is reused after its owner has gone; whoever may hold one for longer
//! than that checks by an identity that is not.

use std::num::NonZeroU32;

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub(super) struct $name(pub(super) usize);
    )*};
}

keys! {
    /// A connection.
    PeerKey;
    /// A queue: a temporary one goes with its connection, that of a subscription with the subscription.
    QueueKey;
    /// A topic.
    TopicKey;
    /// A subscription.
    SubscriptionKey;
    /// A subscription's place at a queue.
    ConsumerKey;
    /// What a selector has seen, within its queue.
    ScanKey;
}

/// A topic in four bytes, for what there are many of. None of it is removed while one of these may be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ShortTopic(NonZeroU32);

impl ShortTopic {
    /// None for a place beyond what four bytes can say.
    pub(super) fn of(key: TopicKey) -> Option<Self> {
        let place = u32::try_from(key.0).ok()?.checked_add(1)?;
        NonZeroU32::new(place).map(Self)
    }

    pub(super) fn key(self) -> TopicKey {
        TopicKey(self.0.get() as usize - 1)
    }
}
