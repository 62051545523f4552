//! Laws of the pure engines, for generated schemas, objects and patches.

use jiff::Timestamp;
use kubefed_sim::{
    apply::{self, Set, Write},
    builtin,
    openapi::{Resource, document},
    schema::{Schema, check_structural},
    strategic,
    table::{Columns, Include},
};
use proptest::{collection::vec, prelude::*, sample::select};
use serde_json::{Map, Value, json};

/// Names that mean something in schemas, objects or patches, so that generated values do too.
const NAMES: &[&str] = &[
    "$patch",
    "$ref",
    "$retainKeys",
    "$setElementOrder/containers",
    "$deleteFromPrimitiveList/finalizers",
    ".",
    "additionalProperties",
    "allOf",
    "annotations",
    "anyOf",
    "apiVersion",
    "conditions",
    "containers",
    "default",
    "enum",
    "env",
    "finalizers",
    "format",
    "image",
    "items",
    "kind",
    "labels",
    "lastState",
    "managedFields",
    "maximum",
    "metadata",
    "minLength",
    "multipleOf",
    "name",
    "not",
    "nullable",
    "oneOf",
    "operation",
    "path",
    "pattern",
    "phase",
    "ports",
    "properties",
    "replicas",
    "required",
    "resources",
    "selector",
    "spec",
    "state",
    "status",
    "template",
    "time",
    "type",
    "fieldsType",
    "fieldsV1",
    "f:spec",
    "k:{\"name\":\"a\"}",
    "v:1",
    "i:0",
    "x-kubernetes-embedded-resource",
    "x-kubernetes-int-or-string",
    "x-kubernetes-list-map-keys",
    "x-kubernetes-list-type",
    "x-kubernetes-map-type",
    "x-kubernetes-preserve-unknown-fields",
];
const TEXTS: &[&str] = &[
    "",
    "a",
    "object",
    "array",
    "string",
    "integer",
    "map",
    "set",
    "atomic",
    "name",
    "date-time",
    "[",
    "Apply",
    "FieldsV1",
    "v1",
    "delete",
    "replace",
    "2020-01-01T00:00:00Z",
    "é",
];

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-3..4_i64).prop_map(Value::from),
        prop_oneof![Just(0.5), Just(-1e300), Just(f64::from(u32::MAX) * 1e12)]
            .prop_map(Value::from),
        Just(Value::from(u64::MAX)),
        select(TEXTS).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 80, 6, |inner| {
        let fields = vec((select(NAMES), inner.clone()), 0..6);
        let object = fields.prop_map(|fields| {
            Value::Object(
                fields
                    .into_iter()
                    .map(|(name, value)| (name.to_owned(), value))
                    .collect(),
            )
        });
        prop_oneof![object, vec(inner, 0..4).prop_map(Value::Array)]
    })
}

fn pod_schema() -> Schema {
    builtin::schema_of("", "v1", "Pod").expect("a built-in kind")
}

/// A small schema with a field for each way of merging.
fn widget() -> Value {
    json!({"type": "object", "properties": {"spec": {"type": "object", "properties": {
        "set": {"type": "array", "x-kubernetes-list-type": "set", "items": {"type": "string"}},
        "map": {"type": "array", "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"], "items": {
            "type": "object", "properties": {"name": {"type": "string"}, "size": {"type": "integer", "default": 1}}}},
        "list": {"type": "array", "items": {"type": "integer"}},
        "whole": {"type": "object", "x-kubernetes-map-type": "atomic", "additionalProperties": {"type": "integer"}},
        "each": {"type": "object", "additionalProperties": {"type": "integer"}},
        "mode": {"type": "string", "default": "auto"},
    }}}})
}

