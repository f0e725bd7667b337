//! Configuration files: what the shipped ones say, and what broken ones are told.

use std::{fs, io, path::Path, time::Duration};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use warmfront::{
    cli::check::Check,
    config::{self, Colour, Loaded, Outside, Problem, Severity},
    policy::{Caching, ForwardQuery, Methods, Selection},
    site::Transport,
    time::Timestamp,
};

/// A machine with nothing on it but what a test puts there.
#[derive(Default)]
struct Desk {
    variables: Vec<(&'static str, &'static str)>,
    files: Vec<(&'static str, Vec<u8>)>,
}

impl Outside for Desk {
    fn variable(&self, name: &str) -> Option<Vec<u8>> {
        let found = self.variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_bytes().to_vec())
    }

    fn file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let found = self
            .files
            .iter()
            .find(|(known, _)| Path::new(known) == path);
        found
            .map(|(_, bytes)| bytes.clone())
            .ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn cores(&self) -> usize {
        2
    }

    fn now(&self) -> Timestamp {
        // Sun, 22 Nov 2026 12:00:00 GMT
        Timestamp::from_unix(1_795_348_800)
    }
}

/// Certificates of one key, and the keys.
fn certificates() -> Vec<(&'static str, Vec<u8>)> {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let issue = |names: &[&str], begins: (i32, u8, u8), expires: (i32, u8, u8)| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(begins.0, begins.1, begins.2);
        params.not_after = date_time_ymd(expires.0, expires.1, expires.2);
        params.self_signed(&key).unwrap().pem()
    };
    let names: &[&str] = &["a.example", "*.b.example"];
    let good = issue(names, (2020, 1, 1), (2030, 1, 1));
    let locked =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let mut stranger = CertificateParams::new(Vec::new()).unwrap();
    stranger.distinguished_name = rcgen::DistinguishedName::new();
    let stranger = stranger.self_signed(&other).unwrap().pem();
    [
        ("good.key", key.serialize_pem()),
        ("other.key", other.serialize_pem()),
        ("locked.key", locked.to_owned()),
        ("unordered.pem", good.clone() + &stranger),
        ("good.pem", good),
        ("expired.pem", issue(names, (2020, 1, 1), (2026, 11, 22))),
        ("soon.pem", issue(names, (2020, 1, 1), (2026, 12, 1))),
        ("early.pem", issue(names, (2026, 12, 1), (2030, 1, 1))),
        ("nameless.pem", issue(&[], (2020, 1, 1), (2030, 1, 1))),
    ]
    .map(|(name, text)| (name, text.into_bytes()))
    .to_vec()
}

fn certificate() -> String {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    made.expect("localhost is a name").cert.pem()
}

#[track_caller]
fn parse(text: &str, desk: &Desk) -> Loaded {
    config::parse("test.toml", text, 1, desk).unwrap_or_else(|problems| panic!("{problems}"))
}

fn whats(problems: &[Problem]) -> Vec<String> {
    problems.iter().map(Problem::to_string).collect()
}

const SMALL: &str = r#"
[[listener]]
address = "127.0.0.1:8080"
[[origin]]
id = "api"
url = "https://api.example.com"
[[distribution]]
id = "site"
[[distribution.behaviour]]
path = "*"
origin = "api"
"#;

#[test]
fn the_file_for_conformance_warns_of_its_one_relaxation() {
    let loaded = config::load(Path::new("config/conformance.toml"), 1).unwrap();
    assert_eq!(loaded.warnings.len(), 1);
    assert!(loaded.warnings[0].key().contains("unsafe_store_set_cookie"));
}

#[test]
fn the_minimal_file_loads_without_a_warning() {
    let path = Path::new("config/minimal.toml");
    assert!(fs::read_to_string(path).unwrap().lines().count() <= 20);
    let loaded = config::load(path, 7).unwrap();
    assert_eq!(whats(&loaded.warnings), [""; 0]);
    assert_eq!(loaded.snapshot.generation, 7);
}

