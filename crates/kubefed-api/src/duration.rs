use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A signed span of time in nanoseconds that is read and written in Go's duration syntax.
///
/// Reading takes what Go's `time.ParseDuration` takes: an optional sign, then numbers with units (`ns`,
/// `us`, `µs`, `ms`, `s`, `m`, `h`), or a bare `0`. Writing gives Go's canonical form, in which
/// `60s` is `1m0s` and `1500ms` is `1.5s`. Both are wire facts of KubeFedConfig: an API client that
/// compares text sees the canonical form once the defaults have been filled in.
///
/// ```
/// use kubefed_api::GoDuration;
///
/// let delay: GoDuration = "60s".parse()?;
/// assert_eq!(delay, GoDuration::from_secs(60));
/// assert_eq!(delay.to_string(), "1m0s");
/// assert_eq!("5".parse::<GoDuration>().unwrap_err().to_string(), r#"time: missing unit in duration "5""#);
/// # Ok::<(), kubefed_api::ParseDurationError>(())
/// ```
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct GoDuration {
    nanos: i64,
}

impl GoDuration {
    /// A span of whole nanoseconds.
    pub const fn from_nanos(nanos: i64) -> Self {
        Self { nanos }
    }

    /// A span of whole milliseconds; at the ends of the range (about 292 years) it saturates.
    pub const fn from_millis(millis: i64) -> Self {
        Self::from_nanos(millis.saturating_mul(1_000_000))
    }

    /// A span of whole seconds; at the ends of the range (about 292 years) it saturates.
    pub const fn from_secs(secs: i64) -> Self {
        Self::from_nanos(secs.saturating_mul(NANOS_PER_SEC as i64))
    }

    /// The span in nanoseconds.
    pub const fn as_nanos(self) -> i64 {
        self.nanos
    }

    /// The span as an unsigned one; `None` if it is negative.
    pub fn to_std(self) -> Option<Duration> {
        u64::try_from(self.nanos).ok().map(Duration::from_nanos)
    }
}

impl TryFrom<Duration> for GoDuration {
    type Error = std::num::TryFromIntError;

    fn try_from(duration: Duration) -> Result<Self, Self::Error> {
        i64::try_from(duration.as_nanos()).map(Self::from_nanos)
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = self.nanos.unsigned_abs();
        if self.nanos < 0 {
            f.write_str("-")?;
        }
        match nanos {
            0 => f.write_str("0s"),
            1..1_000 => write!(f, "{nanos}ns"),
            1_000..1_000_000 => write!(f, "{}µs", decimal(nanos, 1_000)),
            1_000_000..NANOS_PER_SEC => write!(f, "{}ms", decimal(nanos, 1_000_000)),
            _ => {
                let (minutes, rest) = (nanos / NANOS_PER_MINUTE, nanos % NANOS_PER_MINUTE);
                if minutes >= 60 {
                    write!(f, "{}h{}m", minutes / 60, minutes % 60)?;
                } else if minutes > 0 {
                    write!(f, "{minutes}m")?;
                }
                write!(f, "{}s", decimal(rest, NANOS_PER_SEC))
            }
        }
    }
}

impl FromStr for GoDuration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = || ParseDurationError::new(format!("invalid duration {text:?}"));
        let (negative, mut rest) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        if rest == "0" {
            return Ok(Self::default());
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        let mut total = 0_u64;
        while !rest.is_empty() {
            let (term, after) = parse_term(text, rest)?;
            total = total
                .checked_add(term)
                .filter(|sum| *sum <= LIMIT)
                .ok_or_else(invalid)?;
            rest = after;
        }
        let nanos = if negative {
            0_i64.checked_sub_unsigned(total)
        } else {
            0_i64.checked_add_unsigned(total)
        };
        nanos.map(Self::from_nanos).ok_or_else(invalid)
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Duration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string" })
    }
}

/// Why a text is not a duration, in the words of Go's `time` package.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("time: {message}")]
pub struct ParseDurationError {
    message: String,
}

impl ParseDurationError {
    fn new(message: String) -> Self {
        Self { message }
    }
}

const NANOS_PER_SEC: u64 = 1_000_000_000;
const NANOS_PER_MINUTE: u64 = 60 * NANOS_PER_SEC;

/// The magnitude of the smallest `i64`, the largest that a sign can still make room for.
const LIMIT: u64 = 1 << 63;

/// `value / unit` without trailing zeros of the fraction.
fn decimal(value: u64, unit: u64) -> String {
    let digits = unit.ilog10() as usize;
    let text = format!("{}.{:0digits$}", value / unit, value % unit);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Reads one number with its unit from the start of `rest`; gives nanoseconds and what follows.
fn parse_term<'a>(text: &str, rest: &'a str) -> Result<(u64, &'a str), ParseDurationError> {
    let invalid = || ParseDurationError::new(format!("invalid duration {text:?}"));
    let (whole, after_whole) = split_digits(rest);
    let (fraction, after) = match after_whole.strip_prefix('.') {
        Some(after_point) => split_digits(after_point),
        None => ("", after_whole),
    };
    if whole.is_empty() && fraction.is_empty() {
        return Err(invalid());
    }
    let unit_end = after
        .find(|c: char| c == '.' || c.is_ascii_digit())
        .unwrap_or(after.len());
    let (unit, after) = after.split_at(unit_end);
    let scale = match unit {
        "" => {
            return Err(ParseDurationError::new(format!(
                "missing unit in duration {text:?}"
            )));
        }
        "ns" => 1,
        // The micro sign and the Greek letter look alike; both are accepted.
        "us" | "\u{b5}s" | "\u{3bc}s" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SEC,
        "m" => NANOS_PER_MINUTE,
        "h" => 60 * NANOS_PER_MINUTE,
        _ => {
            let message = format!("unknown unit {unit:?} in duration {text:?}");
            return Err(ParseDurationError::new(message));
        }
    };
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().map_err(|_| invalid())?
    };
    let nanos = whole
        .checked_mul(scale)
        .and_then(|nanos| nanos.checked_add(fraction_of(fraction, scale)))
        .filter(|nanos| *nanos <= LIMIT)
        .ok_or_else(invalid)?;
    Ok((nanos, after))
}

