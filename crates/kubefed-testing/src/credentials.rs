//! Certificates, keys and tokens of one cluster, made before anything starts.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

use crate::{Error, error::Kind};

/// The user of [`crate::ApiServer::client`]; its group may do everything.
pub(crate) const ADMIN: &str = "kubefed-testing-admin";

pub(crate) struct Credentials {
    pub(crate) token: String,
    pub(crate) authority: PathBuf,
    pub(crate) serving_certificate: PathBuf,
    pub(crate) serving_key: PathBuf,
    pub(crate) service_account_key: PathBuf,
    pub(crate) service_account_public_key: PathBuf,
    pub(crate) tokens: PathBuf,
}

impl Credentials {
    /// Makes everything and writes it below `dir`.
    pub(crate) fn write(dir: &Path, cluster: &str) -> Result<Self, Error> {
        let serving = Serving::new(cluster, "kube-apiserver")?;
        let service_account = KeyPair::generate().map_err(Kind::Certificate)?;
        // The server listens on loopback for as long as a test runs; the token only has to differ
        // from that of the clusters beside it.
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        let token = format!("{cluster}-{:x}", now.as_nanos());

        let write = |name: &str, content: &str| {
            let path = dir.join(name);
            fs::write(&path, content).map_err(|source| Kind::File {
                what: "write",
                path: path.clone(),
                source,
            })?;
            Ok::<_, Error>(path)
        };
        Ok(Self {
            authority: write("ca.crt", &serving.authority)?,
            serving_certificate: write("apiserver.crt", &serving.certificate)?,
            serving_key: write("apiserver.key", &serving.key)?,
            service_account_key: write("service-account.key", &service_account.serialize_pem())?,
            service_account_public_key: write(
                "service-account.pub",
                &service_account.public_key_pem(),
            )?,
            tokens: write(
                "tokens.csv",
                &format!("{token},{ADMIN},{ADMIN},system:masters\n"),
            )?,
            token,
        })
    }
}

/// A certificate for servers on loopback, with its key and an authority of its own, all in PEM.
pub(crate) struct Serving {
    pub(crate) authority: String,
    pub(crate) certificate: String,
    pub(crate) key: String,
}

impl Serving {
    pub(crate) fn new(owner: &str, program: &str) -> Result<Self, Error> {
        let authority_key = KeyPair::generate().map_err(Kind::Certificate)?;
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority
            .distinguished_name
            .push(DnType::CommonName, format!("{owner} authority"));
        let authority_pem = authority
            .self_signed(&authority_key)
            .map_err(Kind::Certificate)?
            .pem();
        let issuer = Issuer::new(authority, &authority_key);

        let serving_key = KeyPair::generate().map_err(Kind::Certificate)?;
        let names = ["127.0.0.1", "localhost", "kubernetes.default.svc"].map(str::to_owned);
        let mut serving = CertificateParams::new(names).map_err(Kind::Certificate)?;
        serving
            .distinguished_name
            .push(DnType::CommonName, format!("{owner} {program}"));
        let serving_pem = serving
            .signed_by(&serving_key, &issuer)
            .map_err(Kind::Certificate)?
            .pem();
        Ok(Self {
            authority: authority_pem,
            certificate: serving_pem,
            key: serving_key.serialize_pem(),
        })
    }
}
