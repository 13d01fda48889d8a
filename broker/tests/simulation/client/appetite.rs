//! What a run's clients do most.

use std::rc::Rc;

use crate::catalogue::{Palette, TOPICS};
use crate::policy::{BYTE_NARROW, BYTE_RING, HASTY, LEVELS, NARROW, RING, STRICT, STRICT_CONSUMER};
use crate::random::Random;

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct Appetite {
    /// Shares of what a client does next, of 1,200.
    pub(super) send: usize,
    pub(super) acknowledge: usize,
    pub(super) subscribe: usize,
    pub(super) unsubscribe: usize,
    /// Deleting a durable subscription that it does not use.
    pub(super) delete: usize,
    /// Looking at what is scheduled, and taking it off.
    pub(super) manage: usize,
    pub(super) transact: usize,
    pub(super) leave: usize,
    /// Of a hundred messages, those that expire.
    pub(super) expiry: usize,
    /// Of a hundred acknowledgements, those that are NACKs.
    pub(super) nack: usize,
    /// Of a hundred subscriptions, those of dead letters.
    pub(super) dead_letters: usize,
    /// Of a hundred frames, those that ask for a receipt.
    pub(super) receipt: usize,
    pub(super) taste: Rc<Taste>,
}

const WITHOUT: &str = "STOMPBOX_SIM_WITHOUT";

/// Whether runs go without what has this name.
fn leaves_out(name: &str) -> bool {
    let names = std::env::var(WITHOUT).unwrap_or_default();
    names.split(',').any(|other| other == name)
}

/// What messages and subscriptions of a run are like. Shares of a hundred.
#[derive(Debug)]
pub(super) struct Taste {
    pub(super) palette: Palette,
    /// Whether subscribers of topics do not keep up.
    is_slow: bool,
    /// Messages to topics, subscriptions of them.
    pub(super) topic: usize,
    /// Messages and subscriptions with several destinations.
    pub(super) composite: usize,
    /// Subscriptions by a pattern.
    pub(super) pattern: usize,
    /// Messages and subscriptions to temporary destinations, messages that name one to answer to.
    pub(super) temporary: usize,
    pub(super) group: usize,
    pub(super) selector: usize,
    pub(super) exclusive: usize,
    /// Subscriptions with a consumer priority.
    pub(super) rank: usize,
    pub(super) browser: usize,
    /// Messages that are to come later.
    pub(super) later: usize,
    /// Of those, the ones that come by the calendar.
    pub(super) cron: usize,
    /// Whether anybody looks at what is scheduled.
    pub(super) manage: bool,
    /// Whether the console cancels some of it.
    pub(super) console: bool,
    /// Whether the disk is full at times.
    pub(super) fills: bool,
    /// Whether it moves, retries and deletes messages.
    pub(super) visits: bool,
    /// Messages with an id by which repeats are known.
    pub(super) duplicate: usize,
    /// Subscriptions that are durable or shared.
    pub(super) lasting: usize,
    /// Subscriptions that say in another way than by a number of messages how much they hold.
    pub(super) prefetch: usize,
    /// Subscriptions that do not hear their own connection.
    pub(super) no_local: usize,
    /// Subscriptions that want but so much kept for them.
    pub(super) pending: usize,
    /// Subscriptions of advisories.
    pub(super) advisory: usize,
    /// Subscriptions that begin with what topics have kept.
    pub(super) retroactive: usize,
}

impl Appetite {
    pub(crate) fn draw(random: &mut Random) -> Self {
        let taste = Taste::draw(random);
        let mut pick = |choices: [usize; 3]| choices[random.below(3)];
        Self {
            send: pick([250, 350, 500]),
            acknowledge: match taste.is_slow {
                true => pick([60, 120, 200]),
                false => pick([200, 350, 500]),
            },
            subscribe: match taste.is_slow {
                true => pick([60, 120, 120]),
                false => pick([20, 60, 120]),
            },
            unsubscribe: pick([2, 15, 60]),
            delete: if taste.lasting > 0 {
                pick([0, 1, 4])
            } else {
                0
            },
            manage: if taste.later > 0 { pick([0, 8, 24]) } else { 0 },
            transact: pick([0, 80, 200]),
            leave: pick([0, 1, 10]),
            expiry: pick([0, 12, 50]),
            nack: pick([5, 35, 70]),
            dead_letters: pick([5, 20, 50]),
            receipt: pick([10, 45, 90]),
            taste: Rc::new(taste),
        }
    }
}

impl Appetite {
    /// Whether the console takes off what is scheduled.
    pub(crate) fn has_console(&self) -> bool {
        self.taste.later > 0 && self.taste.console
    }

    /// Whether the disk is full at times.
    pub(crate) fn fills(&self) -> bool {
        self.taste.fills
    }

    /// Whether the console comes for messages.
    pub(crate) fn has_visits(&self) -> bool {
        self.taste.visits
    }

