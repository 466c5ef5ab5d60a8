use super::super::*;
use super::rig::{PEERS, Rig};

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(|word| if word == "''" { String::new() } else { word.to_owned() }).collect()
}

fn error(text: &str) -> Answer {
    Answer::Error(text.to_owned())
}

#[test]
fn set_changes_one_master_and_says_so() {
    const DENIED: &str = "ERR Reconfiguration of scripts path is denied for security reasons. Check the deny-scripts-reconfig configuration directive in your Sentinel configuration";
    for (arguments, answer, said) in [
        ("down-after-milliseconds 5000", Answer::Ok, "+set master db1 10.0.0.1 1 down-after-milliseconds 5000"),
        ("Quorum 3", Answer::Ok, "+set master db1 10.0.0.1 1 Quorum 3"),
        ("auth-pass secret", Answer::Ok, "+set master db1 10.0.0.1 1 auth-pass ******"),
        ("rename-command CONFIG conf", Answer::Ok, "+set master db1 10.0.0.1 1 rename-command CONFIG conf"),
        (
            "quorum 3 failover-timeout 7",
            Answer::Ok,
            "+set master db1 10.0.0.1 1 quorum 3\n+set master db1 10.0.0.1 1 failover-timeout 7",
        ),
        ("quorum 0", error("ERR Invalid argument '0' for SENTINEL SET 'quorum'"), ""),
        ("parallel-syncs many", error("ERR Invalid argument 'many' for SENTINEL SET 'parallel-syncs'"), ""),
        (
            "rename-command CONFIG",
            error("ERR Unknown option or number of arguments for SENTINEL SET 'rename-command'"),
            "",
        ),
        ("rename-command CONFIG ''", error("ERR Invalid argument '' for SENTINEL SET 'rename-command'"), ""),
        ("quorum", error("ERR Unknown option or number of arguments for SENTINEL SET 'quorum'"), ""),
        (
            "quorum 3 colour blue",
            error("ERR Unknown option or number of arguments for SENTINEL SET 'colour'"),
            "+set master db1 10.0.0.1 1 quorum 3",
        ),
        ("notification-script /bin/true", error(DENIED), ""),
        (
            "quorum 3\n",
            error("ERR Invalid argument at index 4 for SENTINEL SET: control characters are not allowed"),
            "",
        ),
    ] {
        let mut rig = Rig::settled();
        let request = Request::Set { master: "db1".into(), arguments: words(arguments), executable: vec![] };
        assert_eq!(rig.ask(request), Some(answer), "{arguments}");
        assert_eq!(rig.said_but(&[]), said, "{arguments}");
    }
    let mut rig = Rig::settled();
    let request = Request::Set { master: "nobody".into(), arguments: words("quorum 3"), executable: vec![] };
    assert_eq!(rig.ask(request), Some(error("ERR No such master with that name")));
}

#[test]
fn scripts_can_be_set_where_that_is_allowed_and_they_exist() {
    let mut configuration = super::rig::configuration(&[2, 3], 2);
    configuration.settings.deny_scripts_reconfig = false;
    let mut rig = Rig::settled_with(configuration);
    let set = |path: &str, executable: &[&str]| Request::Set {
        master: "db1".into(),
        arguments: words(&format!("client-reconfig-script {path}")),
        executable: executable.iter().map(|&path| path.to_owned()).collect(),
    };
    let expected = "ERR Client reconfiguration script seems non existing or non executable";
    assert_eq!(rig.ask(set("/x", &[])), Some(error(expected)));
    assert_eq!(rig.ask(set("/x", &["/x"])), Some(Answer::Ok));
    assert_eq!(rig.master().settings.client_reconfig_script.as_deref(), Some("/x"));
    assert_eq!(rig.ask(set("''", &[])), Some(Answer::Ok));
    assert_eq!(rig.master().settings.client_reconfig_script, None);
}

#[test]
fn renamed_commands_are_used() {
    let mut rig = Rig::settled();
    rig.ask(Request::Set { master: "db1".into(), arguments: words("rename-command slaveof s6"), executable: vec![] });
    rig.ask(Request::Failover { master: "db1".into(), option: None });
    assert!(rig.sent.contains(&"3: s6 NO ONE".to_owned()), "{:?}", rig.sent);
}