#[test]
fn the_clinics_file_keys_its_searches_by_what_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("clinic.toml");
    fs::copy("config/clinic.toml", &path).unwrap();
    fs::write(folder.path().join("clinic-ca.pem"), certificate()).unwrap();
    let loaded = config::load(&path, 1).unwrap();
    // The price of "forward all, cache by the ones listed" is told, once for each.
    assert_eq!(loaded.warnings.len(), 2, "{:?}", whats(&loaded.warnings));
    let site = loaded.snapshot;
    assert_eq!(site.origins[0].ca.as_ref().map(Vec::len), Some(1));
    let [pcp, _, rest] = &site.distributions[0].behaviours[..] else {
        panic!("three behaviours")
    };
    let names = ["Keyword", "Limit", "Page", "PracticeId", "Zipcode"];
    let names = names.map(|name| name.as_bytes().to_vec()).to_vec();
    assert_eq!(pcp.rules.key.query, Selection::Only(names));
    assert_eq!(pcp.rules.forward.query, ForwardQuery::All);
    assert_eq!(
        pcp.rules.ttl.default,
        Duration::from_secs(365 * 24 * 60 * 60)
    );
    assert_eq!(
        (rest.rules.caching, rest.rules.methods),
        (Caching::Off, Methods::All)
    );
}

/// The lines that a demonstration replaces stand alone.
#[test]
fn the_clinics_file_has_its_addresses_on_lines_of_their_own() {
    let text = fs::read_to_string("config/clinic.toml").unwrap();
    for line in [
        "address = \"127.0.0.1:8080\"",
        "address = \"127.0.0.1:9900\"",
        "url = \"https://localhost:8443\"",
        "ca = \"clinic-ca.pem\"",
    ] {
        assert_eq!(text.lines().filter(|one| *one == line).count(), 1, "{line}");
    }
}

#[test]
fn the_digest_follows_what_is_pulled_in() {
    let text = SMALL.replace(
        "url =",
        "ca = \"ca.pem\"\nheaders = { X-A = \"env:A\", X-B = \"file:b\" }\nurl =",
    );
    let ca = certificate();
    let digest = |a, b: &str, ca: &str| {
        let files = vec![("b", b.into()), ("ca.pem", ca.into())];
        parse(
            &text,
            &Desk {
                variables: vec![("A", a)],
                files,
            },
        )
        .snapshot
        .digest
        .clone()
    };
    let first = digest("one", "two", &ca);
    assert_eq!(first, digest("one", "two", &ca));
    assert_ne!(first, digest("two", "one", &ca));
    assert_ne!(first, digest("one", "other", &ca));
    assert_ne!(first, digest("one", "two", &certificate()));
    assert_ne!(first, parse(SMALL, &Desk::default()).snapshot.digest);
}

#[test]
fn secrets_are_read_and_never_shown() {
    let headers = r#"headers = { X-A = "env:A", X-B = "file:b", X-C = "plain" }"#;
    let text = SMALL.replace("url =", &format!("{headers}\nurl ="));
    let callers = "[[admin.token]]\nname = \"a\"\nsecret = \"token-token-token\"\nallow = [\"read\"]\n\
                   [[admin.aws_key]]\nid = \"AK\"\nsecret = \"env:AWS\"\n";
    let text = format!("[admin]\n{callers}{text}");
    let desk = Desk {
        variables: vec![("A", "from-a"), ("AWS", "signing-signing-signing")],
        files: vec![("b", b"from-b\r\n".to_vec())],
    };
    let loaded = parse(&text, &desk);
    let admin = loaded.snapshot.admin.as_ref().unwrap();
    assert!(admin.tokens[0].secret.is(b"token-token-token"));
    assert_eq!(
        admin.aws_keys[0].secret.reveal(),
        b"signing-signing-signing"
    );
    let sent = &loaded.snapshot.origins[0].target.headers;
    let values: Vec<&str> = sent
        .iter()
        .map(|(_, value)| value.to_str().unwrap())
        .collect();
    assert_eq!(values, ["from-a", "from-b", "plain"]);
    let shown = format!("{:?}", loaded.snapshot);
    for secret in values
        .into_iter()
        .chain(["token-token-token", "signing-signing"])
    {
        assert!(!shown.contains(secret), "{secret}");
    }
}

