//! Who may do what: roles, bindings, impersonation and the reviews of access.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};

use crate::world::{Answer, CONFIG_MAPS, JSON, Outcome, World, claim, config_map, scenarios};

scenarios![
    nobody_may_do_anything_without_a_role,
    roles_give_what_they_say_and_no_more,
    bindings_name_users_groups_and_accounts,
    reviews_tell_what_is_allowed,
    somebody_else_is_taken_for_who_they_are,
];

const RBAC: &str = "/apis/rbac.authorization.k8s.io/v1";
const AUTHORIZATION: &str = "/apis/authorization.k8s.io/v1";

/// Sends a request as a user of the scenario's own, `NAME-NAMESPACE`, or as a full user name.
async fn ask(world: &World, user: &str, method: &str, path: &str, body: &Value) -> Result<Answer> {
    let user = user_name(world, user);
    let mut headers = vec![("impersonate-user", &*user)];
    headers.extend(JSON);
    if method == "PATCH" {
        headers.pop();
        headers.push(("content-type", "application/merge-patch+json"));
    }
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    world.send(method, path, &headers, &body).await
}

fn user_name(world: &World, user: &str) -> String {
    if user.contains(':') {
        return user.replace("{ns}", &world.namespace);
    }
    format!("{user}-{}", world.namespace)
}

/// Creates a role and binds it to one subject, and waits until both count.
async fn grant(world: &World, name: &str, rules: Value, subject: Value, wide: bool) -> Outcome {
    let ns = &world.namespace;
    let (kind, place) = if wide {
        ("ClusterRole", RBAC.to_owned())
    } else {
        ("Role", format!("{RBAC}/namespaces/{ns}"))
    };
    let name = format!("{name}-{ns}");
    let plural = kind.to_lowercase();
    let metadata = json!({ "name": name });
    let api_version = "rbac.authorization.k8s.io/v1";
    let role =
        json!({ "apiVersion": api_version, "kind": kind, "metadata": metadata, "rules": rules });
    world
        .post(&format!("{place}/{plural}s"), &role)
        .await?
        .expect(201)?;
    let binding = json!({
        "apiVersion": api_version, "kind": format!("{kind}Binding"), "metadata": metadata,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": name },
        "subjects": [subject],
    });
    world
        .post(&format!("{place}/{plural}bindings"), &binding)
        .await?
        .expect(201)?;
    Ok(())
}

fn user(world: &World, name: &str) -> Value {
    let name = user_name(world, name);
    json!({ "kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": name })
}

