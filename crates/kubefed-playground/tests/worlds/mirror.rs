//! What a real cluster holds, followed by watches of kube's own.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use kube::api::DynamicObject;
use kube::runtime::watcher::{self, watcher};
use kube::{Api, Client};
use kubefed_playground::kubefed_api::{QualifiedName, ResourceType};
use serde_json::Value;
use tokio::task::JoinSet;

pub(crate) type Objects = BTreeMap<QualifiedName, Value>;

/// A copy of the followed resources of one cluster, which lags behind a little.
///
/// It shares no code with the informer under test.
pub(crate) struct Mirror {
    client: Client,
    state: Arc<State>,
    followed: Mutex<Vec<ResourceType>>,
    watches: Mutex<JoinSet<()>>,
}

#[derive(Default)]
struct State {
    resources: Mutex<BTreeMap<String, Objects>>,
    changes: AtomicU64,
}

impl Mirror {
    pub(crate) fn of(client: Client) -> Self {
        Self {
            client,
            state: Arc::default(),
            followed: Mutex::default(),
            watches: Mutex::default(),
        }
    }

    pub(crate) fn follow(&self, resource: &ResourceType) {
        let key = resource.qualified_plural();
        let mut resources = self.state.resources.lock().unwrap();
        if resources.contains_key(&key) {
            return;
        }
        resources.insert(key, Objects::new());
        self.watch(resource.clone());
        self.followed.lock().unwrap().push(resource.clone());
    }

    /// Lists everything again: a watch cannot be resumed in a cluster that went back in time.
    pub(crate) fn begin_anew(&self) {
        *self.watches.lock().unwrap() = JoinSet::new();
        for resource in self.followed.lock().unwrap().iter() {
            self.watch(resource.clone());
        }
    }

    fn watch(&self, resource: ResourceType) {
        let watch = follow(self.client.clone(), resource, self.state.clone());
        self.watches.lock().unwrap().spawn(watch);
    }

    /// All objects of a resource, in the order of their names.
    pub(crate) fn with<T>(&self, resource: &ResourceType, read: impl FnOnce(&Objects) -> T) -> T {
        let resources = self.state.resources.lock().unwrap();
        match resources.get(&resource.qualified_plural()) {
            Some(objects) => read(objects),
            None => read(&Objects::new()),
        }
    }

    pub(crate) fn changes(&self) -> u64 {
        self.state.changes.load(Ordering::Relaxed)
    }
}

async fn follow(client: Client, resource: ResourceType, state: Arc<State>) {
    let api: Api<DynamicObject> = Api::all_with(client, &resource.api_resource());
    let mut events = pin!(watcher(api, watcher::Config::default()));
    let mut listed = Objects::new();
    while let Some(event) = events.next().await {
        match event {
            Ok(watcher::Event::Init) => listed.clear(),
            Ok(watcher::Event::InitApply(object)) => {
                listed.insert(name_of(&object), value_of(&object));
            }
            Ok(watcher::Event::InitDone) => {
                let listed = std::mem::take(&mut listed);
                state.change(&resource, |objects| {
                    std::mem::replace(objects, listed) != *objects
                });
            }
            Ok(watcher::Event::Apply(object)) => state.change(&resource, |objects| {
                let value = value_of(&object);
                objects.insert(name_of(&object), value.clone()) != Some(value)
            }),
            Ok(watcher::Event::Delete(object)) => {
                state.change(&resource, |objects| {
                    objects.remove(&name_of(&object)).is_some()
                });
            }
            // The cluster is down, or the kind is not there yet.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

impl State {
    /// Does something to the objects of a resource, which says whether it changed them.
    fn change(&self, resource: &ResourceType, act: impl FnOnce(&mut Objects) -> bool) {
        let mut resources = self.resources.lock().unwrap();
        let objects = resources.entry(resource.qualified_plural()).or_default();
        if act(objects) {
            self.changes.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn name_of(object: &DynamicObject) -> QualifiedName {
    let name = object.metadata.name.as_deref().unwrap_or_default();
    QualifiedName::new(object.metadata.namespace.as_deref(), name)
}

fn value_of(object: &DynamicObject) -> Value {
    serde_json::to_value(object).unwrap()
}
