//! Numbers as text: canonical without ever becoming a machine number, so that none is too large and none is rounded.

use std::borrow::Cow;

/// The parts of a number that may mean something.
struct Parts<'a> {
    negative: bool,
    /// Without zeros in front; empty for zero.
    whole: &'a str,
    /// Without zeros at the end; empty for none.
    fraction: &'a str,
}

fn parts(value: &str) -> Option<Parts<'_>> {
    let value = value.trim();
    let (negative, digits) = match value.as_bytes().first()? {
        b'-' => (true, &value[1..]),
        b'+' => (false, &value[1..]),
        _ => (false, value),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if !all_digits(whole) || !all_digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    Some(Parts {
        negative,
        whole: whole.trim_start_matches('0'),
        fraction: fraction.trim_end_matches('0'),
    })
}

/// The canonical whole number, if it is one: `45` for ` 0045`, `+45` and `45.0`.
pub(super) fn integer(value: &str) -> Option<Cow<'_, str>> {
    let Parts {
        negative,
        whole,
        fraction,
    } = parts(value)?;
    if !fraction.is_empty() {
        return None;
    }
    Some(match (negative, whole) {
        (_, "") => Cow::Borrowed("0"),
        (false, whole) => Cow::Borrowed(whole),
        (true, whole) => same_or(value, format!("-{whole}")),
    })
}

/// The canonical number, if it is one: `1.5` for `01.50`, `0.5` for `.5`.
pub(super) fn decimal(value: &str) -> Option<Cow<'_, str>> {
    let Parts {
        negative,
        whole,
        fraction,
    } = parts(value)?;
    if fraction.is_empty() {
        return integer(value);
    }
    let sign = if negative { "-" } else { "" };
    let whole = if whole.is_empty() { "0" } else { whole };
    Some(same_or(value, format!("{sign}{whole}.{fraction}")))
}

fn same_or(value: &str, canonical: String) -> Cow<'_, str> {
    if value == canonical {
        Cow::Borrowed(value)
    } else {
        Cow::Owned(canonical)
    }
}
