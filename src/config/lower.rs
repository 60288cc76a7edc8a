//! All files together with the built-in packs: values that are missing filled in, modes capped, rules replaced by name,
//! and what contradicts itself told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::diagnostic::{Findings, Problem, quoted};
use super::raw::document::{
    BreakerDraft, DesktopDraft, Document, MOST_RULES, NudgeDraft, Packs, StoreDraft,
};
use super::raw::limit::ClauseDraft;
use super::raw::rule::RuleDraft;
use super::source::Marked;
use super::words::nearest;
use super::{Request, builtin, doubt};
use crate::engine::answer::Replies;
use crate::engine::matcher::{Field, Matcher};
use crate::engine::rule::{
    Breaker, Channels, Clause, Desktop, Keeping, Metric, Mode, Origin, Rule, RuleName, RuleSet,
    Scope, Stage, StageAct,
};

/// How long a unit is left in peace after an incident closed.
const COOLDOWN: Duration = Duration::from_secs(600);
/// The pace at which levels are read.
const INTERVAL: Duration = Duration::from_secs(1);

/// Puts everything together. Errors are in `findings`; the set is only worth anything without any.
pub(super) fn lower(
    documents: Vec<Document>,
    request: &Request<'_>,
    findings: &mut Findings,
) -> RuleSet {
    let mut whole = Document::default();
    let mut drafts = Vec::new();
    for mut document in documents {
        drafts.append(&mut document.rules);
        whole.take(document);
    }
    if drafts.len() > MOST_RULES
        && let Some(spot) = drafts.get(MOST_RULES).and_then(|draft| draft.spot.clone())
    {
        let problem = Problem::error(spot, format!("more than {MOST_RULES} rules in all files"));
        findings.push(problem);
        drafts.clear();
    }
    let breaker = whole.breaker.settle();
    // Root's rules are an administrator's; anybody else's are one's own.
    let replies = match request.uid {
        0 => Replies::usual(),
        _ => Replies::all(),
    };
    let mut rules = Rules::default();
    for (pack, draft) in built_in(whole.builtin.as_ref(), request, findings) {
        let mode = Mode::Nudge.min(request.mode.unwrap_or(Mode::Nudge));
        let terms = Terms {
            mode,
            cap: mode,
            breaker,
            replies: replies.clone(),
        };
        rules.extend(draft.built_in(pack, &terms, findings));
    }
    let mode = request.mode.or(whole.mode).unwrap_or(Mode::Nudge);
    let terms = Terms {
        mode,
        cap: request.mode.unwrap_or(Mode::Enforce),
        breaker,
        replies: replies.clone(),
    };
    for draft in drafts {
        if draft.enabled == Some(false) {
            rules.switch_off(&draft, findings);
            continue;
        }
        rules.extend(draft.over(&whole.defaults).own(&terms, findings));
    }
    let rules = rules.into_rules();
    let variables = variables(&rules, &whole);
    RuleSet {
        mode,
        interval: whole.interval.unwrap_or(INTERVAL),
        rules: rules.into_iter().map(Arc::new).collect(),
        remind: whole.nudge.remind,
        channels: whole.nudge.channels(),
        keeping: whole.store.settle(),
        protect: whole.protect,
        boundaries: whole.boundaries,
        variables,
    }
}

/// What the top level lays down for each of a user's rules.
struct Terms {
    mode: Mode,
    cap: Mode,
    breaker: Breaker,
    replies: Replies,
}

/// The rules so far, in the order they were written; names are unique.
#[derive(Default)]
struct Rules {
    rules: Vec<Option<Rule>>,
    /// Where each name stands.
    places: BTreeMap<RuleName, usize>,
}

impl Rules {
    fn extend(&mut self, rule: Option<Rule>) {
        if let Some(rule) = rule {
            self.remove(&rule.name);
            self.places.insert(Arc::clone(&rule.name), self.rules.len());
            self.rules.push(Some(rule));
        }
    }

    /// Takes the rule of this name out, if there is one.
    fn remove(&mut self, name: &str) -> Option<Rule> {
        let place = self.places.remove(name)?;
        self.rules.get_mut(place)?.take()
    }

