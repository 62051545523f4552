//! The tiers: how much is kept of an object that was seen.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use kube::Resource;
use kube::api::ApiResource;
use kube::core::{DynamicObject, TypeMeta};
use kubefed_api::ObservedCopy;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// What an informer keeps of each object.
///
/// Three tiers are ready-made, and a type of one's own may keep just the fields it needs:
///
/// | tier | asks for | keeps |
/// | --- | --- | --- |
/// | [`ObservedCopy`] | metadata | identity, versions and digests: about 300 bytes with its place in the store |
/// | [`RawObject`] | whole objects | compact JSON text, and about 300 bytes |
/// | [`DynamicObject`], [`Typed<K>`](Typed) | whole objects | the decoded object, many times its text |
///
/// `metadata.managedFields` never reaches any of them.
///
/// ```
/// use kubefed_informer::Observed;
/// use serde_json::{Error, Value, json};
///
/// /// Only what a replica count needs.
/// #[derive(Clone, Debug)]
/// struct Replicas(i64);
///
/// impl Observed for Replicas {
///     fn observe(object: Value) -> Result<Self, Error> {
///         Ok(Self(object["spec"]["replicas"].as_i64().unwrap_or(1)))
///     }
///     fn is_same(&self, other: &Self) -> bool {
///         self.0 == other.0
///     }
/// }
/// let web = Replicas::observe(json!({"spec": {"replicas": 3}}))?;
/// assert_eq!(web.0, 3);
/// # Ok::<(), Error>(())
/// ```
pub trait Observed: Clone + fmt::Debug + Send + Sync + 'static {
    /// Whether the server is asked for metadata only (`PartialObjectMetadata`).
    const METADATA_ONLY: bool = false;

    /// Reads an object as the server sent it, save for its managed fields. Objects in lists of built-in
    /// kinds come without `apiVersion` and `kind`.
    ///
    /// # Errors
    ///
    /// The object is not of the expected shape. It is then kept as undecodable and spoils no other.
    fn observe(object: Value) -> Result<Self, serde_json::Error>;

    /// Whether a newer record says the same as this one, so that nobody need be told.
    fn is_same(&self, newer: &Self) -> bool;

    /// Fills in the type where the object came without.
    fn complete_type(&mut self, _resource: &ApiResource) {}
}

impl Observed for ObservedCopy {
    const METADATA_ONLY: bool = true;

    fn observe(object: Value) -> Result<Self, serde_json::Error> {
        Ok(Self::from_metadata(&object))
    }

    fn is_same(&self, newer: &Self) -> bool {
        self.uid() == newer.uid() && self.resource_version() == newer.resource_version()
    }
}

impl Observed for DynamicObject {
    fn observe(object: Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(object)
    }

    fn is_same(&self, newer: &Self) -> bool {
        same_version(&self.metadata, &newer.metadata)
    }

    fn complete_type(&mut self, resource: &ApiResource) {
        self.types.get_or_insert_with(|| TypeMeta {
            api_version: resource.api_version.clone(),
            kind: resource.kind.clone(),
        });
    }
}

/// A whole object as compact JSON text, for kinds whose bodies are compared or copied.
#[derive(Clone)]
pub struct RawObject {
    text: Arc<str>,
    typed: bool,
    version: Arc<str>,
}

impl RawObject {
    /// The JSON text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The resource version; empty if the object has none.
    pub fn resource_version(&self) -> &str {
        self.version
            .split_once('/')
            .map_or("", |(_, version)| version)
    }

    /// The object.
    ///
    /// # Errors
    ///
    /// Never for an object from a store; the text was written from a parsed object.
    pub fn parse(&self) -> Result<Value, serde_json::Error> {
        serde_json::from_str(&self.text)
    }
}

impl fmt::Debug for RawObject {
    /// The text may hold a Secret's data, so it is not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawObject")
            .field("bytes", &self.text.len())
            .field("version", &self.version)
            .finish()
    }
}

impl Observed for RawObject {
    fn observe(object: Value) -> Result<Self, serde_json::Error> {
        let metadata = &object["metadata"];
        let part = |name: &str| metadata[name].as_str().unwrap_or_default();
        Ok(Self {
            // A copy that was deleted and created again could repeat no version of the first.
            version: format!("{}/{}", part("uid"), part("resourceVersion")).into(),
            typed: object.get("kind").is_some(),
            text: serde_json::to_string(&object)?.into(),
        })
    }

    fn is_same(&self, newer: &Self) -> bool {
        self.version == newer.version && self.version.len() > 1
    }

    fn complete_type(&mut self, resource: &ApiResource) {
        if self.typed {
            return;
        }
        let api_version = Value::from(resource.api_version.as_str());
        let kind = Value::from(resource.kind.as_str());
        let rest = self.text.strip_prefix('{').unwrap_or("}");
        let comma = if rest == "}" { "" } else { "," };
        self.text = format!(r#"{{"apiVersion":{api_version},"kind":{kind}{comma}{rest}"#).into();
        self.typed = true;
    }
}

/// A decoded object of a kind known at compile time.
#[derive(Clone)]
pub struct Typed<K>(pub K);

impl<K> Deref for Typed<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.0
    }
}

impl<K: Resource> fmt::Debug for Typed<K> {
    /// The object may be a Secret, so only its name is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Typed").field(&self.0.meta().name).finish()
    }
}

impl<K> Observed for Typed<K>
where
    K: Clone + DeserializeOwned + Resource + Send + Sync + 'static,
{
    fn observe(object: Value) -> Result<Self, serde_json::Error> {
        serde_json::from_value(object).map(Self)
    }

    fn is_same(&self, newer: &Self) -> bool {
        same_version(self.0.meta(), newer.0.meta())
    }
}

fn same_version(old: &kube::core::ObjectMeta, new: &kube::core::ObjectMeta) -> bool {
    old.uid == new.uid
        && old.resource_version == new.resource_version
        && new.resource_version.is_some()
}
