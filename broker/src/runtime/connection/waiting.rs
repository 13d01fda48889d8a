//! Replies that have come and are not written yet: as references, not as bytes.

use std::collections::VecDeque;
use std::vec::IntoIter;

use crate::core::port::Reply;

/// Whole batches as they came, so that a reply is moved only once: to the session.
#[derive(Default)]
pub(super) struct Waiting {
    batches: VecDeque<IntoIter<Reply>>,
}

impl Waiting {
    pub(super) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    pub(super) fn push(&mut self, batch: Vec<Reply>) {
        if !batch.is_empty() {
            self.batches.push_back(batch.into_iter());
        }
    }

    pub(super) fn pop(&mut self) -> Option<Reply> {
        let batch = self.batches.front_mut()?;
        let reply = batch.next();
        if batch.len() == 0 {
            self.batches.pop_front();
        }
        reply
    }

    pub(super) fn retain(&mut self, wanted: impl Fn(&Reply) -> bool) {
        for batch in std::mem::take(&mut self.batches) {
            self.push(batch.filter(|reply| wanted(reply)).collect());
        }
    }

    /// Gives the memory back, if nothing waits.
    pub(super) fn release_idle(&mut self) {
        if self.batches.is_empty() {
            self.batches = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::port::ReceiptId;

    fn batch(ids: &[&str]) -> Vec<Reply> {
        let receipt = |id: &&str| Reply::Receipt(ReceiptId(id.as_bytes().into()));
        ids.iter().map(receipt).collect()
    }

    fn id(reply: &Reply) -> String {
        match reply {
            Reply::Receipt(ReceiptId(id)) => String::from_utf8_lossy(id).into_owned(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn replies_leave_in_the_order_in_which_their_batches_came() {
        let mut waiting = Waiting::default();
        for ids in [&["a", "b"][..], &[], &["c"], &["d", "e"]] {
            waiting.push(batch(ids));
        }
        assert_eq!(waiting.pop().as_ref().map(id).as_deref(), Some("a"));
        waiting.retain(|reply| !matches!(id(reply).as_str(), "c" | "e"));
        let left: Vec<_> = std::iter::from_fn(|| waiting.pop())
            .map(|reply| id(&reply))
            .collect();
        assert_eq!(left, ["b", "d"]);
        assert!(waiting.is_empty());
    }
}
