//! The documentation is true: its examples run, its conversations are replayed, its links lead somewhere, and the code
//! that it names is there.
//!
//! Examples of a language that is not installed are skipped aloud, or fail the test where
//! `STOMPBOX_REQUIRE_CLIENTS=1`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use rusqlite::{Connection, OpenFlags};
use stompbox_tests::broker::{Broker, Launch};
use stompbox_tests::conversation;
use stompbox_tests::markdown::{self, Block};
use stompbox_tests::process::within;
use stompbox_tests::say;
use stompbox_tests::wire::{Version, Wire};

const BROKER: &str = env!("CARGO_BIN_EXE_stompbox-under-test");

/// An example must be done by then; each takes a second at most.
const PATIENCE: Duration = Duration::from_secs(90);

/// The address that all examples use.
const PORT: &str = "61613";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(root().join(path)).with_context(|| path.to_owned())
}

/// Every page, from the root of the repository.
fn pages() -> Result<Vec<String>> {
    let mut pages = vec!["README.md".to_owned(), "ARCHITECTURE.md".to_owned()];
    for entry in std::fs::read_dir(root().join("docs"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".md") {
            pages.push(format!("docs/{name}"));
        }
    }
    pages.sort();
    Ok(pages)
}

fn only_block(page: &str, language: &str) -> Result<Block> {
    let mut blocks = markdown::blocks(&read(page)?);
    blocks.retain(|block| block.language == language);
    ensure!(blocks.len() == 1, "{} blocks of {language}", blocks.len());
    blocks.pop().context("no block")
}

fn start() -> Broker {
    Launch::new(BROKER).start()
}

/// What a command that succeeds has printed.
fn printed(command: Command) -> Result<String> {
    let name = format!("{command:?}");
    let output = within(command, PATIENCE)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complained = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "{name}: {}\n{said}\n{complained}",
        output.status
    );
    Ok(said)
}

/// Where `clients/install.sh` puts what does not come from the system's packages.
fn installed() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    target
        .unwrap_or_else(|| root().join("target"))
        .join("clients")
}

struct Language {
    fence: &'static str,
    file: &'static str,
    interpreter: PathBuf,
    /// Arguments with which the interpreter succeeds only if the package is there.
    probe: [&'static str; 2],
    greeting: &'static str,
}

/// Runs a block of the README as it is written there, but for the port.
fn check_example(language: &Language) -> Result<()> {
    let command = || {
        let mut command = Command::new(&language.interpreter);
        command.env("NODE_PATH", installed().join("node/node_modules"));
        command
    };
    let mut probe = command();
    probe.args(language.probe);
    if let Err(error) = printed(probe) {
        ensure!(
            std::env::var_os("STOMPBOX_REQUIRE_CLIENTS").is_none_or(|value| value != "1"),
            "the README's {} is required: run tests/clients/install.sh ({error:#})",
            language.fence,
        );
        say(&format!(
            "SKIPPED: the README's {}: run tests/clients/install.sh",
            language.fence
        ));
        return Ok(());
    }
    let block = only_block("README.md", language.fence)?;
    ensure!(block.text.contains(PORT), "no port {PORT}");
    let broker = start();
    let port = broker.stomp().port().to_string();
    let script = broker.beside(language.file);
    std::fs::write(&script, block.text.replace(PORT, &port))?;
    let mut run = command();
    run.arg(script);
    let said = printed(run)?;
    ensure!(said.trim() == language.greeting, "it printed {said:?}");
    Ok(())
}

#[test]
fn the_readmes_python_runs() -> Result<()> {
    check_example(&Language {
        fence: "python",
        file: "first.py",
        interpreter: installed().join("python/bin/python"),
        probe: ["-c", "import stomp"],
        greeting: "Hello from Python",
    })
}

#[test]
fn the_readmes_javascript_runs() -> Result<()> {
    check_example(&Language {
        fence: "javascript",
        file: "first.js",
        interpreter: "node".into(),
        probe: ["-e", "require('stompit')"],
        greeting: "Hello from JavaScript",
    })
}

#[test]
fn the_readmes_ruby_runs() -> Result<()> {
    check_example(&Language {
        fence: "ruby",
        file: "first.rb",
        interpreter: "ruby".into(),
        probe: ["-e", "require 'stomp'"],
        greeting: "Hello from Ruby",
    })
}

#[test]
fn the_readmes_rust_is_the_example_that_runs() -> Result<()> {
    let example = read("client/examples/first_message.rs")?;
    // Its own description and lints come first.
    let (_, example) = example.split_once("\n\n").context("no blank line")?;
    let shown = only_block("README.md", "rust")?.text;
    ensure!(shown == example, "README.md and first_message.rs differ");
    let broker = start();
    // With the features of the whole workspace, as the tests were built: nothing is compiled twice.
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["run", "--quiet", "--package", "stompbox-client"])
        .args(["--example", "first_message", "--"])
        .arg(broker.stomp().to_string())
        .current_dir(root());
    let said = printed(cargo)?;
    ensure!(said.trim() == "Hello from Rust", "it printed {said:?}");
    Ok(())
}

