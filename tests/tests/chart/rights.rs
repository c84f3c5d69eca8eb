//! Least privilege: the operator as the chart's own ServiceAccount does its whole job, and can do nothing else.

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use stationkeeper_simulator::{Pace, Password, Station, StationHandle, StationSettings};
use stationkeeper_tests::{ApiServer, Operator, Ran, TIMEOUT, eventually};

use crate::helm::NAMESPACE;
use crate::installed::{ACCOUNT, LIMIT, Release};

/// The password of the simulated stations.
const PASSWORD: &str = "0123456789abcdef0123";

/// What it can do in its own namespace, whatever it watches.
const OF_ITS_OWN: [&str; 8] = [
    "create leases.coordination.k8s.io -n stationkeeper-system",
    "get leases.coordination.k8s.io/stationkeeper -n stationkeeper-system",
    "update leases.coordination.k8s.io/stationkeeper -n stationkeeper-system",
    "watch configmaps/stationkeeper-brake -n stationkeeper-system",
    "get secrets/stationkeeper-digest-key -n stationkeeper-system",
    "create secrets -n stationkeeper-system",
    "list pods -n stationkeeper-system",
    "patch pods -n stationkeeper-system",
];

/// What it can do where stations are, beside what it can do with our own kinds.
const OF_A_FLEET: [&str; 2] = [
    "create events.events.k8s.io -n fleet",
    "get secrets/cp-1 -n fleet",
];

/// What it can do with each of our kinds where stations are.
const OF_OUR_KINDS: [&str; 3] = ["list", "watch", "patch --subresource=status"];

/// What it must never do with them: they belong to people and to Git.
const NEVER_OF_OUR_KINDS: [&str; 7] = [
    "create",
    "update",
    "patch",
    "delete",
    "deletecollection",
    "update --subresource=status",
    "delete --subresource=status",
];

/// What it must never be able to do, in whatever manner it is installed.
const NEVER: [&str; 42] = [
    // Secrets: read by name, and nothing else.
    "list secrets -n stationkeeper-system",
    "watch secrets -n stationkeeper-system",
    "update secrets -n stationkeeper-system",
    "update secrets/stationkeeper-digest-key -n stationkeeper-system",
    "patch secrets -n stationkeeper-system",
    "delete secrets -n stationkeeper-system",
    "list secrets -n fleet",
    "watch secrets -n fleet",
    "create secrets -n fleet",
    "update secrets -n fleet",
    "delete secrets -n fleet",
    "list secrets -A",
    // Its own namespace beyond what is its own.
    "list configmaps -n stationkeeper-system",
    "get configmaps/other -n stationkeeper-system",
    "update configmaps/stationkeeper-brake -n stationkeeper-system",
    "create configmaps -n stationkeeper-system",
    "get leases.coordination.k8s.io/other -n stationkeeper-system",
    "update leases.coordination.k8s.io/other -n stationkeeper-system",
    "delete leases.coordination.k8s.io/stationkeeper -n stationkeeper-system",
    "create pods -n stationkeeper-system",
    "delete pods -n stationkeeper-system",
    "update pods -n stationkeeper-system",
    "create pods --subresource=exec -n stationkeeper-system",
    "get pods --subresource=log -n stationkeeper-system",
    "create serviceaccounts --subresource=token -n stationkeeper-system",
    "patch deployments.apps -n stationkeeper-system",
    "patch services -n stationkeeper-system",
    // Other groups and the cluster.
    "get pods -n fleet",
    "patch pods -n fleet",
    "get configmaps -n fleet",
    "create leases.coordination.k8s.io -n fleet",
    "create events -n fleet",
    "delete events.events.k8s.io -n fleet",
    "list deployments.apps -A",
    "list nodes",
    "list namespaces",
    "get namespaces/kube-system",
    "patch customresourcedefinitions.apiextensions.k8s.io",
    "create clusterrolebindings.rbac.authorization.k8s.io",
    "escalate clusterroles.rbac.authorization.k8s.io",
    "impersonate users",
    "get leases.coordination.k8s.io -n kube-system",
];

