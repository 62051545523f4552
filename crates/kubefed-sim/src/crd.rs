//! CustomResourceDefinitions: from the object to a served resource.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::builtin;
use crate::conditions::Condition;
use crate::json;
use crate::object::Object;
use crate::resource::{Resource, Rules, Scale, Version};
use crate::schema::Schema;
use crate::state::{CRDS, State};
use crate::store::Change;
use crate::table::Columns;

/// Serves, changes or withdraws the resource that a definition declares.
pub(crate) fn changed(state: &mut State, change: &Change) {
    let definition = change.new.value();
    let id = change.new.key.name();
    if change.removed {
        state.resources.remove(id);
        state.store.drop_table(id);
        return;
    }
    let conflict = name_conflict(state, id, &definition);
    if conflict.is_none() || state.resources.contains_key(id) {
        let resource = resource(&definition);
        state.store.open_table(&resource.table);
        state
            .resources
            .insert(resource.id.clone(), Arc::new(resource));
    }
    publish_status(state, &change.new, definition, conflict.as_ref());
}

/// The resource that a valid definition declares.
fn resource(definition: &Value) -> Resource {
    let names = &definition["spec"]["names"];
    let owned = |path: &str| json::text(names, path).to_owned();
    let list = |path: &str| {
        json::items(names, path)
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    };
    let mut versions: Vec<&Value> = json::items(definition, "spec.versions").iter().collect();
    let storage = versions
        .iter()
        .find(|version| version["storage"] == json!(true));
    let storage = storage
        .map_or("", |version| json::text(version, "name"))
        .to_owned();
    versions.retain(|version| version["served"] == json!(true));
    versions.sort_by_key(|version| {
        std::cmp::Reverse(kube::core::Version::parse(json::text(version, "name")).priority())
    });
    let id: Arc<str> = json::text(definition, "metadata.name").into();
    Resource {
        table: id.clone(),
        id,
        group: json::text(definition, "spec.group").to_owned(),
        kind: owned("kind"),
        list_kind: owned("listKind"),
        plural: owned("plural"),
        singular: owned("singular"),
        short_names: list("shortNames"),
        categories: list("categories"),
        namespaced: json::text(definition, "spec.scope") == "Namespaced",
        custom: true,
        versions: versions.into_iter().map(version).collect(),
        storage,
        rules: Rules::CUSTOM,
    }
}

fn version(version: &Value) -> Version {
    let path = |path: &str| json::text(version, path).trim_start_matches('.').to_owned();
    let scale = json::at(version, "subresources.scale").map(|_| Scale {
        replicas: path("subresources.scale.specReplicasPath"),
        status_replicas: path("subresources.scale.statusReplicasPath"),
        selector: Some(path("subresources.scale.labelSelectorPath"))
            .filter(|path| !path.is_empty()),
    });
    let declared = json::at(version, "schema.openAPIV3Schema");
    let fields = json::items(version, "selectableFields").iter();
    let name = json::text(version, "name").to_owned();
    let warning = (version["deprecated"] == json!(true)).then(|| {
        match json::text(version, "deprecationWarning") {
            "" => format!("version {name} is deprecated"),
            warning => warning.to_owned(),
        }
    });
    Version {
        name,
        status: version
            .pointer("/subresources/status")
            .is_some_and(|status| !status.is_null()),
        scale,
        fields: fields
            .map(|f| json::text(f, "jsonPath").trim_start_matches('.').to_owned())
            .collect(),
        warning,
        schema: declared
            .map(|declared| Schema::of_custom_resource(declared, &builtin::DEFINITIONS)),
        #[cfg(feature = "cel")]
        rules: declared.and_then(crate::cel::Rules::of).map(Arc::new),
        declared: declared.map(|declared| Arc::new(declared.clone())),
        columns: Some(Arc::new(Columns::of_custom_resource(
            version.get("additionalPrinterColumns"),
        ))),
    }
}

/// A name of this definition that another resource of the group already has: its reason and message.
fn name_conflict(state: &State, id: &str, definition: &Value) -> Option<(&'static str, String)> {
    let wanted = resource(definition);
    let others = || {
        state
            .resources
            .values()
            .filter(|r| r.group == wanted.group && &*r.id != id)
    };
    let taken = |name: &str| {
        others().any(|r| {
            r.plural == name || r.singular == name || r.short_names.iter().any(|s| s == name)
        })
    };
    let kind_taken = |kind: &str| others().any(|r| r.kind == kind || r.list_kind == kind);
    let message = |name: &str| format!("{name:?} is already in use");
    if kind_taken(&wanted.kind) {
        return Some(("KindConflict", message(&wanted.kind)));
    }
    if kind_taken(&wanted.list_kind) {
        return Some(("ListKindConflict", message(&wanted.list_kind)));
    }
    if taken(&wanted.singular) {
        return Some(("SingularConflict", message(&wanted.singular)));
    }
    let short = wanted.short_names.iter().find(|name| taken(name));
    short.map(|name| ("ShortNamesConflict", message(name)))
}

/// Writes the conditions as the server's own controllers do, once they differ.
fn publish_status(
    state: &mut State,
    object: &Object,
    mut definition: Value,
    conflict: Option<&(&'static str, String)>,
) {
    let before = definition.clone();
    let now = state.timestamp();
    let served = state.resources.contains_key(object.key.name());
    let (reason, message) = match conflict {
        None => ("NoConflicts", "no conflicts found"),
        Some((reason, message)) => (*reason, &**message),
    };
    Condition::new("NamesAccepted", conflict.is_none(), reason, message).set(&mut definition, &now);
    if conflict.is_none() {
        let message = "the initial names have been accepted";
        Condition::new("Established", true, "InitialNamesAccepted", message)
            .set(&mut definition, &now);
    } else if !served {
        let message = "not all names are accepted";
        Condition::new("Established", false, "NotAccepted", message).set(&mut definition, &now);
    }
    if object.deleting {
        let message = "CustomResource deletion is in progress";
        Condition::new("Terminating", true, "InstanceDeletionInProgress", message)
            .set(&mut definition, &now);
    }
    if conflict.is_none() {
        let names = definition["spec"]["names"].clone();
        json::put(&mut definition, "status.acceptedNames", names);
    }
    let storage = resource(&definition).storage;
    let mut stored = json::items(&definition, "status.storedVersions").to_vec();
    if !stored.contains(&json!(storage)) {
        stored.push(json!(storage));
    }
    json::put(&mut definition, "status.storedVersions", stored);
    if definition != before {
        let table: Arc<str> = CRDS.into();
        state.write(&table, &object.key, definition);
    }
}