fn widgets() -> impl Strategy<Value = Value> {
    let names = || proptest::sample::subsequence(vec!["a", "b", "c"], 0..=3).prop_shuffle();
    let size = || 0..3_i64;
    let numbers = move || {
        (names(), size()).prop_map(|(names, value)| {
            Value::Object(
                names
                    .into_iter()
                    .map(|name| (name.to_owned(), json!(value)))
                    .collect(),
            )
        })
    };
    let map = (names(), size()).prop_map(|(names, size)| {
        names
            .into_iter()
            .map(|name| json!({"name": name, "size": size}))
            .collect::<Value>()
    });
    let fields: Vec<BoxedStrategy<(&'static str, Value)>> = vec![
        names().prop_map(|names| ("set", json!(names))).boxed(),
        map.prop_map(|map| ("map", map)).boxed(),
        vec(size(), 0..3)
            .prop_map(|list| ("list", json!(list)))
            .boxed(),
        numbers().prop_map(|whole| ("whole", whole)).boxed(),
        numbers().prop_map(|each| ("each", each)).boxed(),
        select(&["auto", "manual"][..])
            .prop_map(|mode| ("mode", json!(mode)))
            .boxed(),
    ];
    let fields: Vec<_> = fields.into_iter().map(proptest::option::of).collect();
    fields.prop_map(|fields| {
        let spec: Map<_, _> = fields.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)).collect();
        json!({"apiVersion": "a.example/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec})
    })
}

struct World {
    schema: Schema,
    nothing: Set,
    live: Option<Value>,
}

impl World {
    fn new() -> Self {
        let schema = Schema::of_custom_resource(&widget(), &builtin::DEFINITIONS);
        Self {
            schema,
            nothing: Set::default(),
            live: None,
        }
    }

    fn apply(&mut self, manager: &str, patch: &Value, force: bool) -> bool {
        let write = Write {
            schema: &self.schema,
            api_version: "a.example/v1",
            manager,
            subresource: "",
            reset: &self.nothing,
            time: Timestamp::UNIX_EPOCH,
        };
        match apply::apply(self.live.as_ref(), patch, &write, force) {
            Ok(object) => {
                self.live = Some(object);
                true
            }
            Err(_) => false,
        }
    }

    fn entry(&self, manager: &str) -> Option<Value> {
        let entries = self.live.as_ref()?["metadata"]["managedFields"].as_array()?;
        entries
            .iter()
            .find(|entry| entry["manager"] == manager)
            .cloned()
    }
}