fn split_digits(text: &str) -> (&str, &str) {
    let end = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    text.split_at(end)
}

/// The share of `scale` that a decimal fraction stands for, rounded towards zero in the floating
/// point arithmetic that Go uses, so that the last nanosecond agrees.
fn fraction_of(digits: &str, scale: u64) -> u64 {
    let (mut value, mut divisor) = (0_u64, 1_f64);
    for digit in digits.bytes().map(|byte| u64::from(byte - b'0')) {
        // Digits beyond the range of i64 cannot change a nanosecond.
        if value > (LIMIT - 1) / 10 {
            break;
        }
        let next = value * 10 + digit;
        if next > LIMIT {
            break;
        }
        value = next;
        divisor *= 10.0;
    }
    (value as f64 * (scale as f64 / divisor)) as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// api 2: durations. The pairs are what Go's `time` package prints and accepts.
    #[test]
    fn durations_are_read_and_written_as_go_does() {
        let cases = [
            ("60s", 60_000_000_000, "1m0s"),
            ("5m", 300_000_000_000, "5m0s"),
            ("1500ms", 1_500_000_000, "1.5s"),
            ("0", 0, "0s"),
            ("-0", 0, "0s"),
            ("+0", 0, "0s"),
            ("300ms", 300_000_000, "300ms"),
            ("1h30m", 5_400_000_000_000, "1h30m0s"),
            ("1.5h", 5_400_000_000_000, "1h30m0s"),
            ("2us", 2_000, "2µs"),
            ("2µs", 2_000, "2µs"),
            ("2μs", 2_000, "2µs"),
            ("1ns", 1, "1ns"),
            ("1100ns", 1_100, "1.1µs"),
            ("-.5s", -500_000_000, "-500ms"),
            ("5.s", 5_000_000_000, "5s"),
            ("1h0.25s", 3_600_250_000_000, "1h0m0.25s"),
            ("+5s", 5_000_000_000, "5s"),
            ("39h9m14.425s", 140_954_425_000_000, "39h9m14.425s"),
            ("0.3333333333333333333h", 1_200_000_000_000, "20m0s"),
            (
                "9223372036854775807ns",
                i64::MAX,
                "2562047h47m16.854775807s",
            ),
            (
                "-9223372036854775808ns",
                i64::MIN,
                "-2562047h47m16.854775808s",
            ),
            ("0.100000000000000000000h", 360_000_000_000, "6m0s"),
        ];
        for (text, nanos, canonical) in cases {
            let duration: GoDuration = text
                .parse()
                .unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(duration.as_nanos(), nanos, "{text}");
            assert_eq!(duration.to_string(), canonical, "{text}");
        }
    }

    /// api 2: any bare number but `0` is a decode error.
    #[test]
    fn bad_durations_are_refused_in_gos_words() {
        let cases = [
            ("", r#"time: invalid duration """#),
            ("3", r#"time: missing unit in duration "3""#),
            ("-", r#"time: invalid duration "-""#),
            ("s", r#"time: invalid duration "s""#),
            (".", r#"time: invalid duration ".""#),
            (".s", r#"time: invalid duration ".s""#),
            ("1d", r#"time: unknown unit "d" in duration "1d""#),
            ("1 s", r#"time: unknown unit " s" in duration "1 s""#),
            ("--1s", r#"time: invalid duration "--1s""#),
            ("inf", r#"time: invalid duration "inf""#),
            (
                "9223372036854775808ns",
                r#"time: invalid duration "9223372036854775808ns""#,
            ),
            ("3000000h", r#"time: invalid duration "3000000h""#),
            (
                "99999999999999999999s",
                r#"time: invalid duration "99999999999999999999s""#,
            ),
        ];
        for (text, message) in cases {
            assert_eq!(text.parse::<GoDuration>().unwrap_err().to_string(), message);
        }
        assert!(serde_json::from_str::<GoDuration>("5").is_err());
        assert!(serde_json::from_str::<GoDuration>("0").is_err());
        assert_eq!(
            serde_json::from_str::<GoDuration>(r#""0""#).unwrap(),
            GoDuration::default()
        );
    }

    #[test]
    fn conversions_refuse_what_does_not_fit() {
        assert_eq!(GoDuration::from_secs(-1).to_std(), None);
        assert_eq!(
            GoDuration::from_millis(1500).to_std(),
            Some(Duration::from_millis(1500))
        );
        assert!(GoDuration::try_from(Duration::MAX).is_err());
        assert_eq!(GoDuration::from_secs(i64::MAX).as_nanos(), i64::MAX);
    }

    proptest! {
        #[test]
        fn every_duration_survives_its_text(nanos: i64) {
            let duration = GoDuration::from_nanos(nanos);
            prop_assert_eq!(duration.to_string().parse::<GoDuration>().unwrap(), duration);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in "[-+]?([0-9.]{0,25}[a-zµ ]{0,3}){0,4}") {
            if let Ok(duration) = text.parse::<GoDuration>() {
                prop_assert_eq!(duration.to_string().parse(), Ok(duration));
            }
        }
    }
}
