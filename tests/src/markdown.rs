//! What a test needs to know of a Markdown file: fenced blocks, links, headings, code spans.

/// A fenced block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The first word behind the fence.
    pub language: String,
    /// What follows it.
    pub remark: String,
    /// The lines between the fences, each with its end.
    pub text: String,
    /// The line of the opening fence, from 1.
    pub line: usize,
}

/// The fenced blocks, in their order.
#[must_use]
pub fn blocks(markdown: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (index, line) in markdown.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(_), Some(block)) => blocks.push(block),
            (Some(info), None) => {
                let (language, remark) = info.trim().split_once(' ').unwrap_or((info.trim(), ""));
                open = Some(Block {
                    language: language.to_owned(),
                    remark: remark.trim().to_owned(),
                    text: String::new(),
                    line: index + 1,
                });
            }
            (None, Some(mut block)) => {
                block.text.push_str(line);
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    blocks
}

/// The text without fenced and indented blocks.
#[must_use]
pub fn prose(markdown: &str) -> String {
    let mut is_fenced = false;
    let mut prose = String::new();
    for line in markdown.lines() {
        if line.starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced && !line.starts_with("    ") {
            prose.push_str(line);
            prose.push('\n');
        }
    }
    prose
}

/// The targets of inline links outside of code.
#[must_use]
pub fn links(markdown: &str) -> Vec<String> {
    let prose = prose(markdown);
    // Every second piece between back-ticks is code.
    let text: String = prose.split('`').step_by(2).collect();
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.to_owned())
        .collect()
}

/// The fragments by which headings can be linked to.
#[must_use]
pub fn anchors(markdown: &str) -> Vec<String> {
    prose(markdown)
        .lines()
        .filter(|line| line.starts_with('#'))
        .map(|line| line.trim_start_matches('#').trim().to_lowercase())
        .map(|heading| {
            heading
                .chars()
                .filter(|character| {
                    character.is_alphanumeric() || matches!(character, ' ' | '-' | '_')
                })
                .map(|character| if character == ' ' { '-' } else { character })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_found_with_their_language_and_line() {
        let found = blocks("a\n```sql now\nSELECT 1;\n```\n```\nb\n```\n");
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].language.as_str(), found[0].line), ("sql", 2));
        assert_eq!(
            (found[0].remark.as_str(), found[0].text.as_str()),
            ("now", "SELECT 1;\n")
        );
        assert_eq!(
            (found[1].language.as_str(), found[1].text.as_str()),
            ("", "b\n")
        );
    }

    #[test]
    fn links_in_code_are_none() {
        let markdown = "[a](b.md#c) `[d](e)`\n```\n[f](g)\n```\n# It's `one` word-ly\n";
        assert_eq!(links(markdown), ["b.md#c"]);
        assert_eq!(anchors(markdown), ["its-one-word-ly"]);
    }
}
