//! `status.conditions`, as every controller writes them.

use serde_json::{Value, json};

use crate::json;

/// A condition to be set.
#[derive(Clone, Debug)]
pub(crate) struct Condition<'a> {
    pub(crate) kind: &'a str,
    pub(crate) status: bool,
    pub(crate) reason: &'a str,
    pub(crate) message: &'a str,
}

impl<'a> Condition<'a> {
    pub(crate) fn new(kind: &'a str, status: bool, reason: &'a str, message: &'a str) -> Self {
        Self {
            kind,
            status,
            reason,
            message,
        }
    }

    /// Sets the condition in `status.conditions`; its transition time moves only with its status.
    pub(crate) fn set(&self, object: &mut Value, now: &str) {
        let status = if self.status { "True" } else { "False" };
        let mut wanted = json!({ "type": self.kind, "status": status, "lastTransitionTime": now });
        for (field, text) in [("reason", self.reason), ("message", self.message)] {
            if !text.is_empty() {
                wanted[field] = json!(text);
            }
        }
        let mut conditions = json::items(object, "status.conditions").to_vec();
        match conditions
            .iter_mut()
            .find(|condition| condition["type"] == json!(self.kind))
        {
            Some(condition) => {
                if condition["status"] == wanted["status"] {
                    wanted["lastTransitionTime"] = condition["lastTransitionTime"].clone();
                }
                *condition = wanted;
            }
            None => conditions.push(wanted),
        }
        json::put(object, "status.conditions", conditions);
    }
}

/// Whether an object has a condition with status True.
pub(crate) fn holds(object: &Value, kind: &str) -> bool {
    json::items(object, "status.conditions")
        .iter()
        .any(|condition| condition["type"] == json!(kind) && condition["status"] == json!("True"))
}
