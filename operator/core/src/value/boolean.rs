//! Booleans in the spellings that stations use.

/// The pairs of words, false first. OCPP 1.6 (section 9) has `true` and `false`; the others are seen on live stations.
const WORDS: [[&str; 2]; 4] = [["false", "true"], ["0", "1"], ["off", "on"], ["no", "yes"]];

/// True or false, in any of the known words and any case, with spaces around it or not.
pub(super) fn truth(value: &str) -> Option<bool> {
    pair_of(value).map(|(truth, _)| truth)
}

/// The canonical word.
pub(super) fn word(truth: bool) -> &'static str {
    if truth { "true" } else { "false" }
}

/// A truth value in the words and the case of another: `TRUE` like `FALSE`, `1` like `0`.
pub(super) fn in_style_of(value: bool, shown: &str) -> Option<String> {
    let (_, words) = pair_of(shown)?;
    let word = words[usize::from(value)];
    let shown = shown.trim();
    let (first, rest) = shown.split_at(1);
    let is_upper = |text: &str| text.bytes().any(|byte| byte.is_ascii_uppercase());
    Some(match (is_upper(first), is_upper(rest)) {
        (_, true) => word.to_ascii_uppercase(),
        (true, false) => word[..1].to_ascii_uppercase() + &word[1..],
        (false, false) => word.to_owned(),
    })
}

fn pair_of(value: &str) -> Option<(bool, [&'static str; 2])> {
    let value = value.trim();
    WORDS.into_iter().find_map(|words| {
        let index = words
            .iter()
            .position(|word| word.eq_ignore_ascii_case(value))?;
        Some((index == 1, words))
    })
}
