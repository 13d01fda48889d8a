//! Places in the dispatcher's tables. A key is reused after its owner has gone; whoever may hold one for longer
//! than that checks by an identity that is not.

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
