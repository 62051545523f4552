use crate::core::{
    ClusterConditionStatus, ClusterConditionType, KubeFedCluster, KubeFedClusterStatus,
    TlsValidation,
};

use super::dns::broken_subdomain_rules;
use super::go_text::quoted;
use super::go_url::GoUrl;
use super::{FieldErrors, Findings};

impl KubeFedCluster {
    /// Checks a new object.
    ///
    /// Beside the original's rules it refuses endpoints that cannot work: without a host, with a
    /// query, a fragment or user information, or with an IPv6 address outside brackets.
    ///
    /// # Errors
    ///
    /// The rules that the spec breaks.
    pub fn validate_create(&self) -> Result<(), FieldErrors> {
        let mut findings = self.broken_rules();
        if findings.errors.is_empty() {
            check_endpoint_works(&self.spec.api_endpoint, &mut findings);
        }
        findings.verdict()
    }

    /// Checks a changed object. The stricter rules of [`validate_create`](Self::validate_create) apply
    /// only if the endpoint changes, so that clusters which were stored before can still be edited.
    ///
    /// # Errors
    ///
    /// The rules that the new spec breaks.
    pub fn validate_update(&self, old: &Self) -> Result<(), FieldErrors> {
        if self.spec.api_endpoint == old.spec.api_endpoint {
            self.broken_rules().verdict()
        } else {
            self.validate_create()
        }
    }

    /// Checks the status, which is all that a write of the status subresource changes.
    ///
    /// # Errors
    ///
    /// The rules that the status breaks. A missing or empty status breaks none.
    pub fn validate_status(&self) -> Result<(), FieldErrors> {
        let mut findings = Findings::default();
        if let Some(status) = &self.status {
            check_status(status, &mut findings);
        }
        findings.verdict()
    }

    fn broken_rules(&self) -> Findings {
        let mut findings = Findings::default();
        let spec = &self.spec;
        check_endpoint(&spec.api_endpoint, &mut findings);
        findings.named(
            "spec.secretRef.name",
            &spec.secret_ref.name,
            broken_subdomain_rules,
        );
        check_tls_validations(&spec.disabled_tls_validations, &mut findings);
        check_proxy(&spec.proxy_url, &mut findings);
        findings
    }
}

const ENDPOINT: &str = "spec.apiEndpoint";

fn check_endpoint(endpoint: &str, findings: &mut Findings) {
    if endpoint.is_empty() {
        findings.required(ENDPOINT);
        return;
    }
    let url = match parse_endpoint(endpoint) {
        Ok(url) => url,
        Err(reason) => return findings.invalid_text(ENDPOINT, endpoint, reason),
    };
    findings.one_of(ENDPOINT, &url.scheme, &["http", "https"]);
    match url.port() {
        "" => {}
        port => match port.parse::<i64>() {
            Ok(1..=65535) => {}
            Ok(number) => {
                findings.invalid(ENDPOINT, number, "must be between 1 and 65535, inclusive");
            }
            Err(_) => findings.invalid_text(ENDPOINT, port, "error converting port to integer"),
        },
    }
}

/// Reads a URL, or else `host[:port]` as a URL with the scheme https.
fn parse_endpoint(endpoint: &str) -> Result<GoUrl, String> {
    match GoUrl::parse(endpoint) {
        Ok(url) if !url.scheme.is_empty() && !url.host.is_empty() => return Ok(url),
        _ => {}
    }
    let url = GoUrl::parse(&format!("https://{endpoint}"))?;
    match url.path.as_str() {
        "" | "/" => Ok(url),
        _ => Err(format!(
            "host must be a URL or a host:port pair: {}",
            quoted(endpoint)
        )),
    }
}

/// Refuses what passes the original's rules but names no API server.
fn check_endpoint_works(endpoint: &str, findings: &mut Findings) {
    let Ok(url) = parse_endpoint(endpoint) else {
        return;
    };
    let hostname = url.hostname();
    let rules = [
        (hostname.is_empty(), "a host is required"),
        (
            hostname.contains(':') && !url.is_bracketed(),
            "an IPv6 address must be enclosed in brackets",
        ),
        (url.has_user, "user information is not supported"),
        (url.has_query, "a query is not supported"),
        (url.has_fragment, "a fragment is not supported"),
    ];
    for (_, detail) in rules.iter().filter(|(broken, _)| *broken) {
        findings.invalid_text(ENDPOINT, endpoint, *detail);
    }
}