#[test]
fn the_readmes_command_lines_run() -> Result<()> {
    let readme = read("README.md")?;
    let lines: Vec<&str> = readme
        .lines()
        .filter(|line| line.starts_with("stompbox "))
        .collect();
    ensure!(lines.len() == 2, "send and receive, not {lines:?}");
    let broker = start();
    let mut said = String::new();
    for line in lines {
        let words = line.split(' ').map(|word| word.trim_matches('"'));
        let mut command = Command::new(BROKER);
        command.args(words.skip(1));
        let side = if line.contains(" send ") {
            "--to"
        } else {
            "--from"
        };
        command.args([side, &broker.stomp().to_string()]);
        said = printed(command)?;
    }
    ensure!(said == "Hello\n", "it printed {said:?}");
    Ok(())
}

/// `stomp` blocks are conversations (the notation: `stompbox_tests::conversation`), each with a broker of its own.
/// One that is marked `configured` runs with the TOML that stands before it.
#[test]
fn the_conversations_are_what_the_broker_says() -> Result<()> {
    let mut count = 0;
    let mut failures = Vec::new();
    for page in pages()? {
        let mut configuration = None;
        for block in markdown::blocks(&read(&page)?) {
            match (block.language.as_str(), block.remark.as_str()) {
                ("toml", _) => configuration = Some(block.text),
                ("stomp", remark) => {
                    let mut launch = Launch::new(BROKER);
                    match remark {
                        "" => {}
                        "configured" => {
                            let toml = configuration.clone();
                            launch = launch.configuration(toml.context("no configuration")?);
                        }
                        other => bail!("{page}:{}: unknown mark {other}", block.line),
                    }
                    let replayed = conversation::replay(&block.text, &mut launch.start());
                    if let Err(error) = replayed {
                        failures.push(format!("{page}:{}: {error:#}", block.line));
                    }
                    count += 1;
                }
                _ => {}
            }
        }
    }
    ensure!(failures.is_empty(), "{}", failures.join("\n\n"));
    ensure!(count > 0, "no conversation");
    say(&format!("proof: {count} conversations"));
    Ok(())
}

#[test]
fn the_configurations_are_allowed() -> Result<()> {
    let folder = tempfile::tempdir()?;
    for page in pages()? {
        for block in markdown::blocks(&read(&page)?) {
            if block.language == "toml" {
                let file = folder.path().join("stompbox.toml");
                std::fs::write(&file, &block.text)?;
                let mut check = Command::new(BROKER);
                check.args(["config", "check", "--config"]).arg(&file);
                printed(check).with_context(|| format!("{page}:{}", block.line))?;
            }
        }
    }
    Ok(())
}

/// Whatever is named as `section.key` is a key.
#[test]
fn the_keys_are_keys() -> Result<()> {
    let mut sample = Command::new(BROKER);
    sample.args(["config", "show", "--sample"]);
    let (mut keys, mut section) = (BTreeSet::new(), String::new());
    for line in printed(sample)?.lines() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']').to_owned();
        } else if let Some((key, _)) = line.trim_start_matches('#').split_once(" = ") {
            keys.insert(format!("{section}.{key}"));
        }
    }
    let is_section = |name: &str| {
        keys.iter().any(|key| {
            key.split_once('.')
                .is_some_and(|(section, _)| section == name)
        })
    };
    let mut unknown = Vec::new();
    let mut count = 0;
    for page in pages()? {
        for span in markdown::prose(&read(&page)?).split('`').skip(1).step_by(2) {
            let is_key = |(section, key): (&str, &str)| {
                is_section(section) && !matches!(key, "md" | "rs" | "py") && !key.contains(' ')
            };
            if span.split_once('.').is_some_and(is_key) {
                count += 1;
                if !keys.contains(span) {
                    unknown.push(format!("{page}: {span}"));
                }
            }
        }
    }
    ensure!(unknown.is_empty(), "no such keys: {unknown:#?}");
    ensure!(count > 50, "only {count} keys are named");
    Ok(())
}