    /// Queues and topics that are named most.
    pub(crate) fn places(&self) -> impl Iterator<Item = &'static str> + use<'_> {
        let palette = &self.taste.palette;
        palette.queues.iter().chain(&palette.topics).copied()
    }

    /// Whether something comes by the calendar.
    pub(crate) fn knows_calendar(&self) -> bool {
        self.taste.later > 0 && self.taste.cron > 0
    }

    /// Whether there are subscriptions that last.
    pub(crate) fn lasts(&self) -> bool {
        self.taste.lasting > 0
    }
}

impl Taste {
    fn draw(random: &mut Random) -> Self {
        let mut palette = Palette::draw(random);
        let slow = palette.slow(random);
        let is_slow = random.percent(40) && !leaves_out("slow");
        if is_slow {
            palette.topics = slow;
        }
        let mut pick = |choices: [usize; 4]| choices[random.below(4)];
        Self {
            palette,
            is_slow,
            topic: match is_slow {
                true => pick([60, 60, 80, 90]),
                false => pick([0, 0, 20, 60]),
            },
            composite: pick([0, 0, 10, 30]),
            pattern: pick([0, 0, 15, 40]),
            temporary: pick([0, 0, 10, 30]),
            group: pick([0, 0, 30, 90]),
            selector: pick([0, 0, 30, 80]),
            exclusive: pick([0, 0, 15, 60]),
            rank: pick([0, 0, 20, 80]),
            browser: pick([0, 0, 10, 30]),
            later: pick([0, 0, 15, 50]),
            cron: pick([0, 0, 10, 30]),
            manage: true,
            console: true,
            visits: true,
            fills: pick([0, 0, 0, 1]) == 1,
            duplicate: pick([0, 0, 20, 60]),
            lasting: pick([0, 0, 30, 70]),
            prefetch: pick([0, 0, 30, 60]),
            no_local: pick([0, 20, 20, 50]),
            pending: pick([0, 0, 20, 60]),
            advisory: match is_slow {
                true => pick([0, 10, 25, 40]),
                false => pick([0, 0, 10, 40]),
            },
            retroactive: pick([0, 0, 40, 90]),
        }
        .without(&std::env::var(WITHOUT).unwrap_or_default())
        .where_disks_fill()
    }

    /// Of a full disk the model knows queues and topics: neither what is scheduled, nor durable subscriptions, nor ids of
    /// repeats, nor queues and topics with limits.
    fn where_disks_fill(mut self) -> Self {
        if self.fills {
            (self.later, self.lasting, self.duplicate) = (0, 0, 0);
            self.palette.sets.clear();
            self.palette.topics.retain(|topic| TOPICS.contains(topic));
            if self.palette.topics.is_empty() {
                self.palette.topics.push(TOPICS[0]);
            }
            for queue in [RING, BYTE_RING, NARROW, BYTE_NARROW] {
                self.palette.leave_out(queue);
            }
            for queue in [STRICT, STRICT_CONSUMER, LEVELS] {
                self.palette.leave_out(queue);
            }
        }
        self
    }

    /// Leaves out what is named, separated by commas: for whoever looks for the cause of a failure.
    fn without(mut self, names: &str) -> Self {
        for name in names.split(',') {
            match name {
                "topic" => self.topic = 0,
                "composite" => self.composite = 0,
                "pattern" => self.pattern = 0,
                "temporary" => self.temporary = 0,
                "group" => self.group = 0,
                "ring" => [RING, BYTE_RING]
                    .into_iter()
                    .for_each(|ring| self.palette.leave_out(ring)),
                "reject" => [STRICT, STRICT_CONSUMER]
                    .into_iter()
                    .for_each(|strict| self.palette.leave_out(strict)),
                "hung" => {
                    self.palette.leave_out(HASTY);
                    self.palette.leave_out("/queue/careless");
                    self.palette
                        .topics
                        .retain(|topic| *topic != "/topic/careless");
                    if self.palette.topics.is_empty() {
                        self.palette.topics.push("/topic/prices.tea");
                    }
                }
                "last" => self.palette.leave_out(LEVELS),
                "bytes" => [BYTE_RING, BYTE_NARROW, STRICT]
                    .into_iter()
                    .for_each(|queue| self.palette.leave_out(queue)),
                "selector" => self.selector = 0,
                "exclusive" => self.exclusive = 0,
                "rank" => self.rank = 0,
                "browser" => self.browser = 0,
                "later" => self.later = 0,
                "cron" => self.cron = 0,
                "manage" => self.manage = false,
                "console" => self.console = false,
                "visit" => self.visits = false,
                "full" => self.fills = false,
                "duplicate" => self.duplicate = 0,
                "lasting" => self.lasting = 0,
                "route" => self.palette.leave_routes_out(),
                "sets" => self.palette.sets.clear(),
                "retained" => self.retroactive = 0,
                "prefetch" => self.prefetch = 0,
                "pending" => self.pending = 0,
                "advisory" => self.advisory = 0,
                _ => {}
            }
        }
        self
    }
}