fn check_tls_validations(disabled: &[TlsValidation], findings: &mut Findings) {
    const PATH: &str = "spec.disabledTLSValidations";
    for validation in disabled {
        findings.one_of(PATH, validation.as_str(), TlsValidation::KNOWN);
    }
    if disabled.contains(&TlsValidation::All) && disabled.len() > 1 {
        let list: Vec<_> = disabled
            .iter()
            .map(|validation| quoted(validation.as_str()))
            .collect();
        let list = format!("[]v1beta1.TLSValidation{{{}}}", list.join(", "));
        let detail = "when * is specified, it is expected to be the only option in list";
        findings.invalid(PATH, list, detail);
    }
}

/// The original dies of a proxy URL that does not parse; the error here is the one that it meant.
fn check_proxy(proxy: &str, findings: &mut Findings) {
    const PATH: &str = "spec.proxyURL";
    if proxy.is_empty() {
        return;
    }
    match GoUrl::parse(proxy) {
        Err(_) => findings.invalid_text(PATH, proxy, "error parsing the proxy URL"),
        Ok(url) if !["http", "https", "socks5"].contains(&url.scheme.as_str()) => {
            let detail = "proxy URL scheme must be one of: [http, https, socks5]";
            findings.invalid_text(PATH, proxy, detail);
        }
        Ok(_) => {}
    }
}

/// The time that Go calls zero: the first second of the year 1.
const ZERO_TIME_SECS: i64 = -62_135_596_800;