/// Questions about each of our kinds in a namespace, from verbs that may have a flag.
fn of_our_kinds(verbs: &[&str], namespace: &str) -> Result<Vec<String>> {
    let folder = xtask::cargo::workspace().join("crds");
    let mut questions = Vec::new();
    for entry in std::fs::read_dir(folder).context("failed to list the CRDs")? {
        let name = entry?.file_name();
        let kind = name.to_str().and_then(|name| name.strip_suffix(".yaml"));
        let kind = kind.context("a CRD has an odd name")?;
        for verb in verbs {
            let (verb, flag) = verb.split_once(' ').unwrap_or((verb, ""));
            questions.push(format!("{verb} {kind} -n {namespace} {flag}"));
        }
    }
    ensure!(!questions.is_empty(), "there are no CRDs");
    Ok(questions)
}

impl Release<'_> {
    /// Patches a Pod with a token of the operator's ServiceAccount, bound to the Pod keeper-a.
    async fn patch_as_the_operator(&self, pod: &str, patch: &Value, flags: &[&str]) -> Result<Ran> {
        let kubeconfig = self.kubeconfig("keeper-a").await?;
        let kubeconfig = kubeconfig.to_str().context("a path is not text")?;
        let patch = patch.to_string();
        let arguments = [
            "--kubeconfig",
            kubeconfig,
            "patch",
            "pod",
            pod,
            "--namespace",
            NAMESPACE,
        ];
        self.server
            .kubectl(
                &[
                    &arguments[..],
                    &["--type=strategic", "--patch", &patch],
                    flags,
                ]
                .concat(),
            )
            .await
    }

    /// May the operator do that? Asked as `kubectl auth can-i` does.
    async fn can(&self, question: &str) -> Result<bool> {
        let ask = ["auth", "can-i", "--as", ACCOUNT];
        let words: Vec<&str> = question.split_whitespace().collect();
        let ran = self.server.kubectl(&[&ask[..], &words].concat()).await?;
        // A question about something that does not exist would be answered with no, whatever the rights are.
        ensure!(
            !ran.stderr.contains("the server doesn't have"),
            "{}",
            ran.stderr
        );
        match ran.stdout.trim() {
            "yes" => Ok(true),
            answer if answer.starts_with("no") => Ok(false),
            _ => anyhow::bail!("`can-i {question}` answered {ran:?}"),
        }
    }

    async fn may(&self, questions: &[impl AsRef<str>]) -> Result<()> {
        for question in questions.iter().map(AsRef::as_ref) {
            ensure!(self.can(question).await?, "it may not {question}");
        }
        Ok(())
    }

    async fn may_not(&self, questions: &[impl AsRef<str>]) -> Result<()> {
        for question in questions.iter().map(AsRef::as_ref) {
            ensure!(!self.can(question).await?, "it may {question}");
        }
        Ok(())
    }

    /// The whole job in a namespace: a password from a Secret, a config, a station that comes into sync, Events.
    async fn does_the_job(&self, operator: &Operator, namespace: &str) -> Result<()> {
        let identity = format!("CP-{namespace}");
        self.apply(namespace, &manifests(&identity)).await?;
        let live = simulated(operator, &identity);
        let wait = ["wait", "--for=condition=InSync", TIMEOUT];
        for object in ["chst/cp-1", "csc/baseline"] {
            let wait = [&wait[..], &[object, "--namespace", namespace]].concat();
            self.server.kubectl(&wait).await?.success()?;
        }
        // Somebody changes on site what is only reported: an Event tells.
        live.set_key("ConnectionTimeOut", "61");
        let look = [
            "annotate",
            "chst/cp-1",
            "reconcile.fluxcd.io/requestedAt=now",
        ];
        self.server
            .kubectl(&[&look[..], &["--namespace", namespace]].concat())
            .await?
            .success()?;
        eventually(LIMIT, async || {
            let events = self
                .get(
                    namespace,
                    &["events.events.k8s.io", "--output=jsonpath={.items[*].note}"],
                )
                .await?;
            ensure!(events.contains("ConnectionTimeOut"), "{events:?}");
            Ok(())
        })
        .await
    }
}

