//! Alerts fire when they should and only then, by promtool; each has a page.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stationkeeper_tests::Ran;
use xtask::cargo::workspace;
use xtask::tools::Tools;

use crate::fleet::{read, rows};

pub(crate) const ALERTS: &str = "charts/stationkeeper/files/alerts.yaml";

const ALERT_CASES: &str = "tests/alerts/alerts_test.yaml";

#[tokio::test(flavor = "multi_thread")]
async fn alerts_fire_when_they_should_and_only_then() -> Result<()> {
    let tools = Tools::require().map_err(anyhow::Error::msg)?;
    for (verb, file) in [("check", ALERTS), ("test", ALERT_CASES)] {
        let mut command = Command::new(&tools.promtool);
        command.args([verb, "rules"]).arg(workspace().join(file));
        Ran::run(command, "").await?.success()?;
    }
    Ok(())
}

#[test]
fn every_alert_is_tested_both_ways_and_has_a_page() -> Result<()> {
    let rules: Value = serde_yaml::from_str(&read(ALERTS)?)?;
    let cases: Value = serde_yaml::from_str(&read(ALERT_CASES)?)?;
    let names: Vec<&str> = rows(&cases["tests"])
        .filter_map(|case| case["name"].as_str())
        .collect();
    let mut pages = BTreeSet::new();
    for rule in rows(&rules["groups"]).flat_map(|group| rows(&group["rules"])) {
        let name = rule["alert"].as_str().context("a rule is no alert")?;
        for suffix in ["fires", "does not fire: "] {
            let begin = format!("{name} {suffix}");
            ensure!(
                names.iter().any(|case| case.starts_with(&begin)),
                "{ALERT_CASES} has no case {begin:?}"
            );
        }
        for field in ["summary", "description", "runbook_url"] {
            ensure!(
                rule["annotations"][field].is_string(),
                "{name} has no {field}"
            );
        }
        let page = format!("{name}.md");
        let url = rule["annotations"]["runbook_url"].as_str();
        ensure!(
            url.is_some_and(|url| url.ends_with(&format!("/docs/runbooks/{page}"))),
            "{name} does not lead to its page: {url:?}"
        );
        let text = read(&format!("docs/runbooks/{page}"))?;
        let headings: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("## "))
            .collect();
        ensure!(
            headings == ["Meaning", "Impact", "Diagnose", "Mend"],
            "{page}: {headings:?}"
        );
        pages.insert(page);
    }
    for entry in fs::read_dir(workspace().join("docs/runbooks"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        ensure!(
            pages.contains(&name),
            "docs/runbooks/{name} belongs to no alert"
        );
    }
    Ok(())
}
