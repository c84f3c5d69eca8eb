//! Links between pages resolve: the file is there, and so is the heading.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use anyhow::{Result, ensure};
use xtask::cargo::workspace;

use super::markdown::{Page, page, pages};

/// A link, and the line on which it stands.
type Link = (usize, String);

/// Links out of the prose: `[text](target)` and `[name]: target`.
fn links(page: &Page) -> Vec<Link> {
    let mut found = Vec::new();
    for (at, line) in page.prose.lines().enumerate() {
        let mut rest = line;
        while let Some((_, after)) = rest.split_once("](") {
            found.push((at + 1, target(after)));
            rest = after;
        }
        if line.starts_with('[')
            && let Some((_, after)) = line.split_once("]: ")
        {
            found.push((at + 1, target(after)));
        }
    }
    found
}

/// The target at the beginning of a text: in angle brackets, or up to a blank or the bracket that closes.
fn target(text: &str) -> String {
    if let Some((inside, _)) = text.strip_prefix('<').and_then(|text| text.split_once('>')) {
        return inside.to_owned();
    }
    let mut depth = 0_i32;
    text.chars()
        .take_while(|letter| {
            depth += match letter {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth >= 0 && !letter.is_whitespace()
        })
        .collect()
}

/// The anchors of a page, as GitHub makes them: lower case, punctuation left out, blanks as hyphens, repeats counted.
fn anchors(page: &Page) -> BTreeSet<String> {
    let mut seen = BTreeMap::<String, usize>::new();
    page.headings
        .iter()
        .map(|heading| {
            let anchor: String = without_targets(heading)
                .to_lowercase()
                .chars()
                .filter(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_' | ' '))
                .map(|letter| if letter == ' ' { '-' } else { letter })
                .collect();
            let count = seen.entry(anchor.clone()).or_default();
            *count += 1;
            match *count {
                1 => anchor,
                more => format!("{anchor}-{}", more - 1),
            }
        })
        .collect()
}

/// A heading whose links are read as their text.
fn without_targets(heading: &str) -> String {
    let mut out = String::new();
    let mut rest = heading;
    while let Some((before, after)) = rest.split_once("](") {
        out.push_str(before);
        rest = after.split_once(')').map_or("", |(_, after)| after);
    }
    out.push_str(rest);
    out
}

/// `folder/../file` without the detour; `None` if it leads out of the work tree.
fn plain(path: &Path) -> Option<PathBuf> {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    return None;
                }
            }
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(out)
}

/// What is wrong with a link of a page, in words.
fn fault(
    page: &Page,
    link: &str,
    anchors: &BTreeMap<PathBuf, BTreeSet<String>>,
    there: &dyn Fn(&Path) -> bool,
) -> Option<String> {
    if link.contains("://") || link.starts_with("mailto:") {
        return None;
    }
    let (file, anchor) = link
        .split_once('#')
        .map_or((link, None), |(file, anchor)| (file, Some(anchor)));
    let path = if file.is_empty() {
        page.path.clone()
    } else {
        let folder = page.path.parent().unwrap_or_else(|| Path::new(""));
        match plain(&folder.join(file)) {
            Some(path) => path,
            None => return Some("leads out of the work tree".to_owned()),
        }
    };
    if !there(&path) {
        return Some(format!("{} is not there", path.display()));
    }
    let anchor = anchor?;
    match anchors.get(&path) {
        None => Some(format!("{} is no page with headings", path.display())),
        Some(known) if known.contains(anchor) => None,
        Some(_) => Some(format!("{} has no heading #{anchor}", path.display())),
    }
}

#[test]
fn every_link_between_pages_leads_somewhere() -> Result<()> {
    let root = workspace();
    let pages = pages()?;
    let anchors = pages
        .iter()
        .map(|page| (page.path.clone(), anchors(page)))
        .collect();
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in &pages {
        for (line, link) in links(page) {
            seen += 1;
            if let Some(fault) = fault(page, &link, &anchors, &|path| root.join(path).exists()) {
                faults.push(format!("{}:{line}: ({link}): {fault}", page.path.display()));
            }
        }
    }
    ensure!(seen > 50, "only {seen} links were found");
    ensure!(
        faults.is_empty(),
        "links that lead nowhere:\n{}",
        faults.join("\n")
    );
    Ok(())
}

#[test]
fn every_page_under_docs_can_be_reached_from_the_table_of_contents() -> Result<()> {
    let pages = pages()?;
    let start = PathBuf::from("docs/README.md");
    let mut reached = BTreeSet::from([start.clone()]);
    let mut open = vec![start];
    while let Some(path) = open.pop() {
        let Some(page) = pages.iter().find(|page| page.path == path) else {
            continue;
        };
        let folder = path.parent().unwrap_or_else(|| Path::new(""));
        for (_, link) in links(page) {
            let file = link.split('#').next().unwrap_or_default();
            let Some(target) = plain(&folder.join(file)) else {
                continue;
            };
            // A link to a folder shows all pages in it.
            let shown = pages
                .iter()
                .map(|page| &page.path)
                .filter(|page| **page == target || page.parent() == Some(&target));
            for page in shown {
                if reached.insert(page.clone()) {
                    open.push(page.clone());
                }
            }
        }
    }
    let lost: Vec<String> = pages
        .iter()
        .filter(|page| page.path.starts_with("docs") && !reached.contains(&page.path))
        .map(|page| page.path.display().to_string())
        .collect();
    ensure!(
        lost.is_empty(),
        "pages that no way leads to from docs/README.md: {lost:?}"
    );
    Ok(())
}

#[test]
fn each_kind_of_broken_link_is_found() {
    let text = "# One `two`\n# [Three](x.md), four!\n# One two\n[a](#one-two) `[b](no.md)`\n[c]: other.md\n";
    let one = page(PathBuf::from("docs/one.md"), text);
    assert_eq!(
        links(&one),
        [
            (2, "x.md".to_owned()),
            (4, "#one-two".to_owned()),
            (5, "other.md".to_owned())
        ]
    );
    let known = BTreeMap::from([(one.path.clone(), anchors(&one))]);
    let there = |path: &Path| [Path::new("docs/one.md"), Path::new("LICENSE")].contains(&path);
    for (link, good) in [
        ("#one-two", true),
        ("#one-two-1", true),
        ("one.md#three-four", true),
        ("../LICENSE", true),
        ("https://example.com/x.md", true),
        ("two.md", false),
        ("../../LICENSE", false),
        ("#three", false),
        ("../LICENSE#license", false),
    ] {
        let fault = fault(&one, link, &known, &there);
        assert_eq!(fault.is_none(), good, "{link}: {fault:?}");
    }
}
