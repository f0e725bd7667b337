//! The exchanges: one test for each file of scripts.
//!
//! `crate::harness` says how a script reads. A script that does not hold is
//! told by its rule and its line, with what was wanted and what was seen.

use crate::harness::{play_file, play_text};

/// A test for each topic, which is a file under `exchanges/`.
macro_rules! exchanges {
    ($($test:ident: $topic:literal),* $(,)?) => {
        $(#[test]
        fn $test() {
            play_file($topic);
        })*
    };
}

exchanges! {
    coalesce: "coalesce",
    cors: "cors",
    errors: "errors",
    compress: "compress",
    debug: "debug",
    fail: "fail",
    forwarded: "forwarded",
    fresh: "fresh",
    groups: "groups",
    guard: "guard",
    head: "head",
    headers: "headers",
    interim: "interim",
    invalidate: "invalidate",
    invalidate_in_flight: "invalidate_in_flight",
    invalidate_soft: "invalidate_soft",
    key: "key",
    limit: "limit",
    partial: "partial",
    pass: "pass",
    protocol: "protocol",
    path: "path",
    range: "range",
    response: "response",
    route: "route",
    search: "search",
    security: "security",
    smuggle: "smuggle",
    store: "store",
    tags: "tags",
    upgrade: "upgrade",
    validate: "validate",
    vary: "vary",
}

mod harness_itself {
    //! The harness itself: it must fail where a script does not hold.

    use super::*;

    /// Plays a script on an edge that stores nothing.
    fn played(script: &str) -> Result<(), String> {
        play_text(
            "test.txt",
            &format!("# Rule.\nconfig cache = false\n{script}"),
            "",
        )
    }

    #[track_caller]
    fn holds(script: &str) {
        if let Err(report) = played(script) {
            panic!("{report}");
        }
    }

    /// The script must fail on `line`, its first being 1 and its title 0, with all of `parts`
    /// in the report.
    #[track_caller]
    fn fails(line: usize, parts: &[&str], script: &str) {
        let report = played(script).expect_err("the script should not hold");
        let line = if line == 0 { 1 } else { line + 2 };
        let place = format!("test.txt:{line}: Rule.");
        for part in parts.iter().chain([&place.as_str()]) {
            assert!(report.contains(part), "no {part:?} in:\n{report}");
        }
    }

    const MISS: &str = "viewer GET /\norigin 200  | one\nexpect 200  | one\n";

    #[test]
    fn a_script_that_holds_passes() {
        holds(MISS);
    }

    #[test]
    fn a_request_that_nobody_scripted_fails() {
        fails(
            0,
            &["nobody scripted", "GET / HTTP/1.1"],
            "viewer GET /\nleave",
        );
        fails(
            2,
            &["no answer", "nobody scripted"],
            "viewer GET /\nexpect 200",
        );
    }

    #[test]
    fn an_answer_that_nobody_asked_for_fails() {
        fails(
            4,
            &["no request waits"],
            &format!("{MISS}origin 200  | two\n"),
        );
        fails(
            0,
            &["never answered to the end"],
            "viewer GET /\norigin? GET /\n",
        );
        fails(0, &["were to fail were never opened"], "origin refuse\n");
    }

    #[test]
    fn an_answer_that_nobody_expected_fails() {
        fails(
            0,
            &["viewer#1", "nobody looked at", "HTTP/1.1 200"],
            "viewer GET /\norigin 200",
        );
        let rest = "viewer GET /\norigin 200  |+ one\nexpect 200  |+ one\norigin  | two\n";
        fails(0, &["the rest of an answer", "| two"], rest);
        let open = "viewer GET /\norigin 200  |+ one\nexpect 200  |+ one\n";
        fails(0, &["never answered to the end"], open);
    }

    #[test]
    fn what_is_not_as_expected_fails() {
        let script = |expect: &str| format!("viewer GET /\norigin 200  a: b  | one\n{expect}\n");
        fails(3, &["wanted 404", "seen   200"], &script("expect 404"));
        fails(
            3,
            &["wanted a: c", "seen   a: b"],
            &script("expect 200  a: c"),
        );
        fails(
            3,
            &["wanted x: y", "no such field"],
            &script("expect 200  x: y"),
        );
        fails(3, &["wanted no a"], &script("expect 200  !a"));
        fails(
            3,
            &["wanted | two", "seen   | one"],
            &script("expect 200  | two"),
        );
        fails(
            3,
            &["seen   | one and ended there"],
            &script("expect 200  |+ one"),
        );
        fails(3, &["the body is whole"], &script("expect broken"));
        fails(3, &["there is an answer"], &script("expect closed"));
        fails(3, &["there is an answer"], &script("expect pending"));
        fails(
            4,
            &["the connection is open"],
            &format!("{MISS}expect closed"),
        );
    }

