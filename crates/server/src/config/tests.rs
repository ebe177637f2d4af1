//! Each way in which a configuration can be wrong, and what its error says.

use std::collections::HashMap;

use super::*;

fn load(variables: &[(&str, &str)]) -> Result<Config, ConfigErrors> {
    let variables: HashMap<&str, &str> = variables.iter().copied().collect();
    Config::load(&|name| variables.get(name).map(|text| (*text).to_owned()))
}

/// Loads with `text` as the operator's file; its path reads FILE in the errors.
fn load_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("offhook.toml");
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let variables: Vec<_> = variables.iter().copied().chain([("OFFHOOK_CONFIG", path)]).collect();
    load(&variables).map_err(|errors| errors.to_string().replace(path, "FILE"))
}

fn errors(variables: &[(&str, &str)]) -> String {
    load(variables).unwrap_err().to_string()
}

#[test]
fn the_default_is_valid_and_means_this() {
    insta::assert_debug_snapshot!(load(&[]).unwrap());
}

#[test]
fn every_key_of_the_manual_is_read() {
    let mut unread: Vec<String> = Layers::collect(&|_| None).settings.into_keys().collect();
    let variables: Vec<(String, String)> = unread
        .iter()
        .map(|key| (format!("OFFHOOK__{}", key.replace('.', "__").to_uppercase()), "\u{0}".repeat(101)))
        .collect();
    let refused = Config::load(&|name| variables.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone()))
        .unwrap_err();
    unread.retain(|key| !refused.iter().any(|error| &error.key == key));
    // A folder may have any name.
    assert_eq!(unread, ["storage.data_dir"]);
}

#[test]
fn the_environment_wins_over_the_file_and_the_file_over_the_defaults() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\ndrain_seconds = 7\n[webhooks]\nretry_seconds = [1]\n";
    let config =
        load_file(file, &[("OFFHOOK_LISTEN", "localhost:2"), ("OFFHOOK__WEBHOOKS__RETRY_SECONDS", "3, 4")]).unwrap();
    assert_eq!(config.server.listen.port(), 2);
    assert_eq!(config.server.drain.as_secs(), 7);
    assert_eq!(config.webhooks.retries.iter().map(std::time::Duration::as_secs).collect::<Vec<_>>(), [3, 4]);
    assert_eq!(config.server.request_timeout.as_secs(), 30);
}

#[test]
fn every_bad_key_is_named_at_once() {
    let file = "[server]\nlisten = 8080\nbody_limit_bytes = -1\n[logs]\nformat = \"xml\"\n[webhooks]\nallowed_networks = [\"10.0.0.0/33\"]\n";
    insta::assert_snapshot!(
        load_file(file, &[("OFFHOOK__SERVER__DRAIN_SECONDS", "soon"), ("OFFHOOK__MODE__SANDBOX", "yes")]).unwrap_err()
    );
}

#[test]
fn an_unknown_key_is_refused_with_a_hint() {
    let file = "server = 1\nretries = 2\n[server]\n";
    assert!(load_file(file, &[]).unwrap_err().contains("FILE is not TOML"), "a key can't be a section too");
    let file = "server = 1\nlogs.levle = \"info\"\nquite.another.thing = 2\n";
    insta::assert_snapshot!(load_file(file, &[]).unwrap_err());
}

#[test]
fn an_unknown_variable_is_refused_with_a_hint() {
    let mut layers = Layers::collect(&|_| None);
    let names = ["OFFHOOK__SERVER__DRAIN_SECOND", "OFFHOOK__SERVER__DRAIN_SECONDS", "OFFHOOK_OTHER", "HOME"];
    layers.refuse_unknown_variables(names.into_iter().map(str::to_owned));
    let found = Config::read(layers, Purpose::AsConfigured).unwrap_err().to_string();
    insta::assert_snapshot!(found);
}

#[test]
fn a_file_that_is_missing_or_broken_is_named() {
    let found = errors(&[("OFFHOOK_CONFIG", "/nowhere/offhook.toml")]);
    assert!(found.contains("OFFHOOK_CONFIG names a file that can't be read, /nowhere/offhook.toml"), "{found}");
    let found = load_file("[server\nlisten = 1", &[]).unwrap_err();
    assert!(found.contains("FILE is not TOML") && found.contains("line 1"), "{found}");
}

