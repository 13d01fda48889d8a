//! The configuration as a whole: precedence, refusals with their place, merging, and what is shown.

use std::path::{Path, PathBuf};
use std::time::Duration;

use stompbox_store::DestinationKind::{Queue, Topic};

use super::form::Scalar;
use super::*;
use crate::core::destination::DestinationName;

/// Loads `text` as a file, with an environment and a command line.
fn load_with(
    text: &str,
    env: &[(&str, &str)],
    overrides: CommandLine,
) -> Result<Config, ConfigError> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("stompbox.toml");
    std::fs::write(&path, text).expect("write");
    load(Some(&path), variables(env), overrides)
}

fn variables(env: &[(&str, &str)]) -> impl Iterator<Item = (String, String)> {
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    env.iter().map(owned).collect::<Vec<_>>().into_iter()
}

fn load_text(text: &str) -> Config {
    load_with(text, &[], CommandLine::default()).expect("a valid configuration")
}

/// The problems of a file and an environment, each without the folder of the file.
fn problems(text: &str, env: &[(&str, &str)]) -> Vec<String> {
    match load_with(text, env, CommandLine::default()) {
        Err(ConfigError::Invalid { problems }) => problems.into_iter().map(place).collect(),
        other => panic!("expected problems, got {other:?}"),
    }
}

fn place(problem: Problem) -> String {
    let text = problem.to_string();
    match &problem.origin {
        Some(Origin::File { path, .. }) => {
            let folder = path.parent().expect("a folder").display().to_string();
            text.replace(&format!("{folder}/"), "")
        }
        Some(Origin::Environment { .. } | Origin::CommandLine { .. }) | None => text,
    }
}

#[test]
fn without_any_source_everything_is_default() {
    let config = load(None, variables(&[]), CommandLine::default()).expect("defaults");
    assert_eq!(config, Config::default());
    assert_eq!(
        config.stomp.listen,
        ["127.0.0.1:61613".parse().expect("an address")]
    );
    assert_eq!(config.limits.body_bytes, 100 << 20);
    assert_eq!(config.store.durability, Durability::Power);
}

#[test]
fn command_line_beats_environment_beats_file_beats_default() {
    let text = "[store]\ndata = 'file'\n[stomp]\nlisten = '127.0.0.1:1'\nlinger = '1s'\n\
                [console]\nlisten = '127.0.0.1:2'";
    let env = [
        ("STOMPBOX_STORE_DATA", "env"),
        ("STOMPBOX_STOMP_LISTEN", "127.0.0.1:3"),
    ];
    let command_line = CommandLine {
        data: Some(PathBuf::from("line")),
        ..CommandLine::default()
    };
    let config = load_with(text, &env, command_line).expect("valid");
    assert_eq!(config.store.data, Path::new("line"));
    assert_eq!(
        config.stomp.listen,
        ["127.0.0.1:3".parse().expect("an address")]
    );
    assert_eq!(
        config.console.listen,
        Some("127.0.0.1:2".parse().expect("an address"))
    );
    assert_eq!(config.stomp.linger, Duration::from_secs(1));
    assert_eq!(config.stomp.keep_alive, Duration::from_secs(60));
}

#[test]
fn environment_names_the_file_unless_the_command_line_does() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.toml");
    std::fs::write(&path, "[limits]\nheaders = 99").expect("write");
    let env = [("STOMPBOX_CONFIG", path.to_str().expect("UTF-8"))];
    let config = load(None, variables(&env), CommandLine::default()).expect("valid");
    assert_eq!(config.limits.headers, 99);
    let config = load_with("", &env, CommandLine::default()).expect("valid");
    assert_eq!(config.limits.headers, 1_000);
}

