//! Reads a Dockerfile: as much of the language as ours needs, and an error for the rest.

use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};

/// The Dockerfile of the product, from the root of the work tree.
pub const FILE: &str = "operator/Dockerfile";

/// One stage, from its `FROM` to the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// The image that it starts from.
    pub base: String,
    /// What other stages call it.
    pub name: Option<String>,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// `WORKDIR`.
    Folder(String),
    /// `ENV`, one variable.
    Environment(String, String),
    /// `ARG`: a name, and the value that it has if nobody gives one.
    Argument(String, Option<String>),
    /// `COPY`.
    Copy(Copy),
    /// `RUN`, in the words of the shell.
    Run(String),
    /// `USER`.
    User(String),
    /// `EXPOSE`.
    Expose(Vec<u16>),
    /// `ENTRYPOINT`, in its exec form.
    Entrypoint(Vec<String>),
    /// `CMD`, in its exec form.
    Arguments(Vec<String>),
    /// `LABEL`, as it is written.
    Label(String),
}

/// Files that are copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The stage that they come from; none: the build context.
    pub from: Option<String>,
    /// What is copied.
    pub sources: Vec<String>,
    /// Where to; a folder if it ends with a slash.
    pub target: String,
}

/// Reads the product's Dockerfile.
pub fn read(workspace: &Path) -> Result<Vec<Stage>> {
    let file = workspace.join(FILE);
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("failed to read {}", file.display()))?;
    parse(&text).with_context(|| format!("failed to read {}", file.display()))
}

/// Reads the text of a Dockerfile.
pub fn parse(text: &str) -> Result<Vec<Stage>> {
    let mut stages: Vec<Stage> = Vec::new();
    for instruction in instructions(text) {
        let (word, rest) = instruction
            .split_once(char::is_whitespace)
            .with_context(|| format!("{instruction:?} has no argument"))?;
        let rest = rest.trim();
        if word == "FROM" {
            stages.push(from(rest)?);
            continue;
        }
        let stage = stages
            .last_mut()
            .with_context(|| format!("{word} comes before the first FROM"))?;
        stage.steps.push(step(word, rest)?);
    }
    ensure!(!stages.is_empty(), "there is no stage");
    Ok(stages)
}

/// The instructions, without comments, each in one line.
fn instructions(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = String::new();
    for line in text.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        match line.strip_suffix('\\') {
            Some(start) => open.push_str(start),
            None => {
                open.push_str(line);
                found.push(std::mem::take(&mut open));
            }
        }
    }
    found
}

fn from(rest: &str) -> Result<Stage> {
    let words: Vec<&str> = rest.split_whitespace().collect();
    let (base, name) = match words.as_slice() {
        [base] => (base, None),
        [base, "AS", name] => (base, Some((*name).to_owned())),
        _ => bail!("FROM {rest}: only `FROM image` and `FROM image AS name` are known here"),
    };
    Ok(Stage {
        base: (*base).to_owned(),
        name,
        steps: Vec::new(),
    })
}

fn step(word: &str, rest: &str) -> Result<Step> {
    Ok(match word {
        "WORKDIR" => Step::Folder(rest.to_owned()),
        "ENV" => {
            let (name, value) = rest
                .split_once('=')
                .with_context(|| format!("ENV {rest} has no `=`"))?;
            ensure!(
                !value.contains(char::is_whitespace),
                "ENV {rest}: one variable in a line, without spaces"
            );
            Step::Environment(name.to_owned(), value.to_owned())
        }
        "ARG" => match rest.split_once('=') {
            Some((name, value)) => Step::Argument(name.to_owned(), Some(value.to_owned())),
            None => Step::Argument(rest.to_owned(), None),
        },
        "COPY" => Step::Copy(copy(rest)?),
        "RUN" => Step::Run(rest.to_owned()),
        "USER" => Step::User(rest.to_owned()),
        "EXPOSE" => Step::Expose(
            rest.split_whitespace()
                .map(|port| {
                    port.parse()
                        .with_context(|| format!("EXPOSE {port} is no port"))
                })
                .collect::<Result<_>>()?,
        ),
        "ENTRYPOINT" => Step::Entrypoint(exec_form(word, rest)?),
        "CMD" => Step::Arguments(exec_form(word, rest)?),
        "LABEL" => Step::Label(rest.to_owned()),
        _ => bail!("{word} is not known here"),
    })
}

fn copy(rest: &str) -> Result<Copy> {
    let (mut from, mut paths) = (None, Vec::new());
    for word in rest.split_whitespace() {
        match word.strip_prefix("--from=") {
            Some(stage) => from = Some(stage.to_owned()),
            None if word.starts_with("--") => bail!("COPY {word} is not known here"),
            None => paths.push(word.to_owned()),
        }
    }
    let target = paths.pop().context("COPY without a target")?;
    ensure!(!paths.is_empty(), "COPY {rest}: nothing is copied");
    ensure!(
        paths.len() == 1 || target.ends_with('/'),
        "COPY {rest}: several files go to a folder, which ends with `/`"
    );
    Ok(Copy {
        from,
        sources: paths,
        target,
    })
}

fn exec_form(word: &str, rest: &str) -> Result<Vec<String>> {
    serde_json::from_str(rest).with_context(|| {
        format!("{word} {rest}: only the exec form starts without a shell, as in [\"/program\"]")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_steps_and_continued_lines_are_read() -> Result<()> {
        let text = "# why\nFROM a@sha256:1 AS build\nWORKDIR /src\nRUN one \\\n  # between\n  && two\n\nFROM b\n\
                    COPY --from=build /src/x /src/y /to/\nEXPOSE 1 2\nENTRYPOINT [\"/x\"]\n";
        let stages = parse(text)?;
        assert_eq!(stages[0].name.as_deref(), Some("build"));
        assert_eq!(
            stages[0].steps,
            [
                Step::Folder("/src".to_owned()),
                Step::Run("one && two".to_owned())
            ]
        );
        assert_eq!(stages[1].base, "b");
        assert_eq!(
            stages[1].steps[0],
            Step::Copy(Copy {
                from: Some("build".to_owned()),
                sources: vec!["/src/x".to_owned(), "/src/y".to_owned()],
                target: "/to/".to_owned(),
            })
        );
        assert_eq!(stages[1].steps[1], Step::Expose(vec![1, 2]));
        assert_eq!(stages[1].steps[2], Step::Entrypoint(vec!["/x".to_owned()]));
        Ok(())
    }

    #[test]
    fn what_is_not_known_here_is_refused_and_not_skipped() {
        for text in [
            "RUN x",
            "FROM a\nADD x y",
            "FROM --platform=p a",
            "FROM a\nCOPY --chmod=1 x y",
            "FROM a\nENTRYPOINT /x",
            "FROM a\nENV A=1 B=2",
            "",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
