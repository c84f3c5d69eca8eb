//! When a certificate ends: the one fact of X.509 that is told of ours. It is read for a metric, so what cannot be read
//! is absent; whether a certificate is good is for TLS to say.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

/// `notAfter` of a certificate in DER (RFC 5280, section 4.1).
pub(super) fn not_after(certificate: &[u8]) -> Option<Timestamp> {
    let (_, certificate, _) = element(certificate)?;
    let (_, mut fields, _) = element(certificate)?;
    // The version is left out where it is 1.
    if let (VERSION, _, rest) = element(fields)? {
        fields = rest;
    }
    // Serial number, signature algorithm, issuer: then the validity.
    for expected in [INTEGER, SEQUENCE, SEQUENCE] {
        let (tag, _, rest) = element(fields)?;
        if tag != expected {
            return None;
        }
        fields = rest;
    }
    let (_, validity, _) = element(fields)?;
    let (_, _, validity) = element(validity)?;
    let (tag, text, _) = element(validity)?;
    time(tag, std::str::from_utf8(text).ok()?)
}

/// The first element: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
        // Four bytes are four gigabytes: no certificate is longer.
        let short = (digits.len() <= 4).then_some(digits)?;
        let length = short
            .iter()
            .fold(0, |length, digit| length << 8 | usize::from(*digit));
        (length, rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` with years from 1950 to 2049, or `YYYYMMDDHHMMSSZ` (RFC 5280, section 4.1.2.5).
fn time(tag: u8, text: &str) -> Option<Timestamp> {
    let full = match tag {
        UTC_TIME => {
            let century = if text.get(..2)? < "50" { "20" } else { "19" };
            format!("{century}{text}")
        }
        GENERALIZED_TIME => text.to_owned(),
        _ => return None,
    };
    let civil = DateTime::strptime("%Y%m%d%H%M%SZ", full).ok()?;
    Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_certificate_is_read_from_it() {
        for (year, expected) in [
            (2031, "2031-05-17T00:00:00Z"),
            (2099, "2099-05-17T00:00:00Z"),
        ] {
            let key = rcgen::KeyPair::generate().unwrap();
            let mut parameters = rcgen::CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
            parameters.not_after = rcgen::date_time_ymd(year, 5, 17);
            let certificate = parameters.self_signed(&key).unwrap();
            let end = not_after(certificate.der()).map(|end| end.to_string());
            assert_eq!(end.as_deref(), Some(expected));
        }
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_end() {
        let key = rcgen::KeyPair::generate().unwrap();
        let parameters = rcgen::CertificateParams::new(vec!["gateway".to_owned()]).unwrap();
        let certificate = parameters.self_signed(&key).unwrap();
        for length in 0..certificate.der().len() {
            // Cut anywhere, it is refused or read; it never panics.
            assert_eq!(not_after(&certificate.der()[..length]), None);
        }
        for bytes in [
            &b""[..],
            b"\x30\xff",
            b"\x30\x84\xff\xff\xff\xff",
            b"no DER at all",
        ] {
            assert_eq!(not_after(bytes), None);
        }
    }
}
