//! The state machine against a naive model: a whole map for every revision, and a list of all events ever.
//!
//! The model is written from etcd's description, not from the code: it copies everything, compares everything, and
//! knows no undo, no sharing and no index.

mod model;

use kv::{Applied, Command, KeyRange, Kv, KvError, RangeRequest, TxnOperation, txn_is_read_only, validate};
use model::{Model, command, limits, watch_request};
use proptest::prelude::*;
use types::{Millis, Revision};

fn everything() -> KeyRange {
    KeyRange::From(vec![0])
}

/// Everything that can be read must be what the model says, at every revision.
fn assert_same(kv: &Kv, model: &Model) {
    assert_eq!(kv.revision(), model.revision());
    assert_eq!(kv.compact_revision(), model.compact_revision);
    assert_eq!(kv.now(), model.now);
    for revision in 1..=kv.revision().0 + 1 {
        let request = RangeRequest { revision: Some(Revision(revision)), ..RangeRequest::all(everything()) };
        let answer = kv.range(&request).map(|response| response.kvs);
        assert_eq!(answer, model.keys_at(Revision(revision)), "at revision {revision}");
        let events = kv.events_since(Revision(revision)).map(Iterator::collect);
        assert_eq!(events, model.events_since(Revision(revision)), "since revision {revision}");
    }
    assert_eq!(kv.leases(), model.lease_ids());
    for id in kv.leases() {
        let status = kv.lease_status(id, kv.now()).expect("it is listed");
        assert_eq!(status, model.lease_status(id), "lease {id}");
    }
    assert_eq!(kv.next_expiry(), model.next_expiry());
    assert_eq!(kv.data_bytes(), model.data_bytes());
}

fn run(commands: &[(u64, Command)]) -> (Kv, Vec<Applied>) {
    let mut kv = Kv::with_limits(limits());
    let applied = commands.iter().map(|(now, command)| kv.apply(Millis(*now), command)).collect();
    (kv, applied)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_command_does_what_the_model_says(commands in prop::collection::vec((0..4000_u64, command()), 1..40)) {
        let mut kv = Kv::with_limits(limits());
        let mut model = Model::new();
        for (now, command) in &commands {
            if let Command::Txn(txn) = command && validate(command).is_ok() && txn_is_read_only(txn) {
                let read = kv.read_txn(txn).map(kv::Response::Txn);
                prop_assert_eq!(&kv.clone().apply(Millis(0), command).result, &read);
            }
            let applied = kv.apply(Millis(*now), command);
            let expected = model.apply(Millis(*now), command);
            prop_assert_eq!(&applied.result, &expected.result, "{:?}", command);
            prop_assert_eq!(&applied.events, &expected.events, "{:?}", command);
        }
        assert_same(&kv, &model);
    }

    #[test]
    fn the_same_commands_give_the_same_bytes_and_a_restored_store_goes_on_the_same(
        before in prop::collection::vec((0..4000_u64, command()), 0..30),
        after in prop::collection::vec((0..8000_u64, command()), 0..30),
    ) {
        let (mut kv, applied) = run(&before);
        let (twin, applied_by_twin) = run(&before);
        prop_assert_eq!(applied, applied_by_twin);
        let bytes = kv.snapshot();
        prop_assert_eq!(&bytes, &twin.snapshot());

        let mut restored = Kv::restore(&bytes).expect("it was just written");
        prop_assert_eq!(&bytes, &restored.snapshot());
        prop_assert_eq!(kv.size_bytes(), restored.size_bytes());
        for (now, command) in &after {
            prop_assert_eq!(kv.apply(Millis(*now), command), restored.apply(Millis(*now), command));
        }
        prop_assert_eq!(kv.snapshot(), restored.snapshot());
        prop_assert_eq!(kv.size_bytes(), restored.size_bytes());
    }

    #[test]
    fn a_damaged_snapshot_is_refused_or_read_but_never_stops_the_program(
        commands in prop::collection::vec((0..4000_u64, command()), 0..20),
        position in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        after in prop::collection::vec((0..8000_u64, command()), 0..10),
    ) {
        let mut bytes = run(&commands).0.snapshot();
        prop_assert!(Kv::restore(&bytes[..position.index(bytes.len())]).is_err(), "cut off");
        let position = position.index(bytes.len());
        bytes[position] = byte;
        if let Ok(mut kv) = Kv::restore(&bytes) {
            for (now, command) in &after {
                kv.apply(Millis(*now), command);
            }
        }
    }

    #[test]
    fn every_watcher_gets_every_event_once(
        steps in prop::collection::vec((0..4000_u64, command(), 0..8_u8, watch_request()), 1..40),
    ) {
        let mut kv = Kv::with_limits(limits());
        let mut model = Model::new();
        let mut watchers = model::Watchers::default();
        for (now, command, choice, request) in &steps {
            let newest_before = kv.revision();
            let applied = kv.apply(Millis(*now), command);
            model.apply(Millis(*now), command);
            // Choices 0..=3 notify; the others leave it to a later replay.
            if *choice <= 3 && kv.revision() > newest_before {
                watchers.notify(kv.revision(), &applied.events);
            }
            if choice % 4 == 1 {
                watchers.create(request.clone(), kv.revision());
            }
            if choice % 4 == 2 {
                watchers.catch_up(&kv);
            }
        }
        watchers.catch_up(&kv);
        watchers.assert_complete(&kv, &model);
    }
}

#[test]
fn what_validate_refuses_is_still_applied_without_harm() {
    let put = |key: &str| model::put(key, "v");
    let odd = [
        Command::Put(kv::PutRequest { ignore_value: true, ..model::put("", "given") }),
        Command::Txn(kv::TxnRequest {
            success: vec![TxnOperation::Put(put("a")), TxnOperation::Put(put("a"))],
            ..kv::TxnRequest::default()
        }),
    ];
    let mut kv = Kv::new();
    let mut model = Model::new();
    for command in &odd {
        assert!(validate(command).is_err());
        assert_eq!(kv.apply(Millis(0), command).result, model.apply(Millis(0), command).result);
    }
    assert_eq!(kv.range(&RangeRequest::all(KeyRange::From(Vec::new()))), Err(KvError::EmptyKey));
    assert_same(&kv, &model);
}
