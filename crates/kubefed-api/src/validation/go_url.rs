//! URLs as Go's `net/url` reads them.
//!
//! Which endpoints are accepted, and with which text the others are refused, follows from that parser.
//! It is laxer than RFC 3986 and than the URL standard of browsers, so a parser of either would
//! accept and refuse other endpoints.

use super::go_text::quoted;

/// The parts of a URL that the rules look at.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct GoUrl {
    /// In lower case; empty if there is none.
    pub(super) scheme: String,
    /// With the port, and with the brackets of an IPv6 address.
    pub(super) host: String,
    pub(super) path: String,
    pub(super) has_user: bool,
    pub(super) has_query: bool,
    pub(super) has_fragment: bool,
}

impl GoUrl {
    /// Parses `text`; the error is Go's, including the text that it quotes.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (before, fragment) = match text.split_once('#') {
            Some((before, fragment)) => (before, Some(fragment)),
            None => (text, None),
        };
        let error = |text: &str, reason: String| format!("parse {}: {reason}", quoted(text));
        let mut url = parse_before_fragment(before).map_err(|reason| error(before, reason))?;
        url.has_fragment = fragment.is_some();
        check_escapes(fragment.unwrap_or_default()).map_err(|reason| error(text, reason))?;
        Ok(url)
    }

    /// The digits after the host's last colon; empty if there is no port.
    pub(super) fn port(&self) -> &str {
        self.host_and_port().1
    }

    /// The host without its port and brackets.
    pub(super) fn hostname(&self) -> &str {
        let host = self.host_and_port().0;
        host.strip_prefix('[')
            .and_then(|inner| inner.strip_suffix(']'))
            .unwrap_or(host)
    }

    /// Whether the host is an address in brackets.
    pub(super) fn is_bracketed(&self) -> bool {
        self.host.starts_with('[')
    }

    fn host_and_port(&self) -> (&str, &str) {
        match self.host.rfind(':') {
            Some(colon) if is_port(&self.host[colon..]) => {
                (&self.host[..colon], &self.host[colon + 1..])
            }
            _ => (&self.host, ""),
        }
    }
}

fn parse_before_fragment(text: &str) -> Result<GoUrl, String> {
    if text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err("net/url: invalid control character in URL".into());
    }
    if text == "*" {
        return Ok(GoUrl {
            path: "*".into(),
            ..GoUrl::default()
        });
    }
    let (scheme, rest) = split_scheme(text)?;
    let (rest, query) = match rest.split_once('?') {
        Some((rest, query)) => (rest, Some(query)),
        None => (rest, None),
    };
    let mut url = GoUrl {
        scheme: scheme.to_ascii_lowercase(),
        has_query: query.is_some(),
        ..GoUrl::default()
    };
    if !rest.starts_with('/') {
        if !url.scheme.is_empty() {
            // What follows a scheme without a slash is opaque: neither host nor path.
            return Ok(url);
        }
        if rest
            .split('/')
            .next()
            .is_some_and(|segment| segment.contains(':'))
        {
            return Err("first path segment in URL cannot contain colon".into());
        }
    }
    let path = match rest.strip_prefix("//") {
        Some(after) if !url.scheme.is_empty() || !after.starts_with('/') => {
            let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
            (url.has_user, url.host) = parse_authority(authority)?;
            path
        }
        _ => rest,
    };
    check_escapes(path)?;
    path.clone_into(&mut url.path);
    Ok(url)
}

/// The scheme, empty if there is none, and what follows its colon.
fn split_scheme(text: &str) -> Result<(&str, &str), String> {
    let in_scheme = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let end = text.find(|c| !in_scheme(c)).unwrap_or(text.len());
    match (end, text[end..].strip_prefix(':')) {
        (0, Some(_)) => Err("missing protocol scheme".into()),
        (1.., Some(rest)) if text.starts_with(|c: char| c.is_ascii_alphabetic()) => {
            Ok((&text[..end], rest))
        }
        _ => Ok(("", text)),
    }
}

/// Whether there is user information, and the host with its port.
fn parse_authority(authority: &str) -> Result<(bool, String), String> {
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    let host = parse_host(host)?;
    if let Some(user) = user {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
        if !user.chars().all(allowed) {
            return Err("net/url: invalid userinfo".into());
        }
        check_escapes(user)?;
    }
    Ok((user.is_some(), host))
}

fn parse_host(host: &str) -> Result<String, String> {
    let invalid_port = |port| Err(format!("invalid port {} after host", quoted(port)));
    if host.starts_with('[') {
        let Some(end) = host.rfind(']') else {
            return Err("missing ']' in host".into());
        };
        let port = &host[end + 1..];
        if !is_port(port) {
            return invalid_port(port);
        }
        // From `%25` on it is a zone (RFC 6874), in which more may be escaped than in a host.
        if let Some(zone) = host[..end].find("%25") {
            let before = unescape(&host[..zone], Part::Host)?;
            let zone = unescape(&host[zone..end], Part::Zone)?;
            return Ok(before + &zone + &unescape(&host[end..], Part::Host)?);
        }
    } else if let Some(colon) = host.rfind(':') {
        let port = &host[colon..];
        if !is_port(port) {
            return invalid_port(port);
        }
    }
    unescape(host, Part::Host)
}

/// Nothing, or a colon and digits, of which there may be none.
fn is_port(text: &str) -> bool {
    match text.strip_prefix(':') {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_digit()),
        None => text.is_empty(),
    }
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Part {
    Host,
    Zone,
    Elsewhere,
}

fn check_escapes(text: &str) -> Result<(), String> {
    unescape(text, Part::Elsewhere).map(drop)
}

