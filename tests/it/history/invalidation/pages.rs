//! What is asked for in these histories: pages close enough to each other that an
//! invalidation of too much, or of too little, shows.

/// A page: one path with one kept query.
#[derive(Debug)]
pub(super) struct Page {
    /// The pattern of the behaviour that serves it.
    pub(super) behaviour: &'static str,
    /// Its path and kept query as the key has them.
    pub(super) text: &'static str,
    /// Its parameters, decoded.
    pub(super) parameters: &'static [(&'static str, &'static str)],
    /// Ways to ask for it.
    pub(super) targets: &'static [&'static str],
    /// Whether its answers vary by language.
    pub(super) varies: bool,
}

/// The behaviours; `/search/*` keys two parameters and counts what viewers wish.
pub(super) const CONFIG: &str = r#"
    [[behaviour]]
    path = "/search/*"
    key.query = ["page", "q"]
    forward.query = "all"
    request_directives = "honour"
    ttl.error = "6s"
"#;

/// The pattern that serves whatever the other does not.
pub(super) const REST: &str = "*";

/// The pattern of searches.
pub(super) const SEARCH: &str = "/search/*";

/// All there are.
pub(super) const PAGES: &[Page] = &[
    page(REST, "/a", &[], &["/a", "/%61", "/b/../a"]),
    page(REST, "/ab", &[], &["/ab"]),
    varying(page(REST, "/a/b", &[], &["/a/b", "/a//b"])),
    page(REST, "/a?q=1", &[("q", "1")], &["/a?q=1", "/a?&%71=%31"]),
    page(REST, "/a?q=2", &[("q", "2")], &["/a?q=2"]),
    page(
        SEARCH,
        "/search/x?q=1",
        &[("q", "1")],
        &["/search/x?q=1", "/search/x?utm=7&q=%31"],
    ),
    page(
        SEARCH,
        "/search/x?page=2&q=1",
        &[("page", "2"), ("q", "1")],
        &["/search/x?q=1&page=2", "/search/x?page=2&utm&q=1"],
    ),
    varying(page(
        SEARCH,
        "/search/x?q=2",
        &[("q", "2")],
        &["/search/x?q=2"],
    )),
    page(
        SEARCH,
        "/search/y?q=1+2",
        &[("q", "1 2")],
        &["/search/y?q=1+2"],
    ),
    page(
        SEARCH,
        "/search/y?q=1%202",
        &[("q", "1 2")],
        &["/search/y?q=1%202"],
    ),
];

/// What prefixes begin with; each with the beginning of the text that it stands for.
pub(super) const PREFIXES: &[(&str, &str)] = &[
    ("/a*", "/a"),
    ("/a/*", "/a/"),
    ("/%61b*", "/ab"),
    ("/search/*", "/search/"),
    ("/search/x*", "/search/x"),
    ("/c*", "/c"),
];

/// The tags that the origin gives its answers.
pub(super) const TAGS: &[&str] = &["a", "ab", "abc", "AB", "Ab", "b"];

const fn page(
    behaviour: &'static str,
    text: &'static str,
    parameters: &'static [(&'static str, &'static str)],
    targets: &'static [&'static str],
) -> Page {
    Page {
        behaviour,
        text,
        parameters,
        targets,
        varies: false,
    }
}

const fn varying(page: Page) -> Page {
    Page {
        varies: true,
        ..page
    }
}
