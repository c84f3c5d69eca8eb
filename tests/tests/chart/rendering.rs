//! What the chart renders, without a server: lints, versions, switches, and the words for values that cannot be.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use stationkeeper_tests::operator::stationkeeper;

use crate::helm::{CHART, Helm, NAMESPACE, objects, of_kind, the, values_files};

/// Renders the chart with `--set` for each of the values.
async fn rendered(values: &[&str]) -> Result<Vec<Value>> {
    let set: Vec<String> = values
        .iter()
        .map(|value| format!("--set={value}"))
        .collect();
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    Helm::Four.objects(&set).await
}

/// The values are refused by both Helms, in words that contain these.
async fn refused(values: &[&str], words: &str) -> Result<()> {
    let set: Vec<String> = values
        .iter()
        .map(|value| format!("--set={value}"))
        .collect();
    let template = ["template", "stationkeeper", CHART];
    let set: Vec<&str> = set.iter().map(String::as_str).collect();
    for helm in Helm::ALL {
        let said = helm
            .alone(&[&template[..], &set].concat())
            .await?
            .refusal()?;
        ensure!(said.contains(words), "{helm:?} with {values:?}: {said}");
    }
    Ok(())
}

fn arguments(objects: &[Value]) -> Result<Vec<&str>> {
    let deployment = the(objects, "Deployment", "stationkeeper")?;
    let arguments = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array();
    Ok(arguments
        .context("no arguments")?
        .iter()
        .filter_map(Value::as_str)
        .collect())
}

