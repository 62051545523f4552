//! An object on its way from the wire into a store.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use kube::Resource;
use kube::api::ApiResource;
use kube::core::{DynamicResourceScope, ObjectMeta};
use kubefed_api::WithoutManagedFields;
use serde::{Deserialize, Deserializer};
use serde_json::Value;

use crate::observed::Observed;

/// What kube's watcher is given as its object type: the little metadata that it needs, and the record.
///
/// The record is made while the answer is decoded, so that a page of a list never exists as decoded
/// objects; an object that cannot be decoded is an error of its own and not of the list.
#[derive(Clone)]
pub(crate) struct Received<T> {
    /// Name, namespace and resource version only.
    pub(crate) metadata: ObjectMeta,
    pub(crate) record: Result<T, Arc<str>>,
}

impl<T: Observed> Received<T> {
    fn new(object: Value) -> Self {
        let text = |name: &str| object["metadata"][name].as_str().map(str::to_owned);
        let metadata = ObjectMeta {
            name: text("name"),
            namespace: text("namespace"),
            resource_version: text("resourceVersion"),
            ..ObjectMeta::default()
        };
        Self {
            metadata,
            record: T::observe(object).map_err(|error| error.to_string().into()),
        }
    }
}

impl<T> fmt::Debug for Received<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Received")
            .field(&self.metadata.name)
            .finish()
    }
}

impl<T: Observed> Resource for Received<T> {
    type DynamicType = ApiResource;
    type Scope = DynamicResourceScope;

    fn metadata_api() -> bool {
        T::METADATA_ONLY
    }

    fn kind(resource: &ApiResource) -> Cow<'_, str> {
        resource.kind.as_str().into()
    }

    fn group(resource: &ApiResource) -> Cow<'_, str> {
        resource.group.as_str().into()
    }

    fn version(resource: &ApiResource) -> Cow<'_, str> {
        resource.version.as_str().into()
    }

    fn api_version(resource: &ApiResource) -> Cow<'_, str> {
        resource.api_version.as_str().into()
    }

    fn plural(resource: &ApiResource) -> Cow<'_, str> {
        resource.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

impl<'de, T: Observed> serde::Deserialize<'de> for Received<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let WithoutManagedFields(object) = Deserialize::deserialize(deserializer)?;
        Ok(Self::new(object))
    }
}

#[cfg(test)]
mod tests {
    use kube::api::WatchEvent;
    use kubefed_api::{KubeFedCluster, ObservedCopy};
    use serde_json::json;

    use super::*;
    use crate::observed::{RawObject, Typed};

    fn object() -> Value {
        json!({
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": "web", "namespace": "shop", "uid": "u1", "resourceVersion": "7",
                "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:data": {}}}],
            },
            "data": {"managedFields": "kept"},
        })
    }

    fn decode<T: Observed>(event: &str) -> Received<T> {
        match serde_json::from_str(event).unwrap() {
            WatchEvent::Added(received) => received,
            other => panic!("{other:?}"),
        }
    }

    /// A test double may send `object` before `type`, which makes the decoder buffer the object.
    #[test]
    fn an_event_is_decoded_in_either_order_of_its_fields() {
        let object = object();
        let events = [
            format!(r#"{{"type":"ADDED","object":{object}}}"#),
            format!(r#"{{"object":{object},"type":"ADDED"}}"#),
        ];
        for event in events {
            let raw = decode::<RawObject>(&event);
            assert_eq!(raw.metadata.name.as_deref(), Some("web"));
            let text = raw.record.unwrap();
            let mut expected = object.clone();
            expected["metadata"]
                .as_object_mut()
                .unwrap()
                .remove("managedFields");
            assert_eq!(text.parse().unwrap(), expected);

            let copy = decode::<ObservedCopy>(&event).record.unwrap();
            assert_eq!((copy.uid(), copy.resource_version()), ("u1", "7"));
        }
    }

    #[test]
    fn an_item_of_a_list_gets_its_type_from_the_watch() {
        let resource = ApiResource {
            group: String::new(),
            version: "v1".to_owned(),
            api_version: "v1".to_owned(),
            kind: "ConfigMap".to_owned(),
            plural: "configmaps".to_owned(),
        };
        let mut item = object();
        item.as_object_mut().unwrap().remove("kind");
        item.as_object_mut().unwrap().remove("apiVersion");
        for (value, expected) in [
            (item, json!("ConfigMap")),
            (object(), json!("ConfigMap")),
            (json!({}), json!("ConfigMap")),
        ] {
            let mut raw = RawObject::observe(value).unwrap();
            raw.complete_type(&resource);
            assert_eq!(raw.parse().unwrap()["kind"], expected);
            assert_eq!(raw.parse().unwrap()["apiVersion"], json!("v1"));
        }
    }

    #[test]
    fn an_undecodable_object_is_an_error_of_its_own() {
        let item = json!({"metadata": {"name": "east"}, "spec": "no spec"});
        let list = json!({"metadata": {"resourceVersion": "1"}, "items": [item]});
        let list: kube::core::ObjectList<Received<Typed<KubeFedCluster>>> =
            serde_json::from_value(list).unwrap();
        assert_eq!(list.items[0].metadata.name.as_deref(), Some("east"));
        assert!(list.items[0].record.is_err());
    }
}
