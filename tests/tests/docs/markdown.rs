//! Markdown pages of the work tree, taken apart as far as the tests need it: prose, code spans, code blocks, headings.
//!
//! It reads what this project writes (ATX headings, fenced blocks, inline links); it is no parser of all of CommonMark.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use xtask::cargo::workspace;

/// A page and its parts.
pub(super) struct Page {
    /// Where, from the root of the work tree.
    pub path: PathBuf,
    /// The text with all code taken out; line numbers stay.
    pub prose: String,
    /// What stands between backticks.
    pub spans: Vec<Code>,
    /// What stands between fences.
    pub blocks: Vec<Code>,
    /// The headings, without their `#`.
    pub headings: Vec<String>,
}

/// A piece of code in a page.
pub(super) struct Code {
    /// The line on which it begins, from 1.
    pub line: usize,
    /// The language of a block; empty if none is named.
    pub language: String,
    /// The code.
    pub text: String,
}

/// All pages of the work tree. Folders that begin with a dot, and what cargo builds, are none of it.
pub(super) fn pages() -> Result<Vec<Page>> {
    let root = workspace();
    let mut paths = Vec::new();
    find(&root, &mut paths)?;
    ensure!(
        paths.contains(&root.join("README.md")),
        "the work tree has a README.md"
    );
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path)
                .with_context(|| format!("failed to read {}", path.display()))?;
            let path = path.strip_prefix(&root)?.to_owned();
            Ok(page(path, &text))
        })
        .collect()
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) -> Result<()> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("failed to list {}", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let kind = entry.file_type()?;
        if name.starts_with('.') || name == "target" {
            continue;
        }
        if kind.is_dir() {
            find(&entry.path(), found)?;
        } else if kind.is_file() && name.ends_with(".md") {
            found.push(entry.path());
        }
    }
    Ok(())
}

/// Takes a page apart.
pub(super) fn page(path: PathBuf, text: &str) -> Page {
    let mut outside = String::new();
    let (mut blocks, mut headings) = (Vec::<Code>::new(), Vec::new());
    let mut fence: Option<String> = None;
    for (at, line) in text.lines().enumerate() {
        let trimmed = line.trim_start();
        let marks: String = trimmed
            .chars()
            .take_while(|mark| matches!(mark, '`' | '~'))
            .collect();
        if let Some(opened) = &fence {
            if marks.starts_with(opened.as_str()) && trimmed.trim_end() == marks {
                fence = None;
            } else if let Some(block) = blocks.last_mut() {
                block.text.push_str(line);
                block.text.push('\n');
            }
            outside.push('\n');
            continue;
        }
        if marks.len() >= 3 {
            blocks.push(Code {
                line: at + 1,
                language: trimmed[marks.len()..].trim().to_owned(),
                text: String::new(),
            });
            fence = Some(marks);
            outside.push('\n');
            continue;
        }
        let depth = line.chars().take_while(|mark| *mark == '#').count();
        if (1..=6).contains(&depth)
            && let Some(heading) = line[depth..].strip_prefix(' ')
        {
            headings.push(heading.trim().trim_end_matches('#').trim().to_owned());
        }
        outside.push_str(line);
        outside.push('\n');
    }
    let (prose, spans) = without_spans(&outside);
    Page {
        path,
        prose,
        spans,
        blocks,
        headings,
    }
}

/// The text with code spans taken out, and the spans. A span ends with as many backticks as it began with, and never
/// goes beyond its paragraph.
fn without_spans(text: &str) -> (String, Vec<Code>) {
    let (mut prose, mut spans) = (String::new(), Vec::new());
    let mut rest = text;
    while let Some(start) = rest.find('`') {
        prose.push_str(&rest[..start]);
        let marks = rest[start..].len() - rest[start..].trim_start_matches('`').len();
        let after = &rest[start + marks..];
        let paragraph = &after[..after.find("\n\n").unwrap_or(after.len())];
        match closing(paragraph, marks) {
            Some(end) => {
                let text = paragraph[..end].replace('\n', " ").trim().to_owned();
                spans.push(Code {
                    line: 1 + prose.matches('\n').count(),
                    language: String::new(),
                    text,
                });
                prose.push_str(&"\n".repeat(paragraph[..end].matches('\n').count()));
                rest = &after[end + marks..];
            }
            None => rest = after,
        }
    }
    prose.push_str(rest);
    (prose, spans)
}

/// Where a run of exactly so many backticks begins.
fn closing(text: &str, marks: usize) -> Option<usize> {
    let mut at = 0;
    while let Some(found) = text[at..].find('`') {
        let start = at + found;
        let run = text[start..].len() - text[start..].trim_start_matches('`').len();
        if run == marks {
            return Some(start);
        }
        at = start + run;
    }
    None
}

#[test]
fn code_is_told_from_prose() {
    let text = "# A `b` c\n\nsee `x\ny` and ``a`b``\n\n```console\n$ run `it`\n# no heading\n```\nend `\n\nof `it\n";
    let page = page(PathBuf::from("a.md"), text);
    let spans: Vec<(usize, &str)> = page
        .spans
        .iter()
        .map(|span| (span.line, span.text.as_str()))
        .collect();
    assert_eq!(spans, [(1, "b"), (3, "x y"), (4, "a`b")]);
    assert_eq!(page.headings, ["A `b` c"]);
    assert_eq!(page.blocks.len(), 1);
    assert_eq!(page.blocks[0].language, "console");
    assert_eq!(page.blocks[0].text, "$ run `it`\n# no heading\n");
    assert_eq!(page.prose.lines().count(), text.lines().count());
}
