//! Who may do what, with role-based access control on.

// A test that cannot go on has failed.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use kube::{Client, Config, Error};
use kubefed_sim::{Cluster, ClusterOptions, Network};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

fn from<T: DeserializeOwned>(value: Value) -> T {
    serde_json::from_value(value).unwrap()
}

fn connect(cluster: &Cluster, token: &str) -> Client {
    let network = Network::new();
    network.attach(cluster);
    let mut config = Config::new("https://member-1.sim".parse().unwrap());
    config.auth_info.token = Some(token.to_owned().into());
    network.client(&config).unwrap()
}

/// A cluster, an administrator, and a token of the service account `robot`.
async fn with_robot() -> (Cluster, Client, String) {
    let cluster = Cluster::with_options(ClusterOptions::new("member-1").rbac());
    let admin = cluster.client();
    let account: ServiceAccount = from(json!({ "metadata": { "name": "robot" } }));
    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin.clone());
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let secrets: Api<Secret> = Api::default_namespaced(admin.clone());
    let secret: Secret = from(json!({
        "type": "kubernetes.io/service-account-token",
        "metadata": { "name": "robot", "annotations": { "kubernetes.io/service-account.name": "robot" } },
    }));
    secrets
        .create(&PostParams::default(), &secret)
        .await
        .unwrap();
    cluster.settled().await;
    let token = secrets.get("robot").await.unwrap().data.unwrap()["token"]
        .0
        .clone();
    (cluster, admin, String::from_utf8(token).unwrap())
}

fn code<T>(result: Result<T, Error>) -> u16 {
    match result {
        Ok(_) => 200,
        Err(Error::Api(status)) => status.code,
        Err(error) => panic!("{error}"),
    }
}

async fn bind(admin: &Client, cluster_wide: bool) {
    let rules =
        json!([{ "apiGroups": [""], "resources": ["configmaps"], "verbs": ["get", "list"] }]);
    bind_rules(admin, cluster_wide, rules).await;
}

async fn bind_rules(admin: &Client, cluster_wide: bool, rules: Value) {
    let subject = json!([{ "kind": "ServiceAccount", "name": "robot", "namespace": "default" }]);
    let metadata = json!({ "name": "reader" });
    let reference = |kind: &str| json!({ "apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": "reader" });
    let params = PostParams::default();
    if cluster_wide {
        let role: ClusterRole = from(json!({ "metadata": metadata, "rules": rules }));
        Api::all(admin.clone())
            .create(&params, &role)
            .await
            .unwrap();
        let binding: ClusterRoleBinding = from(
            json!({ "metadata": metadata, "roleRef": reference("ClusterRole"), "subjects": subject }),
        );
        Api::all(admin.clone())
            .create(&params, &binding)
            .await
            .unwrap();
    } else {
        let role: Role = from(json!({ "metadata": metadata, "rules": rules }));
        Api::default_namespaced(admin.clone())
            .create(&params, &role)
            .await
            .unwrap();
        let binding: RoleBinding = from(
            json!({ "metadata": metadata, "roleRef": reference("Role"), "subjects": subject }),
        );
        Api::default_namespaced(admin.clone())
            .create(&params, &binding)
            .await
            .unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn roles_give_what_they_say_and_no_more() {
    for cluster_wide in [false, true] {
        let (cluster, admin, token) = with_robot().await;
        let robot = connect(&cluster, &token);
        let here: Api<ConfigMap> = Api::default_namespaced(robot.clone());
        let there: Api<ConfigMap> = Api::namespaced(robot.clone(), "kube-system");
        let list = ListParams::default();
        assert_eq!(code(here.list(&list).await), 403);
        bind(&admin, cluster_wide).await;
        assert_eq!(code(here.list(&list).await), 200);
        assert_eq!(code(here.get("kube-root-ca.crt").await), 200);
        assert_eq!(
            code(
                here.delete("kube-root-ca.crt", &DeleteParams::default())
                    .await
            ),
            403
        );
        assert_eq!(
            code(there.list(&list).await),
            if cluster_wide { 200 } else { 403 }
        );
        assert_eq!(
            code(Api::<Secret>::default_namespaced(robot).list(&list).await),
            403
        );
        let Err(Error::Api(status)) = here
            .create(
                &PostParams::default(),
                &from(json!({ "metadata": { "name": "a" } })),
            )
            .await
        else {
            panic!("created")
        };
        assert_eq!(
            status.message,
            "configmaps is forbidden: User \"system:serviceaccount:default:robot\" cannot create resource \
             \"configmaps\" in API group \"\" in the namespace \"default\""
        );
    }
}

#[tokio::test(start_paused = true)]
async fn impersonation_must_be_granted() {
    let (cluster, admin, token) = with_robot().await;
    let robot = connect(&cluster, &token);
    let list = async |headers: &[(&str, &str)]| {
        let mut request = http::Request::get("/api/v1/namespaces/default/configmaps");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Vec::new()).unwrap();
        let Err(Error::Api(status)) = robot.request::<Value>(request).await else {
            panic!("listed")
        };
        status.message
    };
    let me = "User \"system:serviceaccount:default:robot\" cannot impersonate resource";
    let jane = ("impersonate-user", "jane");
    for (headers, refused) in [
        (
            &[jane][..],
            format!(
                "users \"jane\" is forbidden: {me} \"users\" in API group \"\" at the cluster scope"
            ),
        ),
        (
            &[("impersonate-user", "system:serviceaccount:a:b")],
            format!(
                "serviceaccounts \"b\" is forbidden: {me} \"serviceaccounts\" in API group \"\" in the namespace \"a\""
            ),
        ),
    ] {
        assert_eq!(list(headers).await, refused);
    }
    let rules = json!([{ "apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"], "verbs": ["impersonate"] }]);
    bind_rules(&admin, true, rules).await;
    assert_eq!(
        list(&[jane]).await,
        "configmaps is forbidden: User \"jane\" cannot list resource \"configmaps\" in API group \"\" \
         in the namespace \"default\""
    );
    assert_eq!(
        list(&[jane, ("impersonate-group", "system:masters")]).await,
        format!(
            "groups \"system:masters\" is forbidden: {me} \"groups\" in API group \"\" at the cluster scope"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn tokens_end_with_their_time_or_their_secret() {
    let (cluster, admin, token) = with_robot().await;
    bind(&admin, true).await;
    let list = ListParams::default();
    let maps = |token: &str| Api::<ConfigMap>::default_namespaced(connect(&cluster, token));
    assert_eq!(code(maps(&token).list(&list).await), 200);
    let secrets: Api<Secret> = Api::default_namespaced(admin.clone());
    secrets
        .delete("robot", &DeleteParams::default())
        .await
        .unwrap();
    assert_eq!(code(maps(&token).list(&list).await), 401);

    let accounts: Api<ServiceAccount> = Api::default_namespaced(admin);
    let request: TokenRequest =
        from(json!({ "metadata": {}, "spec": { "audiences": [], "expirationSeconds": 600 } }));
    let issued = accounts
        .create_token_request("robot", &PostParams::default(), &request)
        .await
        .unwrap();
    let token = issued.status.unwrap().token.unwrap();
    assert_eq!(code(maps(&token).list(&list).await), 200);
    tokio::time::sleep(Duration::from_secs(601)).await;
    assert_eq!(code(maps(&token).list(&list).await), 401);
}
