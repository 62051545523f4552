//! Reads JSON texts as Kubernetes' API machinery does, where serde_json reads them otherwise.

use serde_json::Value;

/// The value of a text: `-0` is the integer 0, half a surrogate pair is U+FFFD, and a number beyond
/// the doubles is an error.
pub(crate) fn read(text: &str) -> Result<Value, String> {
    let value: Value = serde_json::from_str(&repair(text)).map_err(|error| error.to_string())?;
    if has_infinity(&value) {
        return Err("number out of range".to_owned());
    }
    Ok(value)
}

/// Rewrites what serde_json would refuse or read as a double.
fn repair(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len());
    let mut rest = text;
    let mut in_string = false;
    while let Some(first) = rest.chars().next() {
        let (length, replacement) = match first {
            '\\' if in_string => escape(rest),
            // A minus sign within a number belongs to its exponent.
            '-' if !in_string && !repaired.ends_with(['e', 'E']) && is_integer_zero(&rest[1..]) => {
                (2, Some("0"))
            }
            _ => (first.len_utf8(), None),
        };
        in_string ^= first == '"';
        repaired.push_str(replacement.unwrap_or(&rest[..length]));
        rest = &rest[length..];
    }
    repaired
}

/// Length of an escape sequence, and what to write in its place.
fn escape(text: &str) -> (usize, Option<&'static str>) {
    match code_unit(text) {
        None => (2.min(text.len()), None),
        Some(0xd800..=0xdbff)
            if matches!(text.get(6..).and_then(code_unit), Some(0xdc00..=0xdfff)) =>
        {
            (12, None)
        }
        Some(0xd800..=0xdfff) => (6, Some("\\ufffd")),
        Some(_) => (6, None),
    }
}

fn code_unit(text: &str) -> Option<u16> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    u16::from_str_radix(digits, 16).ok()
}

fn is_integer_zero(text: &str) -> bool {
    let goes_on = |next: char| matches!(next, '0'..='9' | '.' | 'e' | 'E');
    text.strip_prefix('0')
        .is_some_and(|rest| !rest.starts_with(goes_on))
}

fn has_infinity(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.as_f64().is_none_or(f64::is_infinite),
        Value::Array(elements) => elements.iter().any(has_infinity),
        Value::Object(members) => members.values().any(has_infinity),
        _ => false,
    }
}

#[test]
fn the_reader_reads_as_the_api_machinery_does() {
    let cases = [
        (r#"["-0", -0, 1]"#, r#"["-0",0,1]"#),
        (
            r#""\ud83d\ude00 \ud83d \ude00 \ud83d\u0041 \\ud83d \"-0""#,
            "\"😀 \u{fffd} \u{fffd} \u{fffd}A \\\\ud83d \\\"-0\"",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(read(text).unwrap().to_string(), expected);
    }
    for double in ["-0.0", "-0e-0", "1.5e-07", "-2E-0"] {
        let value = read(double).unwrap();
        assert_eq!(
            (value.as_i64(), value.as_f64()),
            (None, double.parse().ok())
        );
    }
    assert!(read("[1e400]").is_err());
}
