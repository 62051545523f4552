//! Checks of a server's certificate that can be left out one at a time.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use crate::connection::{ConnectionSpec, Malformed, TlsChecks};

/// TLS towards the cluster of a connection.
pub(super) fn client_config(spec: &ConnectionSpec) -> Result<ClientConfig, Malformed> {
    let provider = provider();
    let judge: Arc<dyn ServerCertVerifier> = if spec.trusted_pem().is_empty() {
        system(&provider)?
    } else {
        let roots = Arc::new(roots(spec.trusted_pem())?);
        WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(malformed)?
    };
    config(provider.clone(), judge, spec.tls_checks())
}

/// TLS with the system's authorities and every check.
pub(super) fn system_config() -> Result<ClientConfig, Malformed> {
    let provider = provider();
    config(provider.clone(), system(&provider)?, TlsChecks::default())
}

fn config(
    provider: Arc<CryptoProvider>,
    judge: Arc<dyn ServerCertVerifier>,
    checks: TlsChecks,
) -> Result<ClientConfig, Malformed> {
    let verifier = Verifier {
        judge,
        checks,
        provider: provider.clone(),
    };
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(malformed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(config)
}

/// The program's choice, or ring where it made none.
fn provider() -> Arc<CryptoProvider> {
    let chosen = CryptoProvider::get_default().cloned();
    chosen.unwrap_or_else(|| Arc::new(rustls::crypto::ring::default_provider()))
}

fn system(provider: &Arc<CryptoProvider>) -> Result<Arc<dyn ServerCertVerifier>, Malformed> {
    let verifier = rustls_platform_verifier::Verifier::new(provider.clone());
    Ok(Arc::new(verifier.map_err(malformed)?))
}

fn roots(pem: &[u8]) -> Result<RootCertStore, Malformed> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots
            .add(certificate.map_err(malformed)?)
            .map_err(malformed)?;
    }
    if roots.is_empty() {
        return Err(Malformed::Tls(
            "the CA bundle holds no certificate".to_owned(),
        ));
    }
    Ok(roots)
}

fn malformed(error: impl std::fmt::Display) -> Malformed {
    Malformed::Tls(error.to_string())
}

/// Asks another verifier and forgives what is not to be checked. Signatures of the handshake are always
/// checked, so the server has at least the key of the certificate that it shows.
#[derive(Debug)]
struct Verifier {
    judge: Arc<dyn ServerCertVerifier>,
    checks: TlsChecks,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if !self.checks.verify_chain() {
            return Ok(ServerCertVerified::assertion());
        }
        let judge = |now| {
            self.judge
                .verify_server_cert(leaf, intermediates, name, ocsp, now)
        };
        let mut verdict = judge(now);
        if !self.checks.verify_period() {
            // Each certificate of the chain may have its own period; one moment must suit all.
            for _ in 0..=intermediates.len() {
                match verdict.as_ref().err().and_then(moment) {
                    Some(moment) => verdict = judge(moment),
                    None => break,
                }
            }
        }
        match verdict {
            // The name is what is checked last, so everything else is in order.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if !self.checks.verify_name() => Ok(ServerCertVerified::assertion()),
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider
            .signature_verification_algorithms
            .supported_schemes()
    }
}

/// The moment at which the certificate that is to blame was valid.
fn moment(error: &Error) -> Option<UnixTime> {
    match error {
        Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. }) => {
            Some(*not_after)
        }
        Error::InvalidCertificate(CertificateError::NotValidYetContext { not_before, .. }) => {
            Some(*not_before)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use kubefed_api::TlsValidation;
    use rcgen::{
        BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd,
    };

    use super::*;

    fn authority() -> CertifiedIssuer<'static, KeyPair> {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    }

    fn leaf(
        authority: &CertifiedIssuer<'static, KeyPair>,
        name: &str,
        years: [i32; 2],
    ) -> CertificateDer<'static> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        [params.not_before, params.not_after] = years.map(|year| date_time_ymd(year, 1, 1));
        let key = KeyPair::generate().unwrap();
        params.signed_by(&key, authority).unwrap().der().clone()
    }

    /// informer 6.2 and I11: each check is left out on its own, also beside a proxy.
    #[test]
    fn each_check_is_left_out_on_its_own() {
        let (trusted, other) = (authority(), authority());
        let (now, past, future) = ([2000, 4000], [2000, 2001], [3999, 4000]);
        let certificates = [
            ("valid", leaf(&trusted, "east", now)),
            ("wrong name", leaf(&trusted, "west", now)),
            ("expired", leaf(&trusted, "east", past)),
            ("not yet valid", leaf(&trusted, "east", future)),
            ("expired, wrong name", leaf(&trusted, "west", past)),
            ("unknown issuer", leaf(&other, "east", now)),
        ];
        let mut table = String::new();
        for (what, certificate) in &certificates {
            let outcomes = [
                &[][..],
                &[TlsValidation::SubjectName],
                &[TlsValidation::ValidityPeriod],
                &[TlsValidation::SubjectName, TlsValidation::ValidityPeriod],
                &[TlsValidation::All],
            ]
            .map(|disabled| {
                if accepts(&trusted, certificate, disabled) {
                    "ok"
                } else {
                    "-"
                }
            });
            table += &format!("{what}: {}\n", outcomes.join(" "));
        }
        let expected = "\
valid: ok ok ok ok ok
wrong name: - ok - ok ok
expired: - - ok ok ok
not yet valid: - - ok ok ok
expired, wrong name: - - - ok ok
unknown issuer: - - - - ok
";
        assert_eq!(table, expected);
    }

    fn accepts(
        authority: &CertifiedIssuer<'static, KeyPair>,
        certificate: &CertificateDer<'_>,
        disabled: &[TlsValidation],
    ) -> bool {
        let roots = roots(authority.pem().as_bytes()).unwrap();
        let judge = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider());
        let verifier = Verifier {
            judge: judge.build().unwrap(),
            checks: TlsChecks::without(disabled).unwrap(),
            provider: provider(),
        };
        let name = ServerName::try_from("east").unwrap();
        let now = UnixTime::now();
        verifier
            .verify_server_cert(certificate, &[], &name, &[], now)
            .is_ok()
    }

    #[test]
    fn a_bundle_without_certificates_is_malformed() {
        for pem in [
            "no pem",
            "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
        ] {
            let spec = ConnectionSpec::new("https://east")
                .unwrap()
                .ca_bundle(pem.as_bytes());
            assert!(
                matches!(client_config(&spec), Err(Malformed::Tls(_))),
                "{pem}"
            );
        }
    }
}
