//! The commands of a page, and what it shows of their output.
//!
//! In a block of `console`, a line that begins with `$ ` is a command, lines that begin with `> ` carry it on, and the others are
//! what it prints. `<!-- refused -->` before a block says that its commands end with an error. Of what is shown, `…` stands for
//! any text in a line and, alone in a line, for any lines; blanks and ages count alike, however many or long.

/// One command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// Its line in the page.
    pub(crate) line: usize,
    /// What is typed, without prompts.
    pub(crate) command: String,
    /// What the page shows of its output; nothing: it is not compared.
    pub(crate) shown: Vec<String>,
    /// Does it end with an error?
    pub(crate) refused: bool,
}

impl Step {
    /// Does it change nothing, so that it may be run again?
    pub(crate) fn only_reads(&self) -> bool {
        ["kubectl get ", "kubectl describe "]
            .iter()
            .any(|reads| self.command.starts_with(reads))
    }
}

/// The commands of a page in their order.
pub(crate) fn steps(page: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let (mut inside, mut refused) = (false, false);
    for (index, line) in page.lines().enumerate() {
        match line.trim_end() {
            "```console" => inside = true,
            "```" if inside => (inside, refused) = (false, false),
            "<!-- refused -->" => refused = true,
            line if inside => {
                if let Some(command) = line.strip_prefix("$ ") {
                    steps.push(Step {
                        line: index + 1,
                        command: command.to_owned(),
                        shown: Vec::new(),
                        refused,
                    });
                } else if let Some(step) = steps.last_mut() {
                    match line.strip_prefix('>') {
                        Some(more) if step.shown.is_empty() => {
                            step.command.push('\n');
                            step.command
                                .push_str(more.strip_prefix(' ').unwrap_or(more));
                        }
                        Some(_) | None => step.shown.push(line.to_owned()),
                    }
                }
            }
            _ => {}
        }
    }
    steps
}

/// How an output differs from what is shown of it, if it does.
pub(crate) fn difference(shown: &[String], printed: &str) -> Option<String> {
    let printed: Vec<String> = printed
        .lines()
        .map(plain)
        .filter(|line| !line.is_empty())
        .collect();
    let shown: Vec<String> = shown
        .iter()
        .map(|line| plain(line))
        .filter(|line| !line.is_empty())
        .collect();
    if shown.is_empty() {
        return None;
    }
    let reached = furthest(&shown, &printed);
    (reached < shown.len()).then(|| format!("does not print {:?}", shown[reached]))
}

/// How many of the lines shown can be found in what was printed, in order and with nothing between that `…` does not stand
/// for; all of them only if nothing else was printed.
fn furthest(shown: &[String], printed: &[String]) -> usize {
    let Some((first, rest)) = shown.split_first() else {
        return 0;
    };
    if first == "…" {
        let counts = (0..=printed.len()).map(|skipped| match rest {
            [] => 1,
            rest => 1 + furthest(rest, &printed[skipped..]),
        });
        return counts.max().unwrap_or(0);
    }
    match printed.split_first() {
        Some((line, left)) if like(first, line) => match (rest, left) {
            ([], []) => 1,
            // Something more was printed.
            ([], _) => 0,
            (rest, left) => 1 + furthest(rest, left),
        },
        Some(_) | None => 0,
    }
}

/// Is a line as shown, where `…` stands for any text?
fn like(shown: &str, line: &str) -> bool {
    match shown.split_once('…') {
        None => shown == line,
        Some((before, after)) => line.strip_prefix(before).is_some_and(|rest| {
            rest.char_indices()
                .map(|(at, _)| at)
                .chain([rest.len()])
                .any(|at| like(after, &rest[at..]))
        }),
    }
}

/// A line with single blanks, and every age the same.
fn plain(line: &str) -> String {
    let words = line.split_whitespace().map(|word| match is_age(word) {
        true => "0s",
        false => word,
    });
    words.collect::<Vec<_>>().join(" ")
}

/// `5s`, `3m20s`: as kubectl writes ages.
fn is_age(word: &str) -> bool {
    word.starts_with(|first: char| first.is_ascii_digit())
        && word.ends_with(['s', 'm', 'h', 'd'])
        && word
            .chars()
            .all(|letter| letter.is_ascii_digit() || "smhd".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|&line| line.to_owned()).collect()
    }

    #[test]
    fn commands_are_found_with_what_is_shown_of_them() {
        let page = "text\n<!-- refused -->\n```console\n$ a <<END\n> b\n> END\nno\n$ c\n```\n\n```yaml\n$ d\n```\n```console\n$ e\n```\n";
        let steps = steps(page);
        let told: Vec<_> = steps
            .iter()
            .map(|step| {
                (
                    step.line,
                    step.command.as_str(),
                    step.shown.len(),
                    step.refused,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                (4, "a <<END\nb\nEND", 1, true),
                (8, "c", 0, true),
                (15, "e", 0, false)
            ]
        );
    }

    #[test]
    fn an_output_is_as_shown_but_for_ages_and_what_is_left_out() {
        let printed = "NAME   AGE\ncp-1   7m3s\n\nEvents:\n  one\n  two\n";
        let check = |lines: &[&str], same: bool| {
            let difference = difference(&shown(lines), printed);
            assert_eq!(difference.is_none(), same, "{lines:?}: {difference:?}");
        };
        check(&[], true);
        check(&["…"], true);
        check(&["NAME AGE", "cp-1 5s", "Events:", "one", "two"], true);
        check(&["NAME   AGE", "…", "  two"], true);
        check(&["NAME   AGE", "…", "  on…", "…"], true);
        check(&["…", "c…1 1s", "…"], true);
        check(&["NAME   AGE"], false);
        check(&["NAME   AGE", "…", "one"], false);
        check(&["…", "three", "…"], false);
        check(&["NAME   AGE", "cp-2   5s", "…"], false);
    }
}
