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

const CARRIERS: &str = r#"
server.public_url = "https://phone.example.com"
[carriers.backup]
kind = "telnyx"
priority = 200
carries_for = ["main"]
destinations = ["US"]
api_key = "env:TELNYX_KEY"
public_key = "6kpU6kpU6kpU6kpU6kpU6kpU6kpU6kpU6kpU6kpU6ko="
messaging_profile_id = "16fd2706-8baf-433b-82eb-8c7fada847da"
[carriers.main]
kind = "twilio"
countries = ["US", "CA"]
segment_cost_micros = 7_900
account_sid = "AC0123456789abcdef0123456789abcdef"
auth_token = "env:TWILIO_TOKEN"
"#;

#[test]
fn carriers_are_read_in_the_order_in_which_they_are_asked() {
    let secrets = [("TELNYX_KEY", "KEYhunter2"), ("TWILIO_TOKEN", "hunter2")];
    let config = load_file(CARRIERS, &secrets).unwrap();
    let names: Vec<(&str, &str)> = config.carriers.iter().map(|c| (c.name.as_str(), c.link.kind())).collect();
    assert_eq!(names, [("main", "twilio"), ("backup", "telnyx")]);
    assert_eq!(config.carriers[0].countries.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["US", "CA"]);
    assert_eq!(config.carriers[1].terms.carries_for, ["main"]);
    assert_eq!(config.carriers[1].terms.destinations.iter().map(|c| c.as_str()).collect::<Vec<_>>(), ["US"]);
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
    // The environment sets what is in the file, and turns the order round.
    let variables = [secrets[0], secrets[1], ("OFFHOOK__CARRIERS__BACKUP__PRIORITY", "1")];
    assert_eq!(load_file(CARRIERS, &variables).unwrap().carriers[0].name, "backup");
}

#[test]
fn a_carrier_carries_for_others_that_there_are() {
    let secrets = [("TELNYX_KEY", "KEY1"), ("TWILIO_TOKEN", "token")];
    for name in ["mian", "backup"] {
        let found = load_file(&CARRIERS.replace("[\"main\"]", &format!("[\"{name}\"]")), &secrets).unwrap_err();
        assert!(
            found.contains("carriers.backup.carries_for must be a list of names of your other carriers"),
            "{found}"
        );
    }
}

#[test]
fn every_bad_key_of_a_carrier_is_named_and_no_secret_shown() {
    let file = r#"
[carriers.main]
kind = "twilio"
countries = ["Oz"]
account_sid = "AC1"
auth_token = "hunter2"
base_url = "http://api.example.com"
api_key = "env:OTHER"
[carriers.Backup]
kind = "telnyx"
api_key = "env:NOT_SET"
public_key = "short"
[carriers.third]
kind = "pigeon"
[carriers.smsc]
kind = "smpp"
address = "smsc.example.com"
system_id = "offhook"
password = "file:/nowhere/password"
binds = 0
"#;
    let found = load_file(file, &[]).unwrap_err();
    assert!(!found.contains("hunter2"), "{found}");
    insta::assert_snapshot!(found);
}

#[test]
fn a_secret_may_be_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "hunter2\n").unwrap();
    let file = CARRIERS.replace("env:TWILIO_TOKEN", &format!("file:{}", path.display()));
    let config = load_file(&file, &[("TELNYX_KEY", "KEY1")]).unwrap();
    let carriers::Link::Twilio(twilio) = &config.carriers[0].link else { panic!("it is Twilio's") };
    assert_eq!(secrecy::ExposeSecret::expose_secret(&twilio.auth_token), "hunter2");
}

#[test]
fn a_password_that_smpp_would_cut_short_is_refused() {
    let file = "[carriers.smsc]\nkind = \"smpp\"\naddress = \"smsc.example.com:2775\"\nsystem_id = \"offhook\"\n\
        password = \"env:SMSC\"\n";
    let found = load_file(file, &[("SMSC", "hunter234")]).unwrap_err();
    assert!(found.contains("carriers.smsc.password must be at most 8 ASCII characters"), "{found}");
    assert!(!found.contains("hunter2"), "{found}");
    load_file(file, &[("SMSC", "hunter23")]).unwrap();
}

#[test]
fn every_key_of_the_carriers_manual_is_read() {
    let keys: toml::Table = MANUAL_OF_CARRIERS.parse().unwrap();
    for kind in ["twilio", "telnyx", "smpp", "sip"] {
        let of_kind = ["all", kind].into_iter().flat_map(|part| keys[part].as_table().unwrap().keys());
        let mut unread: Vec<&String> = of_kind.filter(|key| *key != "kind").collect();
        let bad = "\u{0}".repeat(101);
        let variables: Vec<(String, String)> =
            unread.iter().map(|key| (format!("OFFHOOK__CARRIERS__X__{}", key.to_uppercase()), bad.clone())).collect();
        let variables: Vec<(&str, &str)> =
            variables.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
        let found = load_file(&format!("[carriers.x]\nkind = \"{kind}\"\n"), &variables).unwrap_err();
        unread.retain(|key| !found.contains(&format!("carriers.x.{key} ")));
        assert!(unread.is_empty(), "{kind}: {unread:?}\n{found}");
    }
}

