//! Warmfront, a self-hosted caching edge: one daemon in front of a slow HTTP API.
//!
//! # The house
//!
//! A pure core decides over plain data, with the time passed in; a thin shell moves bytes
//! and obeys. Modules stand on floors, and a module names only modules on lower ones
//! (`tests/it/floors.rs` keeps it so):
//!
//! ```text
//!  8  cli                                            commands; they print and choose exit codes
//!  7  app                                            builds everything, reloads, drains
//!  6  listen  admin                                  the doors
//!  5  serve  invalidate                              a request, from the viewer's message to the answer;
//!                                                    what ends answers before their time
//!  4  config  store  flight  origin  ledger          services; each wraps one outside thing
//!     observe  coding  handover  confine
//!  3  site                                           the compiled configuration
//!  2  policy                                         what HTTP and CloudFront say to do
//!  1  fields                                         header grammar
//!  0  time                                           Timestamp, Clock
//! ```
//!
//! Floors 1 to 3 are pure: no `async`, no I/O, no clock, no logging, no locks.
//!
//! # A request's way
//!
//! | step | where | in → out |
//! |---|---|---|
//! | accept | `listen::connection` | a socket → requests |
//! | ask | `serve::checked` | a message → [`policy::Ask`], or why it is none |
//! | route | `site::Snapshot::route` | host, path → a behaviour |
//! | intent | `policy::intent` | cache, pass, redirect, or refuse |
//! | limit | `policy::rate` | go on, or wait |
//! | find | `store::Store::find` | key → the newest variant that matches |
//! | reuse | `policy::reuse` | serve, serve and refresh, or validate |
//! | join | `flight::Flights::join` | lead, follow, or go alone |
//! | fetch | `origin::Origins::send` | a request → the head of a response |
//! | settle | `policy::settle` | store, refresh, pass on, serve stale, fail |
//! | deliver | `policy::{precondition, deliver}` | what the viewer sees, and what we say of it |
//! | finish | `policy::finish` | the behaviour's own fields and errors |
//!
//! `warmfront explain` runs the same functions on a request made by hand.
//!
//! A plain request, a GET over HTTP/1.1 without content, is answered where its bytes are read
//! (`listen/express.rs`), without the HTTP library above: a hit goes from ask to deliver in one
//! step, `serve::at_hand`, by the same functions; whatever is not at hand goes the way of the
//! table from there. What is fetched from an HTTP/1.1 origin without content of its own needs
//! no library either (`origin/plain`).
//!
//! # Invariants
//!
//! * *Policy is a function.* It never reads a clock, awaits, logs, or changes its arguments.
//! * *One knower each.* Only `listen` and `origin` know sockets, only `config` TOML, only
//!   `store::memory` what goes when it is full, only `coding` the compressors, only `admin` the API's XML and
//!   JSON, only `observe` the names we emit; nothing above `listen` knows the version of HTTP
//!   beyond a field of the request.
//! * *A snapshot never changes*, and a request sees exactly one.
//! * *An object never changes*; a refresh makes a new one that shares the body.
//! * *The store cannot fail a request*, and counts every byte where it is held.
//! * *One shared fetch per key*, shared only once its head proves that it may be, and nobody
//!   waits for it without a bound.
//! * *What was asked for before an invalidation is for nobody who asks after it*, whatever
//!   became of it: stored, stale, in flight, or about to be confirmed.
//! * *What an invalidation call answers is on the disk*, where there is a journal; and when
//!   that fails, what was invalidated is gone all the same.
//! * *A viewer that leaves cancels nothing that others could use.*
//! * *Nothing from the network can panic the process.*
//!
//! Start reading at [`serve::respond`]: the way of a request fits on one page.

pub mod admin;
pub mod app;
pub mod cli;
pub mod coding;
pub mod config;
pub mod confine;
pub mod fields;
pub mod flight;
pub mod handover;
pub mod invalidate;
pub mod ledger;
pub mod listen;
pub mod observe;
pub mod origin;
pub mod policy;
pub mod serve;
pub mod site;
pub mod store;
pub mod time;
