//! What a drawn answer says about its own caching.

use super::dice::Dice;

/// The fields of an answer that its use depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Word {
    pub(super) max_age: Option<u64>,
    pub(super) s_maxage: Option<u64>,
    pub(super) while_revalidate: Option<u64>,
    pub(super) if_error: Option<u64>,
    pub(super) public: bool,
    pub(super) private: bool,
    pub(super) no_store: bool,
    pub(super) no_cache: bool,
    pub(super) must_revalidate: bool,
    pub(super) sets_cookie: bool,
    pub(super) vary: Vary,
    /// How old it is already, as its `Age` says.
    pub(super) age: u64,
}

/// What an answer varies by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Vary {
    #[default]
    Nothing,
    Language,
    Everything,
}

impl Word {
    /// Of an answer that everyone may share, for a while.
    pub(super) fn steady(dice: &mut Dice) -> Self {
        Self {
            max_age: Some(dice.between(1, 12)),
            while_revalidate: dice.seconds(40, 1, 8),
            if_error: dice.seconds(40, 0, 30),
            ..Self::default()
        }
    }

    /// Of any answer.
    pub(super) fn any(dice: &mut Dice) -> Self {
        Self {
            max_age: dice.seconds(75, 0, 15),
            s_maxage: dice.seconds(10, 0, 15),
            while_revalidate: dice.seconds(25, 0, 10),
            if_error: dice.seconds(25, 0, 40),
            public: dice.percent(15),
            private: dice.percent(12),
            no_store: dice.percent(8),
            no_cache: dice.percent(12),
            must_revalidate: dice.percent(10),
            sets_cookie: dice.percent(6),
            vary: match dice.below(100) {
                0..35 => Vary::Language,
                35..38 => Vary::Everything,
                _ => Vary::Nothing,
            },
            age: dice.seconds(10, 1, 6).unwrap_or(0),
        }
    }

    /// Of a 304 that speaks as `self` of an answer that varies like `vary`.
    pub(super) fn confirming(self, vary: Vary) -> Self {
        // A 304 without `Cache-Control` would leave the stored one's in force.
        let max_age = self.max_age.or(Some(5));
        Self {
            max_age,
            vary,
            ..self
        }
    }

    /// Whether the origin lets an answer to `Authorization` be shared (RFC 9111 §3.5).
    pub(super) fn gives_leave(&self) -> bool {
        self.public || self.s_maxage.is_some() || self.must_revalidate
    }

    /// Whether serving it stale is forbidden (RFC 9111 §4.2.4).
    pub(super) fn is_strict(&self) -> bool {
        self.no_cache || self.must_revalidate || self.s_maxage.is_some()
    }

    /// `Cache-Control`; empty when it says nothing.
    pub(super) fn cache_control(&self) -> String {
        let flags = [
            (self.public, "public"),
            (self.private, "private"),
            (self.no_store, "no-store"),
            (self.no_cache, "no-cache"),
            (self.must_revalidate, "must-revalidate"),
        ];
        let times = [
            ("max-age", self.max_age),
            ("s-maxage", self.s_maxage),
            ("stale-while-revalidate", self.while_revalidate),
            ("stale-if-error", self.if_error),
        ];
        let flags = flags.iter().filter(|(is, _)| *is);
        let flags = flags.map(|(_, name)| (*name).to_owned());
        let times = times.iter().filter_map(|(name, seconds)| {
            let seconds = (*seconds)?;
            Some(format!("{name}={seconds}"))
        });
        flags.chain(times).collect::<Vec<_>>().join(", ")
    }

    /// All of it as fields; `Vary` is left to the answer that a 304 confirms.
    pub(super) fn fields(&self) -> Vec<(String, String)> {
        let cache_control = self.cache_control();
        let age = self.age.to_string();
        let fields = [
            (!cache_control.is_empty()).then_some(("cache-control", cache_control.as_str())),
            self.sets_cookie.then_some(("set-cookie", "s=2")),
            (self.age > 0).then_some(("age", age.as_str())),
        ];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        fields.into_iter().flatten().map(owned).collect()
    }
}

impl Vary {
    /// The value of `Vary`.
    pub(super) const fn value(self) -> Option<&'static str> {
        match self {
            Self::Nothing => None,
            Self::Language => Some("Accept-Language"),
            Self::Everything => Some("*"),
        }
    }
}
