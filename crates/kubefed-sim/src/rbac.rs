//! Role-based access control: Roles, ClusterRoles and their bindings, evaluated for each request.

use serde_json::{Value, json};

use crate::access::User;
use crate::api::Call;
use crate::json;
use crate::refusal::Refusal;
use crate::state::State;

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wish<'a> {
    pub(crate) verb: &'a str,
    pub(crate) group: &'a str,
    /// `plural` or `plural/subresource`.
    pub(crate) resource: &'a str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
}

impl Wish<'_> {
    /// Why a user does not get it.
    pub(crate) fn denied_to(&self, user: &User) -> String {
        let place = match self.namespace {
            Some(namespace) => format!("in the namespace {namespace:?}"),
            None => "at the cluster scope".to_owned(),
        };
        format!(
            "User {:?} cannot {} resource {:?} in API group {:?} {place}",
            user.name, self.verb, self.resource, self.group
        )
    }
}

const ROLES: &str = "roles.rbac.authorization.k8s.io";
const ROLE_BINDINGS: &str = "rolebindings.rbac.authorization.k8s.io";
const CLUSTER_ROLES: &str = "clusterroles.rbac.authorization.k8s.io";
const CLUSTER_ROLE_BINDINGS: &str = "clusterrolebindings.rbac.authorization.k8s.io";

/// Creates the roles that exist in every cluster.
pub(crate) fn bootstrap(state: &mut State) {
    let everything = json!([
        { "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] },
        { "nonResourceURLs": ["*"], "verbs": ["*"] },
    ]);
    let reviews = json!([{
        "apiGroups": ["authorization.k8s.io", "authentication.k8s.io"], "verbs": ["create"],
        "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"],
    }]);
    for (role, rules, group) in [
        ("cluster-admin", everything, "system:masters"),
        ("system:basic-user", reviews, "system:authenticated"),
    ] {
        let value = json!({ "metadata": { "name": role }, "rules": rules });
        let binding = json!({
            "metadata": { "name": role },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": role },
            "subjects": [{ "apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": group }],
        });
        // The names are valid and the tables are empty.
        let _ = state.insert(CLUSTER_ROLES, None, value);
        let _ = state.insert(CLUSTER_ROLE_BINDINGS, None, binding);
    }
}

impl State {
    /// Refuses a request that the user of the moment may not make.
    pub(crate) fn authorize(&self, call: &Call) -> Result<(), Refusal> {
        let resource = match &call.subresource {
            Some(subresource) => format!("{}/{subresource}", call.resource.plural),
            None => call.resource.plural.clone(),
        };
        let name = call.name.as_deref().unwrap_or("");
        // The namespace object itself is read within itself.
        let own = (&*call.resource.id == "namespaces")
            .then_some(name)
            .filter(|name| !name.is_empty());
        let wish = Wish {
            verb: call.verb.as_str(),
            group: &call.resource.group,
            resource: &resource,
            namespace: call.namespace.as_deref().or(own),
            name,
        };
        if self.allows(&self.user, &wish) {
            return Ok(());
        }
        let why = wish.denied_to(&self.user);
        Err(Refusal::forbidden(&call.resource, name, &why))
    }

    /// Whether a user may do something.
    pub(crate) fn allows(&self, user: &User, wish: &Wish<'_>) -> bool {
        !self.options.rbac
            || user.groups.iter().any(|group| group == "system:masters")
            || self
                .rules(user, wish.namespace)
                .iter()
                .any(|rule| permits(rule, wish))
    }

    /// The rules that bindings give a user, cluster-wide and in a namespace.
    pub(crate) fn rules(&self, user: &User, namespace: Option<&str>) -> Vec<Value> {
        let cluster = self.store.list(CLUSTER_ROLE_BINDINGS, None);
        let local = namespace
            .into_iter()
            .flat_map(|namespace| self.store.list(ROLE_BINDINGS, Some(namespace)));
        let mut rules = Vec::new();
        for binding in cluster.chain(local) {
            let within = binding.key.namespace();
            let binding = binding.value();
            if !json::items(&binding, "subjects")
                .iter()
                .any(|subject| names(subject, user, within))
            {
                continue;
            }
            let role = json::text(&binding, "roleRef.name");
            let role = match json::text(&binding, "roleRef.kind") {
                "Role" => self.object(ROLES, within, role),
                _ => self.object(CLUSTER_ROLES, None, role),
            };
            rules.extend(
                role.into_iter()
                    .flat_map(|role| json::items(&role.value(), "rules").to_vec()),
            );
        }
        rules
    }
}

fn names(subject: &Value, user: &User, binding_namespace: Option<&str>) -> bool {
    let name = json::text(subject, "name");
    match json::text(subject, "kind") {
        "User" => user.name == name,
        "Group" => user.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let namespace = match json::text(subject, "namespace") {
                "" => binding_namespace.unwrap_or(""),
                namespace => namespace,
            };
            user.name == format!("system:serviceaccount:{namespace}:{name}")
        }
        _ => false,
    }
}

fn permits(rule: &Value, wish: &Wish<'_>) -> bool {
    let lists = |field: &str, wanted: &str| {
        json::items(rule, field)
            .iter()
            .filter_map(Value::as_str)
            .any(|item| item == "*" || item == wanted)
    };
    // `*/scale` stands for that subresource of every resource.
    let every = wish
        .resource
        .split_once('/')
        .map(|(_, subresource)| format!("*/{subresource}"));
    let resource =
        lists("resources", wish.resource) || every.is_some_and(|every| lists("resources", &every));
    let names = json::items(rule, "resourceNames");
    lists("verbs", wish.verb)
        && lists("apiGroups", wish.group)
        && resource
        && (names.is_empty() || names.contains(&json!(wish.name)))
}
