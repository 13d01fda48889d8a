//! A configuration as TOML: what `stompbox config show` prints, and the sample file.

use std::fmt::Write;

use stompbox_store::DestinationKind;

use super::form::quote;
use super::given::SectionName;
use super::policies::Override;
use super::policy::Policy;
use super::route::Route;
use super::section::{Entry, Section};
use super::{Config, ConsoleConfig, Limits, LogConfig, StompConfig, StoreConfig};

/// How the keys are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// As settings.
    Effective,
    /// As comments, to be uncommented where a default is not wanted.
    Sample,
}

impl Config {
    /// The configuration as a file that yields it when it is loaded.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut out = String::new();
        for section in SectionName::ALL {
            write_section(&mut out, self, section, Style::Effective);
        }
        for item in self.policies.overrides() {
            write_override(&mut out, item);
        }
        for route in self.policies.routes() {
            write_route(&mut out, route);
        }
        out
    }

    /// A file that lists every key with its default and sets none.
    #[must_use]
    pub fn sample_toml() -> String {
        let mut out = String::from(SAMPLE_HEAD);
        for section in SectionName::ALL {
            write_section(&mut out, &Self::default(), section, Style::Sample);
        }
        out.push_str(SAMPLE_DESTINATION);
        out
    }

    /// The keys of a section with their values.
    pub(super) fn entries(&self, section: SectionName) -> Vec<Entry> {
        match section {
            SectionName::Stomp => self.stomp.entries(),
            SectionName::Console => self.console.entries(),
            SectionName::Store => self.store.entries(),
            SectionName::Limits => self.limits.entries(),
            SectionName::Policy => self.policies.default_policy().entries(),
            SectionName::Log => self.log.entries(),
        }
    }
}

/// What a section is about.
pub(super) fn about(section: SectionName) -> &'static [&'static str] {
    match section {
        SectionName::Stomp => StompConfig::ABOUT,
        SectionName::Console => ConsoleConfig::ABOUT,
        SectionName::Store => StoreConfig::ABOUT,
        SectionName::Limits => Limits::ABOUT,
        SectionName::Policy => Policy::ABOUT,
        SectionName::Log => LogConfig::ABOUT,
    }
}

const SAMPLE_HEAD: &str = "\
# Every setting of stompbox with its default. Uncomment what should differ.
# Check the result with `stompbox config check --config FILE`.

";

const SAMPLE_DESTINATION: &str = "\
# Any key of [policy] for some destinations only. `match` is a name without prefix: `*` stands for one segment, `>` for
# the rest, also none. Of several that match, the most specific one wins, key by key.
#[[destination]]
#match = \"orders.>\"
#kind = \"queue\"
#dead_letter_queue = \"DLQ.{name}\"

# What is sent to one destination goes to others, instead or too. Of several tables with the same `from` all count.
#[[route]]
#from = \"/queue/orders\"
#to = [\"/queue/orders.eu\", \"/topic/orders\"]
#selector = \"region = 'eu'\"
#forward_only = true
";

fn write_section(out: &mut String, config: &Config, section: SectionName, style: Style) {
    for text in about(section) {
        line(out, format_args!("#{text}"));
    }
    line(out, format_args!("[{}]", section.as_str()));
    let mark = match style {
        Style::Effective => "",
        Style::Sample => "#",
    };
    for entry in config.entries(section) {
        out.push('\n');
        for text in entry.doc {
            line(out, format_args!("#{text}"));
        }
        line(out, format_args!("# Allowed: {}.", entry.allowed));
        line(out, format_args!("{mark}{} = {}", entry.name, entry.value));
    }
    out.push('\n');
}

fn write_override(out: &mut String, item: &Override) {
    line(out, format_args!("[[destination]]"));
    line(
        out,
        format_args!("match = {}", quote(&item.pattern.to_string())),
    );
    match item.kind {
        Some(DestinationKind::Queue) => line(out, format_args!("kind = \"queue\"")),
        Some(DestinationKind::Topic) => line(out, format_args!("kind = \"topic\"")),
        None => {}
    }
    for entry in Policy::given_entries(&item.given) {
        line(out, format_args!("{} = {}", entry.name, entry.value));
    }
    out.push('\n');
}

fn write_route(out: &mut String, route: &Route) {
    let to: Vec<String> = route.to.iter().map(|name| quote(name.wire())).collect();
    line(out, format_args!("[[route]]"));
    line(out, format_args!("from = {}", quote(route.from.wire())));
    line(out, format_args!("to = [{}]", to.join(", ")));
    if let Some(selector) = &route.selector {
        line(
            out,
            format_args!("selector = {}", quote(&selector.to_string())),
        );
    }
    line(out, format_args!("forward_only = {}\n", route.forward_only));
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(out, "{text}").expect("invariant: a string takes all that is written to it");
}