#[test]
fn environment_takes_every_form_without_quotes() {
    let env = [
        ("STOMPBOX_STOMP_LISTEN", "127.0.0.1:1, [::1]:2"),
        ("STOMPBOX_CONSOLE_LISTEN", "none"),
        ("STOMPBOX_LIMITS_BODY_BYTES", "64KiB"),
        ("STOMPBOX_LIMITS_HEADERS", "16"),
        ("STOMPBOX_POLICY_REDELIVERY_MULTIPLIER", "1.5"),
        ("STOMPBOX_POLICY_DEAD_LETTER_EXPIRED", "false"),
        ("STOMPBOX_POLICY_SLOW_CONSUMER", "drop-oldest"),
        ("STOMPBOX_LOG_LEVEL", "debug"),
        ("STOMPBOX_STOMP_LINGER", "500ms"),
    ];
    let config = load(None, variables(&env), CommandLine::default()).expect("valid");
    assert_eq!(config.stomp.listen.len(), 2);
    assert_eq!(config.console.listen, None);
    assert_eq!(config.limits.body_bytes, 65_536);
    assert_eq!(config.limits.headers, 16);
    let policy = config.policies.default_policy();
    assert_eq!(policy.redelivery_multiplier.to_bits(), 1.5_f64.to_bits());
    assert!(!policy.dead_letter_expired);
    assert_eq!(policy.slow_consumer, SlowConsumer::DropOldest);
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.stomp.linger, Duration::from_millis(500));
}