    fn switch_off(&mut self, draft: &RuleDraft, findings: &mut Findings) {
        let Some(name) = &draft.name else { return };
        if self.remove(&name.value).is_some() || draft.matcher.is_some() {
            return;
        }
        let known = self.places.keys().map(|name| &**name);
        let hint = nearest(&name.value, known).map_or_else(
            || "nothing is switched off".to_owned(),
            |word| format!("did you mean {}?", quoted(word)),
        );
        let message = format!("no rule {} comes before this", quoted(&name.value));
        findings.push(Problem::warning(name.spot.clone(), message).label(hint));
    }

    fn into_rules(self) -> Vec<Rule> {
        self.rules.into_iter().flatten().collect()
    }
}

impl Document {
    /// Takes in a later file: what it says replaces, what it lists is added.
    fn take(&mut self, later: Self) {
        self.mode = later.mode.or(self.mode);
        self.interval = later.interval.or(self.interval);
        self.builtin = later.builtin.or(self.builtin.take());
        self.protect.extend(later.protect);
        self.boundaries.extend(later.boundaries);
        self.nudge = NudgeDraft {
            desktop: later.nudge.desktop.over(self.nudge.desktop),
            journal: later.nudge.journal.or(self.nudge.journal),
            tty: later.nudge.tty.or(self.nudge.tty),
            remind: later.nudge.remind.or(self.nudge.remind),
        };
        self.breaker = BreakerDraft {
            trees: later.breaker.trees.or(self.breaker.trees),
            within: later.breaker.within.or(self.breaker.within),
        };
        self.store = StoreDraft {
            span: later.store.span.or(self.store.span),
            size: later.store.size.or(self.store.size),
        };
        self.defaults = later.defaults.over(&self.defaults);
    }
}

impl NudgeDraft {
    fn channels(&self) -> Channels {
        Channels {
            desktop: self.desktop.settle(),
            journal: self.journal.unwrap_or(true),
            tty: self.tty.unwrap_or(false),
        }
    }
}

impl DesktopDraft {
    fn over(self, earlier: Self) -> Self {
        Self {
            on: self.on.or(earlier.on),
            buttons: self.buttons.or(earlier.buttons),
            terminal: self.terminal.or(earlier.terminal),
        }
    }

    fn settle(self) -> Option<Desktop> {
        let usual = Desktop::default();
        let settings = Desktop {
            buttons: self.buttons.unwrap_or(usual.buttons),
            terminal: self.terminal.unwrap_or(usual.terminal),
        };
        self.on.unwrap_or(true).then_some(settings)
    }
}

impl BreakerDraft {
    fn settle(&self) -> Breaker {
        let usual = Breaker::default();
        Breaker {
            trees: self.trees.unwrap_or(usual.trees),
            within: self.within.unwrap_or(usual.within),
        }
    }
}

impl StoreDraft {
    fn settle(&self) -> Keeping {
        let usual = Keeping::default();
        Keeping {
            span: self.span.unwrap_or(usual.span),
            size: self.size.unwrap_or(usual.size),
        }
    }
}

impl RuleDraft {
    /// This, and where it says nothing, what `base` says.
    fn over(mut self, base: &Self) -> Self {
        let given = |key: &str| self.given.contains(&key);
        let mode = if given("mode") { self.mode } else { base.mode };
        let scope = if given("scope") {
            self.scope.take()
        } else {
            base.scope.clone()
        };
        let warmup = if given("warmup") {
            self.warmup
        } else {
            base.warmup
        };
        let gates = if given("when") {
            self.gates.take()
        } else {
            base.gates.clone()
        };
        let cooldown = if given("cooldown") {
            self.cooldown
        } else {
            base.cooldown
        };
        let clauses = if given("limits") {
            self.clauses.take()
        } else {
            base.clauses.clone()
        };
        let keep = if given("keep") {
            self.keep.take()
        } else {
            base.keep.clone()
        };
        let ladder = if given("ladder") {
            self.ladder.take()
        } else {
            base.ladder.clone()
        };
        let answers = if given("answers") {
            self.answers.take()
        } else {
            base.answers.clone()
        };
        let on_close = if given("on_close") {
            self.on_close.take()
        } else {
            base.on_close.clone()
        };
        let mut all = self.given.clone();
        all.extend(&base.given);
        Self {
            spot: self.spot.or_else(|| base.spot.clone()),
            given: all,
            mode,
            scope,
            gates,
            warmup,
            cooldown,
            clauses,
            keep,
            ladder,
            on_close,
            answers,
            ..self
        }
    }

