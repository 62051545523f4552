//! Inputs of property tests.

use kubefed_api::{Override, OverrideOperation};
use proptest::prelude::*;
use serde_json::{Number, Value, json};

/// Texts with what JSON writers escape and sort differently.
pub(crate) fn text() -> impl Strategy<Value = String> {
    let character = prop_oneof![
        4 => prop::sample::select("ab019-+ ./~<>&\"\\\u{7f}\u{8}\u{c}\n\u{1}".chars().collect::<Vec<_>>()),
        1 => prop::sample::select("é\u{2028}\u{2029}\u{e000}\u{ffff}\u{10000}😀".chars().collect::<Vec<_>>()),
        1 => any::<char>(),
    ];
    prop::collection::vec(character, 0..6).prop_map(String::from_iter)
}

/// Finite doubles of every magnitude, around the bounds of the notations in particular.
pub(crate) fn double() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        any::<f64>(),
        (any::<i64>(), 0..8).prop_map(|(whole, halvings)| whole as f64 / f64::from(1 << halvings)),
        prop::sample::select(vec![1e-6, 1e-7, 1e20, 1e21, -0.0, 5e-324, f64::MAX]),
    ]
    .prop_filter("finite", |double| double.is_finite())
}

/// Any JSON of a few levels.
pub(crate) fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        double().prop_map(|double| Number::from_f64(double).map_or(Value::Null, Value::Number)),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((text(), inner), 0..4)
                .prop_map(|members| { Value::Object(members.into_iter().collect()) }),
        ]
    })
}

pub(crate) fn operation() -> impl Strategy<Value = OverrideOperation> {
    prop::sample::select(vec![
        OverrideOperation::Add,
        OverrideOperation::Remove,
        OverrideOperation::Replace,
    ])
}

/// An override made without the checks of parsing: one that is close to changing what must not change,
/// or any.
pub(crate) fn cluster_override() -> impl Strategy<Value = Override> {
    prop_oneof![near_miss(), any_override()]
}

/// An override of something protected, or of something around it, that leaves nearly all of it as it is.
fn near_miss() -> impl Strategy<Value = Override> {
    let member = prop::sample::select(vec![
        "/apiVersion",
        "/kind",
        "/metadata/generation",
        "/metadata/name",
        "/metadata/namespace",
        "/metadata/ownerReferences",
        "/metadata/resourceVersion",
        "/metadata/uid",
        "/spec",
        "/status",
    ]);
    let value = prop_oneof![
        3 => prop::sample::select(vec![
            json!("Gadget"), json!("example.com/v2"), json!("other.com/v1"), json!("v1"), json!("web2"),
            json!(null), json!([]), json!({}),
        ]),
        1 => json(),
    ];
    let whole = || {
        json!({
            "apiVersion": "example.com/v1", "kind": "Widget", "spec": {},
            "metadata": {"namespace": "shop", "name": "web", "resourceVersion": "7", "labels": {}},
        })
    };
    // Where the override stands: at the member itself, or at what holds it.
    (member, value, 0..3_usize, operation(), any::<bool>()).prop_map(
        move |(member, value, above, operation, prefixed)| {
            let mut object = whole();
            let (parent, name) = member.rsplit_once('/').unwrap_or_default();
            let path = match above {
                0 => member,
                1 => parent,
                _ => "",
            };
            if let Some(fields) = object.pointer_mut(parent).and_then(Value::as_object_mut) {
                fields.insert(name.to_owned(), value);
            }
            let value = object.pointer(path).cloned();
            let ignored = if prefixed && !path.is_empty() {
                "x"
            } else {
                ""
            };
            let path = format!("{ignored}{path}");
            Override {
                operation,
                path,
                value,
            }
        },
    )
}

fn any_override() -> impl Strategy<Value = Override> {
    let segment = prop_oneof![
        prop::sample::select(vec![
            "",
            "metadata",
            "name",
            "namespace",
            "kind",
            "apiVersion",
            "status",
            "spec",
            "uid",
            "ownerReferences",
            "resourceVersion",
            "generation",
            "labels",
            "0",
            "-",
            "-1",
            "+1",
            "01",
        ])
        .prop_map(str::to_owned),
        text(),
    ];
    let path = prop::collection::vec(segment, 0..4).prop_map(|segments| segments.join("/"));
    let metadata = || {
        (json(), json()).prop_map(|(uid, other)| {
            json!({"namespace": "shop", "name": "web", "uid": uid, "generation": 5, "other": other})
        })
    };
    let object = (metadata(), json(), any::<bool>()).prop_map(|(metadata, spec, same)| {
        let group = if same { "example.com/v9" } else { "v1" };
        json!({"apiVersion": group, "kind": "Widget", "metadata": metadata, "spec": spec})
    });
    let value = prop_oneof![json(), metadata(), object];
    (operation(), path, prop::option::of(value)).prop_map(|(operation, path, value)| Override {
        operation,
        path,
        value,
    })
}

/// The JSON pointers of a value and of everything in it, the value itself being at `root`.
pub(crate) fn pointers(value: &Value, root: &str) -> Vec<String> {
    let below = |name: String, value| pointers(value, &format!("{root}/{name}"));
    let inner: Vec<String> = match value {
        Value::Array(elements) => {
            let element = |(index, value): (usize, _)| below(index.to_string(), value);
            elements.iter().enumerate().flat_map(element).collect()
        }
        Value::Object(members) => {
            let escape = |name: &str| name.replace('~', "~0").replace('/', "~1");
            members
                .iter()
                .flat_map(|(name, value)| below(escape(name), value))
                .collect()
        }
        _ => Vec::new(),
    };
    std::iter::once(root.to_owned()).chain(inner).collect()
}
