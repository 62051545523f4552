use kubefed_sim::Serving;
use serde_json::{Value, json};

use crate::{Error, Playground};

/// A playground on loopback ports, for kubectl. Dropping it closes the ports.
#[derive(Debug)]
pub struct Served {
    /// Open as long as these live.
    _clusters: Vec<Serving>,
    kubeconfig: Value,
}

impl Playground {
    /// Serves the host and every member over plain HTTP, each on a loopback port of the system's
    /// choice.
    ///
    /// # Errors
    ///
    /// A port cannot be opened.
    pub async fn serve(&self) -> Result<Served, Error> {
        let mut kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "host",
            "clusters": [], "users": [], "contexts": [],
        });
        let mut clusters = Vec::new();
        let members = self.members().map(|(_, member)| member);
        for cluster in std::iter::once(self.host()).chain(members) {
            let step = || format!("serve {}", cluster.name());
            let served = cluster.serve(0).await;
            let served = served.map_err(|error| Error::said(step(), error.to_string()))?;
            let one = served.kubeconfig().and_then(serde_json::to_value);
            let mut one = one.map_err(|error| Error::said(step(), error.to_string()))?;
            for part in ["clusters", "users", "contexts"] {
                if let (Some(all), Value::Array(mut own)) =
                    (kubeconfig[part].as_array_mut(), one[part].take())
                {
                    all.append(&mut own);
                }
            }
            clusters.push(served);
        }
        Ok(Served {
            _clusters: clusters,
            kubeconfig,
        })
    }
}

impl Served {
    /// A kubeconfig in JSON, with a context for each cluster: `host`, `member-1`, ... Whoever reads it
    /// is an administrator of them all.
    pub fn kubeconfig(&self) -> String {
        self.kubeconfig.to_string()
    }

    /// The names of the contexts.
    pub fn contexts(&self) -> Vec<&str> {
        let contexts = self.kubeconfig["contexts"].as_array().into_iter().flatten();
        contexts
            .filter_map(|context| context["name"].as_str())
            .collect()
    }
}