#[test]
fn secrets_are_checked_and_never_shown() {
    let bad = [
        ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("OFFHOOK_SECRET_KEY", "hunter2"),
        ("OFFHOOK_BOOTSTRAP_KEY", "hunter2 hunter2"),
    ];
    let found = errors(&bad);
    insta::assert_snapshot!(found);
    let good = [
        ("DATABASE_URL", "postgres://u:hunter2@h/d"),
        ("OFFHOOK_SECRET_KEY", "ab".repeat(32).leak()),
        ("OFFHOOK_BOOTSTRAP_KEY", "sk_test_hunter2"),
    ];
    let config = load(&good).unwrap();
    let shown = format!("{config:?}");
    assert!(!shown.contains("hunter2") && !shown.contains("171"), "{shown}");
    assert!(matches!(config.storage.database(), Database::Postgres(_)));
    assert_eq!(config.secret_key().unwrap().bytes(), &[0xab; 32]);
}

#[test]
fn an_empty_variable_counts_as_absent() {
    let config =
        load(&[("DATABASE_URL", ""), ("OFFHOOK_LISTEN", ""), ("OFFHOOK_CONFIG", ""), ("OFFHOOK_DATA", "/d")]).unwrap();
    assert!(matches!(config.storage.database(), Database::Sqlite(path) if path.ends_with("d/offhook.db")));
}

#[test]
fn two_names_for_one_key_must_agree() {
    let same = [("OFFHOOK_DATA", "/a"), ("OFFHOOK__STORAGE__DATA_DIR", "/a")];
    assert!(load(&same).is_ok());
    let found = errors(&[("OFFHOOK_DATA", "/a"), ("OFFHOOK__STORAGE__DATA_DIR", "/b")]);
    assert!(found.contains("storage.data_dir is set twice and differently"), "{found}");
}

#[test]
fn keys_that_need_each_other_are_checked_together() {
    let found =
        errors(&[("OFFHOOK__WEBHOOKS__CONCURRENCY_UNHEALTHY", "512"), ("OFFHOOK__SENDING__RETRY_SECONDS", "[]")]);
    insta::assert_snapshot!(found);
}

#[test]
fn an_exception_that_would_open_nothing_is_refused() {
    let found = errors(&[("OFFHOOK__WEBHOOKS__ALLOWED_NETWORKS", "10.1.0.0/16,169.254.169.254/32")]);
    let rule =
        "webhooks.allowed_networks must not name 169.254.169.254/32, which is cloud metadata and is never called";
    assert!(found.contains(rule), "{found}");
    assert!(load(&[("OFFHOOK__WEBHOOKS__ALLOWED_NETWORKS", "10.1.0.0/16, 169.254.0.0/16, fd00::/8")]).is_ok());
}

#[test]
fn log_levels_are_taken_at_their_word() {
    for good in ["info", "off", "WARN", "info,offhook_server::jobs=debug, h2=off"] {
        assert!(load(&[("OFFHOOK__LOGS__LEVEL", good)]).is_ok(), "{good}");
    }
    for bad in ["warning", "info,", "info,jobs=loud", "info;debug"] {
        assert!(errors(&[("OFFHOOK__LOGS__LEVEL", bad)]).contains("logs.level must be"), "{bad}");
    }
}

#[test]
fn dev_is_a_sandbox_and_free() {
    let config = load(&[]).unwrap();
    assert_eq!(config.prices().sms_segment_micros, 20_000);
    let config = Config::read(Layers::collect(&|_| None), Purpose::Dev).unwrap();
    assert!(config.mode.sandbox);
    let prices = config.prices();
    assert_eq!(
        (prices.sms_segment_micros, prices.number_month_micros, prices.sign_up_credit_micros),
        (0, 0, 5_000_000)
    );
}

#[test]
fn the_public_url_can_be_opened() {
    let config = load(&[]).unwrap();
    assert_eq!(config.public_url("0.0.0.0:80".parse().unwrap()), "http://127.0.0.1:80");
    assert_eq!(config.public_url("[::]:8080".parse().unwrap()), "http://[::1]:8080");
    let config = load(&[("OFFHOOK__SERVER__PUBLIC_URL", "https://phone.example.com/")]).unwrap();
    assert_eq!(config.public_url("0.0.0.0:80".parse().unwrap()), "https://phone.example.com");
}
