use super::super::*;

fn read(text: &str) -> Result<Configuration, DirectiveError> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect();
    let lines: Vec<(usize, Vec<String>)> =
        text.lines().enumerate().map(|(number, line)| (number + 1, words(line))).collect();
    Configuration::read(&lines)
}

fn written(configuration: &Configuration) -> String {
    let line = |directive: &Directive| {
        let words: Vec<&str> =
            std::iter::once(directive.option).chain(directive.arguments.iter().map(String::as_str)).collect();
        words.join(" ")
    };
    configuration.directives().iter().map(line).collect::<Vec<String>>().join("\n")
}

const FULL: &str = "myid a000000000000000000000000000000000000000
deny-scripts-reconfig no
resolve-hostnames yes
announce-hostnames yes
monitor db1 redis.example 6379 2
down-after-milliseconds db1 5000
failover-timeout db1 45000
parallel-syncs db1 2
notification-script db1 /bin/notify
client-reconfig-script db1 /bin/reconfig
auth-pass db1 secret
auth-user db1 sentinel
master-reboot-down-after-period db1 100
config-epoch db1 7
leader-epoch db1 8
known-replica db1 10.0.0.2 6379
known-sentinel db1 10.0.0.9 26379 b000000000000000000000000000000000000000
rename-command db1 CONFIG conf
current-epoch 9
announce-ip 192.0.2.1
announce-port 1234
sentinel-user me
sentinel-pass mine";

#[test]
fn what_is_written_is_what_was_read() {
    let configuration = read(FULL).unwrap();
    assert_eq!(written(&configuration), FULL);
    let backwards: Vec<&str> = FULL.lines().rev().collect();
    assert_eq!(read(&backwards.join("\n")), Ok(configuration), "the order of the lines does not matter");
}

#[test]
fn a_small_configuration_stays_small() {
    let configuration = read("monitor db1 10.10.10.10 6379 2\ndown-after-milliseconds db1 30000").unwrap();
    assert_eq!(
        written(&configuration),
        "monitor db1 10.10.10.10 6379 2\nconfig-epoch db1 0\nleader-epoch db1 0\ncurrent-epoch 0"
    );
}

#[test]
fn other_spellings_are_read() {
    let configuration = read(
        "MONITOR db1 10.0.0.1 6379 1\nknown-slave db1 10.0.0.2 6379\nprimary-reboot-down-after-period db1 5\nknown-sentinel db1 10.0.0.9 26379\nconfig-epoch db1 12",
    )
    .unwrap();
    let master = &configuration.masters[0];
    assert_eq!((master.replicas.len(), master.sentinels.len()), (1, 0));
    assert_eq!(configuration.current_epoch, 12, "never smaller than a master's");
}

#[test]
fn a_line_that_cannot_be_used_is_named() {
    const MONITOR: &str = "monitor db1 10.0.0.1 6379 2";
    for (line, expected) in [
        ("colour db1 blue", "Unrecognized sentinel configuration statement."),
        ("quorum db1 2 3 4", "Unrecognized sentinel configuration statement."),
        ("down-after-milliseconds db1", "Unrecognized sentinel configuration statement."),
        ("down-after-milliseconds db2 100", "No such master with specified name."),
        ("down-after-milliseconds db1 0", "negative or zero time parameter."),
        ("down-after-milliseconds db1 1s", "'1s' is not a number."),
        ("failover-timeout db1 -5", "negative or zero time parameter."),
        ("monitor db2 10.0.0.1 6379 0", "Quorum must be 1 or greater."),
        ("monitor db1 10.0.0.1 6379 2", "Duplicate master name."),
        ("monitor db2 redis.example 6379 2", "Can't resolve instance hostname."),
        ("monitor db2 10.0.0.1 66000 2", "Invalid port number."),
        ("myid short", "Malformed Sentinel id in myid option."),
        ("resolve-hostnames maybe", "Please specify yes or no for the resolve-hostnames option."),
        ("deny-scripts-reconfig 1", "Please specify yes or no for the deny-scripts-reconfig options."),
        ("primary-reboot-down-after-period db1 -1", "negative time parameter."),
        ("", "Unrecognized sentinel configuration statement."),
    ] {
        let text = format!("{MONITOR}\n{line}\ncurrent-epoch 1");
        assert_eq!(read(&text), Err(DirectiveError { line: 2, text: expected.to_owned() }), "{line}");
    }
    let twice = format!("{MONITOR}\nrename-command db1 CONFIG a\nrename-command db1 config b");
    let expected = "Same command renamed multiple times with rename-command.";
    assert_eq!(read(&twice), Err(DirectiveError { line: 3, text: expected.to_owned() }));
}