#[test]
fn masters_come_and_go() {
    let mut rig = Rig::settled();
    let monitor = |name: &str, host: &str, port: &str, quorum: &str| Request::Monitor {
        master: name.into(),
        host: host.into(),
        port: port.into(),
        quorum: quorum.into(),
    };
    for (request, expected) in [
        (monitor("db2", "10.0.0.2", "6379", "0"), "ERR Quorum must be 1 or greater."),
        (monitor("db2", "10.0.0.2", "6379", "x"), "ERR Invalid quorum"),
        (monitor("db2", "10.0.0.2", "x", "1"), "ERR Invalid port"),
        (monitor("db2", "10.0.0.2", "70000", "1"), "ERR Invalid port number."),
        (monitor("db2", "redis.example", "6379", "1"), "ERR Invalid IP address or hostname specified"),
        (monitor("db1", "10.0.0.2", "6379", "1"), "ERR Duplicate master name."),
        (
            monitor("db\n2", "10.0.0.2", "6379", "1"),
            "ERR Invalid argument at index 2 for SENTINEL MONITOR: control characters are not allowed",
        ),
        (Request::Remove { master: "db2".into() }, "ERR No such master with that name"),
    ] {
        assert_eq!(rig.ask(request), Some(error(expected)));
    }
    assert_eq!(rig.ask(monitor("db2", "10.0.0.1", "2", "1")), Some(Answer::Ok));
    assert!(rig.said_but(&[]).starts_with("+monitor master db2 10.0.0.1 2 quorum 1"));
    rig.disk_works = false;
    let unsaved = "ERR Failed to save config file. Check server logs.";
    assert_eq!(rig.ask(Request::FlushConfig), Some(error(unsaved)));
    rig.disk_works = true;
    assert_eq!(rig.ask(Request::Remove { master: "db2".into() }), Some(Answer::Ok));
    assert_eq!(rig.said_but(&[]), "-monitor master db2 10.0.0.1 2");
    assert_eq!(rig.sentinel.configuration().masters.len(), 1);
}

#[test]
fn a_name_is_resolved_before_its_master_is_watched() {
    let mut rig = Rig::settled();
    rig.ask(Request::ConfigSet { arguments: words("resolve-hostnames yes") });
    let monitor = || Request::Monitor {
        master: "db2".into(),
        host: "redis.example".into(),
        port: "2".into(),
        quorum: "1".into(),
    };
    assert_eq!(rig.ask(monitor()), None);
    assert_eq!(rig.said_but(&[]), "resolve redis.example");
    rig.event(Event::Resolved { name: "redis.example".into(), ip: None });
    assert_eq!(rig.last_answer(), Some(error("ERR Invalid IP address or hostname specified")));
    assert_eq!(rig.ask(monitor()), None);
    rig.event(Event::Resolved { name: "redis.example".into(), ip: Some("10.0.0.1".parse().unwrap()) });
    assert_eq!(rig.last_answer(), Some(Answer::Ok));
    assert_eq!(rig.sentinel.master_address("db2"), Some(("10.0.0.1".into(), 2)));
    rig.ask(Request::ConfigSet { arguments: words("announce-hostnames yes") });
    assert_eq!(rig.sentinel.master_address("db2"), Some(("redis.example".into(), 2)));
}

#[test]
fn a_reset_forgets_what_was_learned_and_keeps_the_vote() {
    let mut rig = Rig::settled();
    let vote = Request::IsMasterDown { host: "10.0.0.1".into(), port: 1, epoch: 5, candidate: PEERS[0].into() };
    rig.ask(vote);
    rig.said.clear();
    rig.kill(2);
    rig.kill(3);
    assert_eq!(rig.ask(Request::Reset { pattern: "db*".into() }), Some(Answer::Integer(1)));
    assert_eq!(rig.said_but(&[]), "+reset-master master db1 10.0.0.1 1");
    assert_eq!((rig.master().replicas.len(), rig.master().peers.len(), rig.master().vote.epoch), (0, 0, 5));
    assert_eq!(rig.ask(Request::Reset { pattern: "nothing".into() }), Some(Answer::Integer(0)));
    rig.pass(2_000);
    assert_eq!(rig.flags(), "master");
}

