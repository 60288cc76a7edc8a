use super::*;
use crate::engine::units::Tier;

const LAPSE: Duration = Duration::from_secs(3);

fn memory(mib: u64, lasting: u64) -> Gauge {
    Gauge::new(Limit {
        bound: Bound::Memory {
            measure: Measure::Rss,
            above: Amount::Bytes(Bytes::mib(mib)),
        },
        lasting: (lasting > 0).then(|| Duration::from_secs(lasting)),
    })
}

fn rss(mib: Option<u64>) -> Measures {
    Measures {
        rss: mib.map(|mib| Range::exactly(Bytes::mib(mib), Tier::Scan)),
        ..Measures::default()
    }
}

fn findings(gauge: &mut Gauge, samples: &[Option<u64>]) -> Vec<&'static str> {
    let read = |(second, mib): (u64, &Option<u64>)| {
        gauge
            .read(Mono::from_secs(100 + second), &rss(*mib), None, LAPSE)
            .finding
            .word()
    };
    (0..).zip(samples).map(read).collect()
}

#[test]
fn a_level_must_hold_for_as_long_as_asked() {
    let seen = findings(
        &mut memory(100, 2),
        &[
            Some(50),
            Some(150),
            Some(150),
            Some(150),
            Some(50),
            Some(150),
        ],
    );
    assert_eq!(
        seen,
        [
            "clear",
            "breaching",
            "breaching",
            "sustained",
            "clear",
            "breaching"
        ]
    );
}

#[test]
fn unknown_neither_breaks_nor_lengthens_and_lapses() {
    let seen = findings(
        &mut memory(100, 2),
        &[Some(150), None, Some(150), Some(150), Some(150)],
    );
    assert_eq!(
        seen,
        [
            "breaching",
            "unknown",
            "breaching",
            "breaching",
            "sustained"
        ]
    );
    let seen = findings(
        &mut memory(100, 2),
        &[
            Some(150),
            Some(150),
            None,
            None,
            None,
            None,
            Some(150),
            Some(150),
            Some(150),
        ],
    );
    assert_eq!(seen[6..], ["breaching", "breaching", "sustained"]);
}

#[test]
fn without_for_one_sample_is_enough() {
    assert_eq!(findings(&mut memory(100, 0), &[Some(101)]), ["sustained"]);
}

#[test]
fn limits_that_belong_together_must_hold_together() {
    let reading = |finding| Reading {
        metric: Metric::Age,
        now: None,
        limit: Quantity::Count(0),
        lasting: None,
        held: Duration::ZERO,
        finding,
    };
    let two = [Clause {
        limits: vec![memory(1, 0).limit, memory(2, 0).limit],
    }];
    let judged = |a, b| verdict(&two, &[reading(a), reading(b)]).word();
    assert_eq!(judged(Finding::Sustained, Finding::Sustained), "sustained");
    assert_eq!(judged(Finding::Sustained, Finding::Clear), "clear");
    assert_eq!(judged(Finding::Sustained, Finding::Breaching), "breaching");
    assert_eq!(judged(Finding::Sustained, Finding::Unknown), "unknown");
    assert_eq!(judged(Finding::Clear, Finding::Unknown), "clear");
}

#[test]
fn a_number_of_instances_leads_nowhere_by_itself() {
    let limit = |bound| Limit {
        bound,
        lasting: None,
    };
    let per = crate::engine::rule::Per::Owner;
    let instances = || limit(Bound::Instances { above: 3, per });
    let idle = limit(Bound::Leftover(Duration::from_secs(5)));
    let clause = |limits: Vec<Limit>| Clause { limits };
    let busy = memory(1, 0).limit;
    let clauses = [
        clause(vec![instances()]),
        clause(vec![instances(), busy.clone()]),
        clause(vec![instances(), idle]),
        clause(vec![busy]),
    ];
    let told = |which: &[usize]| {
        let all = clauses.iter().enumerate();
        let readings: Vec<Reading> = all
            .flat_map(|(place, clause)| {
                let finding = if which.contains(&place) {
                    Finding::Sustained
                } else {
                    Finding::Breaching
                };
                clause.limits.iter().map(move |limit| Reading {
                    metric: limit.bound.metric(),
                    now: None,
                    limit: Quantity::Count(0),
                    lasting: None,
                    held: Duration::ZERO,
                    finding,
                })
            })
            .collect();
        lead(&clauses, &readings)
    };
    assert_eq!(told(&[]), Lead::Lingers);
    assert_eq!(told(&[0]), Lead::Lingers);
    assert_eq!(told(&[0, 1]), Lead::Lingers);
    assert_eq!(told(&[2]), Lead::On);
    assert_eq!(told(&[0, 3]), Lead::On);
    // Nothing was measured, so nothing leads on.
    assert_eq!(lead(&clauses, &[]), Lead::Nowhere);
    // Where instances are not counted, nothing is only told of.
    assert_eq!(lead(&clauses[3..], &[]), Lead::On);
}

#[test]
fn a_share_of_an_unknown_whole_never_fires() {
    let mut gauge = Gauge::new(Limit {
        bound: Bound::Memory {
            measure: Measure::Rss,
            above: Amount::Percent(50),
        },
        lasting: None,
    });
    let mut measures = rss(Some(1000));
    assert_eq!(
        gauge
            .read(Mono::from_secs(1), &measures, None, LAPSE)
            .finding,
        Finding::Unknown
    );
    measures.machine = Bytes::mib(1500);
    assert_eq!(
        gauge
            .read(Mono::from_secs(2), &measures, None, LAPSE)
            .finding,
        Finding::Sustained
    );
}
