//! Everything a simulated cluster knows: a plain data structure that only requests, its own loops
//! and injected faults change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::access::{Tokens, User};
use crate::behaviour::{self, Addresses, Kubelets, Queue, Scheduling};
use crate::catalogue::RESOURCES;
use crate::clock::{Clock, rfc3339};
use crate::cluster::ClusterOptions;
use crate::crd;
use crate::fault::Faults;
use crate::json;
use crate::log::Log;
use crate::object::{Key, Object};
use crate::rbac;
use crate::resource::Resource;
use crate::store::{Change, Store};
use crate::webhooks::Reviews;

pub(crate) const NAMESPACES: &str = "namespaces";
pub(crate) const CRDS: &str = "customresourcedefinitions.apiextensions.k8s.io";

pub(crate) struct State {
    pub(crate) store: Store,
    pub(crate) resources: BTreeMap<Arc<str>, Arc<Resource>>,
    pub(crate) options: ClusterOptions,
    pub(crate) clock: Clock,
    pub(crate) random: fastrand::Rng,
    pub(crate) work: Queue,
    pub(crate) scheduling: Scheduling,
    pub(crate) kubelets: Kubelets,
    pub(crate) addresses: Addresses,
    pub(crate) tokens: Tokens,
    pub(crate) admin_token: String,
    pub(crate) faults: Faults,
    pub(crate) log: Log,
    /// Whose request is being served.
    pub(crate) user: User,
    /// How many revisions the reads of the present request are behind.
    pub(crate) behind: u64,
    /// OpenAPI documents by group and version, until a definition changes.
    pub(crate) documents: Option<Arc<BTreeMap<String, Value>>>,
    /// What the answer to the present request warns of.
    pub(crate) warnings: Vec<String>,
    /// What admission webhooks were asked in the course of the present request.
    pub(crate) reviews: Reviews,
}