proptest! {
    // A failure prints its input; there is no file to keep it in.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(400) })]

    #[test]
    fn no_schema_and_no_object_makes_the_schema_engine_panic(schema in values(), object in values()) {
        check_structural("spec", &schema);
        let parsed = Schema::of_custom_resource(&schema, &builtin::DEFINITIONS);
        let mut pruned = object.clone();
        parsed.prune(&mut pruned);
        prop_assert_eq!(parsed.prune(&mut pruned), Vec::<String>::new(), "pruning twice finds nothing more");
        parsed.apply_defaults(&mut pruned);
        parsed.complete(&mut pruned);
        parsed.validate(&object);
        parsed.check_list_types(&object);
        prop_assert_eq!(parsed.validate_update(&object, &object), [], "what did not change is tolerated");
        let resource = Resource {
            group: "a.example", version: "v1", kind: "Widget", plural: "widgets", namespaced: true,
            verbs: &["get", "patch"], subresources: &["status"], custom: Some(&schema),
        };
        let _ = document(&[resource], "v1");
    }

    #[test]
    fn no_object_and_no_patch_makes_the_merge_engines_panic(live in values(), patch in values(), force: bool) {
        let (schema, nothing) = (pod_schema(), Set::default());
        let write = Write {
            schema: &schema, api_version: "v1", manager: "kubectl", subresource: "", reset: &nothing, time: Timestamp::UNIX_EPOCH,
        };
        let _ = strategic::apply(&live, &patch, &schema);
        let mut patch = patch;
        if patch.is_object() {
            patch["apiVersion"] = json!("v1");
        }
        let _ = apply::apply(Some(&live), &patch, &write, force);
        apply::update(Some(&live), &mut patch, &write);
        apply::update(None, &mut patch, &write);
        apply::keep_times(&live, &mut patch);
    }

    #[test]
    fn no_object_makes_a_table_panic(object in values(), columns in values(), path in "[a-z.*@=()?'\\[\\]\\\\0-9]{0,12}") {
        for resource in builtin::COLUMNS.keys() {
            let columns = Columns::of_built_in(resource).expect("columns");
            let _ = columns.table(&Value::Null, std::slice::from_ref(&object), Include::Object, Timestamp::UNIX_EPOCH);
        }
        let declared = json!([{"name": "x", "type": "string", "jsonPath": path}, columns]);
        let columns = Columns::of_custom_resource(Some(&declared));
        let _ = columns.table(&Value::Null, &[object], Include::None, Timestamp::UNIX_EPOCH);
    }

    #[test]
    fn defaulting_twice_changes_nothing(object in widgets()) {
        let schema = Schema::of_custom_resource(&widget(), &builtin::DEFINITIONS);
        let mut once = object;
        schema.apply_defaults(&mut once);
        let mut twice = once.clone();
        schema.apply_defaults(&mut twice);
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn applying_the_same_twice_changes_nothing(first in widgets(), other in widgets(), force: bool) {
        let mut world = World::new();
        prop_assert!(world.apply("one", &first, false));
        world.apply("two", &other, true);
        if world.apply("one", &first, force) {
            let once = world.live.clone();
            prop_assert!(world.apply("one", &first, false), "what one has, it may apply again");
            prop_assert_eq!(once, world.live);
        }
    }

    #[test]
    fn a_forced_apply_gets_what_it_asks_for(first in widgets(), second in widgets()) {
        let mut world = World::new();
        prop_assert!(world.apply("one", &first, false));
        prop_assert!(world.apply("two", &second, true));
        let live = world.live.clone().unwrap_or_default();
        for part in ["list", "whole", "mode"] {
            if !second["spec"][part].is_null() {
                prop_assert_eq!(&live["spec"][part], &second["spec"][part]);
            }
        }
        for item in second["spec"]["set"].as_array().into_iter().flatten() {
            prop_assert!(live["spec"]["set"].as_array().is_some_and(|set| set.contains(item)));
        }
    }

    #[test]
    fn what_the_last_applier_gives_up_is_gone(only in widgets()) {
        // An empty list has no items to own, and so stays, on a real server too.
        let is_empty = |part: &str| only["spec"][part].as_array().is_some_and(Vec::is_empty);
        prop_assume!(!is_empty("set") && !is_empty("map"));
        let mut world = World::new();
        prop_assert!(world.apply("one", &only, false));
        let nothing = json!({"apiVersion": "a.example/v1", "kind": "Widget", "metadata": {"name": "w"}});
        prop_assert!(world.apply("one", &nothing, false));
        prop_assert!(world.entry("one").is_none());
        prop_assert_eq!(&world.live.unwrap_or_default()["spec"], &Value::Null);
    }

    #[test]
    fn without_force_nothing_is_taken_from_another(first in widgets(), second in widgets()) {
        let mut world = World::new();
        prop_assert!(world.apply("one", &first, false));
        let before = (world.entry("one"), world.live.clone());
        if world.apply("two", &second, false) {
            prop_assert_eq!(world.entry("one"), before.0);
            for part in ["list", "whole", "mode"] {
                let (applied, live) = (&first["spec"][part], world.live.as_ref().map(|live| &live["spec"][part]));
                prop_assert!(applied.is_null() || live == Some(applied));
            }
        } else {
            prop_assert_eq!(world.live, before.1, "a refused apply changes nothing");
        }
    }

    #[test]
    fn field_sets_survive_their_wire_form(object in widgets()) {
        let mut world = World::new();
        prop_assert!(world.apply("one", &object, false));
        if let Some(entry) = world.entry("one") {
            let set = Set::from_fields_v1(&entry["fieldsV1"]).expect("a set");
            prop_assert_eq!(set.to_fields_v1(), entry["fieldsV1"].clone());
        }
    }

    #[test]
    fn an_empty_strategic_patch_changes_nothing(object in values()) {
        prop_assume!(object.is_object());
        prop_assert_eq!(strategic::apply(&object, &json!({}), &pod_schema()), Ok(object));
    }
}
