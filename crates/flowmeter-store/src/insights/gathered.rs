//! What the families of findings hand in, before it is decided what of it is significant.
//!
//! Never drops what is a plain count; what is a matter of chance has to pass the test of all tests together.

use super::history::History;
use super::{FALSE_FINDINGS_MAX, Insight, InsightReport, PathShare, Shortage, TimeShare, robust};

/// More findings nobody reads.
const INSIGHTS_MAX: usize = 200;

/// What is tested together. Single runs are so many that, in one family with them, nothing else would be found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// Runs, each beside the others.
    Runs,
    /// Days, each beside those before.
    Days,
    /// Changes, comparisons and patterns.
    Other,
}

/// Each family has its part of the false findings.
const FAMILIES: [Family; 3] = [Family::Runs, Family::Days, Family::Other];

/// Findings, and everything that was tested.
#[derive(Default)]
pub(super) struct Gathered {
    certain: Vec<Insight>,
    tested: Vec<(Family, f64, Insight)>,
    tests: [u64; FAMILIES.len()],
    pub(super) time: Vec<TimeShare>,
    pub(super) paths: Vec<PathShare>,
    pub(super) shortages: Vec<Shortage>,
}

impl Gathered {
    /// A plain count.
    pub(super) fn certain(&mut self, insight: Insight) {
        self.certain.push(insight);
    }

    /// Plain counts, if any.
    pub(super) fn extend(&mut self, insights: impl IntoIterator<Item = Insight>) {
        self.certain.extend(insights);
    }

    /// Something was tested; a finding only where it is also large enough to speak of.
    pub(super) fn tested(&mut self, family: Family, p_value: f64, insight: Option<Insight>) {
        self.tests[family as usize] += 1;
        if let Some(insight) = insight {
            self.tested.push((family, p_value, insight));
        }
    }

    /// So many more tests were made without anything to show.
    pub(super) fn tests(&mut self, more: u64) {
        self.tests[Family::Other as usize] += more;
    }

    /// What is significant, the largest first.
    pub(super) fn report(mut self, history: &History) -> InsightReport {
        self.tested.sort_by(|a, b| a.1.total_cmp(&b.1));
        let mut counts = FAMILIES.map(|family| {
            let of_family = self.tested.iter().filter(|(of, ..)| *of == family);
            let ascending: Vec<f64> = of_family.map(|(_, p_value, _)| *p_value).collect();
            let rate = FALSE_FINDINGS_MAX / FAMILIES.len() as f64;
            robust::findings_among(&ascending, self.tests[family as usize], rate)
        });
        let significant = self
            .tested
            .into_iter()
            .filter_map(|(family, p_value, mut insight)| {
                let left = &mut counts[family as usize];
                *left = left.checked_sub(1)?;
                insight.p_value = Some(p_value);
                Some(insight)
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
            tests: self.tests.iter().sum(),
        }
    }
}
