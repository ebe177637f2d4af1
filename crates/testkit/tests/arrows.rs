//! The arrows between the crates, as ARCHITECTURE.md draws them. In: `cargo metadata`. Out: a list of every dependency
//! that the house forbids. A new arrow is a decision: change the table here and the picture there together.

#![expect(clippy::unwrap_used, reason = "a test may stop where it stands")]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

/// Which of our crates each of our crates may depend on.
const ARROWS: [(&str, &[&str]); 11] = [
    ("offhook-server", &["offhook-voice", "offhook-carriers", "offhook-smpp", "offhook-store", "offhook-domain"]),
    // Never the store: a call reaches the platform through the CallHost trait.
    ("offhook-voice", &["offhook-media", "offhook-sip", "offhook-domain"]),
    // A protocol of its own: it knows SIP and nothing of ours.
    ("offhook-sip", &[]),
    // Never the store: a carrier answers, and the caller records the answer.
    ("offhook-carriers", &["offhook-smpp", "offhook-domain"]),
    // A protocol: bytes in, bytes out.
    ("offhook-smpp", &[]),
    ("offhook-store", &["offhook-domain"]),
    // A protocol of its own: bytes and time in, bytes and sound out. It knows nothing of ours.
    ("offhook-media", &[]),
    ("offhook-domain", &[]),
    ("offhook-testkit", &["offhook-smpp", "offhook-domain"]),
    // It measures a process from outside, as a customer would; the store is what it fills with ten million messages.
    ("offhook-benches", &["offhook-voice", "offhook-media", "offhook-sip", "offhook-store", "offhook-domain"]),
    // It calls parsers wherever they are.
    (
        "offhook-fuzz",
        &["offhook-server", "offhook-carriers", "offhook-smpp", "offhook-sip", "offhook-media", "offhook-domain"],
    ),
];

/// Libraries that are one crate's business. SQLite must be linked once; the rest would let SQL leak.
const ONLY_IN_STORE: [&str; 3] = ["rusqlite", "tokio-postgres", "tokio-postgres-rustls"];

/// But for this: the bare handler that ours are measured against has nothing between it and SQLite.
const MEASURED_BARE: (&str, &str) = ("offhook-benches", "rusqlite");

/// What `domain` must stay free of, so that the business can be read and tested without any machinery.
const NEVER_IN_DOMAIN: [&str; 10] = [
    "tokio",
    "tokio-util",
    "axum",
    "hyper",
    "http",
    "reqwest",
    "sqlx",
    "rusqlite",
    "tokio-postgres",
    "tracing-subscriber",
];

/// Only tests may use it.
const TESTKIT: &str = "offhook-testkit";

#[test]
fn every_crate_depends_only_on_what_the_house_allows() {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let crates: Vec<Crate> = metadata["packages"].as_array().unwrap().iter().map(Crate::read).collect();
    assert!(crates.len() >= 5, "cargo metadata lists only {} crates", crates.len());

    let broken = broken_rules(&crates);
    assert!(broken.is_empty(), "forbidden dependencies:\n  {}", broken.join("\n  "));
}

#[test]
fn the_check_sees_each_kind_of_breach() {
    let found = |name: &str, dependency: &str, kind: Kind| {
        let one = Crate { name: name.to_owned(), dependencies: BTreeMap::from([(dependency.to_owned(), kind)]) };
        !broken_rules(&[one]).is_empty()
    };
    assert!(found("offhook-carriers", "offhook-store", Kind::Normal));
    assert!(found("offhook-carriers", "offhook-store", Kind::Development));
    assert!(found("offhook-domain", "tokio", Kind::Normal));
    assert!(found("offhook-server", "rusqlite", Kind::Normal));
    assert!(found("offhook-server", "offhook-testkit", Kind::Normal));
    assert!(found("offhook-shortcut", "serde", Kind::Normal), "a crate that nobody drew");
    assert!(!found("offhook-server", "offhook-testkit", Kind::Development));
    assert!(!found("offhook-store", "rusqlite", Kind::Normal));
    assert!(!found("offhook-domain", "tokio", Kind::Development));
    assert!(!found("offhook-benches", "rusqlite", Kind::Normal));
    assert!(found("offhook-benches", "tokio-postgres", Kind::Normal));
    assert!(found("offhook-benches", "offhook-server", Kind::Normal));
}

/// One crate of the workspace.
struct Crate {
    name: String,
    dependencies: BTreeMap<String, Kind>,
}

/// Whether a dependency reaches the binary.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Only tests see it.
    Development,
    /// The crate itself, or its build script.
    Normal,
}

impl Crate {
    fn read(package: &Value) -> Self {
        let mut dependencies = BTreeMap::new();
        for dependency in package["dependencies"].as_array().unwrap() {
            let kind = if dependency["kind"] == "dev" { Kind::Development } else { Kind::Normal };
            let known = dependencies.entry(dependency["name"].as_str().unwrap().to_owned()).or_insert(kind);
            *known = kind.max(*known);
        }
        Self { name: package["name"].as_str().unwrap().to_owned(), dependencies }
    }
}

fn broken_rules(crates: &[Crate]) -> Vec<String> {
    let mut broken = Vec::new();
    for Crate { name, dependencies } in crates {
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| known == name) else {
            broken.push(format!("{name} is not in the picture"));
            continue;
        };
        for (dependency, kind) in dependencies {
            let dependency = dependency.as_str();
            let in_tests = *kind == Kind::Development;
            let ours = dependency.starts_with("offhook-") && !(dependency == TESTKIT && in_tests);
            let forbidden = (ours && !allowed.contains(&dependency))
                || (ONLY_IN_STORE.contains(&dependency)
                    && name != "offhook-store"
                    && (name.as_str(), dependency) != MEASURED_BARE)
                || (NEVER_IN_DOMAIN.contains(&dependency) && name == "offhook-domain" && !in_tests);
            if forbidden {
                broken.push(format!("{name} → {dependency}"));
            }
        }
    }
    broken
}
