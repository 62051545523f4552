//! Kubernetes' rules of names, with the texts of Kubernetes 1.22.

use crate::name::is_alphanumeric_with_dashes;

/// The rules of a DNS-1123 subdomain that `text` breaks.
pub(super) fn broken_subdomain_rules(text: &str) -> Vec<String> {
    const FORM: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric \
        characters, '-' or '.', and must start and end with an alphanumeric character (e.g. \
        'example.com', regex used for validation is \
        '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')";
    broken(
        text,
        253,
        text.split('.').all(is_alphanumeric_with_dashes),
        FORM,
    )
}

/// The rules of a DNS-1035 label that `text` breaks.
pub(super) fn broken_label_rules(text: &str) -> Vec<String> {
    const FORM: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or \
        '-', start with an alphabetic character, and end with an alphanumeric character (e.g. \
        'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
    let begins_well = text.starts_with(|first: char| first.is_ascii_lowercase());
    broken(
        text,
        63,
        begins_well && is_alphanumeric_with_dashes(text),
        FORM,
    )
}

fn broken(text: &str, length_max: usize, well_formed: bool, form: &str) -> Vec<String> {
    let too_long = format!("must be no more than {length_max} characters");
    let rules = [
        (text.len() > length_max, too_long),
        (!well_formed, form.to_owned()),
    ];
    rules
        .into_iter()
        .filter_map(|(broken, rule)| broken.then_some(rule))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// api 13.5 and 13.6: one text for the length, one for the form.
    #[test]
    fn length_and_form_are_separate_rules() {
        let long = "a".repeat(64);
        let long_and_odd = format!("{}-", "a".repeat(253));
        let cases: [(&str, usize, usize); 9] = [
            // text, broken rules of a subdomain, of a label
            ("a", 0, 0),
            ("a-b.c", 0, 1),
            ("0a", 0, 1),
            ("", 1, 1),
            ("A", 1, 1),
            ("a..b", 1, 1),
            ("a-", 1, 1),
            (&long, 0, 1),
            (&long_and_odd, 2, 2),
        ];
        for (text, subdomain, label) in cases {
            assert_eq!(
                broken_subdomain_rules(text).len(),
                subdomain,
                "subdomain {text:?}"
            );
            assert_eq!(broken_label_rules(text).len(), label, "label {text:?}");
        }
        assert_eq!(
            broken_label_rules(&long),
            ["must be no more than 63 characters"]
        );
    }
}
