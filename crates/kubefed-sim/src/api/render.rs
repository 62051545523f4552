//! Objects as the text of an answer.

use std::sync::Arc;

use bytes::Bytes;
use serde_json::Value;

use crate::api::{Call, outward};
use crate::clock::Clock;
use crate::object::Object;
use crate::resource::{Resource, Version};
use crate::route::Form;
use crate::table::Include;

/// How the objects of one answer are written.
#[derive(Clone)]
pub(crate) struct Rendering {
    resource: Arc<Resource>,
    version: Version,
    form: Form,
    /// The requested version is the stored one, so that the stored text can be sent as it is.
    stored: bool,
    include: Include,
    clock: Clock,
}

impl Rendering {
    pub(crate) fn of(call: &Call) -> Self {
        let resource = call.resource.clone();
        let stored = resource.storage == call.version.name && resource.rules.renames.is_empty();
        let include = match call.query.text("includeObject") {
            "None" => Include::None,
            "Object" => Include::Object,
            _ => Include::Metadata,
        };
        let (version, form) = (call.version.clone(), call.form);
        Self {
            resource,
            version,
            form,
            stored,
            include,
            clock: call.clock,
        }
    }

    /// One object, as GET and watch events show it.
    pub(crate) fn object(&self, object: &Object) -> Bytes {
        match self.form {
            Form::Metadata => {
                let mut text = Vec::with_capacity(96 + object.metadata_text().len());
                self.metadata(object, &mut text);
                Bytes::from(text)
            }
            Form::Table if self.version.columns.is_some() => self.table(&Value::Null, &[object]),
            _ if self.stored => object.text(),
            _ => Bytes::from(outward(&self.resource, &self.version, object.value()).to_string()),
        }
    }

    /// An object as an item of a list: items of built-in lists do not repeat their type.
    pub(crate) fn item(&self, object: &Object, text: &mut Vec<u8>) {
        match self.form {
            Form::Metadata => self.metadata(object, text),
            _ if self.stored && !self.resource.custom => {
                text.push(b'{');
                text.extend_from_slice(object.tail());
            }
            _ => text.extend_from_slice(&self.object(object)),
        }
    }

    /// Lists of custom resources are no structs, and tell of an absent `continue`.
    pub(crate) fn lists_are_maps(&self) -> bool {
        self.resource.custom && self.form == Form::Whole
    }

    /// `apiVersion` and `kind` of a list.
    pub(crate) fn list_type(&self) -> (String, &str) {
        match self.form {
            Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadataList"),
            _ => (
                self.resource.api_version(&self.version.name),
                &self.resource.list_kind,
            ),
        }
    }

    /// `apiVersion` and `kind` of an object, which bookmarks repeat.
    pub(crate) fn object_type(&self) -> (String, &str) {
        match self.form {
            Form::Metadata => ("meta.k8s.io/v1".to_owned(), "PartialObjectMetadata"),
            _ => (
                self.resource.api_version(&self.version.name),
                &self.resource.kind,
            ),
        }
    }

    /// Objects as a table; none where the kind has no columns or the request wants none.
    pub(crate) fn rows(&self, list: &Value, objects: &[Arc<Object>]) -> Option<Bytes> {
        if self.form != Form::Table || self.version.columns.is_none() {
            return None;
        }
        let objects: Vec<&Object> = objects.iter().map(AsRef::as_ref).collect();
        Some(self.table(list, &objects))
    }

    fn table(&self, list: &Value, objects: &[&Object]) -> Bytes {
        let values: Vec<Value> = objects
            .iter()
            .map(|object| outward(&self.resource, &self.version, object.value()))
            .collect();
        let columns = self.version.columns.as_ref();
        let table =
            columns.map(|columns| columns.table(list, &values, self.include, self.clock.now()));
        Bytes::from(table.unwrap_or_default().to_string())
    }

    fn metadata(&self, object: &Object, text: &mut Vec<u8>) {
        text.extend_from_slice(
            br#"{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":"#,
        );
        text.extend_from_slice(object.metadata_text());
        text.push(b'}');
    }
}