impl State {
    pub(crate) fn new(options: ClusterOptions, clock: Clock, seed: u64) -> Self {
        let addresses = Addresses::new(&options.name);
        let mut state = Self {
            store: Store::new(options.history_max, clock),
            resources: BTreeMap::new(),
            log: Log::new(options.requests_max),
            user: User::admin(),
            behind: 0,
            documents: None,
            warnings: Vec::new(),
            reviews: Reviews::default(),
            options,
            clock,
            random: fastrand::Rng::with_seed(seed),
            work: Queue::default(),
            scheduling: Scheduling::default(),
            kubelets: Kubelets::default(),
            addresses,
            tokens: Tokens::default(),
            admin_token: String::new(),
            faults: Faults::default(),
        };
        state.admin_token = format!("admin-{}", state.suffix(40));
        state
            .tokens
            .insert(state.admin_token.clone(), User::admin(), None);
        for resource in RESOURCES.iter() {
            if resource.allows("list") {
                state.store.open_table(&resource.table);
            }
            state
                .resources
                .insert(resource.id.clone(), resource.clone());
        }
        for namespace in ["default", "kube-node-lease", "kube-public", "kube-system"] {
            let value = serde_json::json!({ "metadata": { "name": namespace } });
            // The four names are valid and the table is empty.
            let _ = state.insert(NAMESPACES, None, value);
        }
        if state.options.rbac {
            rbac::bootstrap(&mut state);
        }
        behaviour::register(&mut state);
        state.react();
        state
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn timestamp(&self) -> String {
        rfc3339(self.now())
    }

    pub(crate) fn resource(&self, id: &str) -> Option<Arc<Resource>> {
        self.resources.get(id).cloned()
    }

    /// The resource that serves a kind in a group, as owner references name it.
    pub(crate) fn resource_of_kind(&self, api_version: &str, kind: &str) -> Option<Arc<Resource>> {
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        self.resources
            .values()
            .find(|resource| resource.group == group && resource.kind == kind)
            .cloned()
    }

    pub(crate) fn object(
        &self,
        table: &str,
        namespace: Option<&str>,
        name: &str,
    ) -> Option<&Arc<Object>> {
        self.store.get(table, &Key::new(namespace, name))
    }

    /// A version 4 UUID from the seed.
    pub(crate) fn uid(&mut self) -> String {
        let bits = self.random.u128(..);
        let bits = bits & !(0xf << 76) | (0x4 << 76);
        let bits = bits & !(0x3 << 62) | (0x2 << 62);
        let hex = format!("{bits:032x}");
        format!(
            "{}-{}-{}-{}-{}",
            &hex[..8],
            &hex[8..12],
            &hex[12..16],
            &hex[16..20],
            &hex[20..]
        )
    }

    /// Characters for generated names: no vowels, so that no words appear.
    pub(crate) fn suffix(&mut self, length: usize) -> String {
        const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
        (0..length)
            .map(|_| char::from(ALPHABET[self.random.usize(..ALPHABET.len())]))
            .collect()
    }

    /// Lets the cluster's own machinery see what was written.
    pub(crate) fn react(&mut self) {
        loop {
            let changes = self.store.take_unseen();
            if changes.is_empty() {
                return;
            }
            for (table, change) in changes {
                self.observe(&table, &change);
            }
        }
    }

    fn observe(&mut self, table: &Arc<str>, change: &Change) {
        if **table == *CRDS {
            crd::changed(self, change);
            self.documents = None;
        }
        self.tokens.observe(table, change);
        self.scheduling.observe(table, change);
        self.addresses.observe(table, change);
        self.enqueue(table, change);
    }

    /// The groups that are served, core first, then in the order of the catalogue, then by name.
    pub(crate) fn groups(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let builtin = RESOURCES.iter().map(|resource| resource.group.clone());
        let custom = self
            .resources
            .values()
            .filter(|resource| resource.custom)
            .map(|r| r.group.clone());
        builtin
            .chain(custom)
            .filter(|group| seen.insert(group.clone()))
            .collect()
    }

    /// The resources of a group in a stable order: catalogue rows as written, then by name.
    pub(crate) fn resources_of(&self, group: &str) -> Vec<Arc<Resource>> {
        self.resources
            .values()
            .filter(|resource| resource.group == group)
            .cloned()
            .collect()
    }

    /// Stores what became of an object: nothing if it is the same, its end if nothing holds it.
    pub(crate) fn save(&mut self, resource: &Resource, current: &Object, new: Value) {
        if released(resource, &new) {
            self.store.remove(&resource.table, &current.key);
        } else if new != current.value() {
            self.write(&resource.table, &current.key, new);
        }
    }

    /// Takes a finalizer off an object.
    pub(crate) fn release(&mut self, object: &Object, table: &str, finalizer: &str) {
        let Some(resource) = self.resource(table) else {
            return;
        };
        let mut value = object.value();
        let mut finalizers = json::items(&value, "metadata.finalizers").to_vec();
        finalizers.retain(|name| name != finalizer);
        if finalizers.is_empty() {
            json::take(&mut value, "metadata.finalizers");
        } else {
            json::put(&mut value, "metadata.finalizers", finalizers);
        }
        self.save(&resource, object, value);
    }

    /// Writes a value as it is.
    pub(crate) fn write(&mut self, table: &Arc<str>, key: &Key, mut value: Value) -> Arc<Object> {
        self.store.put(table, key, &mut value)
    }
}

/// Whether a deleted object has nothing left to wait for.
pub(crate) fn released(resource: &Resource, value: &Value) -> bool {
    let own = !json::items(value, "metadata.finalizers").is_empty();
    let content = resource.rules.terminates && !json::items(value, "spec.finalizers").is_empty();
    json::at(value, "metadata.deletionTimestamp").is_some()
        && json::number(value, "metadata.deletionGracePeriodSeconds").unwrap_or(0) == 0
        && !own
        && !content
}