#[test]
fn every_problem_is_named_with_its_line_and_what_is_allowed() {
    let cases = [
        (
            "\n\n[limits]\nheader = 5",
            "stompbox.toml:4: limits.header: unknown key; did you mean `headers`?",
        ),
        (
            "[limits]\nprefetch_queue = 5",
            "stompbox.toml:2: limits.prefetch_queue: unknown key here; it belongs to [policy]",
        ),
        (
            "[console]\nzzzzzzzz = 5",
            "stompbox.toml:2: console.zzzzzzzz: unknown key; allowed are listen, hosts, manage",
        ),
        (
            "[limit]",
            "stompbox.toml:1: limit: unknown section; did you mean [limits]?",
        ),
        (
            "headers = 5",
            "stompbox.toml:1: headers: this key belongs to a section, [limits]",
        ),
        (
            "limits = 5",
            "stompbox.toml:1: limits: write it as a table, [limits]",
        ),
        (
            "[limits]\nheaders = 5",
            "stompbox.toml:2: limits.headers: 5 is not allowed here; allowed is a whole number from 16 to 100_000",
        ),
        (
            "[stomp]\nlinger = 2",
            "stompbox.toml:2: stomp.linger: 2 is not allowed here; allowed is a duration (\"500ms\", \"10s\", \"1m\", \"2h\") from 0s to 1m",
        ),
        (
            "[store]\ndurability = 'full'",
            "stompbox.toml:2: store.durability: \"full\" is not allowed here; allowed is \"power\" or \"process\"",
        ),
        (
            "[destination]\nmatch = 'a'",
            "stompbox.toml:1: destination: write it as one of several tables, [[destination]]",
        ),
        (
            "\n[[destination]]\nkind = 'queue'",
            "stompbox.toml:2: destination: match is missing; allowed is a name without prefix, in which a segment may be * and the last one >",
        ),
        (
            "[[destination]]\nmatch = 'a.>.b'",
            "stompbox.toml:2: destination.match: \"a.>.b\" is not allowed here; allowed is a name without prefix, in which a segment may be * and the last one >",
        ),
        (
            "[[destination]]\nmatch = '/topic/a.>'",
            "stompbox.toml:2: destination.match: \"/topic/a.>\" is not allowed here; allowed is a name without prefix, in which a segment may be * and the last one >; write \"a.>\" and kind = \"topic\"",
        ),
        (
            "[[destination]]\nmatch = '/temp-queue/a'",
            "stompbox.toml:2: destination.match: \"/temp-queue/a\" is not allowed here; allowed is a name without prefix, in which a segment may be * and the last one >",
        ),
        (
            "[policy]\ndead_letter_queue = '/queue/DLQ.a'",
            "stompbox.toml:2: policy.dead_letter_queue: \"/queue/DLQ.a\" is not allowed here; allowed is the name of a queue without its prefix, in which \"{name}\" may stand for the destination's name, but is not all of it",
        ),
        (
            "[[destination]]\nkind = 'queue'\nmatch = 'a?b'",
            "stompbox.toml:1: destination.match: `a?b` with a kind declares a destination, and cannot be the name of one: use up to 255 bytes without control characters and '?'",
        ),
        (
            "[route]\nfrom = 'a'",
            "stompbox.toml:1: route: write it as one of several tables, [[route]]",
        ),
        (
            "[[route]]\nfrom = '/queue/a'",
            "stompbox.toml:1: route: to is missing",
        ),
        (
            "[[route]]\nfrom = '/queue/a.>'\nto = 'b'",
            "stompbox.toml:2: route.from: \"/queue/a.>\" is not allowed here; allowed is a destination (\"/queue/NAME\", \"/topic/NAME\"), without wildcards",
        ),
        (
            "[[route]]\nfrom = 'a'\nto = ['b', '/topic/ActiveMQ.Advisory.X']",
            "stompbox.toml:3: route.to: \"/topic/ActiveMQ.Advisory.X\" is not allowed here; allowed is a destination that messages lie in, not one of the broker's own: an advisory topic, a name that asks for statistics, or the topic that manages the schedule",
        ),
        (
            "[[route]]\nfrom = 'ActiveMQ.Statistics.Broker'\nto = 'b'",
            "stompbox.toml:2: route.from: \"ActiveMQ.Statistics.Broker\" is not allowed here; allowed is a destination that messages lie in, not one of the broker's own: an advisory topic, a name that asks for statistics, or the topic that manages the schedule",
        ),
        (
            "[[route]]\nfrom = 'a'\nto = '/topic/ActiveMQ.Scheduler.Management'",
            "stompbox.toml:3: route.to: \"/topic/ActiveMQ.Scheduler.Management\" is not allowed here; allowed is a destination that messages lie in, not one of the broker's own: an advisory topic, a name that asks for statistics, or the topic that manages the schedule",
        ),
        (
            "[[route]]\nfrom = 'a'\nto = 'b'\nselektor = 'x'",
            "stompbox.toml:4: route.selektor: unknown key; did you mean `selector`?",
        ),
        (
            "[[route]]\nfrom = 'a'\nto = 'b'\n[[route]]\nfrom = 'a'\nto = 'c'\nforward_only = false",
            "stompbox.toml:1: route: the routes from /queue/a do not agree about forward_only",
        ),
        (
            "[[route]]\nfrom = 'z'\nto = ['b', 'a']\n[[route]]\nfrom = 'b'\nto = ['x', '/topic/c']\n\
             [[route]]\nfrom = '/topic/c'\nto = 'b'",
            "stompbox.toml:4: route: messages would go round in a circle: /queue/b -> /topic/c -> /queue/b",
        ),
        (
            "[[destination]]\nmatch = 'a'\nprefech_queue = 1",
            "stompbox.toml:3: destination.prefech_queue: unknown key; did you mean `prefetch_queue`?",
        ),
        (
            "[[destination]]\nmatch = 'a'\n[[destination]]\nmatch = 'a'",
            "stompbox.toml:3: destination.match: `a` has a table already, at stompbox.toml:1",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text, &[]), [expected], "{text}");
    }
}

#[test]
fn all_problems_are_reported_at_once_from_top_to_bottom() {
    let text = "[zebra]\n[limits]\nheaders = 'many'\n[log]\nlevel = 'loud'\n[antelope]";
    let found = problems(text, &[("STOMPBOX_STOMP_LISTEN", "here")]);
    let places: Vec<&str> = found
        .iter()
        .filter_map(|text| text.split(": ").next())
        .collect();
    let expected = [
        "stompbox.toml:1",
        "stompbox.toml:3",
        "stompbox.toml:5",
        "stompbox.toml:6",
        "STOMPBOX_STOMP_LISTEN",
    ];
    assert_eq!(places, expected);
}

