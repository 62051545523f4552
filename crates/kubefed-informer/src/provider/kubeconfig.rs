use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tokio::sync::watch;

use super::{Access, ClusterProvider, ClusterSet, ClusterSpec};
use crate::connection::Malformed;
use crate::error::Error;

/// The contexts of a kubeconfig as clusters, with whatever credentials they use.
///
/// The file is read once. Cluster names are context names; there are no labels.
#[derive(Debug)]
pub struct KubeconfigContexts(watch::Sender<ClusterSet>);

impl KubeconfigContexts {
    /// All contexts of a kubeconfig. A context from which no client can be made is a malformed cluster
    /// and does not affect the others. Without the feature `tls` that is each whose endpoint is not http.
    ///
    /// # Errors
    ///
    /// The kubeconfig has no contexts.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub async fn new(kubeconfig: Kubeconfig) -> Result<Self, Error> {
        let mut clusters = Vec::new();
        for context in &kubeconfig.contexts {
            let access = Access::from(client(&kubeconfig, &context.name).await);
            clusters.push(ClusterSpec::new(context.name.as_str(), access));
        }
        if clusters.is_empty() {
            return Err(Error::kubeconfig("it has no contexts"));
        }
        Ok(Self(watch::Sender::new(ClusterSet::synced(clusters))))
    }

    /// All contexts of the kubeconfig that kubectl would use: the files that `KUBECONFIG` names, or
    /// `~/.kube/config`.
    ///
    /// # Errors
    ///
    /// There is none, it cannot be read, or it has no contexts.
    pub async fn from_environment() -> Result<Self, Error> {
        Self::new(Kubeconfig::read().map_err(Error::kubeconfig)?).await
    }
}

impl ClusterProvider for KubeconfigContexts {
    fn clusters(&self) -> watch::Receiver<ClusterSet> {
        self.0.subscribe()
    }
}

async fn client(kubeconfig: &Kubeconfig, context: &str) -> Result<Client, Malformed> {
    let options = KubeConfigOptions {
        context: Some(context.to_owned()),
        ..KubeConfigOptions::default()
    };
    let rejected = |error: &dyn std::error::Error| Malformed::Rejected(error.to_string());
    let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options)
        .await
        .map_err(|error| rejected(&error))?;
    over_network(config)
}

#[cfg(feature = "tls")]
fn over_network(config: Config) -> Result<Client, Malformed> {
    crate::https_client(&config)
}

#[cfg(not(feature = "tls"))]
fn over_network(mut config: Config) -> Result<Client, Malformed> {
    // Hidden retries would repeat writes for minutes.
    config.default_retry = false;
    Client::try_from(config).map_err(|error| Malformed::Rejected(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KUBECONFIG: &str = "
apiVersion: v1
kind: Config
clusters:
- {name: east, cluster: {server: 'http://east.example:8080'}}
users:
- {name: me, user: {token: s3cret}}
contexts:
- {name: east, context: {cluster: east, user: me}}
- {name: broken, context: {cluster: nowhere, user: me}}
";

    #[tokio::test]
    async fn contexts_are_clusters_and_a_broken_one_is_malformed_by_itself() {
        let contexts = KubeconfigContexts::new(Kubeconfig::from_yaml(KUBECONFIG).unwrap());
        let set = contexts.await.unwrap().clusters().borrow().clone();
        assert!(set.is_synced());
        let access = |name: &str| format!("{:?}", set.get(&name.into()).unwrap().access());
        assert_eq!(access("east"), "Client(..)");
        assert!(
            access("broken").starts_with("Malformed("),
            "{}",
            access("broken")
        );
        let none = KubeconfigContexts::new(Kubeconfig::default())
            .await
            .unwrap_err();
        assert_eq!(
            none.to_string(),
            "the kubeconfig cannot be used: it has no contexts"
        );
    }
}