const SIP: &str = r#"
[voice.sip]
listen = ["udp:0.0.0.0:5060"]
[carriers.pbx]
kind = "sip"
carries_for = ["other"]
targets = ["sip:sbc1.example.com;transport=tcp", "sip:192.0.2.7:5080 20 50"]
networks = ["192.0.2.0/24"]
username = "offhook"
password = "env:PBX"
registrar = "sips:sip.example.com"
[carriers.other]
kind = "smpp"
address = "smsc.example.com:2775"
system_id = "offhook"
password = "env:PBX"
"#;

#[test]
fn a_carrier_of_calls_is_read() {
    let config = load_file(SIP, &[("PBX", "hunter2")]).unwrap();
    let (name, pbx) = config
        .carriers
        .iter()
        .find_map(|one| match &one.link {
            carriers::Link::Sip(link) => Some((&one.name, (link, &one.terms))),
            _ => None,
        })
        .unwrap();
    let targets: Vec<_> = pbx.0.targets.iter().map(|one| (one.sip_uri.as_str(), one.priority, one.weight)).collect();
    assert_eq!(targets, [("sip:sbc1.example.com;transport=tcp", 10, 10), ("sip:192.0.2.7:5080", 20, 50)]);
    assert_eq!((name.as_str(), pbx.1.calls_only, pbx.0.srtp), ("pbx", true, None));
    assert_eq!(pbx.0.registration.as_ref().map(|one| one.expires.as_secs()), Some(3600));
    assert!(!format!("{config:?}").contains("hunter2"), "{config:?}");
}

#[test]
fn a_carrier_of_calls_that_could_carry_none_is_refused() {
    let without = |line: &str| SIP.lines().filter(|one| !one.starts_with(line)).collect::<Vec<_>>().join("\n");
    let found = load_file(&without("listen"), &[("PBX", "hunter2")]).unwrap_err();
    assert!(found.contains("voice.sip.listen must name an address") && found.contains("carriers.pbx"), "{found}");
    assert!(load_file(&without("listen"), &[("PBX", "hunter2"), ("OFFHOOK__MODE__SANDBOX", "true")]).is_ok());
    let found = load_file(&without("username"), &[("PBX", "hunter2")]).unwrap_err();
    assert!(found.contains("carriers.pbx.password must be set with username"), "{found}");
    assert!(found.contains("carriers.pbx.username must be set: a registrar is named"), "{found}");
    let bare = "[voice.sip]\nlisten = [\"udp:127.0.0.1:0\"]\n[carriers.pbx]\nkind = \"sip\"\n";
    let found = load_file(bare, &[]).unwrap_err();
    assert!(found.contains("carriers.pbx.targets must name where calls go, or networks"), "{found}");
}

#[test]
fn what_calls_need_of_each_other_is_checked_together() {
    let bad = [
        ("OFFHOOK__VOICE__SIP__LISTEN", "tls:0.0.0.0:5061"),
        ("OFFHOOK__VOICE__SIP__TLS_KEY", "/k.pem"),
        ("OFFHOOK__VOICE__MEDIA__FIRST_PORT", "4000"),
        ("OFFHOOK__VOICE__MEDIA__LAST_PORT", "4000"),
        ("OFFHOOK__VOICE__MEDIA__CODECS", "pcmu,pcmu"),
        ("OFFHOOK__VOICE__SPEECH__STT", "deepgram"),
        ("OFFHOOK__VOICE__SPEECH__TTS", "openai"),
        ("OFFHOOK__VOICE__SPEECH__TTS_BASE_URL", "http://127.0.0.1:9000/v1"),
        ("OFFHOOK__VOICE__SPEECH__TTS_API_KEY", "hunter2"),
    ];
    let found = errors(&bad);
    assert!(!found.contains("hunter2"), "{found}");
    insta::assert_snapshot!(found);
}

#[test]
fn speech_services_of_ones_own_need_no_key() {
    let own = [
        ("OFFHOOK__VOICE__SPEECH__STT", "openai"),
        ("OFFHOOK__VOICE__SPEECH__STT_BASE_URL", "http://127.0.0.1:9000/v1"),
        ("OFFHOOK__VOICE__SPEECH__STT_MODEL", "small"),
        ("OFFHOOK__VOICE__SPEECH__TTS", "espeak"),
        ("OFFHOOK__VOICE__MEDIA__FIRST_PORT", "0"),
        ("OFFHOOK__VOICE__MEDIA__LAST_PORT", "0"),
    ];
    let config = load(&own).unwrap();
    assert!(matches!(&config.voice.speech.listen, voice::Listen::OpenAi(one) if one.api_key.is_none()));
    assert!(matches!(&config.voice.speech.speak, voice::Speak::Espeak(path) if path.ends_with("espeak-ng")));
    assert_eq!(config.voice.media.ports, None);
}
