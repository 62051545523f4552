//! JSON text as Go's `encoding/json` writes it, which is what the hashes on the wire are made of.
//!
//! `serde_json` differs from it in the escapes and in the numbers, and its order of members depends
//! on a feature that any crate of a build may switch on. So the text is written here, from the
//! public surface of [`Value`] alone.

use std::fmt::Write;

use serde_json::{Map, Number, Value};

/// The text that KubeFed's published binaries write for a value, without a newline at the end.
///
/// Members are sorted bytewise and nothing is between the tokens. `<`, `>`, `&`, U+2028, U+2029 and
/// control characters other than `\n`, `\r` and `\t` become `\u00xx`. A number that is an integer in
/// the range of `i64` is exact, and every other one is the shortest decimal of the nearest double,
/// with an exponent below 1e-6 and from 1e21.
///
/// ```
/// use kubefed_propagation::canonical_json;
/// use serde_json::json;
///
/// let value = json!({"b": 9007199254740993_i64, "a": [1.0, 1e21, "<&>"]});
/// assert_eq!(
///     canonical_json(&value),
///     r#"{"a":[1,1e+21,"\u003c\u0026\u003e"],"b":9007199254740993}"#,
/// );
/// ```
pub fn canonical_json(value: &Value) -> String {
    let mut writer = Writer::new(Numbers::Exact, Controls::Published);
    writer.value(value);
    writer.text
}

/// Like [`canonical_json`] with every number a double, as a value is that went through Go's
/// `interface{}`: integers beyond 2^53 lose their last digits.
///
/// ```
/// # use serde_json::json;
/// let text = kubefed_propagation::canonical_json_of_doubles(&json!(9007199254740993_i64));
/// assert_eq!(text, "9007199254740992");
/// ```
pub fn canonical_json_of_doubles(value: &Value) -> String {
    let mut writer = Writer::new(Numbers::Doubles, Controls::Published);
    writer.value(value);
    writer.text
}

/// How integers in the range of `i64` are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Numbers {
    Exact,
    Doubles,
}

/// How U+0008 and U+000C are written: it depends on the Go release that built the original.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Controls {
    /// `\u0008` and `\u000c`, as Go up to 1.21 and with it the published binaries write them.
    Published,
    /// `\b` and `\f`, as Go from 1.22 writes them.
    Short,
}

pub(crate) struct Writer {
    pub(crate) text: String,
    numbers: Numbers,
    controls: Controls,
}

impl Writer {
    pub(crate) fn new(numbers: Numbers, controls: Controls) -> Self {
        Self {
            text: String::new(),
            numbers,
            controls,
        }
    }

    pub(crate) fn value(&mut self, value: &Value) {
        match value {
            Value::Null => self.text.push_str("null"),
            Value::Bool(true) => self.text.push_str("true"),
            Value::Bool(false) => self.text.push_str("false"),
            Value::Number(number) => self.number(number),
            Value::String(text) => self.string(text),
            Value::Array(elements) => self.list(elements, Self::value),
            Value::Object(members) => self.object(members),
        }
    }

    pub(crate) fn list<T>(&mut self, elements: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.text.push('[');
        for (index, element) in elements.iter().enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            write(self, element);
        }
        self.text.push(']');
    }

    fn object(&mut self, members: &Map<String, Value>) {
        self.text.push('{');
        // The map is sorted already unless `serde_json/preserve_order` is on.
        if members.keys().is_sorted() {
            self.members(members.iter());
        } else {
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(name, _)| *name);
            self.members(sorted.into_iter());
        }
        self.text.push('}');
    }

    fn members<'a>(&mut self, members: impl Iterator<Item = (&'a String, &'a Value)>) {
        for (index, (name, value)) in members.enumerate() {
            if index > 0 {
                self.text.push(',');
            }
            self.string(name);
            self.text.push(':');
            self.value(value);
        }
    }

    pub(crate) fn string(&mut self, text: &str) {
        self.text.push('"');
        let mut rest = text;
        while let Some(at) = rest.find(is_escaped) {
            let (plain, escaped) = rest.split_at(at);
            self.text.push_str(plain);
            let mut characters = escaped.chars();
            if let Some(character) = characters.next() {
                self.escape(character);
            }
            rest = characters.as_str();
        }
        self.text.push_str(rest);
        self.text.push('"');
    }

    fn escape(&mut self, character: char) {
        let short = match (character, self.controls) {
            ('"', _) => '"',
            ('\\', _) => '\\',
            ('\n', _) => 'n',
            ('\r', _) => 'r',
            ('\t', _) => 't',
            ('\u{8}', Controls::Short) => 'b',
            ('\u{c}', Controls::Short) => 'f',
            _ => {
                self.formatted(format_args!("\\u{:04x}", u32::from(character)));
                return;
            }
        };
        self.text.push('\\');
        self.text.push(short);
    }

    fn number(&mut self, number: &Number) {
        match (number.as_i64(), number.as_f64()) {
            (Some(integer), _) if self.numbers == Numbers::Exact || is_exact(integer) => {
                self.formatted(format_args!("{integer}"));
            }
            (_, Some(double)) if double.is_finite() => self.double(double),
            // Beyond the doubles, which only `serde_json/arbitrary_precision` can hold. Go refuses
            // such a text, so there is no form of it to be equal to.
            _ => self.formatted(format_args!("{number}")),
        }
    }

    fn double(&mut self, double: f64) {
        self.text.push_str(&text_of_double(double));
    }

    fn formatted(&mut self, arguments: std::fmt::Arguments<'_>) {
        // Writing to a string cannot fail.
        let _ = self.text.write_fmt(arguments);
    }
}

