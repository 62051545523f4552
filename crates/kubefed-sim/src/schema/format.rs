//! The string formats that CRD schemas may name. Any other format is ignored.

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    sync::LazyLock,
};

use jiff::{Timestamp, civil::Date};
use regex::Regex;

/// A format by its name; dashes in the name do not matter (`date-time` is `datetime`).
#[derive(Clone, Copy)]
pub(super) struct Format(fn(&str) -> bool);

impl Format {
    pub(super) fn named(name: &str) -> Option<Self> {
        let name: String = name.chars().filter(|&c| c != '-').collect();
        let (_, check) = FORMATS.iter().find(|(format, _)| *format == name)?;
        Some(Self(*check))
    }

    pub(super) fn accepts(self, text: &str) -> bool {
        (self.0)(text)
    }
}

type Check = fn(&str) -> bool;

const FORMATS: &[(&str, Check)] = &[
    ("bsonobjectid", |text| matches(&PATTERNS.object_id, text)),
    ("byte", |text| {
        text.is_empty() || matches(&PATTERNS.base64, text)
    }),
    ("cidr", is_cidr),
    ("creditcard", is_credit_card),
    ("date", |text| {
        text.len() == 10 && text.parse::<Date>().is_ok()
    }),
    ("datetime", |text| {
        matches(&PATTERNS.date_time, text) && text.parse::<Timestamp>().is_ok()
    }),
    ("duration", is_duration),
    ("email", is_email),
    ("hexcolor", |text| matches(&PATTERNS.hex_color, text)),
    ("hostname", is_hostname),
    ("ipv4", |text| {
        parse_ip(text).is_some() && text.contains('.')
    }),
    ("ipv6", |text| text.parse::<Ipv6Addr>().is_ok()),
    ("isbn", |text| is_isbn10(text) || is_isbn13(text)),
    ("isbn10", is_isbn10),
    ("isbn13", is_isbn13),
    ("k8slongname", |text| {
        text.len() <= 253 && matches(&PATTERNS.long_name, text)
    }),
    ("k8sshortname", |text| {
        text.len() <= 63 && matches(&PATTERNS.short_name, text)
    }),
    ("mac", |text| matches(&PATTERNS.mac, text)),
    ("password", |_| true),
    ("rgbcolor", |text| matches(&PATTERNS.rgb_color, text)),
    ("ssn", |text| {
        text.len() == 11 && matches(&PATTERNS.ssn, text)
    }),
    ("uri", is_request_uri),
    ("uuid", |text| matches(&PATTERNS.uuid, text)),
    ("uuid3", |text| matches(&PATTERNS.uuid3, text)),
    ("uuid4", |text| matches(&PATTERNS.uuid4, text)),
    ("uuid5", |text| matches(&PATTERNS.uuid5, text)),
];