#[test]
fn both_spellings_of_behaviour_work() {
    let loaded = parse(&SMALL.replace("behaviour", "behavior"), &Desk::default());
    assert_eq!(loaded.snapshot.distributions[0].behaviours.len(), 1);
}

#[test]
fn behaviours_are_numbered_across_distributions() {
    let more = "[[distribution.behaviour]]\npath = \"/b\"\norigin = \"api\"\n\
                [[distribution]]\nid = \"two\"\naliases = [\"b.example\"]\n\
                [[distribution.behaviour]]\npath = \"*\"\norigin = \"api\"\n";
    let site = parse(&format!("{SMALL}{more}"), &Desk::default()).snapshot;
    let indices = site
        .distributions
        .iter()
        .flat_map(|one| &one.behaviours)
        .map(|one| one.index);
    assert_eq!(indices.collect::<Vec<_>>(), [0, 1, 2]);
}

#[test]
fn an_unwritten_default_follows_the_smallest_lifetime() {
    let loaded = parse(&format!("{SMALL}ttl.min = \"60s\"\n"), &Desk::default());
    let ttl = loaded.snapshot.distributions[0].behaviours[0].rules.ttl;
    assert_eq!(
        (ttl.min, ttl.default),
        (Duration::from_secs(60), Duration::from_secs(60))
    );
}

#[test]
fn a_file_that_is_not_there_is_a_problem() {
    let problems = config::load(Path::new("config/none.toml"), 1).unwrap_err();
    assert!(
        problems
            .to_string()
            .starts_with("config/none.toml: cannot be read: "),
        "{problems}"
    );
}

#[test]
fn a_reload_opens_and_closes_what_differs() {
    let old = parse(SMALL, &Desk::default()).snapshot;
    let text = SMALL.replace("8080", "8081");
    let text = format!("[admin]\n[server]\nworkers = 3\n[cache]\nmemory = \"1GiB\"\n{text}");
    let new = parse(&text, &Desk::default()).snapshot;
    let changes = config::diff(&old, &new);
    assert_eq!(changes.open, new.listeners);
    assert_eq!(changes.close, old.listeners);
    assert_eq!(changes.admin_open, Some("127.0.0.1:9900".parse().unwrap()));
    assert_eq!(changes.admin_close, None);
    let told: Vec<String> = changes.restart.iter().map(ToString::to_string).collect();
    assert_eq!(
        told,
        [
            "server.workers stays 2 until the next start; the file says 3",
            "cache.memory stays 512MiB until the next start; the file says 1GiB",
        ]
    );
    assert_eq!(config::diff(&old, &old), config::Changes::default());
}

#[test]
fn an_errors_content_is_read_with_the_configuration() {
    let text = format!("{SMALL}error = [{{ when = [502], file = \"down.json\" }}]\n");
    let load = |bytes: &[u8]| {
        let files = vec![("down.json", bytes.to_vec())];
        let variables = Vec::new();
        config::parse("test.toml", &text, 1, &Desk { variables, files })
    };
    let one = load(b"{\"down\":1}").unwrap().snapshot;
    let content = one.distributions[0].behaviours[0].rules.viewer.errors[0]
        .content
        .clone()
        .unwrap();
    assert_eq!(content.body, "{\"down\":1}");
    assert_eq!(content.kind, "application/json");
    // A reload sees that the file is another.
    assert_ne!(one.digest, load(b"{}").unwrap().snapshot.digest);
    let problems = load(&[b' '; (64 << 10) + 1]).unwrap_err().to_string();
    assert!(
        problems.contains("65537 bytes are too many for an error"),
        "{problems}"
    );
    let missing = config::parse("test.toml", &text, 1, &Desk::default()).unwrap_err();
    assert!(missing.to_string().contains("down.json"), "{missing}");
}

