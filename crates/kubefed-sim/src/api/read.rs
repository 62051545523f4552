//! GET of an object and of a collection.

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::render::Rendering;
use crate::api::{Answer, Call};
use crate::object::{Key, Object};
use crate::refusal::{Cause, Refusal, unsupported};
use crate::selector::Selector;
use crate::state::State;
use crate::store::Compacted;

/// A `continue` token: the revision of the first page and the last key that was sent.
#[derive(Deserialize, Serialize)]
struct Continue {
    v: String,
    /// -1 asks for the newest state, at the price of consistency with the earlier pages.
    rv: i64,
    start: String,
}

const TOKEN_VERSION: &str = "meta.k8s.io/v1";

/// The part of a collection that a page shows.
struct Page {
    objects: Vec<Arc<Object>>,
    revision: u64,
    continue_token: Option<String>,
    remaining: Option<usize>,
}

impl State {
    pub(super) fn read(&self, call: &Call) -> Result<Answer, Refusal> {
        let name = call.name.as_deref().unwrap_or("");
        let object = match self.behind {
            0 => self.store.get(&call.resource.table, &call.key()).cloned(),
            _ => {
                let past = self.store.snapshot(&call.resource.table, self.visible());
                past.unwrap_or_default().remove(&call.key())
            }
        };
        let object = object.ok_or_else(|| Refusal::not_found(&call.resource, name))?;
        if let Some(wanted) = parse_revision(call.query.text("resourceVersion"))?
            && wanted > self.store.revision()
        {
            return Err(Refusal::future_revision(wanted, self.store.revision()));
        }
        Ok(Answer::ok(Rendering::of(call).object(&object)))
    }

    pub(super) fn list(&self, call: &Call) -> Result<Answer, Refusal> {
        validate_list(call)?;
        let selector = selector(call)?;
        let page = self.page(call, &selector)?;
        Ok(Answer::ok(render_page(&Rendering::of(call), &page)))
    }

    /// The newest revision that reads show: an older one while a fault makes them stale.
    fn visible(&self) -> u64 {
        self.store
            .revision()
            .saturating_sub(self.behind)
            .max(self.store.compacted())
    }

    /// The objects that a collection request selects, without paging.
    pub(super) fn selected(&self, call: &Call) -> Result<Vec<Arc<Object>>, Refusal> {
        let selector = selector(call)?;
        let all = self
            .store
            .list(&call.resource.table, call.namespace.as_deref());
        Ok(all
            .filter(|object| selector.matches(object))
            .cloned()
            .collect())
    }

    fn page(&self, call: &Call, selector: &Selector) -> Result<Page, Refusal> {
        let current = self.visible();
        let wanted = parse_revision(call.query.text("resourceVersion")).map_err(|refusal| {
            Refusal::bad_request(format!("invalid resource version: {}", refusal.message))
        })?;
        let limit = call
            .query
            .number("limit")?
            .and_then(|limit| usize::try_from(limit).ok());
        let limit = limit.filter(|&limit| limit > 0);
        let exact = call.query.text("resourceVersionMatch") == "Exact"
            || (call.query.text("resourceVersionMatch").is_empty() && limit.is_some());
        match (call.query.text("continue"), wanted) {
            ("", Some(wanted)) if wanted > current => {
                Err(Refusal::future_revision(wanted, current))
            }
            ("", Some(wanted)) if wanted > 0 && exact => {
                self.page_at(call, selector, wanted, None, limit)
            }
            // Any state will do, and the watch cache answers it whole.
            ("", Some(0)) => self.page_at(call, selector, current, None, None),
            ("", _) => self.page_at(call, selector, current, None, limit),
            (token, _) => {
                let token = decode_token(token)?;
                let revision = u64::try_from(token.rv).unwrap_or(current);
                self.page_at(call, selector, revision, Some(token.start), limit)
            }
        }
    }

    fn page_at(
        &self,
        call: &Call,
        selector: &Selector,
        revision: u64,
        after: Option<String>,
        limit: Option<usize>,
    ) -> Result<Page, Refusal> {
        let table = &call.resource.table;
        let later = self
            .store
            .changes_after(table, revision, 1)
            .map_err(|gone| match &after {
                Some(start) => expired_token(start),
                None => expired(gone, revision, self.store.compacted()),
            })?;
        let snapshot: BTreeMap<Key, Arc<Object>>;
        let namespace = call.namespace.as_deref();
        let all: Box<dyn Iterator<Item = &Arc<Object>>> = if later.is_empty() {
            Box::new(self.store.list(table, namespace))
        } else {
            snapshot = self.store.snapshot(table, revision).unwrap_or_default();
            Box::new(
                snapshot
                    .values()
                    .filter(move |o| namespace.is_none() || o.key.namespace() == namespace),
            )
        };
        let after = after.map(|start| Key::parse(&start));
        let mut objects: Vec<Arc<Object>> = all
            .filter(|object| after.as_ref().is_none_or(|after| object.key > *after))
            .filter(|object| selector.matches(object))
            .cloned()
            .collect();
        let (mut continue_token, mut remaining) = (None, None);
        if let Some(limit) = limit.filter(|&limit| objects.len() > limit) {
            // With a selector the server would have to read everything to know, and does not say.
            remaining = selector.is_empty().then(|| objects.len() - limit);
            objects.truncate(limit);
            let rv = i64::try_from(revision).unwrap_or(i64::MAX);
            continue_token = objects
                .last()
                .map(|last| encode_token(rv, last.key.as_str()));
        }
        Ok(Page {
            objects,
            revision,
            continue_token,
            remaining,
        })
    }
}

