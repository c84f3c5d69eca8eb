//! Manifests against a real API server: what is refused and with which message, what is taken, and how the objects
//! read to somebody with `kubectl`.
//!
//! The manifests stand in `manifests/good` and `manifests/bad`, several documents a file. Each says in its head what it
//! claims; a bad one also what `kubectl` says of it (`# kubectl:`) and what is said without an API server, where that
//! differs (`# offline:`).

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};
use stationkeeper::manifest;
use stationkeeper::objects::check::{check_manifest, check_station_change};
use stationkeeper::objects::schema::Kind;
use stationkeeper::objects::{ChargeStation, ChargeStationStatus, ReportedHardware};
use stationkeeper_core::memory::Memory;
use stationkeeper_core::status::KeyCounts;
use stationkeeper_tests::{ApiServer, LIMIT, Ran, TIMEOUT, eventually, seconds, steady};
use tokio::sync::OnceCell;

struct Document {
    file: String,
    text: String,
    claim: String,
    kubectl: Option<String>,
    offline: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = entries
        .filter(|path| path.extension().is_some_and(|end| end == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no manifests in {}", folder.display());
    files
}

fn documents(folder: &str) -> Vec<Document> {
    let mut documents = Vec::new();
    for file in yaml_files(&root().join("tests/tests/manifests").join(folder)) {
        for text in std::fs::read_to_string(&file).unwrap().split("\n---\n") {
            let head = |name: &str| {
                let line = text
                    .lines()
                    .find_map(|line| line.strip_prefix(&format!("# {name}: ")))?;
                Some(if line.starts_with('"') {
                    serde_json::from_str(line).unwrap()
                } else {
                    line.to_owned()
                })
            };
            documents.push(Document {
                file: file.file_name().unwrap().to_string_lossy().into_owned(),
                claim: head("claim").expect("every document says what it claims"),
                kubectl: head("kubectl"),
                offline: head("offline"),
                text: text.to_owned(),
            });
        }
    }
    documents
}

fn examples() -> Vec<PathBuf> {
    ["catalogue", "demo", "greenflux", "quickstart", "vendors"]
        .iter()
        .flat_map(|folder| yaml_files(&root().join("examples").join(folder)))
        .collect()
}

/// What the reader of files says, problem by problem.
fn read(text: &str) -> Vec<String> {
    let file: Arc<Path> = Arc::from(Path::new("manifest.yaml"));
    manifest::read(&file, text.as_bytes(), "north")
        .all_problems()
        .map(ToString::to_string)
        .collect()
}

/// A namespace of the shared server, which has our definitions.
struct Cluster {
    server: &'static ApiServer,
    namespace: String,
    /// What came of the first time that the definitions were applied.
    first_apply: &'static Ran,
}

impl Cluster {
    async fn with_namespace(prefix: &str) -> Self {
        static FIRST_APPLY: OnceCell<Ran> = OnceCell::const_new();
        let server = ApiServer::shared().await.unwrap();
        let first_apply = FIRST_APPLY
            .get_or_init(async || {
                let ran = server
                    .kubectl(&["apply", "--server-side", "-f", "crds"])
                    .await
                    .unwrap();
                let wait = ["wait", "--for=condition=Established", TIMEOUT, "-f", "crds"];
                server.kubectl(&wait).await.unwrap().success().unwrap();
                // What is established is served some moments later.
                let get = ["get", "csc,chst,kcat", "-n", "default"];
                eventually(LIMIT, async || server.kubectl(&get).await?.success())
                    .await
                    .unwrap();
                ran
            })
            .await;
        Self {
            server,
            namespace: server.namespace(prefix).await.unwrap(),
            first_apply,
        }
    }

    async fn kubectl(&self, arguments: &[&str], input: &str) -> Ran {
        let arguments = [&["-n", &self.namespace], arguments].concat();
        self.server.kubectl_with(&arguments, input).await.unwrap()
    }

    /// As [`Self::kubectl`], for what must succeed: gives what was printed.
    async fn done(&self, arguments: &[&str], input: &str) -> String {
        self.kubectl(arguments, input).await.success().unwrap()
    }

    async fn get(&self, object: &str) -> Value {
        serde_json::from_str(
            &self
                .done(&["get", object, "-o", "json", "--show-managed-fields"], "")
                .await,
        )
        .unwrap()
    }
}

/// Nothing on standard error: that is where kubectl prints the warnings of the API server.
fn without_a_warning(ran: &Ran) {
    assert!(ran.succeeded() && ran.stderr.is_empty(), "{ran:#?}");
}

#[test]
fn there_are_enough_of_each() {
    for folder in ["good", "bad"] {
        let count = documents(folder).len();
        assert!(count >= 40, "{count} {folder} manifests");
    }
}

#[test]
fn without_an_api_server_bad_manifests_are_refused_alike() {
    for document in documents("bad") {
        let expected = document
            .offline
            .or(document.kubectl)
            .expect("a bad manifest says what is said of it");
        let found = read(&document.text);
        assert!(
            found.iter().any(|problem| problem.contains(&expected)),
            "{}: {}: expected {expected:?}, found {found:#?}",
            document.file,
            document.claim
        );
    }
}

#[test]
fn without_an_api_server_good_manifests_are_taken_alike() {
    for document in documents("good") {
        let object: Value = serde_yaml::from_str(&document.text).unwrap();
        let kind = Kind::named(object["kind"].as_str().unwrap()).unwrap();
        assert_eq!(
            check_manifest(kind, &object),
            [],
            "{}: {}",
            document.file,
            document.claim
        );
        let problems = read(&document.text);
        assert!(
            problems.is_empty(),
            "{}: {}: {problems:#?}",
            document.file,
            document.claim
        );
    }
}

#[test]
fn without_an_api_server_the_examples_are_taken() {
    for file in examples() {
        let problems = read(&std::fs::read_to_string(&file).unwrap());
        assert!(problems.is_empty(), "{}: {problems:#?}", file.display());
    }
}

#[test]
fn without_an_api_server_an_identity_stays_alike() {
    let station = |identity: &str| -> ChargeStation {
        serde_json::from_value(station("cp-0001", identity)).unwrap()
    };
    let mistakes = check_station_change(&station("CP0001"), &station("CP0002"));
    assert_eq!(mistakes[0].path, "spec.identity");
    assert!(
        mistakes[0]
            .message
            .contains("an identity cannot be changed")
    );
    assert_eq!(
        check_station_change(&station("CP0001"), &station("CP0001")),
        []
    );
}

fn station(name: &str, identity: &str) -> Value {
    json!({
        "apiVersion": "stationkeeper.dev/v1alpha1",
        "kind": "ChargeStation",
        "metadata": {"name": name},
        "spec": {"identity": identity, "authentication": {"none": true}},
    })
}

#[tokio::test]
async fn crds_apply_without_a_warning_and_again_without_a_change() {
    let cluster = Cluster::with_namespace("crds").await;
    without_a_warning(cluster.first_apply);
    let versions = [
        "get",
        "-f",
        "crds",
        "-o",
        "jsonpath={range .items[*]}{.metadata.generation} {.metadata.resourceVersion}{\"\\n\"}{end}",
    ];
    // The server itself may still be writing their status.
    let steady = steady(LIMIT, seconds(2), async || {
        Ok(cluster.done(&versions, "").await)
    });
    let before = steady.await.unwrap();
    assert_eq!(before.lines().count(), Kind::ALL.len());
    without_a_warning(
        &cluster
            .kubectl(&["apply", "--server-side", "-f", "crds"], "")
            .await,
    );
    assert_eq!(cluster.done(&versions, "").await, before);
    for kind in Kind::ALL {
        let definition = stationkeeper::objects::schema::definition(kind);
        let crd = cluster
            .get(&format!(
                "crd/{}",
                definition["metadata"]["name"].as_str().unwrap()
            ))
            .await;
        let conditions = crd["status"]["conditions"].as_array().unwrap();
        let holds = |kind: &str| {
            conditions
                .iter()
                .any(|found| found["type"] == kind && found["status"] == "True")
        };
        assert!(
            holds("Established") && holds("NamesAccepted") && !holds("NonStructuralSchema"),
            "{conditions:?}"
        );
    }
}

#[tokio::test]
async fn bad_manifests_are_refused_with_a_message_that_helps() {
    let cluster = Cluster::with_namespace("bad").await;
    for document in documents("bad") {
        let expected = document
            .kubectl
            .expect("a bad manifest says what kubectl says of it");
        let found = cluster
            .kubectl(&["apply", "--dry-run=server", "-f", "-"], &document.text)
            .await
            .refusal()
            .unwrap();
        assert!(
            found.contains(&expected),
            "{}: {}: expected {expected:?}, found {found}",
            document.file,
            document.claim
        );
    }
}

#[tokio::test]
async fn good_manifests_are_taken_and_taken_again_without_a_change() {
    let cluster = Cluster::with_namespace("good").await;
    let apply = ["apply", "--server-side", "-f", "tests/tests/manifests/good"];
    let versions = [
        "get",
        "csc,chst,kcat",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name} {.metadata.generation} {.metadata.resourceVersion}{\"\\n\"}{end}",
    ];
    without_a_warning(&cluster.kubectl(&apply, "").await);
    // The default of status is stored with the first write after the one that created the object.
    cluster.done(&apply, "").await;
    let before = cluster.done(&versions, "").await;
    assert_eq!(before.lines().count(), documents("good").len());
    assert!(
        before
            .lines()
            .all(|line| line.split_whitespace().nth(1) == Some("1")),
        "{before}"
    );
    cluster.done(&apply, "").await;
    assert_eq!(cluster.done(&versions, "").await, before);
}

#[tokio::test]
async fn the_examples_are_taken() {
    for file in examples() {
        // Examples are for one fleet each: two may give their stations the same names.
        let cluster = Cluster::with_namespace("examples").await;
        without_a_warning(
            &cluster
                .kubectl(&["apply", "-f", file.to_str().unwrap()], "")
                .await,
        );
    }
}

#[tokio::test]
async fn an_identity_is_never_changed() {
    let cluster = Cluster::with_namespace("identity").await;
    cluster
        .done(
            &["create", "-f", "-"],
            &station("cp-0001", "CP0001").to_string(),
        )
        .await;
    let changed = station("cp-0001", "CP0002").to_string();
    let found = cluster
        .kubectl(&["apply", "-f", "-"], &changed)
        .await
        .refusal()
        .unwrap();
    let expected = "an identity cannot be changed: delete this ChargeStation and create one with the new identity";
    assert!(found.contains(expected), "{found}");
}

#[tokio::test]
async fn stations_are_found_by_identity_and_by_category() {
    let cluster = Cluster::with_namespace("found").await;
    for (name, identity) in [("cp-0001", "CP0001"), ("cp-0002", "CP0002")] {
        cluster
            .done(&["create", "-f", "-"], &station(name, identity).to_string())
            .await;
    }
    let by_identity = [
        "get",
        "chst",
        "--field-selector",
        "spec.identity=CP0002",
        "-o",
        "name",
    ];
    assert_eq!(
        cluster.done(&by_identity, "").await.trim(),
        "chargestation.stationkeeper.dev/cp-0002"
    );
    assert_eq!(
        cluster
            .done(&["get", "stationkeeper", "-o", "name"], "")
            .await
            .lines()
            .count(),
        2
    );
    assert!(
        !cluster
            .done(&["get", "all", "-o", "name"], "")
            .await
            .contains("stationkeeper.dev")
    );
}

#[tokio::test]
async fn explain_reads_well() {
    let cluster = Cluster::with_namespace("explain").await;
    for (field, sentences) in [
        (
            "csc",
            [
                "A ChargeStationConfig declares what OCPP configuration keys",
                "-required-",
            ],
        ),
        (
            "csc.spec.settings",
            ["always in quotes: `\"900\"`", "At most 50 characters"],
        ),
        (
            "csc.spec.settings.mode",
            ["can narrow the mode of its config", "Enforce"],
        ),
        (
            "csc.spec.stations",
            [
                "Give at least one of `selector`, `names`",
                "`{}` selects every ChargeStation",
            ],
        ),
        (
            "csc.status.stations",
            ["All selected stations.", "counted by the worst"],
        ),
        (
            "kcat",
            [
                "A KeyCatalogue says what is known of the configuration keys",
                "never take a hazard away",
            ],
        ),
        (
            "kcat.spec.keys",
            [
                "The name of the key, as the station spells it.",
                "written only with the consent `Unknown`",
            ],
        ),
        (
            "kcat.status",
            [
                "it is in force, as it is written",
                "contradict another catalogue",
            ],
        ),
        (
            "chst.spec.authentication",
            [
                "give `secretRef` or `bootstrapSecretRef`",
                "Hex, Text, Auto",
            ],
        ),
        (
            "chst.status.deviations",
            [
                "What the station shows",
                "The declared value; absent for secrets.",
            ],
        ),
    ] {
        // The server publishes what it says of a new kind some moments after it has established it.
        let text = eventually(LIMIT, async || {
            cluster.kubectl(&["explain", field], "").await.success()
        })
        .await;
        // The wording is wrapped where the column ends.
        let text = text
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        for sentence in sentences {
            assert!(
                text.contains(sentence),
                "kubectl explain {field} lacks {sentence:?}: {text}"
            );
        }
        assert!(!text.contains("Auto-generated"), "{text}");
    }
}

#[tokio::test]
async fn lists_have_columns_that_tell() {
    let cluster = Cluster::with_namespace("columns").await;
    for folder in ["examples/catalogue", "examples/demo", "examples/quickstart"] {
        cluster.done(&["apply", "-f", folder], "").await;
    }
    for (arguments, columns) in [
        (
            ["get", "csc", "-o", ""],
            "NAME PRIORITY MODE STATIONS IN SYNC DRIFTED RESET PENDING OFFLINE READY AGE",
        ),
        (
            ["get", "csc", "-o", "wide"],
            "READY AGE FAILED PROGRESSING SUSPENDED MESSAGE",
        ),
        (["get", "kcat", "-o", ""], "NAME VENDOR KEYS READY AGE"),
        (
            ["get", "kcat", "-o", "wide"],
            "READY AGE ADDED FINDINGS MESSAGE",
        ),
        (
            ["get", "chst", "-o", ""],
            "NAME IDENTITY CONNECTED VENDOR MODEL FIRMWARE KEYS IN SYNC READY AGE",
        ),
        (
            ["get", "chst", "-o", "wide"],
            "READY AGE DEVIATIONS RESET PENDING LAST BOOT MESSAGE",
        ),
    ] {
        let text = cluster.done(&arguments, "").await;
        let head = text
            .lines()
            .next()
            .unwrap()
            .split_whitespace()
            .collect::<Vec<_>>()
            .join(" ");
        assert!(head.ends_with(columns), "{head}");
    }
}

/// What the operator publishes of a station with 40 managed keys, all in sync.
fn at_rest() -> ChargeStationStatus {
    let then = "2026-05-01T03:00:00Z";
    let condition = |kind: &str, reason: &str, message: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": message,
               "lastTransitionTime": then, "observedGeneration": 3})
    };
    let mut status: ChargeStationStatus = serde_json::from_value(json!({
        "observedGeneration": 3,
        "conditions": [
            condition("Ready", "Done", "everything that may be done now is done"),
            condition("InSync", "AllInSync", "all 40 keys are in sync"),
            condition("Connected", "Connected", "the station is connected"),
        ],
        "registration": "Accepted",
        "lastBoot": then,
        "resolvedHash": "0123456789abcdef",
        "deviationCount": 0,
    }))
    .unwrap();
    status.hardware = Some(ReportedHardware {
        vendor: Some("Bender GmbH Co. KG".to_owned()),
        model: Some("CC612_2S4R".to_owned()),
        serial_number: Some("0901000123456789".to_owned()),
        firmware: Some("5.33.2-13671".to_owned()),
        protocol: Some("ocpp1.6".to_owned()),
    });
    status.keys = Some(KeyCounts {
        total: 40,
        in_sync: 40,
        ..KeyCounts::default()
    });
    status.memory = Some(Memory {
        format_version: 1,
        event: 123,
        boot: 120,
        connection: 119,
        firmware: Some("5.33.2-13671".to_owned()),
        // 40 digests of 4 bytes in base64.
        in_sync: "QUJD".repeat(54),
        ..Memory::default()
    });
    status
}

