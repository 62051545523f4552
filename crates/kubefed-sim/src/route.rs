//! The URL grammar, the query and the content types.

use std::borrow::Cow;

use http::{HeaderMap, Method, header};

use crate::refusal::Refusal;

/// What a URL path means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// `/healthz`, `/readyz`, `/livez` and the single checks below them.
    Health,
    Version,
    /// `/`, the list of paths.
    Paths,
    /// `/api`.
    Core,
    /// `/apis`.
    Groups,
    /// `/apis/{group}`.
    Group(String),
    /// `/api/v1` or `/apis/{group}/{version}`.
    GroupVersion(String, String),
    /// `/openapi/v2`, `/openapi/v3` and the documents below it.
    OpenApi(String),
    Resource(Target),
    Unknown,
}

/// The part of a path that names a resource, an object or a subresource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) namespace: Option<String>,
    pub(crate) plural: String,
    pub(crate) name: Option<String>,
    pub(crate) subresource: Option<String>,
    /// The deprecated `/api/v1/watch/…` form.
    pub(crate) watch: bool,
}

impl Route {
    pub(crate) fn parse(path: &str) -> Self {
        let segments: Vec<Cow<'_, str>> = path
            .split('/')
            .filter(|segment| !segment.is_empty())
            .map(|segment| percent_encoding::percent_decode_str(segment).decode_utf8_lossy())
            .collect();
        let segments: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
        match segments.as_slice() {
            [] => Self::Paths,
            ["healthz" | "readyz" | "livez", ..] => Self::Health,
            ["version"] => Self::Version,
            ["openapi", rest @ ..] => Self::OpenApi(rest.join("/")),
            ["api"] => Self::Core,
            ["apis"] => Self::Groups,
            ["apis", group] => Self::Group((*group).to_owned()),
            ["api", version] => Self::GroupVersion(String::new(), (*version).to_owned()),
            ["apis", group, version] => {
                Self::GroupVersion((*group).to_owned(), (*version).to_owned())
            }
            ["api", version, rest @ ..] => target("", version, rest),
            ["apis", group, version, rest @ ..] => target(group, version, rest),
            _ => Self::Unknown,
        }
    }
}

fn target(group: &str, version: &str, mut rest: &[&str]) -> Route {
    let mut target = Target {
        group: group.to_owned(),
        version: version.to_owned(),
        ..Target::default()
    };
    if let ["watch", tail @ ..] = rest {
        target.watch = true;
        rest = tail;
    }
    // `namespaces/x` is the namespace itself, and so are its two subresources.
    if let ["namespaces", namespace, tail @ ..] = rest
        && !tail.is_empty()
        && !matches!(tail, ["status" | "finalize", ..])
    {
        target.namespace = Some((*namespace).to_owned());
        rest = tail;
    }
    match rest {
        [] => return Route::Unknown,
        [plural] => target.plural = (*plural).to_owned(),
        [plural, name] => {
            target.plural = (*plural).to_owned();
            target.name = Some((*name).to_owned());
        }
        [plural, name, subresource @ ..] => {
            target.plural = (*plural).to_owned();
            target.name = Some((*name).to_owned());
            target.subresource = Some(subresource.join("/"));
        }
    }
    Route::Resource(target)
}

/// What a request does to a resource, as authorization and audit name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// GET of one object.
    Get,
    /// GET of a collection.
    List,
    /// GET of a collection or object as a stream of changes.
    Watch,
    /// POST.
    Create,
    /// PUT.
    Update,
    /// PATCH.
    Patch,
    /// DELETE of one object.
    Delete,
    /// DELETE of a collection.
    DeleteCollection,
    /// A request that names no resource: discovery, health, version.
    NonResource,
}

impl Verb {
    /// The verb in lower case, as in RBAC rules.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "get",
            Self::List => "list",
            Self::Watch => "watch",
            Self::Create => "create",
            Self::Update => "update",
            Self::Patch => "patch",
            Self::Delete => "delete",
            Self::DeleteCollection => "deletecollection",
            Self::NonResource => "",
        }
    }

    /// Whether a request with this verb may change the cluster.
    #[must_use]
    pub const fn writes(self) -> bool {
        !matches!(
            self,
            Self::Get | Self::List | Self::Watch | Self::NonResource
        )
    }

    pub(crate) fn of(method: &Method, target: &Target, query: &Query) -> Option<Self> {
        let named = target.name.is_some();
        Some(match *method {
            Method::GET if target.watch || query.flag("watch") => Self::Watch,
            Method::GET if named => Self::Get,
            Method::GET => Self::List,
            // Subresources such as `token` are created below a name.
            Method::POST if !named || target.subresource.is_some() => Self::Create,
            Method::PUT if named => Self::Update,
            Method::PATCH if named => Self::Patch,
            Method::DELETE if named => Self::Delete,
            Method::DELETE => Self::DeleteCollection,
            _ => return None,
        })
    }
}

/// The query parameters of a request.
#[derive(Clone, Debug, Default)]
pub(crate) struct Query(Vec<(String, String)>);

impl Query {
    pub(crate) fn parse(query: &str) -> Self {
        Self(
            form_urlencoded::parse(query.as_bytes())
                .into_owned()
                .collect(),
        )
    }

    /// The first value of a parameter; empty where it is absent.
    pub(crate) fn text(&self, name: &str) -> &str {
        self.0
            .iter()
            .find(|(key, _)| key == name)
            .map_or("", |(_, value)| value)
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(key, _)| key == name)
    }

    /// A boolean: true when present, unless it says `false` or `0`.
    pub(crate) fn flag(&self, name: &str) -> bool {
        let value = self.text(name);
        self.has(name) && !value.eq_ignore_ascii_case("false") && value != "0"
    }

    /// A boolean that may be absent.
    pub(crate) fn flag_if_given(&self, name: &str) -> Option<bool> {
        self.has(name).then(|| self.flag(name))
    }

    pub(crate) fn number(&self, name: &str) -> Result<Option<i64>, Refusal> {
        match self.text(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                Refusal::bad_request(format!(
                    "strconv.ParseInt: parsing {text:?}: invalid syntax"
                ))
            }),
        }
    }
}

