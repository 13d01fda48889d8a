//! What durable and shared subscriptions are called: the rules of their names, said a second time.

use crate::catalogue::parts_of_topics;
use crate::random::Random;

/// How a SUBSCRIBE names what lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Durable, with one consumer at a time.
    Durable,
    /// Durable, whose consumers compete.
    SharedDurable,
    /// The same in RabbitMQ's form.
    ById,
    /// Shared, and not durable.
    Shared,
}

/// A durable or shared subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) form: Form,
    /// The connection's `client-id`.
    pub(crate) owner: Option<String>,
    /// Its name, or the `id` of its SUBSCRIBE.
    pub(crate) name: String,
    /// Its topic, with the prefix, or the name of its pattern or list.
    pub(crate) topic: String,
}

impl Identity {
    /// What the broker calls it; none if it cannot be named without a `client-id`. Names here need no escapes.
    pub(crate) fn text(&self) -> Option<String> {
        let owner = self.owner.as_deref();
        let of = |owner: &str| format!("client-id={owner}&");
        let own = owner.map(of).unwrap_or_default();
        let (name, topic) = (&self.name, &self.topic);
        match self.form {
            Form::Durable => owner.map(|owner| format!("client-id={owner}&name={name}")),
            Form::SharedDurable => Some(format!("shared&{own}name={name}")),
            Form::ById => Some(format!("shared&destination={topic}&id={name}")),
            Form::Shared => Some(format!("volatile&{own}name={name}")),
        }
    }

    pub(crate) fn is_shared(&self) -> bool {
        self.form != Form::Durable
    }

    pub(crate) fn is_durable(&self) -> bool {
        self.form != Form::Shared
    }

    /// The same as a client writes it: a list in any order, each with its prefix.
    pub(crate) fn destination(&self, random: &mut Random) -> String {
        let mut parts: Vec<String> = parts_of_topics(&self.topic).collect();
        for index in (1..parts.len()).rev() {
            parts.swap(index, random.below(index + 1));
        }
        for part in &mut parts {
            if part.ends_with('>') && random.percent(50) {
                part.pop();
                part.push('#');
            }
        }
        parts.join(",")
    }

    /// The headers of SUBSCRIBE, and of the UNSUBSCRIBE that deletes it.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let name = self.name.clone();
        match self.form {
            Form::Durable => vec![("activemq.subscriptionName", name)],
            Form::SharedDurable => vec![
                ("durable-subscription-name", name),
                ("x-shared", "true".to_owned()),
            ],
            Form::ById => vec![("durable", "true".to_owned())],
            Form::Shared => vec![("x-shared-name", name)],
        }
    }
}
