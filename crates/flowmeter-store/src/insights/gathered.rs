//! What the families of findings hand in, before it is decided what of it is significant.
//!
//! Never drops what is a plain count; what is a matter of chance has to pass the test of all tests together.

use super::history::History;
use super::{FALSE_FINDINGS_MAX, Insight, InsightReport, PathShare, Shortage, TimeShare, robust};

/// More findings nobody reads.
const INSIGHTS_MAX: usize = 200;

/// Findings, and everything that was tested.
#[derive(Default)]
pub(super) struct Gathered {
    certain: Vec<Insight>,
    tested: Vec<(f64, Insight)>,
    tests: u64,
    pub(super) time: Vec<TimeShare>,
    pub(super) paths: Vec<PathShare>,
    pub(super) shortages: Vec<Shortage>,
}

impl Gathered {
    /// A plain count.
    pub(super) fn certain(&mut self, insight: Insight) {
        self.certain.push(insight);
    }

    /// Something was tested; a finding only where it is also large enough to speak of.
    pub(super) fn tested(&mut self, p_value: f64, insight: Option<Insight>) {
        self.tests += 1;
        if let Some(insight) = insight {
            self.tested.push((p_value, insight));
        }
    }

    /// So many more tests were made without anything to show.
    pub(super) fn tests(&mut self, more: u64) {
        self.tests += more;
    }

    /// What is significant, the largest first.
    pub(super) fn report(mut self, history: &History) -> InsightReport {
        self.tested.sort_by(|a, b| a.0.total_cmp(&b.0));
        let ascending: Vec<f64> = self.tested.iter().map(|(p_value, _)| *p_value).collect();
        let count = robust::findings_among(&ascending, self.tests, FALSE_FINDINGS_MAX);
        let significant = self.tested.into_iter().take(count).map(|(p_value, mut insight)| {
            insight.p_value = Some(p_value);
            insight
        });
        let mut insights: Vec<Insight> = significant.chain(self.certain).collect();
        insights.sort_by(|a, b| {
            let larger = b.weight().total_cmp(&a.weight());
            larger.then_with(|| (a.kind, &a.workflow, &a.title).cmp(&(b.kind, &b.workflow, &b.title)))
        });
        insights.truncate(INSIGHTS_MAX);
        InsightReport {
            insights,
            time: self.time,
            paths: self.paths,
            shortages: self.shortages,
            looked_at: history.looked_at,
            tests: self.tests,
        }
    }
}
