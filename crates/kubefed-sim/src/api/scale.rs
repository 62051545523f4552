//! The scale subresource: the number of replicas of any kind, in one form.

use serde_json::{Value, json};

use crate::api::write::{Part, Update};
use crate::api::{Answer, Call, parse_json, patch};
use crate::json;
use crate::refusal::{Cause, Refusal};
use crate::resource::Scale;
use crate::selector::selector_text;
use crate::state::State;

impl State {
    /// GET, PUT and PATCH of the scale of an object.
    pub(super) fn serve_scale(&mut self, call: &Call) -> Result<Answer, Refusal> {
        let name = call.name.as_deref().unwrap_or("");
        let Some(scale) = call.version.scale.clone() else {
            return Err(Refusal::no_such_resource());
        };
        let current = self
            .store
            .get(&call.resource.table, &call.key())
            .cloned()
            .ok_or_else(|| Refusal::not_found(&call.resource, name))?;
        let now = view(call, &scale, &current.value());
        let wanted = match call.verb.as_str() {
            "get" => return Ok(Answer::value(&now)),
            "update" => parse_json(&call.body)?,
            "patch" => patch::apply(call, &now)?,
            verb => return Err(Refusal::method_not_allowed(&call.resource, verb)),
        };
        let replicas = json::number(&wanted, "spec.replicas").unwrap_or(0);
        if replicas < 0 {
            let cause = Cause::invalid(
                "spec.replicas",
                &json!(replicas),
                "must be greater than or equal to 0",
            );
            return Err(Refusal::invalid_kind(
                "autoscaling",
                "Scale",
                name,
                vec![cause],
            ));
        }
        let update = Update {
            write: None,
            ..Update::of(call, Part::Main)
        };
        let object = self.update(&update, |old| {
            let mut new = old.clone();
            json::put(&mut new, &scale.replicas, replicas);
            json::copy(&wanted, &mut new, "metadata.resourceVersion");
            Ok(new)
        })?;
        Ok(Answer::value(&view(call, &scale, &object.value())))
    }
}

fn view(call: &Call, scale: &Scale, value: &Value) -> Value {
    let selector = match scale
        .selector
        .as_deref()
        .and_then(|path| json::at(value, path))
    {
        Some(Value::String(text)) => text.clone(),
        Some(selector) => selector_text(selector),
        None => String::new(),
    };
    let meta = &value["metadata"];
    let mut spec = json!({});
    if let Some(replicas) = json::number(value, &scale.replicas).filter(|replicas| *replicas != 0) {
        spec["replicas"] = json!(replicas);
    }
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {
            "name": call.name, "namespace": call.namespace, "uid": meta["uid"],
            "resourceVersion": meta["resourceVersion"], "creationTimestamp": meta["creationTimestamp"],
        },
        "spec": spec,
        "status": { "replicas": json::number(value, &scale.status_replicas).unwrap_or(0), "selector": selector },
    })
}
