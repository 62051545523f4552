//! Kubernetes quantities as exact integers of thousandths.

/// Suffixes and their factors in thousandths, longest first.
const SUFFIXES: [(&str, i128); 13] = [
    ("Ki", 1_000 << 10),
    ("Mi", 1_000 << 20),
    ("Gi", 1_000 << 30),
    ("Ti", 1_000 << 40),
    ("Pi", 1_000 << 50),
    ("Ei", 1_000 << 60),
    ("m", 1),
    ("k", 1_000_000),
    ("M", 1_000_000_000),
    ("G", 1_000_000_000_000),
    ("T", 1_000_000_000_000_000),
    ("P", 1_000_000_000_000_000_000),
    ("E", 1_000_000_000_000_000_000_000),
];

/// A quantity such as `250m`, `1.5` or `64Mi` in thousandths, rounded up; none where it is malformed.
pub(crate) fn millis(text: &str) -> Option<i128> {
    parse(text).map(|(millis, _)| millis)
}

/// The quantity as the server writes it: with the greatest suffix that leaves a whole number. None
/// where it is malformed or finer than thousandths.
pub(crate) fn canonical(text: &str) -> Option<String> {
    let (millis, exact) = parse(text)?;
    if !exact {
        return None;
    }
    let binary = text.trim().ends_with('i') && millis.unsigned_abs() >= 1_024_000;
    let (mut number, factor, suffixes): (_, _, &[&str]) = if binary {
        if millis % 1_000 != 0 {
            return None;
        }
        (
            millis / 1_000,
            1_024,
            &["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"],
        )
    } else {
        (millis, 1_000, &["m", "", "k", "M", "G", "T", "P", "E"])
    };
    if number == 0 {
        return Some("0".to_owned());
    }
    let mut suffix = 0;
    while number % factor == 0 && suffix + 1 < suffixes.len() {
        number /= factor;
        suffix += 1;
    }
    Some(format!("{number}{}", suffixes[suffix]))
}

/// Thousandths, and whether they are all of it.
fn parse(text: &str) -> Option<(i128, bool)> {
    let text = text.trim();
    let (number, factor) = SUFFIXES
        .iter()
        .find_map(|(suffix, factor)| text.strip_suffix(suffix).map(|number| (number, *factor)))
        .unwrap_or((text, 1_000));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() || fraction.len() > 18 {
        return None;
    }
    let digits = |text: &str| {
        if text.is_empty() {
            Some(0)
        } else {
            text.parse::<i128>().ok()
        }
    };
    let scale = 10_i128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
    let fraction = if fraction.starts_with(['+', '-']) {
        return None;
    } else {
        digits(fraction)?
    };
    let whole = digits(whole)?.checked_mul(factor)?;
    let part = fraction.checked_mul(factor)?;
    let exact = part % scale == 0;
    let part = (part + scale - 1) / scale;
    let millis = if number.starts_with('-') {
        whole - part
    } else {
        whole + part
    };
    Some((millis, exact))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_are_read_exactly() {
        for (text, expected) in [
            ("1", Some(1_000)),
            ("250m", Some(250)),
            ("1.5", Some(1_500)),
            ("0.0001", Some(1)),
            ("1Ki", Some(1_024_000)),
            ("1.5Gi", Some(1_610_612_736_000)),
            ("2k", Some(2_000_000)),
            ("16Ei", Some(18_446_744_073_709_551_616_000)),
            ("-1", Some(-1_000)),
            ("", None),
            ("m", None),
            ("1x", None),
            ("1.-5", None),
        ] {
            assert_eq!(millis(text), expected, "{text}");
        }
    }

    #[test]
    fn quantities_are_written_canonically() {
        for (text, expected) in [
            ("1000m", Some("1")),
            ("0.5", Some("500m")),
            ("2000", Some("2k")),
            ("0.5Gi", Some("512Mi")),
            ("1.5Ki", Some("1536")),
            ("1024Ki", Some("1Mi")),
            ("1Ki", Some("1Ki")),
            ("0", Some("0")),
            ("1e3", None),
            ("0.0001", None),
        ] {
            assert_eq!(canonical(text).as_deref(), expected, "{text}");
        }
    }
}
