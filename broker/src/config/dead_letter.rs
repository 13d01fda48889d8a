//! Which queues are dead-letter queues: what fails there stays there.

use super::policies::Policies;
use super::policy::Policy;

const NAME: &str = "{name}";

impl Policies {
    /// Whether some policy sends dead letters to the queue of this name.
    #[must_use]
    pub fn is_dead_letter_queue(&self, name: &str) -> bool {
        let own = std::iter::once(self.default_policy().dead_letter_queue.as_str());
        let others = self
            .overrides()
            .iter()
            .filter_map(|item| item.given.dead_letter_queue.as_deref());
        let shared = Policy::default().dead_letter_queue;
        own.chain(others)
            .chain(std::iter::once(shared.as_str()))
            .any(|template| is_made_from(name, template))
    }
}

fn is_made_from(name: &str, template: &str) -> bool {
    match template.split_once(NAME) {
        None => name == template,
        Some((before, after)) => {
            name.len() > before.len() + after.len()
                && name.starts_with(before)
                && name.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::is_made_from;

    #[test]
    fn a_template_with_a_name_is_met_by_every_queue_made_from_it() {
        assert!(is_made_from("ActiveMQ.DLQ", "ActiveMQ.DLQ"));
        assert!(!is_made_from("ActiveMQ.DLQ.a", "ActiveMQ.DLQ"));
        assert!(is_made_from("DLQ.orders", "DLQ.{name}"));
        assert!(is_made_from("orders.dead", "{name}.dead"));
        assert!(!is_made_from("DLQ.", "DLQ.{name}"));
        assert!(!is_made_from("orders", "DLQ.{name}"));
    }
}
