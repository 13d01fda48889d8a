//! Configured routes: as the configuration says them, and what they mean, said a second time.

use std::fmt::Write as _;

use crate::catalogue::{Choice, SELECTORS, Traits};

/// A table `[[route]]`.
struct Route {
    from: &'static str,
    to: &'static [&'static str],
    /// Its place among [`SELECTORS`].
    choice: Option<usize>,
    /// Whether messages go there instead.
    forward_only: bool,
}

const ROUTES: [Route; 6] = [
    Route {
        from: "/queue/fork",
        to: &["/queue/fork.red", "/topic/prices.tea"],
        choice: Some(0),
        forward_only: true,
    },
    Route {
        from: "/queue/fork",
        to: &["/queue/narrow", "/queue/fork.red"],
        choice: Some(1),
        forward_only: true,
    },
    Route {
        from: "/queue/both",
        to: &["/queue/durable", "/topic/VirtualTopic.v"],
        choice: None,
        forward_only: false,
    },
    Route {
        from: "/topic/news",
        to: &["/queue/fork", "/queue/held"],
        choice: None,
        forward_only: false,
    },
    Route {
        from: "/topic/news",
        to: &["/queue/strict", "/topic/careless"],
        choice: Some(5),
        forward_only: false,
    },
    Route {
        from: "/topic/instead",
        to: &["/queue/both", "/topic/durable"],
        choice: Some(4),
        forward_only: true,
    },
];

impl Route {
    fn choice(&self) -> Option<Choice> {
        self.choice.map(|place| SELECTORS[place])
    }

    fn takes(&self, traits: &Traits) -> bool {
        self.choice().is_none_or(|(_, chooses)| chooses(traits))
    }
}

/// The tables of the configuration.
pub(crate) fn text() -> String {
    let mut text = String::new();
    for route in &ROUTES {
        let Route {
            from,
            to,
            forward_only,
            ..
        } = route;
        let selector = route.choice().map(|(words, _)| words);
        let selector = selector.map(|words| format!("selector = {words:?}\n"));
        let selector = selector.unwrap_or_default();
        writeln!(
            text,
            "[[route]]\nfrom = {from:?}\nto = {to:?}\nforward_only = {forward_only}\n{selector}"
        )
        .expect("a string");
    }
    text
}

/// All that routes name: it is there from the start.
pub(crate) fn named() -> impl Iterator<Item = &'static str> {
    let of = |route: &'static Route| route.to.iter().copied().chain([route.from]);
    ROUTES.iter().flat_map(of)
}

/// Where a message goes that is sent to these: in the order in which it is met, nowhere twice.
pub(crate) fn forward(to: &[&str], traits: &Traits) -> Vec<String> {
    let mut met: Vec<&str> = to.to_vec();
    let mut index = 0;
    while let Some(place) = met.get(index).copied() {
        index += 1;
        for route in ROUTES.iter().filter(|route| route.from == place) {
            for next in route.to.iter().filter(|_| route.takes(traits)) {
                if !met.contains(next) {
                    met.push(next);
                }
            }
        }
    }
    met.retain(|place| !is_passed_through(place));
    met.into_iter().map(str::to_owned).collect()
}

/// Whether nothing stays where it was sent to.
pub(crate) fn is_passed_through(name: &str) -> bool {
    let mut own = ROUTES.iter().filter(|route| route.from == name);
    own.any(|route| route.forward_only)
}

/// Whether some of what is sent here goes elsewhere, too or instead.
pub(crate) fn is_forked(name: &str) -> bool {
    ROUTES.iter().any(|route| route.from == name)
}

/// Everywhere that a message may come to that is sent here, but for selectors.
pub(crate) fn reach(name: &str) -> Vec<&str> {
    follow(name, |_| true)
}

fn follow(name: &str, is_taken: impl Fn(&Route) -> bool) -> Vec<&str> {
    let mut met = vec![name];
    let mut index = 0;
    while let Some(place) = met.get(index).copied() {
        index += 1;
        let own = ROUTES.iter().filter(|route| route.from == place);
        met.extend(
            own.filter(|route| is_taken(route))
                .flat_map(|route| route.to),
        );
    }
    met
}

/// Where it comes to in any case.
pub(crate) fn surely(name: &str) -> Vec<&str> {
    let mut met = follow(name, |route| route.choice.is_none());
    met.retain(|place| !is_passed_through(place));
    met
}

#[test]
fn a_route_leads_on_to_another_and_nothing_comes_twice() {
    let red = Traits {
        colour: Some("red".to_owned()),
        weight: Some(9),
        priority: 4,
    };
    assert_eq!(
        forward(&["/topic/news", "/queue/held"], &red),
        [
            "/topic/news",
            "/queue/held",
            "/queue/strict",
            "/topic/careless",
            "/queue/fork.red",
            "/topic/prices.tea",
            "/queue/narrow",
        ]
    );
    let plain = Traits {
        colour: Some("green".to_owned()),
        weight: None,
        priority: 4,
    };
    assert!(forward(&["/topic/instead"], &plain).is_empty());
}