#[test]
fn malformed_toml_is_refused_with_its_line() {
    let found = problems("[stomp]\nlisten = ", &[]);
    assert!(found[0].starts_with("stompbox.toml:2: "), "{found:?}");
}

#[test]
fn unknown_variables_of_a_known_section_are_refused() {
    assert_eq!(
        problems("", &[("STOMPBOX_STORE_DAT", "x")]),
        ["STOMPBOX_STORE_DAT: unknown variable; did you mean STOMPBOX_STORE_DATA?"]
    );
    let foreign = [
        ("STOMPBOX_HOME", "x"),
        ("STOMPBOX_PORT_61613_TCP", "tcp://10.0.0.1:61613"),
        ("STOMPBOX_CONSOLE_SERVICE_HOST", "10.0.0.1"),
        ("STOMPBOX_CONSOLE_PORT_8161_TCP_ADDR", "10.0.0.1"),
        ("PATH", "x"),
    ];
    assert_eq!(
        load(None, variables(&foreign), CommandLine::default()).expect("valid"),
        Config::default()
    );
}

#[test]
fn command_line_problems_name_the_option() {
    let command_line = CommandLine {
        stomp: Some("61613".to_owned()),
        ..CommandLine::default()
    };
    let error = load_with("", &[], command_line)
        .expect_err("not an address")
        .to_string();
    assert!(
        error.starts_with("--stomp: stomp.listen: \"61613\" is not allowed here"),
        "{error}"
    );
}

#[test]
fn a_missing_file_is_an_error() {
    let error = load(
        Some(Path::new("/nowhere/a.toml")),
        variables(&[]),
        CommandLine::default(),
    );
    assert!(matches!(error, Err(ConfigError::Unreadable { .. })));
}

