//! Findings for people: each with its size, what it rests on, and what to do.
//!
//! Never leaves out that there was too little to go by.

use flowmeter::grouped;
use flowmeter_store::insights::{Amount, Insight, InsightReport, InsightScope, Per, Shortage, Size};
use owo_colors::OwoColorize;

use crate::printable::{columns_of, one_line};
use crate::times::TimeWords;

/// So many workflows with too little data are named.
const SHORTAGES_SHOWN: usize = 6;
/// Parts of the time that are smaller are summed.
const SHARE_SHOWN: f64 = 0.02;
/// A line is never broken narrower.
const WIDTH_MIN: usize = 40;

/// What is printed, and how.
pub(crate) struct View<'a> {
    pub(crate) report: &'a InsightReport,
    pub(crate) scope: &'a InsightScope,
    pub(crate) times: &'a TimeWords,
    pub(crate) colour: bool,
    pub(crate) width: usize,
    pub(crate) limit: usize,
}

/// The text.
pub(crate) fn render(view: &View<'_>) -> String {
    let mut text = String::new();
    let report = view.report;
    text.push_str(&format!("{}\n", heading(view)));
    for (number, insight) in report.insights.iter().take(view.limit).enumerate() {
        finding(view, number + 1, insight, &mut text);
    }
    if report.insights.len() > view.limit {
        let more = report.insights.len() - view.limit;
        text.push_str(&format!(
            "\n… and {more} smaller ones; --limit {} shows them\n",
            report.insights.len()
        ));
    }
    time(view, &mut text);
    paths(view, &mut text);
    shortages(view, &mut text);
    text
}

fn heading(view: &View<'_>) -> String {
    let report = view.report;
    let runs = report.looked_at.runs;
    let looked_at = match report.looked_at.oldest {
        Some(oldest) if runs > 1 => format!("{} runs since {}", grouped(runs), view.times.day(oldest)),
        _ if runs == 1 => "1 run".to_owned(),
        _ => return "the history has no runs to look at".to_owned(),
    };
    let cut = if report.looked_at.is_cut {
        "; older ones are left out, there are too many"
    } else {
        ""
    };
    let looked_at = match view.scope {
        InsightScope::Run(_) => format!("this run and the earlier ones of its workflow, {looked_at}{cut}"),
        InsightScope::Workflow(workflow) => format!("{looked_at} of {}{cut}", one_line(workflow)),
        InsightScope::All => format!("{looked_at}{cut}"),
    };
    match report.insights.len() {
        0 => format!("nothing stands out ({looked_at})"),
        1 => format!("1 finding ({looked_at})"),
        count => format!("{count} findings ({looked_at})"),
    }
}

fn finding(view: &View<'_>, number: usize, insight: &Insight, text: &mut String) {
    text.push('\n');
    let title = wrapped(
        &one_line(&insight.title),
        view.width,
        &format!("{number:>2}. "),
        "    ",
    );
    text.push_str(&painted(view, &title, Paint::Title));
    let mut about = vec![one_line(&insight.workflow).into_owned()];
    about.extend(insight.size.map(|size| size_words(&size)));
    about.push(insight.kind.as_str().replace('_', " "));
    let about = format!("    {}\n", about.join(" · "));
    text.push_str(&painted(view, &about, Paint::Dim));
    for line in &insight.evidence {
        text.push_str(&wrapped(&one_line(line), view.width, "      ", "      "));
    }
    if !insight.suggestion.is_empty() {
        let advice = wrapped(&one_line(&insight.suggestion), view.width, "    → ", "      ");
        text.push_str(&painted(view, &advice, Paint::Advice));
    }
}

/// `$4.20 in 30 days`, `2.9 s a run`.
fn size_words(size: &Size) -> String {
    let per = match size.per {
        Per::Total => "in all",
        Per::Run => "a run",
        Per::Call => "a call",
        Per::Month => "in 30 days",
    };
    match size.amount {
        Amount::Usd(amount) => format!("{} {per}", flowmeter_store::insights::dollars(amount.to_usd())),
        Amount::Seconds(seconds) => format!("{} {per}", flowmeter_store::insights::seconds(seconds)),
    }
}