#[tokio::test]
async fn every_values_file_is_linted_without_a_word_by_both_helms() -> Result<()> {
    for values in values_files()? {
        for helm in Helm::ALL {
            let lint = ["lint", "--strict", "--quiet", CHART, "--values", &values];
            let said = helm.alone(&lint).await?.success()?;
            ensure!(said.trim().is_empty(), "{helm:?} {values}: {said}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn both_helms_render_the_same_objects() -> Result<()> {
    for values in values_files()? {
        let [mut three, mut four] = [
            Helm::Three.objects(&["--values", &values]).await?,
            Helm::Four.objects(&["--values", &values]).await?,
        ];
        let order = |object: &Value| format!("{} {}", object["kind"], object["metadata"]["name"]);
        three.sort_by_key(order);
        four.sort_by_key(order);
        ensure!(three == four, "{values}");
    }
    Ok(())
}

#[tokio::test]
async fn the_chart_has_the_version_of_the_program() -> Result<()> {
    let chart = std::fs::read_to_string(xtask::cargo::workspace().join(CHART).join("Chart.yaml"))?;
    let chart: Value = serde_yaml::from_str(&chart)?;
    ensure!(
        chart["appVersion"] == env!("CARGO_PKG_VERSION"),
        "{}",
        chart["appVersion"]
    );
    ensure!(
        chart["version"] == env!("CARGO_PKG_VERSION"),
        "{}",
        chart["version"]
    );
    Ok(())
}

#[tokio::test]
async fn the_artifact_hub_page_lists_every_crd() -> Result<()> {
    let chart = std::fs::read_to_string(xtask::cargo::workspace().join(CHART).join("Chart.yaml"))?;
    for crd in of_kind(&rendered(&[]).await?, "CustomResourceDefinition") {
        let name = crd["metadata"]["name"]
            .as_str()
            .context("a CRD without a name")?;
        ensure!(
            chart.contains(&format!("name: {name}")),
            "{name} is not in Chart.yaml"
        );
    }
    Ok(())
}

#[tokio::test]
async fn every_value_is_in_the_schema_with_its_default() -> Result<()> {
    let folder = xtask::cargo::workspace().join(CHART);
    let values: Value =
        serde_yaml::from_str(&std::fs::read_to_string(folder.join("values.yaml"))?)?;
    let schema: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("values.schema.json"))?)?;
    fn compare(path: &str, values: &Value, schema: &Value) -> Result<()> {
        let (Some(values), Some(known)) = (values.as_object(), schema["properties"].as_object())
        else {
            return Ok(());
        };
        ensure!(
            schema["additionalProperties"] == false,
            "{path} takes anything"
        );
        for (name, value) in values {
            let schema = known
                .get(name)
                .with_context(|| format!("{path}.{name} has no schema"))?;
            compare(&format!("{path}.{name}"), value, schema)?;
        }
        for name in known
            .keys()
            .filter(|name| *name != "global" && *name != "claims")
        {
            let optional = path.ends_with("issuerRef") || path.ends_with("privateKey");
            ensure!(
                optional || values.contains_key(name),
                "{path}.{name} is not in values.yaml"
            );
        }
        Ok(())
    }
    compare("", &values, &schema)
}

#[tokio::test]
async fn the_pods_keep_to_the_restricted_standard() -> Result<()> {
    let objects = rendered(&["test.enabled=true"]).await?;
    let deployment = the(&objects, "Deployment", "stationkeeper")?;
    for pod in [
        &deployment["spec"]["template"]["spec"],
        &the(&objects, "Pod", "test")?["spec"],
    ] {
        ensure!(pod["securityContext"]["runAsNonRoot"] == true, "{pod}");
        ensure!(
            pod["securityContext"]["seccompProfile"]["type"] == "RuntimeDefault",
            "{pod}"
        );
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            ensure!(pod[key].is_null(), "{key}");
        }
        let context = &pod["containers"][0]["securityContext"];
        ensure!(context["allowPrivilegeEscalation"] == false, "{context}");
        ensure!(context["readOnlyRootFilesystem"] == true, "{context}");
        ensure!(context["capabilities"]["drop"][0] == "ALL", "{context}");
        ensure!(
            pod["containers"][0]["resources"]["requests"].is_object(),
            "{pod}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn the_gateways_service_follows_the_leader_with_one_replica_and_with_two() -> Result<()> {
    for values in [&[][..], &["replicas=2"]] {
        let objects = rendered(values).await?;
        let selector = &the(&objects, "Service", "-gateway")?["spec"]["selector"];
        ensure!(
            selector["stationkeeper.dev/leader"] == "true",
            "{values:?}: {selector}"
        );
        ensure!(
            arguments(&objects)?.contains(&"--leader-label"),
            "{values:?}"
        );
        // Metrics are of both.
        let selector = &the(&objects, "Service", "-admin")?["spec"]["selector"];
        ensure!(
            selector["stationkeeper.dev/leader"].is_null(),
            "{values:?}: {selector}"
        );
    }
    let objects = rendered(&["gateway.followLeader=false"]).await?;
    ensure!(
        !arguments(&objects)?.contains(&"--leader-label"),
        "the label is put on"
    );
    let role = the(&objects, "Role", "stationkeeper")?.to_string();
    ensure!(!role.contains("pods"), "{role}");
    ensure!(
        of_kind(&objects, "ValidatingAdmissionPolicy").is_empty(),
        "a guard of nothing"
    );
    Ok(())
}

#[tokio::test]
async fn a_budget_for_disruptions_is_made_only_where_it_does_not_block_a_drain() -> Result<()> {
    ensure!(
        of_kind(&rendered(&[]).await?, "PodDisruptionBudget").is_empty(),
        "with one replica"
    );
    let objects = rendered(&["replicas=2"]).await?;
    ensure!(
        of_kind(&objects, "PodDisruptionBudget").len() == 1,
        "with two"
    );
    Ok(())
}

#[tokio::test]
async fn watched_namespaces_have_roles_and_the_cluster_has_none() -> Result<()> {
    let objects = rendered(&["watchNamespaces={north,south}", "rbac.aggregate=false"]).await?;
    for kind in ["ClusterRole", "ClusterRoleBinding"] {
        ensure!(of_kind(&objects, kind).is_empty(), "{kind}");
    }
    let places: Vec<&str> = of_kind(&objects, "Role")
        .into_iter()
        .filter_map(|role| role["metadata"]["namespace"].as_str())
        .collect();
    ensure!(
        places == [NAMESPACE, "north", "south"] || places.len() == 3,
        "{places:?}"
    );
    let given = arguments(&objects)?;
    ensure!(
        given.contains(&"--namespace=north") && given.contains(&"--namespace=south"),
        "{given:?}"
    );
    Ok(())
}

#[tokio::test]
async fn crds_are_installed_and_kept_as_the_switches_say() -> Result<()> {
    let crds = async |values: &[&str]| -> Result<Vec<Value>> {
        let objects = rendered(values).await?;
        Ok(of_kind(&objects, "CustomResourceDefinition")
            .into_iter()
            .cloned()
            .collect())
    };
    let files = std::fs::read_dir(xtask::cargo::workspace().join("crds"))?.count();
    let kept = crds(&[]).await?;
    ensure!(kept.len() == files, "{} CRDs for {files} files", kept.len());
    let policy = |crd: &Value| crd["metadata"]["annotations"]["helm.sh/resource-policy"].clone();
    ensure!(
        kept.iter().all(|crd| policy(crd) == "keep"),
        "not all are kept"
    );
    let let_go = crds(&["crds.keep=false"]).await?;
    ensure!(
        let_go.len() == files && let_go.iter().all(|crd| policy(crd).is_null()),
        "some are kept"
    );
    ensure!(
        crds(&["crds.install=false"]).await?.is_empty(),
        "some are installed"
    );
    Ok(())
}

#[tokio::test]
async fn the_program_takes_the_arguments_of_every_values_file() -> Result<()> {
    for values in values_files()? {
        let objects = Helm::Four.objects(&["--values", &values]).await?;
        let deployment = of_kind(&objects, "Deployment");
        let deployment = deployment.first().context("no Deployment")?;
        let given = deployment["spec"]["template"]["spec"]["containers"][0]["args"].as_array();
        let given = given
            .context("no arguments")?
            .iter()
            .filter_map(Value::as_str);
        // Asked for help, it reads all that stands before, and starts nothing.
        let given: Vec<&str> = given.chain(["--help"]).collect();
        stationkeeper(&given)
            .await?
            .success()
            .with_context(|| values.clone())?;
    }
    Ok(())
}

#[tokio::test]
async fn a_digest_decides_which_image_runs() -> Result<()> {
    let digest = format!("sha256:{}", "a".repeat(64));
    for (values, image) in [
        (
            vec![],
            format!(
                "ghcr.io/stationkeeper/stationkeeper:{}",
                env!("CARGO_PKG_VERSION")
            ),
        ),
        (
            vec!["image.tag=edge".to_owned()],
            "ghcr.io/stationkeeper/stationkeeper:edge".to_owned(),
        ),
        (
            vec![format!("image.digest={digest}")],
            format!("ghcr.io/stationkeeper/stationkeeper@{digest}"),
        ),
    ] {
        let values: Vec<&str> = values.iter().map(String::as_str).collect();
        let objects = rendered(&values).await?;
        let deployment = the(&objects, "Deployment", "stationkeeper")?;
        let found = &deployment["spec"]["template"]["spec"]["containers"][0]["image"];
        ensure!(*found == image, "{found}");
    }
    Ok(())
}

#[tokio::test]
async fn a_new_version_of_the_chart_alone_does_not_roll_the_pods() -> Result<()> {
    let objects = rendered(&[]).await?;
    let deployment = the(&objects, "Deployment", "stationkeeper")?;
    let template = deployment["spec"]["template"]["metadata"].to_string();
    ensure!(!template.contains("helm.sh/chart"), "{template}");
    Ok(())
}

#[tokio::test]
async fn large_numbers_stay_numbers() -> Result<()> {
    let objects = rendered(&[
        "callsPerSecond=2000000",
        "registerUnknown.enabled=true",
        "registerUnknown.limit=20000",
    ])
    .await?;
    let given = arguments(&objects)?;
    for argument in ["--calls-per-second=2000000", "--register-limit=20000"] {
        ensure!(given.contains(&argument), "{given:?}");
    }
    Ok(())
}

#[tokio::test]
async fn alerts_and_dashboard_are_rendered_once_they_are_there() -> Result<()> {
    let objects = rendered(&[
        "metrics.prometheusRule.enabled=true",
        "metrics.dashboard.enabled=true",
    ])
    .await?;
    let folder = xtask::cargo::workspace().join(CHART).join("files");
    for (file, kind) in [
        ("alerts.yaml", "PrometheusRule"),
        ("dashboard.json", "ConfigMap"),
    ] {
        let there = folder.join(file).exists();
        ensure!(
            of_kind(&objects, kind).len() == usize::from(there),
            "{file} is there: {there}"
        );
    }
    Ok(())
}

#[tokio::test]
async fn values_that_cannot_be_are_refused_with_what_to_do() -> Result<()> {
    for (values, words) in [
        (
            &["drainSeconds=50"][..],
            "Set terminationGracePeriodSeconds to at least 65",
        ),
        (
            &["replicas=2", "gateway.followLeader=false"],
            "set it to true, or replicas to 1",
        ),
        (
            &["gateway.tls.enabled=true"],
            "set gateway.tls.existingSecret, or gateway.tls.certManager.enabled",
        ),
        (
            &[
                "gateway.tls.enabled=true",
                "gateway.tls.existingSecret=a",
                "gateway.tls.certManager.enabled=true",
            ],
            "choose one",
        ),
        (
            &[
                "gateway.tls.enabled=true",
                "gateway.tls.certManager.enabled=true",
            ],
            "needs issuerRef.name",
        ),
        (
            &["replicas=2", "charging.authorize=any"],
            "set replicas to 1",
        ),
        (
            &["charging.authorize=file"],
            "charging.idTags.existingSecret",
        ),
        (
            &["watchNamespaces={north}", "registerUnknown.enabled=true"],
            "is not among watchNamespaces",
        ),
        (
            &["gateway.ingress.enabled=true"],
            "needs gateway.ingress.hosts",
        ),
        (
            &["admin.port=9220"],
            "gateway.port and admin.port are both 9220",
        ),
        (
            &["leaderElection.renewDeadline=15s"],
            "shorter than leaseDuration (15s)",
        ),
        (
            &["leaderElection.retryPeriod=1m"],
            "retryPeriod (1m) must be shorter",
        ),
        (
            &["leaderElection.leaseDuration=900ms"],
            "leaseDuration (900ms)",
        ),
        (
            &["commonLabels.app\\.kubernetes\\.io/name=mine"],
            "commonLabels may not set the label app.kubernetes.io/name",
        ),
        (
            &["podLabels.stationkeeper\\.dev/leader=yes"],
            "podLabels may not set the label stationkeeper.dev/leader",
        ),
        // Of the schema.
        (&["replica=2"], "replica"),
        (&["gateway.tls.secret=a"], "secret"),
        (&["image.digest=latest"], "digest"),
        (&["resync=6"], "resync"),
        (&["gateway.service.type=Headless"], "type"),
        (&["watchNamespaces={North}"], "watchNamespaces"),
        (&["replicas=two"], "replicas"),
    ] {
        refused(values, words).await?;
    }
    Ok(())
}

#[tokio::test]
async fn values_that_were_emptied_with_null_are_as_good_as_empty_ones() -> Result<()> {
    let emptied = [
        "commonLabels",
        "imagePullSecrets",
        "watchNamespaces",
        "resources",
        "podAnnotations",
        "podLabels",
        "nodeSelector",
        "tolerations",
        "affinity",
        "extraArgs",
        "extraEnv",
        "extraVolumes",
        "extraVolumeMounts",
    ];
    let emptied = emptied.map(|value| format!("{value}=null"));
    let emptied: Vec<&str> = emptied.iter().map(String::as_str).collect();
    ensure!(
        of_kind(&rendered(&emptied).await?, "Deployment").len() == 1,
        "no Deployment"
    );
    Ok(())
}

#[tokio::test]
async fn a_release_may_have_dots_in_its_name() -> Result<()> {
    for helm in Helm::ALL {
        let template = [
            "template",
            "keeper.north",
            CHART,
            "--set=charging.authorize=any",
        ];
        let text = helm.alone(&template).await?.success()?;
        for object in objects(&text)? {
            let name = object["metadata"]["name"].as_str().unwrap_or_default();
            let may = ["CustomResourceDefinition"].contains(&object["kind"].as_str().unwrap_or(""));
            ensure!(may || !name.contains('.'), "{helm:?}: {name}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn as_a_part_of_another_chart_it_takes_global_values() -> Result<()> {
    ensure!(
        !rendered(&["global.region=north"]).await?.is_empty(),
        "nothing"
    );
    Ok(())
}