fn check_status(status: &KubeFedClusterStatus, findings: &mut Findings) {
    for (index, condition) in status.conditions.iter().enumerate() {
        let path = |field| format!("status.conditions[{index}].{field}");
        findings.one_of(
            &path("type"),
            condition.type_.as_str(),
            ClusterConditionType::KNOWN,
        );
        findings.one_of(
            &path("status"),
            condition.status.as_str(),
            ClusterConditionStatus::KNOWN,
        );
        let probed = condition.last_probe_time.as_ref();
        if probed.is_none_or(|time| time.0.as_second() == ZERO_TIME_SECS) {
            findings.required(&path("lastProbeTime"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::check;
    use super::*;
    use crate::core::KubeFedClusterSpec;

    fn at(endpoint: &str) -> KubeFedCluster {
        KubeFedCluster::new("east", KubeFedClusterSpec::new(endpoint, "token"))
    }

    fn with(spec: Value) -> KubeFedCluster {
        let mut cluster = at("https://east");
        let mut fields = serde_json::to_value(&cluster.spec).unwrap();
        fields
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        cluster.spec = serde_json::from_value(fields).unwrap();
        cluster
    }

    /// api 13.6, rules 1-4. The update leaves the endpoint as it is, so the original's rules apply alone.
    #[test]
    fn endpoints_are_judged_by_the_originals_rules() {
        let port = "must be between 1 and 65535, inclusive";
        let cases = [
            ("", "Required value".to_owned()),
            ("tcp://h", r#"Unsupported value: "tcp": supported values: "http", "https""#.into()),
            (
                "https://",
                r#"Invalid value: "https://": host must be a URL or a host:port pair: "https://""#.into(),
            ),
            (
                "example.com/path",
                r#"Invalid value: "example.com/path": host must be a URL or a host:port pair: "example.com/path""#.into(),
            ),
            ("h:0", format!("Invalid value: 0: {port}")),
            ("h:65536", format!("Invalid value: 65536: {port}")),
            (
                "h:-80",
                r#"Invalid value: "h:-80": parse "https://h:-80": invalid port ":-80" after host"#.into(),
            ),
            (
                "h:name",
                r#"Invalid value: "h:name": parse "https://h:name": invalid port ":name" after host"#.into(),
            ),
            (
                "h:99999999999999999999",
                r#"Invalid value: "99999999999999999999": error converting port to integer"#.into(),
            ),
        ];
        for (endpoint, error) in cases {
            let cluster = at(endpoint);
            check(
                cluster.validate_update(&cluster),
                &format!("spec.apiEndpoint: {error}"),
            );
            check(
                cluster.validate_create(),
                &format!("spec.apiEndpoint: {error}"),
            );
        }
        let both = at("tcp://h:0");
        check(
            both.validate_create(),
            r#"[spec.apiEndpoint: Unsupported value: "tcp": supported values: "http", "https", spec.apiEndpoint: Invalid value: 0: must be between 1 and 65535, inclusive]"#,
        );
        for endpoint in [
            "example.com",
            "example.com:443",
            "example.com:443/",
            "[2001:db8::1]:6443",
            "https://h/path/prefix",
            "http://10.0.0.1:8080",
            "10.0.0.1",
            "HTTPS://h",
            "h:",
        ] {
            check(at(endpoint).validate_create(), "");
        }
    }

    /// api 24.43: refused where the endpoint is new, accepted where it was stored before.
    #[test]
    fn endpoints_that_cannot_work_are_refused_once_they_are_new() {
        let cases = [
            (":80", "a host is required"),
            ("https://:80", "a host is required"),
            ("h?x=1", "a query is not supported"),
            ("https://h?", "a query is not supported"),
            ("h#f", "a fragment is not supported"),
            ("user@h", "user information is not supported"),
            (
                "2001:db8::1",
                "an IPv6 address must be enclosed in brackets",
            ),
        ];
        for (endpoint, detail) in cases {
            let error = format!("spec.apiEndpoint: Invalid value: \"{endpoint}\": {detail}");
            check(at(endpoint).validate_create(), &error);
            check(at(endpoint).validate_update(&at("https://h")), &error);
            check(at(endpoint).validate_update(&at(endpoint)), "");
        }
    }

    /// api 13.6, rules 5-9, and 24.18.
    #[test]
    fn secret_tls_and_proxy_are_judged_in_order() {
        let cases = [
            (
                json!({"secretRef": {"name": ""}}),
                "spec.secretRef.name: Required value",
            ),
            (
                json!({"secretRef": {"name": "A"}}),
                r#"spec.secretRef.name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')"#,
            ),
            (json!({"disabledTLSValidations": ["*"]}), ""),
            (
                json!({"disabledTLSValidations": ["SubjectName", "ValidityPeriod"]}),
                "",
            ),
            (
                json!({"disabledTLSValidations": ["", ""]}),
                "spec.disabledTLSValidations: Required value",
            ),
            (
                json!({"disabledTLSValidations": ["SubjectName", "*"]}),
                r#"spec.disabledTLSValidations: Invalid value: []v1beta1.TLSValidation{"SubjectName", "*"}: when * is specified, it is expected to be the only option in list"#,
            ),
            (
                json!({"disabledTLSValidations": ["subjectname"]}),
                r#"spec.disabledTLSValidations: Unsupported value: "subjectname": supported values: "*", "SubjectName", "ValidityPeriod""#,
            ),
            (json!({"proxyURL": "SOCKS5://p:1080"}), ""),
            (
                json!({"proxyURL": "10.0.0.1:3128"}),
                r#"spec.proxyURL: Invalid value: "10.0.0.1:3128": error parsing the proxy URL"#,
            ),
            (
                json!({"proxyURL": "proxy:3128"}),
                r#"spec.proxyURL: Invalid value: "proxy:3128": proxy URL scheme must be one of: [http, https, socks5]"#,
            ),
            (
                json!({"apiEndpoint": "", "secretRef": {"name": ""}, "proxyURL": "ftp://p"}),
                r#"[spec.apiEndpoint: Required value, spec.secretRef.name: Required value, spec.proxyURL: Invalid value: "ftp://p": proxy URL scheme must be one of: [http, https, socks5]]"#,
            ),
        ];
        for (spec, expected) in cases {
            check(with(spec).validate_create(), expected);
        }
    }

    /// api 13.6, status subresource.
    #[test]
    fn conditions_need_known_values_and_a_probe_time() {
        let time = "2026-11-21T09:44:30Z";
        let cases = [
            (json!(null), ""),
            (json!([]), ""),
            (
                json!([{"type": "Ready", "status": "Unknown", "lastProbeTime": time}]),
                "",
            ),
            (
                json!([{"type": "Ready", "status": "True", "lastProbeTime": time}, {}]),
                "[status.conditions[1].type: Required value, status.conditions[1].status: Required value, status.conditions[1].lastProbeTime: Required value]",
            ),
            (
                json!([{"type": "Ready", "status": "True", "lastProbeTime": "0001-01-01T00:00:00Z"}]),
                "status.conditions[0].lastProbeTime: Required value",
            ),
            (
                json!([{"type": "ready", "status": "yes", "lastProbeTime": time}]),
                r#"[status.conditions[0].type: Unsupported value: "ready": supported values: "Ready", "Offline", "ConfigMalformed", status.conditions[0].status: Unsupported value: "yes": supported values: "True", "False", "Unknown"]"#,
            ),
        ];
        for (conditions, expected) in cases {
            // The spec is not looked at.
            let mut cluster = at("");
            cluster.status = serde_json::from_value(json!({"conditions": conditions})).unwrap();
            check(cluster.validate_status(), expected);
        }
    }
}