/// The shortest decimal that reads back as the double, laid out as Go does. The digits are zmij's:
/// of two shortest ones that are equally near it takes the even one, which `std` does not.
fn text_of_double(double: f64) -> String {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format(double);
    let (sign, text) = match text.strip_prefix('-') {
        Some(text) => ("-", text),
        None => ("", text),
    };
    let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let fraction = fraction.trim_end_matches('0');
    let point = if fraction.is_empty() { "" } else { "." };
    let magnitude = double.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        return format!("{sign}{whole}{point}{fraction}e{exponent:+}");
    }
    let places = exponent.unsigned_abs() as usize;
    match exponent {
        0 => format!("{sign}{whole}{point}{fraction}"),
        // Beyond 2^53 there is no fraction left once the point has moved.
        1.. => format!("{sign}{whole}{fraction:0<places$}"),
        _ => format!("{sign}0.{whole:0>places$}{fraction}"),
    }
}

fn is_escaped(character: char) -> bool {
    matches!(
        character,
        '"' | '\\' | '<' | '>' | '&' | '\u{0}'..='\u{1f}' | '\u{2028}' | '\u{2029}'
    )
}

/// Whether an integer survives as a double, and so has the same text as one.
pub(crate) fn is_exact(integer: i64) -> bool {
    // 2^53: from here on, doubles are further apart than one.
    integer.unsigned_abs() <= 1 << 53
}

