//! What to type next: lines to paste that show the edge at work.

use super::{clinic::Search, measure::target, report::Report};

/// The lines, each with what it shows above it.
pub(super) fn text(report: &Report) -> String {
    let Report {
        edge,
        origin,
        metrics,
        ..
    } = report;
    let (ca, config) = (report.ca.display(), report.config.display());
    let hit = target(Search::Pcp);
    format!(
        r#"The edge listens on {edge}, the clinic behind it on {origin}. Paste into another terminal:

# a hit, and the same search straight from the clinic
curl -si '{edge}{hit}' | grep -iE '^(x-cache|cache-status|age)'
curl -so /dev/null -w '%{{time_total}} s\n' --cacert {ca} '{origin}{hit}'

# the other order of the parameters is the same object
curl -si '{edge}/search/pcp?Zipcode=00042&PracticeId=42&Page=1&Limit=10&Keyword=smith' | grep -i x-cache

# DeviceId reaches the clinic (X-Seen-Query), and does not split the cache
curl -si '{edge}/search/pcp?Keyword=jones&DeviceId=phone-1' | grep -iE '^(x-cache|x-seen-query)'
curl -si '{edge}/search/pcp?Keyword=jones&DeviceId=phone-2' | grep -iE '^(x-cache|x-seen-query)'

# the clinic says max-age=1 for today: that counts, not the year of ttl.default
for wait in 0 0 2; do sleep $wait; curl -si '{edge}/search/pcp?Keyword=today' | grep -i x-cache; done

# what reached the clinic, and what the edge counted
curl -s --cacert {ca} {origin}/stats
curl -s {metrics} | grep '^warmfront_requests_total' | grep -v ' 0$'

The edge runs {config}. Ctrl-C ends the demo."#
    )
}
