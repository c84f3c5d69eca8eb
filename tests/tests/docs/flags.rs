//! Flags that pages name exist: after `stationkeeper VERB` those of the verb, and alone in a code span those of any.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use clap::{Command, CommandFactory};
use stationkeeper::cli::Cli;

use super::markdown::pages;

/// Flags of kubectl and Helm that pages may name alone, where the sentence says whose they are.
const OF_OTHERS: [&str; 5] = [
    "field-selector",
    "server-side",
    "set",
    "take-ownership",
    "wait",
];

/// The program as its `--help` shows it.
fn program() -> Command {
    let mut program = Cli::command();
    program.build();
    program
}

fn flags(command: &Command) -> BTreeSet<String> {
    let mut flags = BTreeSet::new();
    for argument in command.get_arguments() {
        flags.extend(argument.get_long().map(str::to_owned));
        let aliases = argument.get_visible_aliases().unwrap_or_default();
        flags.extend(aliases.into_iter().map(str::to_owned));
    }
    flags
}

fn all_flags(command: &Command) -> BTreeSet<String> {
    let below = command.get_subcommands().flat_map(all_flags);
    flags(command).into_iter().chain(below).collect()
}

/// The names of the flags in a text, and its other words.
fn words(text: &str) -> impl Iterator<Item = Result<String, String>> {
    text.split_whitespace().map(|word| {
        let bare =
            word.trim_matches(|letter| matches!(letter, '[' | ']' | '(' | ')' | ',' | '"' | '\''));
        match bare.strip_prefix("--").filter(|name| !name.is_empty()) {
            Some(flag) => Ok(flag
                .split(['=', '|', '['])
                .next()
                .unwrap_or_default()
                .to_owned()),
            None => Err(bare.to_owned()),
        }
    })
}

/// What is wrong with the flags of a command line that begins after the program's name.
fn faults_of_line(program: &Command, line: &str) -> Vec<String> {
    // What follows a pipe or a semicolon belongs to another program, and so does all after a bare `--`.
    let own = line
        .split([';', '|', '&', '#', '<', '>'])
        .next()
        .unwrap_or_default();
    let mut command = program;
    let mut faults = Vec::new();
    let mut verbs_end = false;
    for word in words(own) {
        match word {
            Ok(flag) => {
                verbs_end = true;
                if !flags(command).contains(&flag) {
                    faults.push(format!("`{}` has no --{flag}", command.get_name()));
                }
            }
            Err(word) if verbs_end || !command.has_subcommands() => drop(word),
            Err(word) => match command.find_subcommand(&word) {
                Some(verb) => command = verb,
                // A placeholder, like VERB.
                None if word.chars().all(|letter| letter.is_ascii_uppercase()) => return faults,
                None => {
                    faults.push(format!("`{}` has no verb {word:?}", command.get_name()));
                    return faults;
                }
            },
        }
    }
    faults
}

/// The part of a command line that speaks to us, if it does.
fn after_our_name(line: &str) -> Option<&str> {
    let line = line.trim().trim_start_matches("$ ");
    if let Some(rest) = line.strip_prefix("stationkeeper ") {
        return Some(rest);
    }
    let (cargo, rest) = line.split_once(" -- ")?;
    let ours =
        !cargo.contains("--bin") && (!cargo.contains("-p ") || cargo.contains("-p stationkeeper "));
    (cargo.starts_with("cargo run") && (ours || cargo.ends_with("-p stationkeeper")))
        .then_some(rest)
}

fn faults_of_span(program: &Command, text: &str) -> Vec<String> {
    if let Some(line) = after_our_name(text) {
        return faults_of_line(program, line);
    }
    if !text.starts_with("--") {
        return Vec::new();
    }
    let known = all_flags(program);
    words(text)
        .filter_map(Result::ok)
        .filter(|flag| !known.contains(flag) && !OF_OTHERS.contains(&flag.as_str()))
        .map(|flag| format!("no verb has --{flag}; if it is another program's, name that program"))
        .collect()
}

#[test]
fn every_flag_that_a_page_names_exists() -> Result<()> {
    let program = program();
    let mut faults = Vec::new();
    let mut seen = 0;
    for page in pages()? {
        let mut tell = |line: usize, found: Vec<String>| {
            let place = format!("{}:{line}", page.path.display());
            faults.extend(found.into_iter().map(|fault| format!("{place}: {fault}")));
        };
        for span in &page.spans {
            seen += usize::from(span.text.starts_with("--"));
            tell(span.line, faults_of_span(&program, &span.text));
        }
        for block in &page.blocks {
            let joined = block.text.replace("\\\n", " ");
            // Where prompts are shown, the other lines are output.
            let prompts = joined.lines().any(|line| line.starts_with("$ "));
            let typed = |line: &&str| !prompts || line.starts_with("$ ");
            for line in joined.lines().filter(typed).filter_map(after_our_name) {
                seen += 1;
                tell(block.line, faults_of_line(&program, line));
            }
        }
    }
    ensure!(
        seen > 30,
        "only {seen} mentions of flags and verbs were found"
    );
    ensure!(
        faults.is_empty(),
        "pages name what `stationkeeper --help` does not:\n{}",
        faults.join("\n")
    );
    Ok(())
}

#[test]
fn each_kind_of_wrong_flag_is_found() {
    let program = program();
    for (span, good) in [
        (
            "stationkeeper run --journal FILE --authorize any|FILE",
            true,
        ),
        ("stationkeeper run --log=debug", true),
        (
            "stationkeeper crds | kubectl apply --server-side -f -",
            true,
        ),
        ("stationkeeper --help", true),
        ("stationkeeper VERB --anything", true),
        ("cargo run --release -- demo -o json", true),
        ("cargo xtask check --fast", true),
        ("helm --wait", true),
        ("--drain 30s", true),
        ("stationkeeper status --journal x", false),
        ("stationkeeper fly", false),
        ("cargo run --release -- demo --journal x", false),
        ("--wait", true),
        ("--hurry", false),
    ] {
        let faults = faults_of_span(&program, span);
        assert_eq!(faults.is_empty(), good, "{span}: {faults:?}");
    }
}