#[test]
fn the_queries_run_while_the_broker_does() -> Result<()> {
    let broker = start();
    let mut wire = Wire::connect(broker.stomp(), Version::V12);
    wire.send_receipted("/queue/orders", &[("kind", "tea")], "one cup");
    wire.subscribe("1", "/queue/orders", "client-individual");
    let message = wire.expect_message();
    wire.nack(&message, &[("x-delay", "60000")]);
    let mut durable = Wire::connect_with(broker.stomp(), Version::V12, &[("client-id", "cellar")]);
    let name = [("activemq.subscriptionName", "wine")];
    durable.subscribe_with("1", "/topic/deliveries", "client", &name);
    wire.send_receipted("/queue/orders", &[("x-delay", "60000")], "later");
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = Connection::open_with_flags(broker.data().join("stompbox.db"), flags)?;
    let mut empty = Vec::new();
    let mut count = 0;
    for block in markdown::blocks(&read("docs/store.md")?) {
        for line in block.text.lines().filter(|_| block.language == "sql") {
            let rows = count_rows(&database, line).with_context(|| line.to_owned())?;
            count += 1;
            if rows == 0 {
                empty.push(line.to_owned());
            }
        }
    }
    ensure!(count > 0, "no query");
    // Nothing is damaged; everything else finds the one message.
    let is_expected = |line: &String| line.contains("quarantine");
    ensure!(
        empty.iter().all(is_expected),
        "these found nothing: {empty:#?}"
    );
    Ok(())
}

fn count_rows(database: &Connection, query: &str) -> Result<usize> {
    let mut statement = database.prepare(query)?;
    let mut rows = statement.query([])?;
    let mut count = 0;
    while rows.next()?.is_some() {
        count += 1;
    }
    Ok(count)
}

#[test]
fn the_links_lead_somewhere() -> Result<()> {
    let mut broken = Vec::new();
    for page in pages()? {
        let text = read(&page)?;
        for link in markdown::links(&text) {
            if link.contains("://") {
                continue;
            }
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path {
                "" => root().join(&page),
                path => root().join(&page).with_file_name("").join(path),
            };
            let is_there = target.exists()
                && (fragment.is_empty()
                    || markdown::anchors(&std::fs::read_to_string(&target)?)
                        .contains(&fragment.to_owned()));
            if !is_there {
                broken.push(format!("{page}: {link}"));
            }
        }
    }
    ensure!(broken.is_empty(), "broken links: {broken:#?}");
    Ok(())
}

/// Where a path in ARCHITECTURE.md may begin.
const FOLDERS: [&str; 6] = [
    "",
    "broker",
    "broker/src/runtime",
    "broker/src",
    "broker/src/core/dispatcher",
    "broker/src/core",
];

/// Code spans are paths of files and folders, `Type::member`, or the names of functions and fields. What follows a
/// file's name, and from there along arrows, is in that file.
#[test]
fn the_code_that_the_architecture_names_is_there() -> Result<()> {
    let sources = sources()?;
    let mut missing = Vec::new();
    let mut count = 0;
    for paragraph in paragraphs(&read("ARCHITECTURE.md")?) {
        let mut file: Option<&Source> = None;
        let pieces: Vec<&str> = paragraph.split('`').collect();
        for pair in pieces.chunks_exact(2) {
            let (before, span) = (pair[0], pair[1]);
            if span.contains([' ', '<', '[', '!']) {
                continue;
            }
            if span.ends_with(".rs") || span.contains('/') {
                match resolve(span) {
                    None => missing.push(format!("no file {span}")),
                    Some(path) => file = sources.iter().find(|source| source.path == path),
                }
                count += 1;
                continue;
            }
            if !matches!(before.trim(), "," | "->") {
                file = None;
            }
            count += 1;
            let is_there = match file {
                Some(file) if span.contains("::") => file.has(span),
                Some(file) => file.has_function(span),
                None => sources.iter().any(|source| source.has(span)),
            };
            if !is_there {
                let place = file.map_or("any file".into(), |file| file.path.display().to_string());
                missing.push(format!("no {span} in {place}"));
            }
        }
    }
    ensure!(missing.is_empty(), "{missing:#?}");
    ensure!(count > 100, "only {count} names were found");
    Ok(())
}

