//! A few words in which schemas are written down, and the removal of what derives add to them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};

pub(super) fn string() -> JSONSchemaProps {
    typed("string")
}

pub(super) fn boolean() -> JSONSchemaProps {
    typed("boolean")
}

/// `format` is `int32` or `int64`.
pub(super) fn integer(format: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        format: Some(format.to_owned()),
        ..typed("integer")
    }
}

pub(super) fn date_time() -> JSONSchemaProps {
    JSONSchemaProps {
        format: Some("date-time".to_owned()),
        ..string()
    }
}

/// An object whose content is nobody's business here, such as a template.
pub(super) fn free_object() -> JSONSchemaProps {
    JSONSchemaProps {
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..typed("object")
    }
}

/// Anything at all.
pub(super) fn free_value() -> JSONSchemaProps {
    JSONSchemaProps {
        x_kubernetes_preserve_unknown_fields: Some(true),
        ..JSONSchemaProps::default()
    }
}

/// An object with these properties, of which those named in `required` must be there.
pub(super) fn object<const N: usize>(
    required: &[&str],
    properties: [(&str, JSONSchemaProps); N],
) -> JSONSchemaProps {
    let properties = properties.map(|(name, schema)| (name.to_owned(), schema));
    JSONSchemaProps {
        properties: Some(properties.into()),
        required: strings(required),
        ..typed("object")
    }
}

/// An object with these values and keys of any name.
pub(super) fn map_of(values: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        additional_properties: Some(JSONSchemaPropsOrBool::Schema(Box::new(values))),
        ..typed("object")
    }
}

pub(super) fn list_of(items: JSONSchemaProps) -> JSONSchemaProps {
    JSONSchemaProps {
        items: Some(JSONSchemaPropsOrArray::Schema(Box::new(items))),
        ..typed("array")
    }
}

/// Adds to the root of a schema what every object has.
pub(super) fn with_header(mut root: JSONSchemaProps) -> JSONSchemaProps {
    let properties = root.properties.get_or_insert_default();
    for (name, schema) in [
        ("apiVersion", string()),
        ("kind", string()),
        ("metadata", typed("object")),
    ] {
        properties.insert(name.to_owned(), schema);
    }
    root
}

/// Removes what a derive adds and the original's schemas do not have: texts for people, defaults and
/// constraints of values. Rules about values live in validation alone.
pub(super) fn strip(schema: &mut JSONSchemaProps) {
    let JSONSchemaProps {
        title,
        description,
        default,
        nullable,
        enum_,
        minimum,
        maximum,
        ..
    } = schema;
    (*title, *description, *default, *nullable) = (None, None, None, None);
    (*enum_, *minimum, *maximum) = (None, None, None);
    for property in schema
        .properties
        .iter_mut()
        .flat_map(|properties| properties.values_mut())
    {
        strip(property);
    }
    if let Some(JSONSchemaPropsOrArray::Schema(items)) = &mut schema.items {
        strip(items);
    }
    if let Some(JSONSchemaPropsOrBool::Schema(values)) = &mut schema.additional_properties {
        strip(values);
    }
}

fn typed(type_: &str) -> JSONSchemaProps {
    JSONSchemaProps {
        type_: Some(type_.to_owned()),
        ..JSONSchemaProps::default()
    }
}

pub(super) fn strings(list: &[&str]) -> Option<Vec<String>> {
    (!list.is_empty()).then(|| list.iter().map(|&text| text.to_owned()).collect())
}