#[test]
fn config_set_is_all_or_nothing() {
    let mut rig = Rig::settled();
    for (arguments, expected) in [
        ("colour blue", "ERR Invalid argument 'colour' to SENTINEL CONFIG SET"),
        ("announce-ip a announce-ip b", "ERR Duplicate argument 'announce-ip' to SENTINEL CONFIG SET"),
        ("announce-ip a announce-port", "ERR Missing argument 'announce-port' value"),
        ("announce-ip a announce-port 70000", "ERR Invalid value '70000' to SENTINEL CONFIG SET 'announce-port'"),
        (
            "announce-ip a resolve-hostnames maybe",
            "ERR Invalid value 'maybe' to SENTINEL CONFIG SET 'resolve-hostnames'",
        ),
        ("loglevel loud", "ERR Invalid value 'loud' to SENTINEL CONFIG SET 'loglevel'"),
    ] {
        assert_eq!(rig.ask(Request::ConfigSet { arguments: words(arguments) }), Some(error(expected)));
    }
    assert_eq!(rig.sentinel.configuration().settings.announce_ip, None);
    rig.effects.clear();
    assert_eq!(rig.ask(Request::ConfigSet { arguments: words("sentinel-pass x loglevel debug") }), Some(Answer::Ok));
    let dropped = rig.effects.iter().filter(|effect| matches!(effect, Effect::Close { .. })).count();
    assert_eq!(dropped, 2, "both peers are greeted anew");
    let shown = rig.sentinel.config_get(["sentinel-*", "log*"].into_iter(), "debug");
    let expected = [("sentinel-user", ""), ("sentinel-pass", "x"), ("loglevel", "debug")];
    assert_eq!(shown, expected.map(|(name, value)| (name, value.to_owned())));
}

#[test]
fn debug_sets_periods() {
    let mut rig = Rig::settled();
    for (arguments, expected) in [
        ("info-period 500", Answer::Ok),
        ("info-period 0", error("ERR Invalid argument '0' for SENTINEL DEBUG 'info-period'")),
        ("colour 1", error("ERR Unknown option or number of arguments for SENTINEL DEBUG 'colour'")),
        ("ping-period", error("ERR Unknown option or number of arguments for SENTINEL DEBUG 'ping-period'")),
    ] {
        assert_eq!(rig.ask(Request::Debug { arguments: words(arguments) }), Some(expected));
    }
    let shown = rig.sentinel.debug_parameters();
    assert_eq!(shown[0], ("INFO-PERIOD", "500".to_owned()));
    assert_eq!(shown.len(), 13);
}

#[test]
fn what_is_shown_has_sentinels_order() {
    let rig = Rig::settled();
    let names =
        |fields: Vec<(&'static str, String)>| fields.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(" ");
    let master = rig.master();
    assert_eq!(
        names(rig.sentinel.describe_master(rig.now, master)),
        "name ip port runid flags link-pending-commands link-refcount last-ping-sent last-ok-ping-reply last-ping-reply down-after-milliseconds info-refresh role-reported role-reported-time config-epoch num-slaves num-other-sentinels quorum failover-timeout parallel-syncs"
    );
    assert_eq!(
        names(rig.sentinel.describe_replica(rig.now, master, &master.replicas[0])),
        "name ip port runid flags link-pending-commands link-refcount last-ping-sent last-ok-ping-reply last-ping-reply down-after-milliseconds info-refresh role-reported role-reported-time master-link-down-time master-link-status master-host master-port slave-priority slave-repl-offset replica-announced"
    );
    assert_eq!(
        names(rig.sentinel.describe_peer(rig.now, master, &master.peers[0])),
        "name ip port runid flags link-pending-commands link-refcount last-ping-sent last-ok-ping-reply last-ping-reply down-after-milliseconds last-hello-message voted-leader voted-leader-epoch"
    );
    let expected = "OK 3 usable Sentinels. Quorum and failover authorization can be reached";
    assert_eq!(rig.sentinel.check_quorum(master), Ok(expected.to_owned()));
    assert!(
        rig.sentinel
            .info_section(rig.now)
            .ends_with("master0:name=db1,status=ok,address=10.0.0.1:1,slaves=2,sentinels=3\r\n")
    );
}

#[test]
fn a_quorum_that_cannot_be_reached_says_why() {
    let mut rig = Rig::settled();
    rig.kill(26_001);
    rig.kill(26_002);
    rig.pass(3_000);
    let expected = "NOQUORUM 1 usable Sentinels. Not enough available Sentinels to reach the specified quorum for this master. Not enough available Sentinels to reach the majority and authorize a failover";
    assert_eq!(rig.sentinel.check_quorum(rig.master()), Err(expected.to_owned()));
}