/// The form of an answer, negotiated by the `Accept` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The object or list itself.
    Whole,
    /// `PartialObjectMetadata` or its list.
    Metadata,
    /// `Table`.
    Table,
    /// `APIGroupDiscoveryList`.
    Discovery,
}

/// The media types of patches that the server takes.
pub(crate) const PATCH_TYPES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// The same for custom resources, whose lists have no merge keys.
pub(crate) const CUSTOM_PATCH_TYPES: [&str; 3] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/apply-patch+yaml",
];

impl Form {
    /// The first acceptable form that the header names.
    pub(crate) fn negotiate(headers: &HeaderMap) -> Result<Self, Refusal> {
        let Some(accept) = headers
            .get(header::ACCEPT)
            .and_then(|value| value.to_str().ok())
        else {
            return Ok(Self::Whole);
        };
        accept
            .split(',')
            .find_map(Self::of_media_range)
            .ok_or_else(Refusal::not_acceptable)
    }

    fn of_media_range(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        if !matches!(
            parts.next()?,
            "application/json" | "application/*" | "*/*" | ""
        ) {
            return None;
        }
        let (mut kind, mut group, mut version) = ("", "", "");
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            match name {
                "as" => kind = value,
                "g" => group = value,
                "v" => version = value,
                _ => {}
            }
        }
        match (kind, group, version) {
            ("", "", "") => Some(Self::Whole),
            ("PartialObjectMetadata" | "PartialObjectMetadataList", "meta.k8s.io", "v1") => {
                Some(Self::Metadata)
            }
            ("Table", "meta.k8s.io", "v1") => Some(Self::Table),
            ("APIGroupDiscoveryList", "apidiscovery.k8s.io", "v2") => Some(Self::Discovery),
            _ => None,
        }
    }
}

/// The `User-Agent` of a request; empty where there is none.
pub(crate) fn user_agent(headers: &HeaderMap) -> &str {
    headers
        .get(header::USER_AGENT)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("")
}

/// The media type of a body, without its parameters; JSON where the header is absent.
pub(crate) fn content_type(headers: &HeaderMap) -> &str {
    let value = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or("");
    match value.split(';').next().unwrap_or("").trim() {
        "" => "application/json",
        media_type => media_type,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(path: &str) -> String {
        match Route::parse(path) {
            Route::Resource(t) => format!(
                "{}/{} ns={} {} name={} sub={}{}",
                t.group,
                t.version,
                t.namespace.as_deref().unwrap_or("-"),
                t.plural,
                t.name.as_deref().unwrap_or("-"),
                t.subresource.as_deref().unwrap_or("-"),
                if t.watch { " watch" } else { "" },
            ),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn paths_are_read_as_the_api_server_reads_them() {
        for (path, expected) in [
            ("/api/v1/pods", "/v1 ns=- pods name=- sub=-"),
            ("/api/v1/namespaces", "/v1 ns=- namespaces name=- sub=-"),
            ("/api/v1/namespaces/a", "/v1 ns=- namespaces name=a sub=-"),
            (
                "/api/v1/namespaces/a/status",
                "/v1 ns=- namespaces name=a sub=status",
            ),
            (
                "/api/v1/namespaces/a/finalize",
                "/v1 ns=- namespaces name=a sub=finalize",
            ),
            ("/api/v1/namespaces/a/pods", "/v1 ns=a pods name=- sub=-"),
            ("/api/v1/namespaces/a/pods/b", "/v1 ns=a pods name=b sub=-"),
            (
                "/api/v1/namespaces/a/pods/b/log",
                "/v1 ns=a pods name=b sub=log",
            ),
            (
                "/apis/apps/v1/deployments",
                "apps/v1 ns=- deployments name=- sub=-",
            ),
            (
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                "apps/v1 ns=a deployments name=b sub=scale",
            ),
            (
                "/api/v1/watch/namespaces/a/pods",
                "/v1 ns=a pods name=- sub=- watch",
            ),
            (
                "/apis/r/v1/clusterroles/system%3Anode",
                "r/v1 ns=- clusterroles name=system:node sub=-",
            ),
            ("/api", "Core"),
            ("/apis/apps", "Group(\"apps\")"),
            ("/apis/apps/v1", "GroupVersion(\"apps\", \"v1\")"),
            ("/readyz/ping", "Health"),
            ("/nothing/here", "Unknown"),
        ] {
            assert_eq!(resource(path), expected, "{path}");
        }
    }

    #[test]
    fn the_first_acceptable_media_range_wins() {
        let json = "application/json";
        for (accept, expected) in [
            (json, Some(Form::Whole)),
            ("*/*", Some(Form::Whole)),
            (
                "application/vnd.kubernetes.protobuf,application/json",
                Some(Form::Whole),
            ),
            (
                "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1",
                Some(Form::Metadata),
            ),
            (
                "application/json;as=Table;v=v1;g=meta.k8s.io,application/json",
                Some(Form::Table),
            ),
            (
                "application/json;as=Table;v=v9;g=meta.k8s.io,application/json",
                Some(Form::Whole),
            ),
            ("application/vnd.kubernetes.protobuf", None),
            ("application/cbor", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().unwrap());
            assert_eq!(Form::negotiate(&headers).ok(), expected, "{accept}");
        }
    }
}