/// Replaces `%xx`. Bytes that are not UTF-8 afterwards become replacement characters: no rule looks
/// at them.
fn unescape(text: &str, part: Part) -> Result<String, String> {
    let invalid = |escape: &[u8]| {
        Err(format!(
            "invalid URL escape {}",
            quoted(&String::from_utf8_lossy(escape))
        ))
    };
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut index = 0;
    while index < bytes.len() {
        let byte = bytes[index];
        if byte != b'%' {
            if part != Part::Elsewhere && byte.is_ascii() && !allowed_in_host(byte) {
                let character = quoted(&char::from(byte).to_string());
                return Err(format!("invalid character {character} in host name"));
            }
            out.push(byte);
            index += 1;
            continue;
        }
        let escape = &bytes[index..bytes.len().min(index + 3)];
        let value = match escape {
            [_, high, low] => hex(*high).zip(hex(*low)).map(|(high, low)| high << 4 | low),
            _ => None,
        };
        let Some(value) = value else {
            return invalid(escape);
        };
        let allowed = match part {
            // In a host only bytes beyond ASCII may be escaped, and the percent sign of a zone.
            Part::Host => value >= 0x80 || escape == b"%25",
            Part::Zone => escape == b"%25" || value == b' ' || allowed_in_host(value),
            Part::Elsewhere => true,
        };
        if !allowed {
            return invalid(escape);
        }
        out.push(value);
        index += 3;
    }
    Ok(String::from_utf8_lossy(&out).into_owned())
}

fn allowed_in_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!$&'()*+,;=:[]<>\"-_.~".contains(&byte)
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte)
        .to_digit(16)
        .and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn urls_are_split_as_go_splits_them() {
        let cases = [
            // text, scheme, host, host name, port, path
            ("example.com", "", "", "", "", "example.com"),
            ("example.com:443", "example.com", "", "", "", ""),
            (
                "HTTPS://Example.com:443/a",
                "https",
                "Example.com:443",
                "Example.com",
                "443",
                "/a",
            ),
            (
                "https://[2001:db8::1]:6443",
                "https",
                "[2001:db8::1]:6443",
                "2001:db8::1",
                "6443",
                "",
            ),
            (
                "https://[fe80::1%25en0]:1",
                "https",
                "[fe80::1%en0]:1",
                "fe80::1%en0",
                "1",
                "",
            ),
            (
                "https://[fe80::1%25a%25b%20c]",
                "https",
                "[fe80::1%a%b c]",
                "fe80::1%a%b c",
                "",
                "",
            ),
            (
                "https://2001:db8::1",
                "https",
                "2001:db8::1",
                "2001:db8:",
                "1",
                "",
            ),
            ("https://a%25b%C3%BC", "https", "a%bü", "a%bü", "", ""),
            ("https://:80", "https", ":80", "", "80", ""),
            ("https://h:", "https", "h:", "h", "", ""),
            ("https://https://", "https", "https:", "https", "", "//"),
            ("//h/p", "", "h", "h", "", "/p"),
            ("///p", "", "", "", "", "///p"),
            ("https:///p", "https", "", "", "", "/p"),
            ("*", "", "", "", "", "*"),
            ("", "", "", "", "", ""),
        ];
        for (text, scheme, host, hostname, port, path) in cases {
            let url = GoUrl::parse(text).unwrap();
            let parts = (
                &*url.scheme,
                &*url.host,
                url.hostname(),
                url.port(),
                &*url.path,
            );
            assert_eq!(parts, (scheme, host, hostname, port, path), "{text}");
        }
        let url = GoUrl::parse("https://u:p@h?q#f").unwrap();
        assert!(url.has_user && url.has_query && url.has_fragment);
        assert_eq!(url.host, "h");
    }

    #[test]
    fn urls_that_go_refuses_are_refused_in_its_words() {
        let cases = [
            (":80", r#"parse ":80": missing protocol scheme"#),
            (
                "10.0.0.1:80",
                r#"parse "10.0.0.1:80": first path segment in URL cannot contain colon"#,
            ),
            (
                "https://h:-80",
                r#"parse "https://h:-80": invalid port ":-80" after host"#,
            ),
            (
                "https://h:name",
                r#"parse "https://h:name": invalid port ":name" after host"#,
            ),
            (
                "https://[::1",
                r#"parse "https://[::1": missing ']' in host"#,
            ),
            (
                "https://[::1]x",
                r#"parse "https://[::1]x": invalid port "x" after host"#,
            ),
            (
                "https://a b",
                r#"parse "https://a b": invalid character " " in host name"#,
            ),
            (
                "https://a%41",
                r#"parse "https://a%41": invalid URL escape "%41""#,
            ),
            (
                "https://[fe80::1%25a%01b]",
                r#"parse "https://[fe80::1%25a%01b]": invalid URL escape "%01""#,
            ),
            (
                "https://a/%zz",
                r#"parse "https://a/%zz": invalid URL escape "%zz""#,
            ),
            (
                "https://a/%2",
                r#"parse "https://a/%2": invalid URL escape "%2""#,
            ),
            (
                "https://a#%2",
                r#"parse "https://a#%2": invalid URL escape "%2""#,
            ),
            (
                "https://a b#c",
                r#"parse "https://a b": invalid character " " in host name"#,
            ),
            (
                "https://a\n",
                r#"parse "https://a\n": net/url: invalid control character in URL"#,
            ),
            (
                "https://ü b@h",
                r#"parse "https://ü b@h": net/url: invalid userinfo"#,
            ),
        ];
        for (text, error) in cases {
            assert_eq!(GoUrl::parse(text).unwrap_err(), error);
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "[a-z0-9:/?#@%.\\[\\]ü -]{0,20}") {
            if let Ok(url) = GoUrl::parse(&text) {
                prop_assert!(url.host.contains(url.hostname()) && url.host.contains(url.port()));
            }
        }
    }
}
