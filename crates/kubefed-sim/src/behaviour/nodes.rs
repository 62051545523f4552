//! The machines of a cluster.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::state::State;

/// A simulated node: a name, labels and a finite capacity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeOptions {
    name: String,
    cpu_millis: u64,
    memory_mib: u64,
    pods: u32,
    labels: BTreeMap<String, String>,
}

impl NodeOptions {
    /// A node with 4 CPUs, 16 GiB of memory and room for 110 pods.
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        let labels = [
            ("kubernetes.io/arch", "amd64"),
            ("kubernetes.io/hostname", &*name),
            ("kubernetes.io/os", "linux"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        Self {
            name,
            cpu_millis: 4_000,
            memory_mib: 16 * 1024,
            pods: 110,
            labels,
        }
    }

    /// Capacity in thousandths of a CPU.
    #[must_use]
    pub fn cpu_millis(mut self, millis: u64) -> Self {
        self.cpu_millis = millis;
        self
    }

    /// Capacity in MiB of memory.
    #[must_use]
    pub fn memory_mib(mut self, mib: u64) -> Self {
        self.memory_mib = mib;
        self
    }

    /// The number of pods there is room for.
    #[must_use]
    pub fn pods(mut self, pods: u32) -> Self {
        self.pods = pods;
        self
    }

    /// The label `topology.kubernetes.io/region`.
    #[must_use]
    pub fn region(self, region: impl Into<String>) -> Self {
        self.label("topology.kubernetes.io/region", region)
    }

    /// The label `topology.kubernetes.io/zone`.
    #[must_use]
    pub fn zone(self, zone: impl Into<String>) -> Self {
        self.label("topology.kubernetes.io/zone", zone)
    }

    /// Any label.
    #[must_use]
    pub fn label(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.labels.insert(key.into(), value.into());
        self
    }

    fn object(&self, index: usize, now: &str, version: &str) -> Value {
        let capacity = json!({
            "cpu": format!("{}m", self.cpu_millis),
            "memory": format!("{}Mi", self.memory_mib),
            "pods": self.pods.to_string(),
        });
        let ready = json!({
            "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "kubelet is posting ready status",
            "lastHeartbeatTime": now, "lastTransitionTime": now,
        });
        json!({
            "metadata": { "name": self.name, "labels": self.labels },
            "spec": { "podCIDR": format!("10.244.{}.0/24", index % 256) },
            "status": {
                "capacity": capacity, "allocatable": capacity, "conditions": [ready],
                "addresses": [
                    { "type": "InternalIP", "address": format!("192.168.{}.{}", index / 250, index % 250 + 1) },
                    { "type": "Hostname", "address": self.name },
                ],
                "nodeInfo": {
                    "kubeletVersion": version, "kubeProxyVersion": "", "osImage": "simulated", "architecture": "amd64",
                    "operatingSystem": "linux", "kernelVersion": "", "containerRuntimeVersion": "simulated://1",
                    "machineID": "", "systemUUID": "", "bootID": "",
                },
            },
        })
    }
}

/// Registers the nodes of a new cluster.
pub(crate) fn register(state: &mut State) {
    let (now, version) = (state.timestamp(), state.options.version.clone());
    for (index, node) in state.options.nodes.clone().iter().enumerate() {
        // A node with an invalid name or one that is taken does not register, as in life.
        let _ = state.insert("nodes", None, node.object(index, &now, &version));
    }
}
