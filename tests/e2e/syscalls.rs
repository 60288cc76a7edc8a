//! What the kernel is asked to do: signals go through pidfds, and through nothing else.

use std::fs;

use super::case::{Case, rules};
use super::in_both_tiers;
use super::launch::Order;
use super::report::Tier;

in_both_tiers!(only_pidfds_are_signalled);

fn only_pidfds_are_signalled(tier: Tier) {
    let mut case = Case::new("strace", tier);
    let (program, below) = (case.program("strace"), case.program("below"));
    case.canaries(&program);
    let trace = case.path("trace");
    let strace = [
        "strace",
        "-f",
        "-qq",
        "-e",
        "signal=none",
        "-e",
        "trace=kill,tkill,tgkill,pidfd_send_signal",
        "-o",
        trace.to_str().unwrap(),
    ];
    let mut daemon = case.watch().rules(&rules(&program)).under(&strace).start();
    let obeys = case.start(Order::new(&program, "obey"));
    daemon.log.about(obeys.pid, "close");
    let order = Order::new(&program, "middle")
        .other(below.to_str().unwrap())
        .number(1);
    let ignores = case.start(order);
    daemon.log.signal(ignores.pid, "KILL");
    daemon.log.about(ignores.pid, "close");
    assert!(daemon.stop().success());
    let trace = fs::read_to_string(trace).unwrap();
    let count = |call: &str| trace.lines().filter(|line| line.contains(call)).count();
    assert!(count("pidfd_send_signal(") >= 2, "{trace}");
    assert!(count("SIGTERM") >= 2 && count("SIGKILL") >= 1, "{trace}");
    for call in [" kill(", " tkill(", " tgkill("] {
        assert_eq!(count(call), 0, "{trace}");
    }
    assert_eq!(case.lost(), 0);
}
