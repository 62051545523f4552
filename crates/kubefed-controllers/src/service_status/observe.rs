//! Reads what the clusters and the host say of one service. Nothing here waits for a cluster.

use std::sync::Arc;

use kubefed_api::{ClusterServiceStatus, QualifiedName};
use kubefed_informer::Lookup;
use kubefed_runtime::ReconcileKey;
use serde_json::{Map, Value};

use super::ServiceStatus;

impl ServiceStatus {
    /// The stored object, never older than the answer to our own last write.
    pub(super) fn stored(&self, name: &QualifiedName) -> Result<Option<Arc<Value>>, String> {
        let key = ReconcileKey::fleet(name.clone());
        let mut latest = self.own_statuses.latest();
        let seen = self.statuses.store().get(name);
        let version = seen.present().map(|raw| raw.resource_version());
        let own = latest.newer_than(&key, version);
        drop(latest);
        if let Some(own) = own {
            return Ok(own);
        }
        match seen {
            Lookup::Absent => Ok(None),
            Lookup::Unknown(why) => Err(why.to_string()),
            Lookup::Present(raw) => match raw.parse() {
                Ok(object) => Ok(Some(Arc::new(object))),
                Err(error) => Err(error.to_string()),
            },
        }
    }

    /// The entries of all ready clusters. What a cluster does not show stays as it is in `stored`.
    pub(super) fn collect(
        &self,
        name: &QualifiedName,
        stored: &[ClusterServiceStatus],
    ) -> Vec<ClusterServiceStatus> {
        let fleet = self.context.fleet.clusters();
        let ready = fleet.iter().filter(|cluster| cluster.is_ready());
        let entry = |cluster_name: &kubefed_api::ClusterName| {
            let service = match self.services.store().get(cluster_name, name) {
                Lookup::Absent => Value::Null,
                Lookup::Present(raw) => raw.parse().unwrap_or_default(),
                Lookup::Unknown(_) => {
                    let known = stored
                        .iter()
                        .find(|entry| entry.cluster_name == *cluster_name);
                    return known.cloned();
                }
            };
            Some(ClusterServiceStatus {
                cluster_name: cluster_name.clone(),
                status: storable(&service["status"]),
            })
        };
        let mut entries: Vec<_> = ready.filter_map(|cluster| entry(cluster.name())).collect();
        entries.sort_by(|a, b| a.cluster_name.cmp(&b.cluster_name));
        entries
    }
}

/// The part of a Service's status that the status type's schema keeps; the server would drop the rest
/// from every write, so that none would ever be found to be as wanted.
fn storable(status: &Value) -> Map<String, Value> {
    let mut storable = kept(status, &["conditions", "loadBalancer"]);
    if let Some(balancer) = storable.get_mut("loadBalancer") {
        let mut fields = kept(balancer, &["ingress"]);
        if let Some(Value::Array(addresses)) = fields.get_mut("ingress") {
            for address in addresses {
                *address = Value::Object(kept(address, &["hostname", "ip", "ports"]));
            }
        }
        *balancer = Value::Object(fields);
    }
    storable
}

fn kept(object: &Value, fields: &[&str]) -> Map<String, Value> {
    let entry = |field: &&str| Some(((*field).to_owned(), object.get(*field)?.clone()));
    fields.iter().filter_map(entry).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_the_schema_keeps_is_storable() {
        let ports = json!([{"port": 80, "protocol": "TCP"}]);
        let conditions = json!([{"type": "Ready", "status": "True"}]);
        let cases = [
            (json!(null), json!({})),
            (json!({"loadBalancer": {}}), json!({"loadBalancer": {}})),
            (
                json!({"conditions": conditions, "novel": 1}),
                json!({"conditions": conditions}),
            ),
            (
                json!({"loadBalancer": {"ingress": [
                    {"ip": "192.0.2.1", "ipMode": "VIP", "ports": ports}, {"hostname": "a.example"},
                ]}}),
                json!({"loadBalancer": {"ingress": [
                    {"ip": "192.0.2.1", "ports": ports}, {"hostname": "a.example"},
                ]}}),
            ),
        ];
        for (status, expected) in cases {
            assert_eq!(Value::Object(storable(&status)), expected, "{status}");
        }
    }
}