    /// A rule of the user's own.
    fn own(self, terms: &Terms, findings: &mut Findings) -> Option<Rule> {
        let name = self.name.clone()?;
        let origin = Origin::File {
            path: Arc::clone(name.spot.source.path()),
            line: name.spot.line(),
        };
        let mode = self.mode.unwrap_or(terms.mode).min(terms.cap);
        self.settle(&name, origin, mode, terms, findings)
    }

    /// A built-in rule: it never does more than nudge.
    fn built_in(self, pack: &'static str, terms: &Terms, findings: &mut Findings) -> Option<Rule> {
        let name = self.name.clone()?;
        let origin = Origin::Builtin { pack };
        let mut rule = self.settle(&name, origin, terms.mode, terms, findings)?;
        rule.ladder = nudge_only();
        Some(rule)
    }

    /// The rule, unless something is missing or contradicts itself.
    fn settle(
        self,
        name: &Marked<String>,
        origin: Origin,
        mode: Mode,
        terms: &Terms,
        findings: &mut Findings,
    ) -> Option<Rule> {
        if !self.given.contains(&"limits") {
            let problem = Problem::error(name.spot.clone(), "a rule without a limit")
                .label("add `limits:`, such as `limits: { age: 2h }`");
            findings.push(problem);
        }
        let scope = self.scope.map_or(Scope::Tree, |scope| scope.value);
        let clauses = self.clauses.unwrap_or_default();
        if scope == Scope::Process {
            refuse_for_one(&name.value, &clauses, findings);
        }
        let matcher = self.matcher?;
        doubt::every_process(&matcher, findings);
        doubt::never_first(&clauses, findings);
        let ladder = self.ladder.unwrap_or_else(nudge_only);
        doubt::only_tells(&clauses, &ladder, findings);
        Some(Rule {
            name: name.value.as_str().into(),
            about: self.about,
            origin,
            mode,
            matcher: matcher.value,
            scope,
            clauses: clauses.iter().map(Clause::from).collect(),
            gates: self.gates.unwrap_or_default(),
            warmup: self.warmup,
            keep: self.keep.unwrap_or_default(),
            ladder,
            cooldown: self.cooldown.unwrap_or(COOLDOWN),
            breaker: terms.breaker,
            on_close: self.on_close,
            replies: Replies {
                may: self.answers.unwrap_or_else(|| terms.replies.may.clone()),
                extensions: terms.replies.extensions,
            },
        })
    }
}

fn nudge_only() -> Vec<Stage> {
    vec![Stage {
        after: Duration::ZERO,
        act: StageAct::Nudge,
    }]
}

impl From<&ClauseDraft> for Clause {
    fn from(draft: &ClauseDraft) -> Self {
        Self {
            limits: draft.iter().map(|limit| limit.value.clone()).collect(),
        }
    }
}

/// Limits that mean nothing for a process by itself.
fn refuse_for_one(rule: &str, clauses: &[ClauseDraft], findings: &mut Findings) {
    for Marked { value: limit, spot } in clauses.iter().flatten() {
        let metric = limit.bound.metric();
        let expected = match metric {
            Metric::Processes
            | Metric::Threads
            | Metric::OpenFiles
            | Metric::Zombies
            | Metric::Spawns => "counts are of a tree",
            Metric::Leftover => "nothing is left over when a process by itself ends",
            Metric::CpuTime
            | Metric::Cpu
            | Metric::Memory
            | Metric::Age
            | Metric::Orphaned
            | Metric::Stalled
            | Metric::Spinning
            | Metric::Silent
            | Metric::Instances => {
                continue;
            }
        };
        let message = format!(
            "{} cannot be used with scope `process`",
            quoted(metric.word())
        );
        let problem = Problem::error(spot.clone(), message)
            .label(expected)
            .help(format!("rule {} has that scope", quoted(rule)));
        findings.push(problem);
    }
}