/// The number that a double becomes when its text is read again: an integer where the text is one in
/// the range of `i64`. Its text is rounded to the shortest, so 2^62 reads 4611686018427388000.
pub(crate) fn number_of_double(double: f64) -> Option<Number> {
    if double.fract() == 0.0 && double.abs() < 1e19 {
        // Negative zero reads as the integer 0.
        if let Ok(integer) = text_of_double(double).parse::<i64>() {
            return Some(integer.into());
        }
    }
    Number::from_f64(double)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::strategies;

    #[test]
    fn doubles_are_written_as_go_does() {
        let cases = [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (-1.5, "-1.5"),
            (1e20, "100000000000000000000"),
            (1e21, "1e+21"),
            (-1e21, "-1e+21"),
            (1.5e300, "1.5e+300"),
            (1e-6, "0.000001"),
            (1e-7, "1e-7"),
            (1.5e-6, "0.0000015"),
            (9.999_999_999_999_997e-7, "9.999999999999997e-7"),
            (0.000_012_34, "0.00001234"),
            (1.234_567_890_123_456_7e20, "123456789012345670000"),
            (-1.25e-10, "-1.25e-10"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (9_007_199_254_740_993.0, "9007199254740992"),
            (4_611_686_018_427_387_904.0, "4611686018427388000"),
            // Halfway between two shortest texts: the even digit.
            (978_883_685_969_702.2, "978883685969702.2"),
            (259_511_832_700_274.62, "259511832700274.62"),
        ];
        for (double, text) in cases {
            assert_eq!(canonical_json(&json!(double)), text);
        }
    }

    #[test]
    fn integers_are_exact_in_the_range_of_i64_only() {
        assert_eq!(canonical_json(&json!(i64::MIN)), "-9223372036854775808");
        assert_eq!(canonical_json(&json!(i64::MAX)), "9223372036854775807");
        assert_eq!(canonical_json(&json!(u64::MAX)), "18446744073709552000");
        assert_eq!(
            canonical_json_of_doubles(&json!(i64::MAX)),
            "9223372036854776000"
        );
    }

    #[test]
    fn strings_are_escaped_for_html() {
        let value = json!("\u{8}\u{c}\n\r\t\u{1}\u{1f}\u{7f}\"\\/<>&\u{2028}\u{2029}é😀");
        let text = concat!(
            r#""\u0008\u000c\n\r\t\u0001\u001f"#,
            "\u{7f}",
            r#"\"\\/\u003c\u003e\u0026\u2028\u2029é😀""#
        );
        assert_eq!(canonical_json(&value), text);
    }

    #[test]
    fn members_are_sorted_by_their_bytes() {
        let value =
            json!({"é": 1, "z": 2, "Z": 3, "": 4, "z\u{0}": 5, "\u{10000}": 6, "\u{ffff}": 7});
        assert_eq!(
            canonical_json(&value),
            "{\"\":4,\"Z\":3,\"z\":2,\"z\\u0000\":5,\"é\":1,\"\u{ffff}\":7,\"\u{10000}\":6}"
        );
    }

    #[test]
    fn a_double_reads_back_as_the_integer_its_text_is() {
        let cases = [
            (5.0, json!(5)),
            (-0.0, json!(0)),
            (
                4_611_686_018_427_387_904.0,
                json!(4_611_686_018_427_388_000_i64),
            ),
            (9_223_372_036_854_775_808.0, json!(9.223_372_036_854_776e18)),
            (
                -9_223_372_036_854_775_808.0,
                json!(-9.223_372_036_854_776e18),
            ),
            (0.5, json!(0.5)),
            (1e300, json!(1e300)),
        ];
        for (double, expected) in cases {
            assert_eq!(number_of_double(double).map(Value::Number), Some(expected));
        }
        assert_eq!(number_of_double(f64::NAN), None);
    }

    /// Every number as a double, so that values can be compared across notations.
    fn as_doubles(value: &Value) -> Value {
        match value {
            Value::Number(number) => json!(number.as_f64().unwrap().to_bits()),
            Value::Array(elements) => elements.iter().map(as_doubles).collect(),
            Value::Object(members) => {
                let member = |(name, value): (&String, _)| (name.clone(), as_doubles(value));
                Value::Object(members.iter().map(member).collect())
            }
            other => other.clone(),
        }
    }

    /// How many digits `std` needs, and the value that they have.
    fn shortest_of_std(double: f64) -> (usize, f64) {
        let text = format!("{double:e}");
        let digits = text.split('e').next().unwrap_or_default();
        (
            digits.bytes().filter(u8::is_ascii_digit).count(),
            text.parse().unwrap(),
        )
    }

    proptest! {
        #[test]
        fn the_text_parses_back_to_the_value(value in strategies::json()) {
            let exact: Value = serde_json::from_str(&canonical_json(&value)).unwrap();
            prop_assert_eq!(as_doubles(&exact), as_doubles(&value));
            let doubles: Value = serde_json::from_str(&canonical_json_of_doubles(&value)).unwrap();
            prop_assert_eq!(as_doubles(&doubles), as_doubles(&value));
        }

        #[test]
        fn integers_parse_back_exactly(integer in any::<i64>()) {
            prop_assert_eq!(canonical_json(&json!(integer)).parse(), Ok(integer));
        }

        #[test]
        fn the_text_is_ordered_by_the_bytes_of_the_names(value in strategies::json()) {
            if let Value::Object(members) = &value {
                let mut names: Vec<&String> = members.keys().collect();
                names.sort_by(|left, right| left.as_bytes().cmp(right.as_bytes()));
                let parts: Vec<String> = names
                    .into_iter()
                    .map(|name| format!("{}:{}", canonical_json(&json!(name)), canonical_json(&members[name])))
                    .collect();
                prop_assert_eq!(canonical_json(&value), format!("{{{}}}", parts.join(",")));
            }
        }

        #[test]
        fn doubles_are_as_short_as_they_can_be(double in strategies::double()) {
            let text = text_of_double(double);
            prop_assert_eq!(text.parse::<f64>().unwrap().to_bits(), double.to_bits());
            // As many digits as the independent writer of `std` needs, without zeros at the ends.
            let mantissa = text.split('e').next().unwrap_or_default();
            let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
            let digits = digits.trim_matches('0').len().max(1);
            let (shortest, value) = shortest_of_std(double);
            prop_assert_eq!(value, double);
            prop_assert_eq!(digits, shortest);
            let magnitude = double.abs();
            let scientific = magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude);
            prop_assert_eq!(text.contains('e'), scientific);
        }
    }
}