#[test]
fn contradictions_name_the_key_that_was_set() {
    let cases = [
        (
            "[policy]\nprefetch_queue = 200_000",
            "stompbox.toml:2: policy.prefetch_queue: 200000 is over prefetch_max, which is 100000",
        ),
        (
            "[policy]\nredelivery_delay_max = '10ms'",
            "stompbox.toml:2: policy.redelivery_delay: 1s is over redelivery_delay_max, which is 10ms",
        ),
        (
            "[policy]\nttl_max = '1h'\nttl_default = '2h'",
            "stompbox.toml:3: policy.ttl_default: 7200s is over ttl_max, which is 3600s",
        ),
        (
            "[[destination]]\nmatch = 'a'\nttl_max = '1s'\nttl_default = '2s'",
            "stompbox.toml:1: destination.ttl_default: 2s is over ttl_max, which is 1s",
        ),
        (
            "[limits]\nmemory_bytes = '80 MiB'",
            "stompbox.toml:2: limits.body_bytes: 104857600 bytes are over memory_bytes, which is 83886080 bytes",
        ),
        (
            "[[destination]]\nmatch = 'a.>'\nprefetch_topic = 1_000_000",
            "stompbox.toml:1: destination.prefetch_topic: 1000000 is over prefetch_max, which is 100000",
        ),
        (
            "[console]\nlisten = '127.0.0.1:61613'\n[stomp]\nlisten = '127.0.0.1:61613'",
            "stompbox.toml:4: stomp.listen: 127.0.0.1:61613 is listened on twice, here or by console.listen",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(problems(text, &[]), [expected], "{text}");
    }
}

#[test]
fn values_of_the_wrong_form_are_refused() {
    let cases = [
        "[policy]\ndead_letter_queue = '/topic/x'",
        "[policy]\ndead_letter_queue = '{name}'",
        "[policy]\nlast_value = 'message-id'",
        "[policy]\nlast_value = 'priority'",
        "[limits]\nbody_bytes = '10 MB'",
        "[limits]\nbody_bytes = '-1'",
        "[limits]\nbody_bytes = 1.5",
        "[limits]\nbody_bytes = '99999999999 GiB'",
        "[limits]\nheaders = '100'",
        "[limits]\nheaders = 99999999999999999999",
        "[stomp]\nlinger = '1 fortnight'",
        "[stomp]\nlinger = '99999999999999999999h'",
        "[stomp]\nlisten = []",
        "[stomp]\nlisten = 'localhost:61613'",
        "[stomp]\nlisten = 2001-01-01",
        "[policy]\nredelivery_multiplier = 0.5",
        "[policy]\nredelivery_multiplier = nan",
        "[policy]\ndead_letter_expired = 'yes'",
        "[policy]\ndead_letter_queue = 'a..b'",
        "[policy]\ndead_letter_queue = 'DLQ.{queue}'",
        "[policy]\ndead_letter_queue = 'DLQ.>'",
        "[log]\nlevel = 'loud'",
        "[log]\nlevel = 'info,a=loud'",
        "[store]\ndata = ''",
    ];
    for text in cases {
        assert_eq!(problems(text, &[]).len(), 1, "{text}");
    }
}

#[test]
fn the_most_specific_override_wins_key_by_key() {
    let config = load_text(
        "[policy]\nprefetch_queue = 1\n\
         [[destination]]\nmatch = 'orders.eu.>'\nprefetch_queue = 3\n\
         [[destination]]\nmatch = 'orders.>'\nprefetch_queue = 2\nredeliveries_max = 9\n\
         [[destination]]\nmatch = 'orders.eu.>'\nkind = 'topic'\nprefetch_queue = 4",
    );
    let cases = [
        (Queue, "invoices", 1, 6),
        (Queue, "orders", 2, 9),
        (Queue, "orders.us.new", 2, 9),
        (Queue, "orders.eu.new", 3, 9),
        (Topic, "orders.eu.new", 4, 9),
    ];
    for (kind, name, prefetch, redeliveries) in cases {
        let policy = config.policies.effective(kind, name);
        assert_eq!(
            (policy.prefetch_queue, policy.redeliveries_max),
            (prefetch, redeliveries),
            "{name}"
        );
    }
}

#[test]
fn overrides_that_only_contradict_each_other_together_keep_to_the_maximum() {
    let config = load_text(
        "[[destination]]\nmatch = 'a.*'\nprefetch_queue = 90_000\n\
         [[destination]]\nmatch = '*.b'\nprefetch_max = 50_000",
    );
    assert_eq!(
        config.policies.effective(Queue, "a.b").prefetch_queue,
        50_000
    );
}

#[test]
fn an_explained_policy_says_where_each_value_comes_from() {
    let config = load_text(
        "[policy]\nprefetch_queue = 9\nredeliveries_max = 6\nmax_messages = 1\n\
         [[destination]]\nmatch = 'a.>'\nmax_messages = 2\nttl_max = '1m'\n\
         [[destination]]\nmatch = 'a.b'\nkind = 'queue'\nmax_messages = 3\n\
         [[destination]]\nmatch = '*.b'\nkind = 'topic'\nmax_messages = 4\nttl_max = '2m'",
    );
    let said = |kind, name, key: &str| {
        let settings = config.policies.explain(kind, name);
        let setting = settings.into_iter().find(|setting| setting.key == key);
        let setting = setting.expect(key);
        format!("{} {}", setting.value, setting.from)
    };
    for (kind, name, key, expected) in [
        (Queue, "a.b", "prefetch_queue", "9 [policy]"),
        (Queue, "a.b", "redeliveries_max", "6 default"),
        (Queue, "a.b", "dispatch", "\"eager\" default"),
        (Queue, "x", "max_messages", "1 [policy]"),
        (Queue, "a.c", "max_messages", "2 [[destination]] a.>"),
        (
            Queue,
            "a.b",
            "max_messages",
            "3 [[destination]] a.b (queue)",
        ),
        (Topic, "a.b", "max_messages", "2 [[destination]] a.>"),
        (
            Topic,
            "c.b",
            "ttl_max",
            "\"2m\" [[destination]] *.b (topic)",
        ),
        (Topic, "a.b", "ttl_max", "\"1m\" [[destination]] a.>"),
    ] {
        assert_eq!(said(kind, name, key), expected, "{kind:?} {name} {key}");
    }
    assert_eq!(
        config.policies.explain(Queue, "a").len(),
        given::SectionName::Policy.keys().len()
    );
}

#[test]
fn the_dead_letter_queue_may_be_named_after_a_queue_that_stays() {
    let config = load_text("[policy]\ndead_letter_queue = 'DLQ.{name}'");
    let policy = config.policies.effective(Queue, "orders.eu");
    let of = |name: &DestinationName| policy.dead_letter_queue_of(name);
    assert_eq!(
        of(&DestinationName::new(Queue, "orders.eu")),
        "DLQ.orders.eu"
    );
    assert_eq!(
        of(&DestinationName::temporary(Queue, "1-a")),
        "ActiveMQ.DLQ"
    );
    let config = load_text("[policy]\ndead_letter_queue = 'DLQ'");
    let policy = config.policies.effective(Queue, "1-a");
    let temporary = DestinationName::temporary(Queue, "1-a");
    assert_eq!(policy.dead_letter_queue_of(&temporary), "DLQ");
}

#[test]
fn what_is_shown_loads_as_what_it_was() {
    let config = load_text(
        "[stomp]\nlisten = ['127.0.0.1:1', '[::1]:2']\nlinger = '1500ms'\n\
         [console]\nlisten = 'none'\n[store]\ndata = 'a \"b\" \\\\'\n\
         [limits]\nbody_bytes = 1_000_001\n[log]\nlevel = 'warn,a=debug'\n\
         [[destination]]\nmatch = '*'\nkind = 'topic'\nslow_consumer = 'disconnect'\n\
         [[destination]]\nmatch = 'a.*.>'\nredelivery_multiplier = 1\n\
         [[route]]\nfrom = '/queue/a'\nto = '/topic/b'\nselector = \"x > 1 AND y LIKE 'a%'\"\n\
         [[route]]\nfrom = '/topic/c'\nto = ['d', '/queue/a']\nforward_only = false",
    );
    assert_ne!(config, Config::default());
    assert_eq!(load_text(&config.to_toml()), config);
}

#[test]
fn the_sample_sets_nothing_and_uncommented_sets_the_defaults() {
    let sample = Config::sample_toml();
    assert_eq!(load_text(&sample), Config::default());
    let keys = sample
        .lines()
        .filter_map(|line| match line.strip_prefix('#') {
            Some(setting) if !setting.starts_with(' ') => Some(setting),
            Some(_) => None,
            None => Some(line),
        });
    let text: Vec<&str> = keys.take_while(|line| *line != "[[destination]]").collect();
    assert_eq!(load_text(&text.join("\n")), Config::default());
    let set = text.iter().filter(|line| line.contains(" = ")).count();
    let known: usize = given::SectionName::ALL
        .iter()
        .map(|section| section.keys().len())
        .sum();
    assert_eq!(set, known);
}

#[test]
fn addresses_that_others_reach_are_warned_of() {
    assert_eq!(Config::default().warnings(), Vec::<String>::new());
    let config = load_text("[stomp]\nlisten = ['127.0.0.1:1', '0.0.0.0:2']");
    assert_eq!(config.warnings().len(), 1);
}

#[test]
fn quantities_are_written_in_their_largest_unit() {
    use super::form::{Bytes, Form, Span};
    let span = Span {
        min: Duration::ZERO,
        max: Duration::MAX,
    };
    for text in ["0s", "1ms", "1500ms", "10s", "1m", "90s", "24h"] {
        let value = span.read(&Scalar::Text(text.to_owned())).expect(text);
        assert_eq!(span.write(&value), format!("\"{text}\""));
    }
    let bytes = Bytes {
        min: 0,
        max: usize::MAX,
    };
    for (text, written) in [
        ("0", "0"),
        ("1023", "1023"),
        ("1024", "\"1 KiB\""),
        ("3 mib", "\"3 MiB\""),
    ] {
        let value = bytes.read(&Scalar::Text(text.to_owned())).expect(text);
        assert_eq!(bytes.write(&value), written);
    }
}