/// docs/limits.md names the test of every row, and every test of faults and hostile clients has a row.
#[test]
fn the_limits_and_their_tests_are_the_same() -> Result<()> {
    let sources = sources()?;
    let page = read("docs/limits.md")?;
    let rows = page.lines().filter(|line| line.starts_with("| "));
    let named: BTreeSet<&str> = rows
        .filter_map(|row| row.trim_end_matches(['|', ' ']).rsplit('|').next())
        .flat_map(|cell| cell.split('`').skip(1).step_by(2))
        .collect();
    ensure!(named.len() > 40, "only {} tests are named", named.len());
    for name in &named {
        let is_there = sources.iter().any(|source| source.has_function(name));
        ensure!(is_there, "docs/limits.md names {name}, which is no test");
    }
    for folder in ["tests/tests/hostile", "tests/tests/faults"] {
        let folder = root().join(folder).canonicalize()?;
        for source in sources
            .iter()
            .filter(|source| source.path.starts_with(&folder))
        {
            let tests = source.text.split("#[test]\nfn ").skip(1);
            for name in tests.filter_map(|text| text.split('(').next()) {
                ensure!(named.contains(name), "docs/limits.md lacks {name}");
            }
        }
    }
    Ok(())
}

fn paragraphs(markdown: &str) -> Vec<String> {
    let mut paragraphs = vec![String::new()];
    for line in markdown::prose(markdown).lines() {
        let is_item = line
            .split_once(". ")
            .is_some_and(|(number, _)| number.parse::<u8>().is_ok());
        if line.is_empty() || is_item || line.starts_with('|') {
            paragraphs.push(String::new());
        }
        if let Some(paragraph) = paragraphs.last_mut() {
            paragraph.push_str(line);
            paragraph.push('\n');
        }
    }
    paragraphs
}

fn resolve(span: &str) -> Option<PathBuf> {
    let candidates = FOLDERS.iter().map(|folder| root().join(folder).join(span));
    candidates
        .filter_map(|path| path.canonicalize().ok())
        .next()
}

struct Source {
    path: PathBuf,
    text: String,
    /// Whatever can be a name in it.
    words: BTreeSet<String>,
}

impl Source {
    fn has_function(&self, name: &str) -> bool {
        ["(", "<"]
            .iter()
            .any(|end| self.text.contains(&format!("fn {name}{end}")))
    }

    fn has(&self, span: &str) -> bool {
        match span.split_once("::") {
            Some((owner, member)) => {
                let is_owner = ["struct ", "enum ", "trait ", "impl "]
                    .iter()
                    .any(|keyword| self.text.contains(&format!("{keyword}{owner}")));
                let is_variant = member.starts_with(char::is_uppercase);
                is_owner && (self.has_function(member) || is_variant && self.words.contains(member))
            }
            None => self.words.contains(span),
        }
    }
}

/// The product's source files and manifests.
fn sources() -> Result<Vec<Source>> {
    let mut sources = Vec::new();
    for package in [
        "protocol",
        "store",
        "broker",
        "web-console",
        "client",
        "tests",
    ] {
        add_sources(&root().join(package).canonicalize()?, &mut sources)?;
    }
    let manifest = root().join("Cargo.toml").canonicalize()?;
    sources.push(source(manifest)?);
    Ok(sources)
}

fn add_sources(folder: &Path, sources: &mut Vec<Source>) -> Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let is_other = ["node_modules", "target", "corpus"]
            .iter()
            .any(|name| path.ends_with(name));
        if path.is_dir() && !is_other {
            add_sources(&path, sources)?;
        } else if path
            .extension()
            .is_some_and(|end| end == "rs" || end == "toml")
        {
            sources.push(source(path)?);
        }
    }
    Ok(())
}

fn source(path: PathBuf) -> Result<Source> {
    let text = std::fs::read_to_string(&path)?;
    let is_part = |character: char| character.is_alphanumeric() || "_-.".contains(character);
    let words = text
        .split(|character| !is_part(character))
        .flat_map(|word| [word, word.trim_matches('.')])
        .chain(text.split(|character: char| !character.is_alphanumeric() && character != '_'))
        .map(str::to_owned)
        .collect();
    Ok(Source { path, text, words })
}