struct Patterns {
    base64: Option<Regex>,
    credit_card: Option<Regex>,
    date_time: Option<Regex>,
    duration: Option<Regex>,
    duration_words: Option<Regex>,
    email: Option<Regex>,
    hex_color: Option<Regex>,
    hostname: Option<Regex>,
    long_name: Option<Regex>,
    mac: Option<Regex>,
    object_id: Option<Regex>,
    rgb_color: Option<Regex>,
    short_name: Option<Regex>,
    ssn: Option<Regex>,
    uri_authority: Option<Regex>,
    uuid: Option<Regex>,
    uuid3: Option<Regex>,
    uuid4: Option<Regex>,
    uuid5: Option<Regex>,
}

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| {
    // A test compiles them all.
    let regex = |source: &str| Regex::new(source).ok();
    let byte = "(0|[1-9][0-9]?|1[0-9]{1,2}|2[0-4][0-9]|25[0-5])";
    let uuid = |third: &str, fourth: &str| {
        regex(&format!(
            "(?i)^[0-9a-f]{{8}}-?[0-9a-f]{{4}}-?{third}-?{fourth}-?[0-9a-f]{{12}}$"
        ))
    };
    let label = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
    Patterns {
        base64: regex(
            "^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})$",
        ),
        credit_card: regex(
            r"^(4[0-9]{12}([0-9]{3})?|5[1-5][0-9]{14}|6(011|5[0-9]{2})[0-9]{12}|3[47][0-9]{13}|3(0[0-5]|[68][0-9])[0-9]{11}|(2131|1800|35[0-9]{3})[0-9]{11})$",
        ),
        date_time: regex(r"^\d{4}-\d{2}-\d{2}[tT]\d{2}:\d{2}:\d{2}(\.\d+)?([zZ]|[+-]\d{2}:\d{2})$"),
        duration: regex(r"^[-+]?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$"),
        duration_words: regex(
            r"^\s*([0-9]+\s*(ns|nanos?|nanoseconds?|us|µs|micros?|microseconds?|ms|millis?|milliseconds?|s|secs?|seconds?|m|mins?|minutes?|h|hr|hours?|d|days?|w|wk|weeks?)\s*)+$",
        ),
        email: regex(
            r#"^([^<>@]*<)?([A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u{80}-\u{10ffff}]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u{80}-\u{10ffff}]+)*|"[^"\\]*")@(\[[^\]]+\]|[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u{80}-\u{10ffff}]+(\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~\-\u{80}-\u{10ffff}]+)*)>?$"#,
        ),
        hex_color: regex("^#?([0-9a-fA-F]{3}|[0-9a-fA-F]{6})$"),
        hostname: regex(
            r"^([a-zA-Z0-9\p{S}\p{L}]((-?[a-zA-Z0-9\p{S}\p{L}]{0,62})?)|([a-zA-Z0-9\p{S}\p{L}](([a-zA-Z0-9\-\p{S}\p{L}]{0,61}[a-zA-Z0-9\p{S}\p{L}])?)(\.)){1,}([a-zA-Z\p{L}]){2,63})$",
        ),
        long_name: regex(&format!(r"^{label}(\.{label})*$")),
        mac: regex(
            "^([0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}((:[0-9a-fA-F]{2}){2})?((:[0-9a-fA-F]{2}){12})?|[0-9a-fA-F]{2}(-[0-9a-fA-F]{2}){5}((-[0-9a-fA-F]{2}){2})?|[0-9a-fA-F]{4}(\\.[0-9a-fA-F]{4}){2,3})$",
        ),
        object_id: regex("^[0-9a-fA-F]{24}$"),
        rgb_color: regex(&format!(r"^rgb\(\s*{byte}\s*,\s*{byte}\s*,\s*{byte}\s*\)$")),
        short_name: regex(&format!("^{label}$")),
        ssn: regex(r"^\d{3}[- ]?\d{2}[- ]?\d{4}$"),
        uri_authority: regex(
            r"^([A-Za-z0-9\-._~!$&'()*+,;=:%@]*@)?(\[[0-9A-Fa-f:.]+(%25[^\]]*)?\]|[A-Za-z0-9\-._~!$&'()*+,;=%\u{80}-\u{10ffff}]*)(:[0-9]*)?$",
        ),
        uuid: uuid("[0-9a-f]{4}", "[0-9a-f]{4}"),
        uuid3: uuid("3[0-9a-f]{3}", "[0-9a-f]{4}"),
        uuid4: uuid("4[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
        uuid5: uuid("5[0-9a-f]{3}", "[89ab][0-9a-f]{3}"),
    }
});

fn matches(pattern: &Option<Regex>, text: &str) -> bool {
    pattern
        .as_ref()
        .is_some_and(|pattern| pattern.is_match(text))
}

/// An IPv4 address may have leading zeros here, as old clients wrote them.
fn parse_ip(text: &str) -> Option<u8> {
    if text.parse::<Ipv6Addr>().is_ok() {
        return Some(128);
    }
    let without_zeros = |part: &str| match part.trim_start_matches('0') {
        "" if !part.is_empty() => "0".to_owned(),
        digits => digits.to_owned(),
    };
    let parts: Vec<_> = text.split('.').map(without_zeros).collect();
    parts.join(".").parse::<Ipv4Addr>().ok().map(|_| 32)
}

fn is_cidr(text: &str) -> bool {
    let Some((address, prefix)) = text.split_once('/') else {
        return false;
    };
    let digits = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
    digits && parse_ip(address).is_some_and(|bits| prefix.parse::<u8>().is_ok_and(|p| p <= bits))
}

fn is_hostname(text: &str) -> bool {
    matches(&PATTERNS.hostname, text)
        && text.len() <= 255
        && text.split('.').all(|label| label.len() <= 63)
}

fn is_email(text: &str) -> bool {
    let text = text.trim();
    matches(&PATTERNS.email, text) && text.contains('<') == text.ends_with('>')
}

fn is_duration(text: &str) -> bool {
    matches(&PATTERNS.duration, text) || matches(&PATTERNS.duration_words, text)
}

/// An absolute URI or an absolute path.
fn is_request_uri(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|b| b < 0x20 || b == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let (scheme, rest) = match text.split_once(':') {
        Some(("", _)) => return false,
        Some((scheme, rest)) if is_scheme(scheme) => (scheme, rest),
        _ => ("", text),
    };
    let rest = rest.split('?').next().unwrap_or_default();
    if !rest.starts_with('/') {
        return !scheme.is_empty();
    }
    let escapes = |text: &str| {
        text.split('%')
            .skip(1)
            .all(|after| after.len() >= 2 && after.bytes().take(2).all(|b| b.is_ascii_hexdigit()))
    };
    match rest.strip_prefix("//") {
        Some(rest) if !scheme.is_empty() || !rest.starts_with('/') => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            matches(&PATTERNS.uri_authority, authority) && escapes(path)
        }
        _ => escapes(rest),
    }
}

fn is_scheme(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
}

