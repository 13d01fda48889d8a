//! `docs/configuration.md` is made from the declarations of the keys; the test fails when it is stale.
//!
//! `UPDATE_DOCS=1 cargo test -p stompbox-broker configuration_page` writes it anew.

use super::Config;
use super::given::SectionName;
use super::section::Entry;
use super::show::about;

const BEGIN: &str = "<!-- keys: generated from broker/src/config, do not edit -->\n";
const END: &str = "<!-- end of keys -->\n";

fn tables() -> String {
    let config = Config::default();
    let mut out = String::from("\n");
    for section in SectionName::ALL {
        out.push_str(&format!("### [{}]\n\n", section.as_str()));
        out.push_str(&format!("{}\n\n", sentence(about(section))));
        out.push_str("| key | default | allowed | meaning |\n|---|---|---|---|\n");
        for entry in config.entries(section) {
            out.push_str(&row(&entry));
        }
        out.push('\n');
    }
    out
}

fn row(entry: &Entry) -> String {
    let Entry {
        name,
        doc,
        allowed,
        value,
    } = entry;
    format!(
        "| `{name}` | `{value}` | {} | {} |\n",
        allowed.replace('|', "\\|"),
        sentence(doc)
    )
}

fn sentence(doc: &[&str]) -> String {
    let lines: Vec<&str> = doc.iter().map(|line| line.trim()).collect();
    lines.join(" ")
}

#[test]
fn configuration_page_lists_every_key_as_it_is_declared() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/configuration.md");
    let page = std::fs::read_to_string(path).expect("docs/configuration.md");
    let (head, rest) = page.split_once(BEGIN).expect("the begin of the keys");
    let (written, tail) = rest.split_once(END).expect("the end of the keys");
    let generated = tables();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, format!("{head}{BEGIN}{generated}{END}{tail}")).expect("write");
        return;
    }
    assert!(
        written == generated,
        "docs/configuration.md is stale: run `UPDATE_DOCS=1 cargo test -p stompbox-broker \
         configuration_page`"
    );
}
