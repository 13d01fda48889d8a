//! What the console asks of the core by itself: that something is not scheduled any more. All else it does as a client.

use stompbox_broker::core::dispatcher::Inquiry;

use super::World;
use crate::trace;

impl World {
    /// Cancels something that is scheduled, or was, or never has been.
    pub(super) fn console_cancels(&mut self) {
        trace::count("op: console cancels");
        let any = self.random.below(12);
        let known = self.model.job_name(any);
        let name = known.unwrap_or_else(|| format!("1-{}", 100_000 + any));
        trace::note(|| format!("the console cancels {name}"));
        let dispatcher = &mut self.life().dispatcher;
        let inquiry = dispatcher.inquire(Inquiry::Unschedule(name.clone()));
        let inquiry = inquiry.expect("few are under way");
        self.model.inquired(inquiry, &name);
    }
}