fn is_credit_card(text: &str) -> bool {
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    matches(&PATTERNS.credit_card, &digits) && luhn_sum(&digits).is_multiple_of(10)
}

fn luhn_sum(digits: &str) -> u32 {
    let digits = digits.bytes().rev().map(|b| u32::from(b - b'0'));
    let weigh = |(place, digit): (usize, u32)| match digit * 2 {
        _ if place % 2 == 0 => digit,
        double if double > 9 => double - 9,
        double => double,
    };
    digits.enumerate().map(weigh).sum()
}

fn book_number(text: &str) -> Vec<u32> {
    let digit = |c: char| if c == 'X' { Some(10) } else { c.to_digit(10) };
    let kept = text.chars().filter(|c| !c.is_whitespace() && *c != '-');
    kept.map(|c| digit(c).unwrap_or(u32::MAX)).collect()
}

fn is_isbn10(text: &str) -> bool {
    let digits = book_number(text);
    let valid =
        digits.len() == 10 && digits[..9].iter().all(|&digit| digit < 10) && digits[9] <= 10;
    valid
        && (1..)
            .zip(&digits)
            .map(|(place, digit)| place * digit)
            .sum::<u32>()
            % 11
            == 0
}

fn is_isbn13(text: &str) -> bool {
    let digits = book_number(text);
    let valid = digits.len() == 13 && digits.iter().all(|&digit| digit < 10);
    let weighed = digits.iter().zip([1, 3].into_iter().cycle());
    valid
        && weighed
            .map(|(digit, weight)| digit * weight)
            .sum::<u32>()
            .is_multiple_of(10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(format: &str, accepted: &[&str], refused: &[&str]) {
        let format = Format::named(format).expect("a known format");
        for text in accepted {
            assert!(format.accepts(text), "{text:?} is refused");
        }
        for text in refused {
            assert!(!format.accepts(text), "{text:?} is accepted");
        }
    }

    #[test]
    fn formats_accept_what_a_real_server_accepts() {
        check(
            "date-time",
            &["2014-12-15T19:30:20.000Z"],
            &["2014-12-15", "tomorrow", ""],
        );
        check(
            "date",
            &["2006-01-02"],
            &["2006-13-02", "2006-1-2", "20060102"],
        );
        check(
            "ipv4",
            &["192.168.0.1", "010.0.0.1"],
            &["192.168.0", "::1", "256.1.1.1", "1.2.3.4.5"],
        );
        check(
            "ipv6",
            &["::1", "fe80::1"],
            &["1.2.3.4", "fe80::1%eth0", ":"],
        );
        check(
            "cidr",
            &["10.0.0.0/8", "fd00::/64"],
            &["10.0.0.0", "10.0.0.0/33", "10.0.0.0/+8"],
        );
        check(
            "uri",
            &["http://example.com/a?b=c", "/path", "mailto:a@b"],
            &["", "relative", "http://a b/", ":x"],
        );
        check(
            "email",
            &["a@b.example", "A <a@b>"],
            &["a", "a@", "@b", "a b@c"],
        );
        check("hostname", &["example.com", "1a"], &["-a", "a_b", ""]);
        check(
            "uuid",
            &["123e4567-e89b-12d3-a456-426614174000"],
            &["123e4567", ""],
        );
        check("byte", &["aGVsbG8="], &["aGVsbG8", "!"]);
        check("duration", &["22ns", "1h30m", "3 days"], &["", "x", "1y"]);
        check(
            "mac",
            &["01:23:45:67:89:ab", "0123.4567.89ab"],
            &["01:23", "01:23:45:67:89:zz"],
        );
        check(
            "isbn",
            &["0321751043", "978-0321751041"],
            &["0321751044", "978"],
        );
        check(
            "creditcard",
            &["4111-1111-1111-1111"],
            &["4111-1111-1111-1112", ""],
        );
        check("hexcolor", &["#FFFFFF", "abc"], &["#FFFF"]);
        check("rgbcolor", &["rgb(255,255,255)"], &["rgb(256,0,0)"]);
        check("k8s-short-name", &["a-b"], &["A", "a.b", "-a"]);
        check("k8s-long-name", &["a-b.c"], &["A", "a..b"]);
        check("bsonobjectid", &["507f1f77bcf86cd799439011"], &["507f"]);
        check("ssn", &["111-11-1111"], &["111"]);
        check(
            "uuid4",
            &["123e4567-e89b-42d3-a456-426614174000"],
            &["123e4567-e89b-12d3-a456-426614174000"],
        );
        check("uuid3", &["123e4567-e89b-32d3-a456-426614174000"], &[""]);
        check("uuid5", &["123e4567-e89b-52d3-a456-426614174000"], &[""]);
        check("password", &["", "x"], &[]);
    }

    #[test]
    fn unknown_formats_are_ignored() {
        assert!(Format::named("int32").is_none());
        assert!(Format::named("int-or-string").is_none());
    }
}