fn render_page(rendering: &Rendering, page: &Page) -> Bytes {
    let (api_version, kind) = rendering.list_type();
    let mut metadata = json!({ "resourceVersion": page.revision.to_string() });
    if let Some(token) = &page.continue_token {
        metadata["continue"] = json!(token);
    }
    if page.continue_token.is_none() && rendering.lists_are_maps() {
        metadata["continue"] = json!("");
    }
    if let Some(remaining) = page.remaining {
        metadata["remainingItemCount"] = json!(remaining);
    }
    if let Some(table) = rendering.rows(&metadata, &page.objects) {
        return table;
    }
    let mut text = format!(
        r#"{{"kind":{},"apiVersion":{},"metadata":{metadata},"items":["#,
        json!(kind),
        json!(api_version)
    )
    .into_bytes();
    for (index, object) in page.objects.iter().enumerate() {
        if index > 0 {
            text.push(b',');
        }
        rendering.item(object, &mut text);
    }
    text.extend_from_slice(b"]}");
    Bytes::from(text)
}

/// The selectors of a collection request.
pub(super) fn selector(call: &Call) -> Result<Selector, Refusal> {
    let (labels, fields) = (
        call.query.text("labelSelector"),
        call.query.text("fieldSelector"),
    );
    // Kinds without fields of their own share a check, which words it in its own way.
    let plain = !call.resource.custom && call.version.fields.is_empty();
    let unknown = |path: &str| {
        if plain {
            format!(
                "{path:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
            )
        } else {
            format!("field label not supported: {path}")
        }
    };
    Selector::parse(labels, fields, &call.version.fields, &unknown).map_err(Refusal::bad_request)
}

/// A `resourceVersion` parameter; none where it is absent.
pub(super) fn parse_revision(text: &str) -> Result<Option<u64>, Refusal> {
    match text {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let message = format!("resourceVersion: Invalid value: {text:?}: strconv.ParseUint: parsing {text:?}: invalid syntax");
            Refusal::bad_request(message)
        }),
    }
}

fn validate_list(call: &Call) -> Result<(), Refusal> {
    let text = |name| call.query.text(name);
    let matching = text("resourceVersionMatch");
    let mut causes = Vec::new();
    if !matching.is_empty() {
        let field = "resourceVersionMatch";
        if text("resourceVersion").is_empty() {
            let message = "resourceVersionMatch is forbidden unless resourceVersion is provided";
            causes.push(Cause::forbidden(field, message));
        }
        if !text("continue").is_empty() {
            let message = "resourceVersionMatch is forbidden when continue is provided";
            causes.push(Cause::forbidden(field, message));
        }
        if !["Exact", "NotOlderThan"].contains(&matching) {
            causes.push(unsupported(field, matching, &["Exact", "NotOlderThan", ""]));
        }
        if matching == "Exact" && text("resourceVersion") == "0" {
            let message = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
            causes.push(Cause::forbidden(field, message));
        }
    }
    if call.query.has("sendInitialEvents") {
        let message = "sendInitialEvents is forbidden for list";
        causes.push(Cause::forbidden("sendInitialEvents", message));
    }
    if causes.is_empty() {
        call.query.number("timeoutSeconds")?;
        if !text("continue").is_empty() {
            decode_token(text("continue"))?;
            if !["", "0"].contains(&text("resourceVersion")) {
                let message = "specifying resource version is not allowed when using continue";
                return Err(Refusal::bad_request(message));
            }
        }
        return Ok(());
    }
    Err(Refusal::invalid_kind(
        "meta.k8s.io",
        "ListOptions",
        "",
        causes,
    ))
}

fn encode_token(rv: i64, start: &str) -> String {
    let token = Continue {
        v: TOKEN_VERSION.to_owned(),
        rv,
        start: start.to_owned(),
    };
    URL_SAFE_NO_PAD.encode(json!(token).to_string())
}

fn decode_token(text: &str) -> Result<Continue, Refusal> {
    let decoded = URL_SAFE_NO_PAD.decode(text).ok();
    let token = decoded.and_then(|bytes| serde_json::from_slice::<Continue>(&bytes).ok());
    token
        .filter(|token| token.v == TOKEN_VERSION && !token.start.is_empty())
        .ok_or_else(|| {
            let message = "invalid continue token: continue key is not valid: cannot be decoded";
            Refusal::bad_request(message)
        })
}

fn expired(_: Compacted, wanted: u64, oldest: u64) -> Refusal {
    Refusal::expired(format!("too old resource version: {wanted} ({oldest})"))
}

fn expired_token(start: &str) -> Refusal {
    let mut refusal = Refusal::expired(
        "The provided continue parameter is too old to display a consistent list result. You can start a new \
         list without the continue parameter, or use the continue token in this response to retrieve the \
         remainder of the results. Continuing with the provided token results in an inconsistent list - \
         objects that were created, modified, or deleted between the time the first chunk was returned and \
         now may show up in the list.",
    );
    refusal.continue_token = Some(encode_token(-1, start));
    refusal
}