    #[test]
    fn a_request_that_is_not_as_wanted_fails() {
        let script = |asked: &str| format!("viewer PUT /a  a: b  | one\n{asked}\norigin 200\n");
        fails(
            2,
            &["wanted GET /a", "seen   PUT /a"],
            &script("origin? GET /a"),
        );
        fails(2, &["wanted a: c", "seen   a: b"], &script("origin?  a: c"));
        fails(
            2,
            &["wanted | two", "seen   | one"],
            &script("origin?  | two"),
        );
        fails(2, &["still waits for the answer"], &script("origin? gone"));
    }

    #[test]
    fn all_scripts_that_fail_are_told() {
        let text = format!("# One.\n{MISS}\n# Two.\nwait 1s\nexpect 200\n\n# Three.\norigin 200\n");
        let report = play_text("test.txt", &text, "").unwrap_err();
        assert!(
            report.starts_with("2 of 3 scripts do not hold\n"),
            "{report}"
        );
        assert!(report.contains("test.txt:8: Two."), "{report}");
        assert!(report.contains("test.txt:11: Three."), "{report}");
        play_text("test.txt", &text, "One").unwrap();
    }

    #[test]
    fn a_script_that_is_known_not_to_hold_must_not() {
        let title = "# Rule. [not yet: the edge does otherwise]";
        play_text("test.txt", &format!("{title}\nviewer GET /\n"), "").unwrap();
        let report = play_text("test.txt", &format!("{title}\nwait 1s\n"), "").unwrap_err();
        assert!(
            report.contains("it holds: take `[not yet: …]` off"),
            "{report}"
        );
    }

    #[test]
    fn bodies_stream_in_both_directions() {
        holds(
            "viewer POST /a  |+ one\n\
             origin? POST /a  transfer-encoding: chunked  |+ one\n\
             viewer  | two\n\
             origin?  | two\n\
             origin 200  |+ three\n\
             expect 200  |+ three\n\
             expect pending\n\
             wait 5s\n\
             origin  |+ four\n\
             expect  |+ four\n\
             origin  |\n\
             expect  |\n",
        );
        holds("viewer GET /\norigin 200  !content-length  | one\nexpect 200  | one\n");
    }

    #[test]
    fn what_breaks_is_seen() {
        holds("viewer GET /\norigin cut 10B\norigin 200  |*100 x\nexpect broken\nexpect closed\n");
        holds(
            "viewer GET /\norigin 200  |+ one\nexpect 200  |+ one\norigin close\nexpect broken\n",
        );
        holds("viewer GET /\nleave\norigin? gone\n");
        fails(
            4,
            &["broke off there"],
            "viewer GET /\norigin cut 10B\norigin 200  |*100 x\nexpect 200  |*100 x\n",
        );
    }

    #[test]
    fn time_passes_where_the_script_says() {
        holds(
            "viewer GET /\norigin stall 3s\norigin 200\nexpect pending\nwait 2999ms\n\
             expect pending\nwait 1ms\nexpect 200  date: date\n",
        );
        holds("viewer GET /\norigin stall 29s\norigin 200\nexpect 200  date: date\n");
    }

    #[test]
    fn exchanges_are_told_apart() {
        holds(
            "viewer#1-100 GET /  x: {n}\n\
             origin?#7 GET /  x: 7\n\
             origin#7 200  | seven\n\
             expect#7 200  | seven\n\
             origin?#1-6  x: {n}\n\
             origin?#8-100  x: {n}\n\
             origin#1-6 200  | {n}\n\
             origin#8-100 200  | {n}\n\
             expect#1-6 200  | {n}\n\
             expect#8-100 200  | {n}\n",
        );
        // Whatever their order, a viewer's number finds its request.
        holds(
            "viewer#1-2 GET /{n}\norigin#2 200  | two\norigin#1 200  | one\n\
               expect#1 200  | one\nexpect#2 200  | two\n",
        );
    }

    #[test]
    fn a_viewer_may_stop_reading() {
        holds(
            "viewer GET /\npause\norigin 200  |*300000 x\nexpect pending\nresume\n\
             expect 200  |*300000 x\n",
        );
    }

    #[test]
    fn bytes_may_be_sent_as_they_are() {
        holds(
            "viewer raw  | GET / HTTP/1.1\n    | Host: a\n    |\norigin?  x-forwarded-host: a\norigin raw\n    \
               | HTTP/1.1 200 OK\n    | Content-Length: 3\n    |\n    | one\\\nexpect 200  | one\n",
        );
    }
}