#[test]
fn a_listener_that_becomes_secure_stays_open() {
    let desk = Desk {
        files: certificates(),
        ..Desk::default()
    };
    let old = parse(SMALL, &desk).snapshot;
    let text = SMALL.replace("8080\"\n", "8080\"\ntls = true\n");
    let text = format!("{text}[[certificate]]\nchain = \"good.pem\"\nkey = \"good.key\"\n");
    let loaded = parse(&text, &desk);
    let files = ["good.pem", "good.key"].map(Path::new);
    assert_eq!(loaded.files, files);
    let new = loaded.snapshot;
    assert_eq!(new.listeners[0].transport, Transport::Tls);
    let changes = config::Changes {
        change: new.listeners.clone(),
        ..config::Changes::default()
    };
    assert_eq!(config::diff(&old, &new), changes);
    let certificate = &new.certificates[0];
    let (exact, wild) = certificate.names.parts();
    assert_eq!((&*exact[0], &*wild[0]), ("a.example", "b.example"));
    assert_eq!(certificate.expires.unix(), 1_893_456_000);
    assert!(!format!("{new:?}").contains("PRIVATE"));
}

/// Each `golden/check/NAME.toml` and what `check` says of it, in `NAME.txt`.
/// `UPDATE_GOLDEN=1` writes the latter anew.
#[test]
fn broken_files_are_told_what_is_wrong() {
    let mut desk = Desk {
        variables: vec![("SECRET", "s3cret"), ("EMPTY", ""), ("LINES", "two\nlines")],
        files: vec![
            ("empty.pem", Vec::new()),
            (
                "bad.pem",
                b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec(),
            ),
            ("cut.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n".to_vec()),
        ],
    };
    desk.files.extend(certificates());
    let folder = Path::new("tests/it/golden/check");
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|one| one.unwrap().path())
        .collect();
    names.retain(|path| path.extension().is_some_and(|ext| ext == "toml"));
    names.sort();
    assert!(!names.is_empty());
    let mut wrong = Vec::new();
    for path in names {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap();
        let problems: Vec<Problem> = match config::parse(name, &text, 1, &desk) {
            Ok(loaded) => loaded.warnings,
            Err(problems) => problems.into_iter().collect(),
        };
        let mut seen = String::new();
        for problem in &problems {
            assert!(problem.severity() == Severity::Warning || problem.what() != "");
            seen += &problem.render(Colour::Off);
            seen += "\n\n";
        }
        for problem in &problems {
            seen += &format!("{problem}\n");
        }
        assert!(
            !seen.contains("s3cret") && !seen.contains("hunter2"),
            "{name} shows a secret"
        );
        let golden = path.with_extension("txt");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, &seen).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != seen {
            wrong.push(format!("{}:\n{seen}", golden.display()));
        }
    }
    assert!(
        wrong.is_empty(),
        "UPDATE_GOLDEN=1 accepts these:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn check_refuses_a_file_with_an_error_and_tells_programs_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bad.toml");
    fs::write(&path, SMALL.replace("origin = \"api\"", "origin = \"app\"")).unwrap();
    let files = vec!["config/minimal.toml".into(), path];
    let (json, refused) = Check {
        files: files.clone(),
        json: true,
    }
    .report(Colour::Off);
    assert!(refused);
    let told: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(told.as_array().unwrap().len(), 1);
    assert_eq!(told[0]["line"], 11);
    assert_eq!(told[0]["column"], 10);
    assert_eq!(told[0]["key"], "distribution[0].behaviour[0].origin");
    assert_eq!(told[0]["severity"], "error");
    assert_eq!(told[0]["what"], "no origin named \"app\"");
    assert_eq!(told[0]["hint"], "defined: \"api\"");
    let (text, refused) = Check { files, json: false }.report(Colour::Off);
    assert!(
        refused && text.starts_with("config/minimal.toml: good\n"),
        "{text}"
    );
    assert!(text.ends_with("bad.toml: 1 error\n"), "{text}");
}

#[test]
fn colour_is_used_only_when_asked_for() {
    let problems = config::load(Path::new("config/none.toml"), 1).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert!(problem.render(Colour::On).contains('\u{1b}'));
    assert!(!problem.render(Colour::Off).contains('\u{1b}'));
}
