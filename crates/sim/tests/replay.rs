//! One seed sets everything.

use sim::run::run;
use sim::setup::Setup;

#[test]
fn the_same_seed_gives_the_same_trace_byte_for_byte() {
    for seed in [2, 3, 177] {
        let setup = Setup { trace: true, ..Setup::new(seed) };
        let (first, second) = (run(setup.clone()), run(setup.clone()));
        assert_eq!(first.trace.join("\n"), second.trace.join("\n"), "seed {seed}");
        assert!(first.trace.len() > 100, "seed {seed} has a trace");
        let silent = run(Setup { trace: false, ..setup });
        assert_eq!(
            (silent.events, silent.acknowledged),
            (first.events, first.acknowledged),
            "watching changes nothing"
        );
    }
}