/// The rules of the packs that run, each with its pack's name.
fn built_in(
    packs: Option<&Packs>,
    request: &Request<'_>,
    findings: &mut Findings,
) -> Vec<(&'static str, RuleDraft)> {
    let run: Vec<&builtin::Pack> = match packs {
        None | Some(Packs::All) => builtin::packs().iter().collect(),
        Some(Packs::None) => Vec::new(),
        Some(Packs::These(names)) => {
            refuse_unknown(names, findings);
            let named = |pack: &&builtin::Pack| names.iter().any(|name| name.value == pack.name);
            builtin::packs().iter().filter(named).collect()
        }
    };
    let mut drafts = Vec::new();
    for pack in run {
        let document = super::read(&pack.source(), request, findings);
        let rules = document.map(|document| document.rules).unwrap_or_default();
        drafts.extend(rules.into_iter().map(|rule| (pack.name, rule)));
    }
    drafts
}

fn refuse_unknown(names: &[Marked<String>], findings: &mut Findings) {
    let known = || builtin::packs().iter().map(|pack| pack.name);
    for name in names
        .iter()
        .filter(|name| known().all(|pack| pack != name.value))
    {
        let expected = match nearest(&name.value, known()) {
            Some(word) => format!("did you mean {}?", quoted(word)),
            None => format!(
                "expected {}",
                known().map(quoted).collect::<Vec<_>>().join(", ")
            ),
        };
        let message = format!("no built-in pack {}", quoted(&name.value));
        findings.push(Problem::error(name.spot.clone(), message).label(expected));
    }
}

/// The environment variables that any matcher or scope names.
fn variables(rules: &[Rule], whole: &Document) -> Arc<[String]> {
    let mut names = BTreeSet::new();
    let of_rules = rules
        .iter()
        .flat_map(|rule| std::iter::once(&rule.matcher).chain(&rule.keep));
    for matcher in of_rules.chain(&whole.protect).chain(&whole.boundaries) {
        collect_variables(matcher, &mut names);
    }
    for rule in rules {
        if let Scope::Env(name) = &rule.scope {
            names.insert(name.to_string());
        }
    }
    names.into_iter().collect()
}

fn collect_variables(matcher: &Matcher, names: &mut BTreeSet<String>) {
    for field in &matcher.fields {
        match field {
            Field::Env(variables) => names.extend(variables.iter().map(|(name, _)| name.clone())),
            Field::Parent(nested) | Field::Ancestor(nested) | Field::Not(nested) => {
                for matcher in nested {
                    collect_variables(matcher, names);
                }
            }
            Field::Program(_)
            | Field::Exe(_)
            | Field::Name(_)
            | Field::Arg(_)
            | Field::Args(_)
            | Field::Cmdline(_)
            | Field::User(_)
            | Field::Group(_)
            | Field::Cwd(_)
            | Field::Tty(_)
            | Field::Cgroup(_)
            | Field::Unit(_)
            | Field::Container(_)
            | Field::Age { .. }
            | Field::This(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw::document;
    use crate::config::reader::Reader;
    use crate::config::source::Source;
    use crate::config::{Names, yaml};

    struct Nobody;

    impl Names for Nobody {
        fn user(&self, _: &str) -> Option<u32> {
            None
        }

        fn group(&self, _: &str) -> Option<u32> {
            None
        }
    }

    #[test]
    fn a_built_in_rule_only_nudges_whatever_its_pack_says() {
        let text = "rules: [{ name: a, mode: enforce, match: { program: a }, limits: { age: 1h }, \
                    ladder: [nudge, { after: 1s, signal: TERM }] }]";
        let source = Source::new("pack.yaml", format!("version: 1\n{text}\n"), 0);
        let mut findings = Findings::default();
        let node = yaml::parse(&source, &mut findings).unwrap();
        let mut reader = Reader::new(&source, &Nobody, 0, &mut findings);
        let draft = document::read(&node, &mut reader).rules.remove(0);
        let terms = Terms {
            mode: Mode::Nudge,
            cap: Mode::Nudge,
            breaker: Breaker::default(),
            replies: Replies::usual(),
        };
        let rule = draft.built_in("pack", &terms, &mut findings).unwrap();
        assert_eq!(rule.mode, Mode::Nudge);
        assert_eq!(rule.ladder, nudge_only());
        assert!(findings.settle().unwrap().is_empty());
    }
}