#[tokio::test]
async fn a_station_at_rest_is_small_and_starts_as_not_observed() {
    let cluster = Cluster::with_namespace("size").await;
    let mut object = station("cp-0001", "CP0001");
    cluster
        .done(&["apply", "--server-side", "-f", "-"], &object.to_string())
        .await;
    assert_eq!(
        cluster.get("chst/cp-0001").await["status"],
        json!({"observedGeneration": -1})
    );

    object["status"] = serde_json::to_value(at_rest()).unwrap();
    object.as_object_mut().unwrap().remove("spec");
    let publish = [
        "apply",
        "--server-side",
        "--subresource=status",
        "--field-manager=stationkeeper",
        "-f",
        "-",
    ];
    cluster.done(&publish, &object.to_string()).await;

    let stored = cluster.get("chst/cp-0001").await;
    assert_eq!(
        stored["status"], object["status"],
        "nothing is added to what was published"
    );
    let managed = stored["metadata"]["managedFields"].as_array().unwrap();
    let ours: Vec<&Value> = managed
        .iter()
        .filter(|entry| entry["manager"] == "stationkeeper")
        .collect();
    assert_eq!(ours.len(), 1);
    let size = stored["status"].to_string().len() + ours[0].to_string().len();
    assert!(
        size <= 2048,
        "a station at rest takes {size} bytes: {} {}",
        stored["status"],
        ours[0]
    );
    println!("a station at rest takes {size} bytes");
}