/// Asks until the roles count, which they do a moment after they are written.
async fn until_allowed(world: &World, user: &str, path: &str) -> Outcome {
    for _ in 0..200 {
        let answer = ask(world, user, "GET", path, &Value::Null).await?;
        if answer.code != 403 {
            return Ok(());
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("{user} is never allowed to see {path}")
}

async fn nobody_may_do_anything_without_a_role(world: World) -> Outcome {
    let ns = &world.namespace;
    let deployments = "/apis/apps/v1/namespaces/{ns}/deployments";
    let map = format!("{CONFIG_MAPS}/a");
    let here = format!("in the namespace \"{ns}\"");
    let cluster = "at the cluster scope".to_owned();
    for (method, path, what, of, place) in [
        (
            "GET",
            &*map,
            "configmaps \"a\"",
            "get resource \"configmaps\" in API group \"\"",
            &here,
        ),
        (
            "GET",
            CONFIG_MAPS,
            "configmaps",
            "list resource \"configmaps\" in API group \"\"",
            &here,
        ),
        (
            "GET",
            "/api/v1/configmaps",
            "configmaps",
            "list resource \"configmaps\" in API group \"\"",
            &cluster,
        ),
        (
            "GET",
            "/api/v1/configmaps?watch=1",
            "configmaps",
            "watch resource \"configmaps\" in API group \"\"",
            &cluster,
        ),
        (
            "POST",
            CONFIG_MAPS,
            "configmaps",
            "create resource \"configmaps\" in API group \"\"",
            &here,
        ),
        (
            "PUT",
            &map,
            "configmaps \"a\"",
            "update resource \"configmaps\" in API group \"\"",
            &here,
        ),
        (
            "PATCH",
            &map,
            "configmaps \"a\"",
            "patch resource \"configmaps\" in API group \"\"",
            &here,
        ),
        (
            "DELETE",
            &map,
            "configmaps \"a\"",
            "delete resource \"configmaps\" in API group \"\"",
            &here,
        ),
        (
            "DELETE",
            CONFIG_MAPS,
            "configmaps",
            "deletecollection resource \"configmaps\" in API group \"\"",
            &here,
        ),
        (
            "PATCH",
            &format!("{deployments}/web/status"),
            "deployments.apps \"web\"",
            "patch resource \"deployments/status\" in API group \"apps\"",
            &here,
        ),
        (
            "GET",
            "/api/v1/nodes",
            "nodes",
            "list resource \"nodes\" in API group \"\"",
            &cluster,
        ),
        (
            "GET",
            &format!("/api/v1/namespaces/{ns}"),
            &format!("namespaces \"{ns}\""),
            "get resource \"namespaces\" in API group \"\"",
            &here,
        ),
    ] {
        let body = if method == "GET" {
            Value::Null
        } else {
            config_map("a", &json!({}))
        };
        let refused = ask(&world, "nobody", method, path, &body)
            .await?
            .refused(403, "Forbidden")?;
        let user = user_name(&world, "nobody");
        let message = format!("{what} is forbidden: User \"{user}\" cannot {of} {place}");
        claim(&refused, &json!({ "message": message }))?;
        let (plural, name) = what.split_once(' ').unwrap_or((what, ""));
        let (kind, group) = plural.split_once('.').unwrap_or((plural, ""));
        let or_absent = |text: &str| match text {
            "" => Value::Null,
            text => json!(text),
        };
        let name = or_absent(name.trim_matches('"'));
        claim(
            &refused["details"],
            &json!({ "kind": kind, "group": or_absent(group), "name": name }),
        )?;
    }
    Ok(())
}

async fn roles_give_what_they_say_and_no_more(world: World) -> Outcome {
    let rules = json!([
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list", "create"] },
        { "apiGroups": [""], "resources": ["configmaps"], "verbs": ["update"], "resourceNames": ["mine"] },
        { "apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["get"] },
        { "apiGroups": ["*"], "resources": ["deployments/status"], "verbs": ["*"] },
    ]);
    grant(&world, "reader", rules, user(&world, "reader"), false).await?;
    until_allowed(&world, "reader", CONFIG_MAPS).await?;
    world.config_map("mine", &json!({})).await?;
    world.config_map("other", &json!({})).await?;
    let deployment = "/apis/apps/v1/namespaces/{ns}/deployments/web";
    let nothing = Value::Null;
    for (method, path, body, code) in [
        ("GET", format!("{CONFIG_MAPS}/mine"), nothing.clone(), 200),
        ("GET", CONFIG_MAPS.to_owned(), nothing.clone(), 200),
        (
            "GET",
            format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=1"),
            nothing.clone(),
            403,
        ),
        (
            "POST",
            CONFIG_MAPS.to_owned(),
            config_map("new", &json!({})),
            201,
        ),
        (
            "PUT",
            format!("{CONFIG_MAPS}/mine"),
            config_map("mine", &json!({ "k": "1" })),
            200,
        ),
        (
            "PUT",
            format!("{CONFIG_MAPS}/other"),
            config_map("other", &json!({})),
            403,
        ),
        ("PATCH", format!("{CONFIG_MAPS}/mine"), json!({}), 403),
        (
            "DELETE",
            format!("{CONFIG_MAPS}/mine"),
            nothing.clone(),
            403,
        ),
        (
            "GET",
            "/api/v1/namespaces/default/configmaps".to_owned(),
            nothing.clone(),
            403,
        ),
        ("GET", "/api/v1/configmaps".to_owned(), nothing.clone(), 403),
        (
            "GET",
            "/api/v1/namespaces/{ns}/secrets".to_owned(),
            nothing.clone(),
            403,
        ),
        // What is allowed and not there is not found.
        ("GET", format!("{deployment}/scale"), nothing.clone(), 404),
        ("GET", format!("{deployment}/status"), nothing.clone(), 404),
        ("GET", deployment.to_owned(), nothing.clone(), 403),
        ("GET", "/version".to_owned(), nothing.clone(), 200),
        ("GET", "/apis/apps/v1".to_owned(), nothing, 200),
    ] {
        let answer = ask(&world, "reader", method, &path, &body).await?;
        answer.expect(code).context(format!("{method} {path}"))?;
    }
    Ok(())
}

async fn bindings_name_users_groups_and_accounts(world: World) -> Outcome {
    let ns = &world.namespace;
    let group = format!("team-{ns}");
    let rules = || json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"] }]);
    let of_rbac = |kind: &str, name: &str| json!({ "kind": kind, "apiGroup": "rbac.authorization.k8s.io", "name": name });
    let account = |name: &str| json!({ "kind": "ServiceAccount", "namespace": ns, "name": name });
    let accounts = format!("system:serviceaccounts:{ns}");
    let robot = format!("system:serviceaccount:{ns}:robot");
    for (name, subject, who, groups, wide) in [
        (
            "user",
            user(&world, "user"),
            user_name(&world, "user"),
            None,
            false,
        ),
        (
            "team",
            of_rbac("Group", &group),
            user_name(&world, "one"),
            Some(&*group),
            false,
        ),
        ("robot", account("robot"), robot.clone(), None, false),
        (
            "wide",
            account("wide"),
            format!("system:serviceaccount:{ns}:wide"),
            None,
            true,
        ),
        (
            "all",
            of_rbac("Group", &accounts),
            format!("system:serviceaccount:{ns}:any"),
            None,
            false,
        ),
    ] {
        let mut headers = vec![("impersonate-user", &*who)];
        headers.extend(groups.map(|group| ("impersonate-group", group)));
        let list = async |path: &str| world.send("GET", path, &headers, "").await;
        let before = list(CONFIG_MAPS).await?;
        before.refused(403, "Forbidden").context(name)?;
        grant(&world, name, rules(), subject, wide).await?;
        let mut tries = 0;
        while list(CONFIG_MAPS).await?.code == 403 && tries < 200 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            tries += 1;
        }
        list(CONFIG_MAPS).await?.expect(200).context(name)?;
        let everywhere = list("/api/v1/configmaps").await?;
        let code = if wide { 200 } else { 403 };
        everywhere.expect(code).context(name)?;
    }
    Ok(())
}

async fn reviews_tell_what_is_allowed(world: World) -> Outcome {
    let rules =
        json!([{ "apiGroups": [""], "resources": ["configmaps", "pods/log"], "verbs": ["get"] }]);
    grant(&world, "viewer", rules, user(&world, "viewer"), false).await?;
    until_allowed(&world, "viewer", &format!("{CONFIG_MAPS}/a")).await?;
    let ns = &world.namespace;
    for (attributes, allowed) in [
        (
            json!({ "verb": "get", "resource": "configmaps", "namespace": ns }),
            true,
        ),
        (
            json!({ "verb": "get", "resource": "configmaps", "namespace": ns, "name": "a" }),
            true,
        ),
        (
            json!({ "verb": "list", "resource": "configmaps", "namespace": ns }),
            false,
        ),
        (json!({ "verb": "get", "resource": "configmaps" }), false),
        (
            json!({ "verb": "get", "resource": "configmaps", "group": "apps", "namespace": ns }),
            false,
        ),
        (
            json!({ "verb": "get", "resource": "pods", "subresource": "log", "namespace": ns }),
            true,
        ),
        (
            json!({ "verb": "get", "resource": "pods", "namespace": ns }),
            false,
        ),
        (json!({ "verb": "*", "resource": "*", "group": "*" }), false),
    ] {
        let own = json!({
            "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview",
            "spec": { "resourceAttributes": attributes },
        });
        let path = format!("{AUTHORIZATION}/selfsubjectaccessreviews");
        let review = ask(&world, "viewer", "POST", &path, &own)
            .await?
            .expect(201)?;
        ensure!(review["status"]["allowed"] == json!(allowed), "{review}");
        let mut of_other = own.clone();
        of_other["kind"] = json!("SubjectAccessReview");
        of_other["spec"]["user"] = json!(user_name(&world, "viewer"));
        let path = format!("{AUTHORIZATION}/subjectaccessreviews");
        let review = world.post(&path, &of_other).await?.expect(201)?;
        ensure!(review["status"]["allowed"] == json!(allowed), "{review}");
        // Who may not ask about others is told so.
        ask(&world, "viewer", "POST", &path, &of_other)
            .await?
            .refused(403, "Forbidden")?;
    }
    let rules = json!({
        "apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview", "spec": { "namespace": ns },
    });
    let path = format!("{AUTHORIZATION}/selfsubjectrulesreviews");
    let review = ask(&world, "viewer", "POST", &path, &rules)
        .await?
        .expect(201)?;
    let listed = review["status"]["resourceRules"]
        .as_array()
        .context("no rules")?;
    let expected =
        json!({ "apiGroups": [""], "resources": ["configmaps", "pods/log"], "verbs": ["get"] });
    ensure!(listed.contains(&expected), "{review}");
    Ok(())
}

async fn somebody_else_is_taken_for_who_they_are(world: World) -> Outcome {
    let path = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
    let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview" });
    let authenticated = "system:authenticated";
    let ns = &world.namespace;
    let account = format!("system:serviceaccount:{ns}:robot");
    let of_account = [
        "system:serviceaccounts",
        &format!("system:serviceaccounts:{ns}"),
        authenticated,
    ];
    for (user, groups, expected) in [
        ("jane", vec![], json!([authenticated])),
        ("jane", vec!["a", "b"], json!(["a", "b", authenticated])),
        (
            "jane",
            vec!["a", authenticated],
            json!(["a", authenticated]),
        ),
        (&*account, vec![], json!(of_account)),
        (&*account, vec!["a"], json!(["a", authenticated])),
    ] {
        let mut headers = vec![("impersonate-user", user)];
        headers.extend(groups.iter().map(|group| ("impersonate-group", *group)));
        headers.extend(JSON);
        let review = world
            .send("POST", path, &headers, &body.to_string())
            .await?;
        let review = review.expect(201)?;
        let info = &review["status"]["userInfo"];
        claim(info, &json!({ "username": user, "groups": expected }))?;
    }
    // Groups of nobody are nobody's.
    let mut headers = vec![("impersonate-group", "a")];
    headers.extend(JSON);
    let refused = world
        .send("POST", path, &headers, &body.to_string())
        .await?;
    let refused = refused.refused(400, "BadRequest")?;
    let message = "requested [{Group  a    }] without impersonating a user";
    claim(&refused, &json!({ "message": message }))?;
    Ok(())
}
