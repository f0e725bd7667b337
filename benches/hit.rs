//! What does a hit cost, and how much of that is ours? And what does it cost to pass?
//!
//! One viewer asks and reads, one connection answers, on one thread and over a pipe in memory:
//! there is no kernel in it. Four servers give the same bytes to the same request:
//!
//! | | what answers |
//! |---|---|
//! | `pipe` | bytes from a constant; nobody parses the request |
//! | `bare` | hyper, with a head and a body from a constant |
//! | `rim` | the same constant behind `listen::connection` |
//! | `edge` | an `Edge` whose store was filled by a miss before |
//!
//! The pipe's instructions are in all of them, and say nothing about anybody's server. So
//! `edge - pipe` is what a hit costs besides the kernel, `(edge - pipe) / (bare - pipe)` the same
//! as a multiple of the least that hyper can do; `rim - bare` is the connection's share of it,
//! and `edge - rim` that of `serve::respond`: looking, deciding and writing the head.
//! `load/run.sh` measures the ratio in time, over sockets.
//!
//! A viewer's fields are the same in each of its requests, but for `edge_traced`, where one is
//! new each time.
//!
//! `pass` is what an edge does with an answer that is never kept; the origin's instructions, and
//! those of the pipe to it, are in it.
//!
//! `benches/gate hit`

#![allow(
    missing_docs,
    unused_qualifications,
    reason = "the modules and paths that gungraun's macros write"
)]

use std::sync::Arc;

use gungraun::prelude::*;
use http::Version;
use tokio::{
    io::duplex,
    runtime::{Builder, Runtime},
};
use warmfront::serve::Edge;

use servers::{PIPE_BYTES, Server};
use viewers::{Asked, Http1, Http2, Viewer};

#[expect(dead_code, reason = "the asks of this bench are made from bytes")]
mod clinic;
mod servers;
mod viewers;

// Three parameters in the key, and one that is not; `Limit` is the body's size in KiB.
const ONE: Asked = Asked {
    method: "GET",
    target: "/search/pcp?Keyword=smith&Limit=1&Zipcode=10115&utm_source=app",
    line: "",
};
const SIXTEEN: Asked = Asked {
    target: "/search/pcp?Keyword=smith&Limit=16&Zipcode=10115&utm_source=app",
    ..ONE
};
const VARYING: Asked = Asked {
    target: "/search/allergy?Keyword=nuts&Limit=1",
    ..ONE
};
const CONDITIONAL: Asked = Asked {
    line: "if-none-match: \"6f1c2b9d\"\r\n",
    ..ONE
};
const TRACED: Asked = Asked {
    line: "x-trace: aa\r\n",
    ..ONE
};
const HEAD: Asked = Asked {
    method: "HEAD",
    ..ONE
};
const PASSED: Asked = Asked {
    target: "/appointments/next?Limit=1&",
    ..ONE
};

/// Asked this often before anything is counted: what lasts is there.
const WARM: usize = 10;

#[library_benchmark(setup = Asking::<Http1>::of)]
#[bench::pipe(Server::Pipe, ONE)]
#[bench::bare(Server::Bare, ONE)]
#[bench::rim(Server::Rim, ONE)]
#[bench::edge(Server::Edge, ONE)]
#[bench::edge_16k(Server::Edge, SIXTEEN)]
#[bench::edge_varying(Server::Edge, VARYING)]
#[bench::edge_304(Server::Edge, CONDITIONAL)]
#[bench::edge_traced(Server::Edge, TRACED)]
#[bench::edge_head(Server::Edge, HEAD)]
#[bench::pass(Server::Edge, PASSED)]
fn http1(mut asking: Asking<Http1>) -> Asking<Http1> {
    asking.ask(clinic::TIMES);
    asking
}

#[library_benchmark(setup = Asking::<Http2>::of)]
#[bench::bare(Server::Bare, ONE)]
#[bench::rim(Server::Rim, ONE)]
#[bench::edge(Server::Edge, ONE)]
#[bench::edge_16k(Server::Edge, SIXTEEN)]
fn http2(mut asking: Asking<Http2>) -> Asking<Http2> {
    asking.ask(clinic::TIMES);
    asking
}

/// A viewer, and the runtime in which it is served.
struct Asking<V> {
    runtime: Runtime,
    viewer: V,
    _edge: Arc<Edge>,
}

impl<V: Viewer> Asking<V> {
    /// One that is served by `server`, and has asked before.
    fn of(server: Server, asked: Asked) -> Self {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .build()
            .expect("a runtime");
        let edge = servers::edge();
        let connect = |server: Server, version: Version, reply: &[u8]| {
            let _entered = runtime.enter();
            let (near, far) = duplex(PIPE_BYTES);
            server.serve(far, version, &edge, reply);
            near
        };
        let miss = Asked {
            method: "GET",
            line: "",
            ..asked
        };
        let mut reply = Vec::new();
        for asked in [miss, asked] {
            let pipe = connect(Server::Edge, Version::HTTP_11, b"");
            let mut viewer = Http1::new(pipe, asked);
            runtime.block_on(viewer.ask());
            reply = viewer.reply;
        }
        let hit = String::from_utf8_lossy(&reply);
        let wanted = if asked.target == PASSED.target {
            "x-cache: Miss from warmfront\r\n"
        } else {
            "x-cache: Hit from warmfront\r\n"
        };
        assert!(hit.contains(wanted), "{hit}");
        let mut asking = Self {
            viewer: V::new(connect(server, V::VERSION, &reply), asked),
            _edge: edge.clone(),
            runtime,
        };
        asking.ask(WARM);
        asking
    }

    fn ask(&mut self, times: usize) {
        let Self {
            runtime, viewer, ..
        } = self;
        runtime.block_on(async {
            for _ in 0..times {
                viewer.ask().await;
            }
        });
    }
}

library_benchmark_group!(name = hits, benchmarks = [http1, http2]);
main!(config = clinic::counting(), library_benchmark_groups = hits);