/// A station with a password, and a config for it.
fn manifests(identity: &str) -> String {
    let objects = [
        json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "cp-1"}, "stringData": {"password": PASSWORD}}),
        json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStation",
            "metadata": {"name": "cp-1", "labels": {"site": "harbour"}},
            "spec": {"identity": identity, "authentication": {"secretRef": {"name": "cp-1"}}},
        }),
        json!({
            "apiVersion": "stationkeeper.dev/v1alpha1", "kind": "ChargeStationConfig", "metadata": {"name": "baseline"},
            "spec": {
                "stations": {"selector": {"matchLabels": {"site": "harbour"}}}, "mode": "Enforce",
                "settings": [
                    {"key": "MeterValueSampleInterval", "value": "900"},
                    {"key": "ConnectionTimeOut", "value": "60", "mode": "Report"},
                ],
            },
        }),
    ];
    objects.map(|object| object.to_string()).join("\n---\n")
}

fn simulated(operator: &Operator, identity: &str) -> StationHandle {
    let url = format!("ws://{}/ocpp", operator.gateway());
    let mut settings = StationSettings::new(&url, identity);
    settings.pace = Pace::QUICK;
    settings.password = Some(Password::new(PASSWORD));
    Station::start(settings)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_charts_cluster_role_the_operator_does_its_job_and_can_do_nothing_else()
-> Result<()> {
    let server = ApiServer::own().await?;
    let release = Release::install(&server, &[]).await?;
    make_namespace(&server, "fleet").await?;
    let operator = release.operator("keeper-a").await?;
    release.does_the_job(&operator, "fleet").await?;

    release.may(&OF_ITS_OWN).await?;
    release.may(&OF_A_FLEET).await?;
    release.may(&of_our_kinds(&OF_OUR_KINDS, "fleet")?).await?;
    release.may_not(&NEVER).await?;
    release
        .may_not(&of_our_kinds(&NEVER_OF_OUR_KINDS, "fleet")?)
        .await?;
    // It has not even tried what it may not.
    let refused: Vec<String> = operator
        .logs()
        .into_iter()
        .filter(|line| line.contains("forbidden"))
        .collect();
    ensure!(refused.is_empty(), "{refused:?}");
    let lease = release
        .get(
            NAMESPACE,
            &[
                "lease/stationkeeper",
                "--output=jsonpath={.spec.holderIdentity}",
            ],
        )
        .await?;
    ensure!(lease.starts_with("keeper-a_"), "{lease}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn with_roles_in_two_namespaces_it_does_its_job_there_and_sees_no_other() -> Result<()> {
    let server = ApiServer::own().await?;
    for namespace in ["fleet", "depot", "other"] {
        make_namespace(&server, namespace).await?;
    }
    let release = Release::install(&server, &["--set=watchNamespaces={fleet,depot}"]).await?;
    let operator = release.operator("keeper-a").await?;
    release.does_the_job(&operator, "fleet").await?;
    release.does_the_job(&operator, "depot").await?;

    release.may(&OF_ITS_OWN).await?;
    release.may_not(&NEVER).await?;
    for namespace in ["fleet", "depot"] {
        release
            .may(&of_our_kinds(&OF_OUR_KINDS, namespace)?)
            .await?;
        release
            .may_not(&of_our_kinds(&NEVER_OF_OUR_KINDS, namespace)?)
            .await?;
    }
    for namespace in ["other", NAMESPACE, "default"] {
        release
            .may_not(&of_our_kinds(&OF_OUR_KINDS, namespace)?)
            .await?;
    }
    release
        .may_not(&[
            "list chargestations.stationkeeper.dev -A",
            "get secrets/cp-1 -n other",
            "get secrets/other -n stationkeeper-system",
            "get secrets -n kube-system",
            "create events.events.k8s.io -n other",
        ])
        .await?;
    let refused: Vec<String> = operator
        .logs()
        .into_iter()
        .filter(|line| line.contains("forbidden"))
        .collect();
    ensure!(refused.is_empty(), "{refused:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_stations_are_registered_only_where_the_chart_allows_it() -> Result<()> {
    let server = ApiServer::own().await?;
    make_namespace(&server, "fleet").await?;
    let release = Release::install(
        &server,
        &["--set=registerUnknown.enabled=true,registerUnknown.namespace=fleet"],
    )
    .await?;
    let operator = release.operator("keeper-a").await?;
    let _live = simulated(&operator, "NOBODY-DECLARED-ME");
    eventually(LIMIT, async || {
        let identities = release
            .get(
                "fleet",
                &["chst", "--output=jsonpath={.items[*].spec.identity}"],
            )
            .await?;
        ensure!(identities == "NOBODY-DECLARED-ME", "{identities:?}");
        Ok(())
    })
    .await?;
    release
        .may(&["create chargestations.stationkeeper.dev -n fleet"])
        .await?;
    release
        .may_not(&[
            "create chargestations.stationkeeper.dev -n stationkeeper-system",
            "patch chargestations.stationkeeper.dev -n fleet",
            "create chargestationconfigs.stationkeeper.dev -n fleet",
        ])
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_leader_labels_its_pod_and_can_change_nothing_else_of_any_pod() -> Result<()> {
    let server = ApiServer::own().await?;
    let release = Release::install(&server, &[]).await?;
    let mut operator = release.operator("keeper-a").await?;
    let labelled = async |names: &str| {
        let selected = [
            "pods",
            "--selector=stationkeeper.dev/leader=true",
            "--output=jsonpath={.items[*].metadata.name}",
        ];
        eventually(LIMIT, async || {
            let found = release.get(NAMESPACE, &selected).await?;
            ensure!(found == names, "{found:?}");
            Ok(())
        })
        .await
    };
    labelled("keeper-a").await?;

    // Whoever stole the token gets no further than the label.
    release.apply(NAMESPACE, &json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "victim", "labels": {"app": "shop"}},
        "spec": {"containers": [{"name": "shop", "image": "shop:1"}]},
    }).to_string()).await?;
    for (pod, patch, message) in [
        (
            "victim",
            json!({"spec": {"containers": [{"name": "shop", "image": "evil"}]}}),
            "may not change the spec",
        ),
        (
            "keeper-a",
            json!({"spec": {"activeDeadlineSeconds": 5}}),
            "may not change the spec",
        ),
        (
            "victim",
            json!({"metadata": {"labels": {"app": "bank"}}}),
            "may change no label",
        ),
        (
            "victim",
            json!({"metadata": {"labels": {"app": null}}}),
            "may change no label",
        ),
        (
            "keeper-a",
            json!({"metadata": {"labels": {"app": "shop"}}}),
            "may change no label",
        ),
        (
            "victim",
            json!({"metadata": {"annotations": {"a": "b"}}}),
            "may not change the annotations",
        ),
        (
            "victim",
            json!({"metadata": {"finalizers": ["example.com/hang"]}}),
            "may not change the annotations",
        ),
        (
            "victim",
            json!({"metadata": {"labels": {"stationkeeper.dev/leader": "true"}}}),
            "on its own Pod only",
        ),
    ] {
        // Until a new policy is in force it refuses nothing, so nothing is changed by asking.
        let asked = ["--dry-run=server"];
        eventually(LIMIT, async || {
            let ran = release.patch_as_the_operator(pod, &patch, &asked).await?;
            let said = ran.refusal()?;
            ensure!(said.contains(message), "{pod} {patch}: {said}");
            Ok(())
        })
        .await?;
        let ran = release.patch_as_the_operator(pod, &patch, &[]).await?;
        let said = ran.refusal()?;
        ensure!(said.contains(message), "{pod} {patch}: {said}");
    }
    let take_off = json!({"metadata": {"labels": {"stationkeeper.dev/leader": null}}});
    release
        .patch_as_the_operator("victim", &take_off, &[])
        .await?
        .success()?;

    let ended = operator.terminate(LIMIT).await?;
    ensure!(ended.success(), "{ended}: {:#?}", operator.logs());
    labelled("")
        .await
        .with_context(|| format!("{:#?}", operator.logs()))
}

async fn make_namespace(server: &ApiServer, name: &str) -> Result<()> {
    server
        .kubectl(&["create", "namespace", name])
        .await?
        .success()?;
    Ok(())
}