fn time(view: &View<'_>, text: &mut String) {
    let shares = &view.report.time;
    let Some(first) = shares.first() else { return };
    let of = if first.runs == 1 {
        "this run's critical path".to_owned()
    } else {
        format!("critical paths of the newest {} good runs", first.runs)
    };
    text.push_str(&format!("\nwhere the time goes ({of})\n"));
    let (shown, rest): (Vec<_>, Vec<_>) = shares.iter().partition(|share| share.share >= SHARE_SHOWN);
    for share in shown {
        let node = if share.node.is_empty() {
            "between nodes".into()
        } else {
            one_line(&share.node)
        };
        let llm = if share.llm_seconds > 0.0 {
            format!(
                ", {} of it in LLM calls",
                flowmeter_store::insights::seconds(share.llm_seconds)
            )
        } else {
            String::new()
        };
        text.push_str(&format!(
            "  {:>3.0} %  {node}  {}{llm}\n",
            share.share * 100.0,
            flowmeter_store::insights::seconds(share.seconds)
        ));
    }
    if !rest.is_empty() {
        let sum: f64 = rest.iter().map(|share| share.share).sum();
        text.push_str(&format!("  {:>3.0} %  {} others\n", sum * 100.0, rest.len()));
    }
}

fn paths(view: &View<'_>, text: &mut String) {
    if view.report.paths.is_empty() {
        return;
    }
    text.push_str("\nthe ways that runs take\n");
    for path in &view.report.paths {
        let nodes: Vec<String> = path
            .nodes
            .iter()
            .map(|node| one_line(node).into_owned())
            .collect();
        let mut words = vec![format!("{} runs", grouped(path.runs))];
        if let Some(p50) = path.p50_seconds {
            words.push(format!("p50 {}", flowmeter_store::insights::seconds(p50)));
        }
        if path.failed_share > 0.0 {
            words.push(format!("{:.0} % failed", path.failed_share * 100.0));
        }
        let line = format!("{} ({})", nodes.join(" → "), words.join(", "));
        let first = format!("  {:>3.0} %  ", path.share * 100.0);
        text.push_str(&wrapped(&line, view.width, &first, "         "));
    }
}

fn shortages(view: &View<'_>, text: &mut String) {
    let shortages: &[Shortage] = &view.report.shortages;
    if shortages.is_empty() {
        return;
    }
    text.push_str("\nnot enough data to look for\n");
    for shortage in shortages.iter().take(SHORTAGES_SHOWN) {
        let line = format!(
            "{}: `{}` has {}, it takes {}",
            shortage.what,
            one_line(&shortage.workflow),
            shortage.has,
            shortage.needs
        );
        text.push_str(&wrapped(&line, view.width, "  ", "    "));
    }
    if shortages.len() > SHORTAGES_SHOWN {
        text.push_str(&format!("  … and {} more\n", shortages.len() - SHORTAGES_SHOWN));
    }
}

/// Broken at spaces to fit a width, with a beginning for the first line and for all others.
fn wrapped(text: &str, width: usize, first: &str, other: &str) -> String {
    let width = width.max(WIDTH_MIN);
    let mut lines = String::from(first);
    let mut columns = columns_of(first);
    let mut is_begun = false;
    for word in text.split(' ') {
        let wide = columns_of(word);
        if is_begun && columns + 1 + wide > width {
            lines.push('\n');
            lines.push_str(other);
            columns = columns_of(other);
            is_begun = false;
        }
        if is_begun {
            lines.push(' ');
            columns += 1;
        }
        lines.push_str(word);
        columns += wide;
        is_begun = true;
    }
    lines.push('\n');
    lines
}

enum Paint {
    Title,
    Dim,
    Advice,
}

fn painted(view: &View<'_>, text: &str, paint: Paint) -> String {
    if !view.colour {
        return text.to_owned();
    }
    let line = text.trim_end_matches('\n');
    match paint {
        Paint::Title => format!("{}\n", line.bold()),
        Paint::Dim => format!("{}\n", line.dimmed()),
        Paint::Advice => format!("{}\n", line.green()),
    }
}

#[cfg(test)]
mod tests;
