//! The classic text format of Prometheus, for scrapers and linters that do not ask for OpenMetrics.
//!
//! In: what the registry writes, which is OpenMetrics. Out: the same samples. The two differ in what is said of a counter:
//! OpenMetrics names the family without `_total`, the classic format as its samples; and only OpenMetrics marks its end.

/// The content type of the classic format.
pub(crate) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// The content type of OpenMetrics.
pub(crate) const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Does a scraper take OpenMetrics, by its `Accept`? Prometheus does.
pub(crate) fn takes_open_metrics(accept: &str) -> bool {
    accept
        .split(',')
        .filter_map(|range| range.split(';').next())
        .any(|kind| {
            kind.trim()
                .eq_ignore_ascii_case("application/openmetrics-text")
        })
}

/// The same metrics in the classic format.
pub(crate) fn classic(open_metrics: &str) -> String {
    let mut text = String::with_capacity(open_metrics.len());
    let mut lines = open_metrics.lines().peekable();
    while let Some(line) = lines.next() {
        // The help of a family stands right before its type.
        let kind = match line.starts_with("# HELP ") {
            true => lines.peek().copied().unwrap_or_default(),
            false => line,
        };
        let of_counter = kind.starts_with("# TYPE ") && kind.ends_with(" counter");
        match metadata(line).filter(|_| of_counter) {
            Some((what, family, told)) => {
                text.push_str(&format!("# {what} {family}_total {told}\n"));
            }
            None if line == "# EOF" => {}
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

/// `HELP` or `TYPE`, the family, and what is told of it.
fn metadata(line: &str) -> Option<(&str, &str, &str)> {
    let (what, told) = line.strip_prefix("# ")?.split_once(' ')?;
    let (family, told) = told.split_once(' ')?;
    Some((what, family, told))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_named_as_their_samples_and_all_else_stays() {
        let open_metrics = "\
# HELP calls Calls, by result.
# TYPE calls counter
calls_total{result=\"a # HELP b counter\"} 2
# HELP up Whether it is up.
# TYPE up gauge
up 1
# EOF
";
        let expect = "\
# HELP calls_total Calls, by result.
# TYPE calls_total counter
calls_total{result=\"a # HELP b counter\"} 2
# HELP up Whether it is up.
# TYPE up gauge
up 1
";
        assert_eq!(classic(open_metrics), expect);
    }

    #[test]
    fn who_asks_for_open_metrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5,\
                          text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
        assert!(takes_open_metrics(prometheus));
        assert!(takes_open_metrics(
            "text/plain, Application/OpenMetrics-Text"
        ));
        for accept in ["", "*/*", "text/plain;version=0.0.4"] {
            assert!(!takes_open_metrics(accept), "{accept:?}");
        }
    }
}
