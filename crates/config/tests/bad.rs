//! Configurations that are refused: every message with file, line, key and what is accepted.

use config::load_text;
use std::collections::BTreeMap;

/// Good, except for what a case adds.
const GOOD: &str = "\
scope: demo
name: pg1
store:
  data_dir: /d/store
  members: {pg1: 10.0.0.1, pg2: 10.0.0.2, pg3: 10.0.0.3}
postgresql:
  data_dir: /d/pg
  authentication: {replication: {username: rep, password: secret}}
";

fn messages(text: &str) -> String {
    match load_text("q.yml", text, &BTreeMap::new()) {
        Ok(_) => "accepted".to_owned(),
        Err(errors) => errors.to_string(),
    }
}

/// Replaces a piece of the good configuration, or adds lines to it.
fn check(cases: &[(&str, &str, &str)]) {
    for (old, new, expected) in cases {
        let text = if old.is_empty() { format!("{GOOD}{new}") } else { GOOD.replace(old, new) };
        assert_ne!(text, GOOD, "the case changes nothing: {old}");
        let found = messages(&text);
        assert_eq!(&found, expected, "\n--- for\n{new}\n--- found\n{found}\n---");
    }
}

#[test]
fn the_good_one_is_accepted() {
    assert_eq!(messages(GOOD), "accepted");
}

#[test]
fn a_virtual_address_must_be_one_that_can_move() {
    check(&[
        (
            "",
            "vip: {address: 10.0.0.42}\n",
            "q.yml:9: vip.address: '10.0.0.42' has no prefix length [config-range]\n  hint: an address with the length of its network's prefix, such as 10.0.0.42/24",
        ),
        (
            "",
            "vip: {address: 10.0.0.42/33}\n",
            "q.yml:9: vip.address: '33' is not a prefix length; expected 1 to 32 [config-range]\n  hint: an address with the length of its network's prefix, such as 10.0.0.42/24",
        ),
        (
            "",
            "vip:\n  - address: 127.0.0.42/8\n",
            "q.yml:10: vip.address: 127.0.0.42 cannot be the address of a host on a network [config-range]\n  hint: an address with the length of its network's prefix, such as 10.0.0.42/24",
        ),
        (
            "",
            "  listen: 0.0.0.0:5432\n  connect_address: 10.0.0.1:5432\nvip: {address: 10.0.0.1/24}\n",
            "q.yml:11: vip.address: 10.0.0.1 is the address of this member too [config-conflict]\n  hint: use an address that nobody has",
        ),
        (
            "",
            "vip: {address: 10.0.0.42/24}\n",
            "q.yml:9: vip.address: postgresql.listen is 10.0.0.1, so nobody would answer at 10.0.0.42 [config-conflict]\n  hint: listen on every address (postgresql.listen: 0.0.0.0), and say in connect_address where the others reach this member",
        ),
        (
            "",
            "vip: {address: 10.0.0.42/24, role: redis_master}\n",
            "q.yml:9: vip.role: 'redis_master' needs the section redis: this member never has the role [config-conflict]\n  hint: leave vip out on this member, or correct the role",
        ),
        (
            "",
            "vip: {addres: 10.0.0.42/24}\n",
            "q.yml:9: vip.addres: unknown key [config-unknown-key]\n  hint: did you mean 'address'?\nq.yml:9: vip.address: is missing [config-missing]\n  hint: the address with its prefix, such as 10.0.0.42/24",
        ),
    ]);
}

#[test]
fn unknown_keys_are_named_with_the_nearest_known_one() {
    check(&[
        (
            "",
            "  lisen: 10.0.0.1:5432\n",
            "q.yml:9: postgresql.lisen: unknown key [config-unknown-key]\n  hint: did you mean 'listen'?",
        ),
        (
            "",
            "restAPI: {listen: '10.0.0.1:8008'}\n",
            "q.yml:9: restAPI: unknown key [config-unknown-key]\n  hint: did you mean 'restapi'?",
        ),
        (
            "",
            "synchronous_mode: on\n",
            "q.yml:9: synchronous_mode: unknown key [config-unknown-key]\n  hint: 'bootstrap.dcs.synchronous_mode' exists; is the indentation right?",
        ),
        (
            "",
            "redis: {data_dir: /d/redis, password: secret}\n",
            "q.yml:9: redis.password: unknown key [config-unknown-key]\n  hint: 'redis.authentication.password' exists; is the indentation right?",
        ),
        (
            "",
            "log: {colour: red}\n",
            "q.yml:9: log.colour: unknown key [config-unknown-key]\n  hint: known keys: level, type, traceback_level, format, dateformat, static_fields, max_queue_size, dir, mode, file_num, file_size, loggers, deduplicate_heartbeat_logs",
        ),
        (
            "",
            "bootstrap:\n  dcs:\n    tll: 30\n    postgresql:\n      use_pg_rewnd: true\n",
            "q.yml:11: bootstrap.dcs.tll: unknown key [config-unknown-key]\n  hint: did you mean 'ttl'?\nq.yml:13: bootstrap.dcs.postgresql.use_pg_rewnd: unknown key [config-unknown-key]\n  hint: did you mean 'use_pg_rewind'?",
        ),
    ]);
}

#[test]
fn wrong_values_are_named_with_the_accepted_ones() {
    check(&[
        (
            "",
            "proxy: {primary_port: 70000}\n",
            "q.yml:9: proxy.primary_port: 70000 is out of range; expected 1 to 65535 [config-range]",
        ),
        (
            "",
            "proxy: {hold: soon}\n",
            "q.yml:9: proxy.hold: 'soon' is not a number; expected 0 to 600 seconds [config-type]",
        ),
        (
            "",
            "proxy: {replica_port: 5000}\n",
            "q.yml:9: proxy.replica_port: 5000 is proxy.primary_port too; the two ports must differ [config-conflict]",
        ),
        (
            "",
            "proxy: {replica_max_lag: far}\n",
            "q.yml:9: proxy.replica_max_lag: 'far' is not a size; expected bytes, or a number with kB, MB or GB [config-type]",
        ),
        (
            "",
            "proxy: {accept_proxy_protocol_from: [10.0.0.5, lb1, 10.0.0.0/33]}\n",
            "q.yml:9: proxy.accept_proxy_protocol_from: 'lb1' is no address and no network; expected one such as 10.0.0.5 or 10.0.0.0/24 [config-range]\nq.yml:9: proxy.accept_proxy_protocol_from: '10.0.0.0/33' is no address and no network; expected one such as 10.0.0.5 or 10.0.0.0/24 [config-range]",
        ),
        (
            "",
            "proxy: {send_proxy_protocol: v2}\n",
            "q.yml:9: proxy.send_proxy_protocol: needs proxy.pooler: PostgreSQL itself does not understand the PROXY header [config-conflict]\n  hint: let the ports lead to a pooler that does, with proxy.pooler and postgresql.proxy_address",
        ),
        (
            "",
            "proxy: {pooler: true}\n",
            "q.yml:9: proxy.pooler: needs postgresql.proxy_address, where this member's pooler is reached [config-conflict]",
        ),
        (
            "",
            "watchdog: {mode: sometimes}\n",
            "q.yml:9: watchdog.mode: 'sometimes' is not accepted; expected off, automatic or required [config-range]",
        ),
        (
            "",
            "  use_unix_socket: maybe\n",
            "q.yml:9: postgresql.use_unix_socket: 'maybe' is not a truth value; expected true or false [config-type]",
        ),
        (
            "",
            "  listen: 10.0.0.1:x\n",
            "q.yml:9: postgresql.listen: the port of '10.0.0.1:x' is not a number from 1 to 65535 [config-range]",
        ),
        ("", "  pg_hba: host all all all md5\n", "q.yml:9: postgresql.pg_hba: must be a list of lines [config-type]"),
        (
            "",
            "  parameters: {work_mem: [1, 2]}\n",
            "q.yml:9: postgresql.parameters.work_mem: must be a single value [config-type]",
        ),
        (
            "",
            "  basebackup: [{pgdata: /x}]\n",
            "q.yml:9: postgresql.basebackup.pgdata: is set by the agent itself; remove it [config-reserved]",
        ),
        (
            "",
            "restapi: 10.0.0.1:8008\n",
            "q.yml:9: restapi: must be a section (keys and values, indented) [config-type]",
        ),
        (
            "",
            "restapi: {listen: '10.0.0.1:8008', authentication: {username: u}}\n",
            "q.yml:9: restapi.authentication: is missing [config-missing]\n  hint: both username and password are needed",
        ),
        (
            "",
            "bootstrap:\n  dcs:\n    ttl: 0\n    loop_wait: 5\n    maximum_lag_on_failover: -1\n",
            "q.yml:11: bootstrap.dcs.ttl: 0 is out of range; expected 1 to 3600 [config-range]\nq.yml:13: bootstrap.dcs.maximum_lag_on_failover: -1 is out of range; expected at least 0 [config-range]",
        ),
        (
            "",
            "bootstrap: {initdb: [{encoding: UTF8}, [x]]}\n",
            "q.yml:9: bootstrap.initdb: must be a list of options: names, or `name: value` [config-type]",
        ),
    ]);
}

#[test]
fn the_stores_members_must_make_sense() {
    check(&[
        (
            ", pg3: 10.0.0.3",
            "",
            "q.yml:5: store.members: 2 members vote; the number of voters must be odd (1, 3, 5) [config-voters]\n  hint: 2 voters survive no more failures than 1: leave one out, or add a witness for 3 (`name: {address: .., witness: true}`)",
        ),
        (
            "name: pg1",
            "name: pg4",
            "q.yml:5: store.members: this member ('pg4') is not among the members (pg1, pg2, pg3) [config-missing]\n  hint: correct 'name', or add a line such as `pg4: 10.0.0.1` on every member",
        ),
        (
            "name: pg1",
            "name: zürich",
            "q.yml:5: store.members: this member ('zürich') is not among the members (pg1, pg2, pg3) [config-missing]\n  hint: correct 'name', or add a line such as `zürich: 10.0.0.1` on every member",
        ),
        (
            "10.0.0.2",
            "10.0.0.1",
            "q.yml:5: store.members.pg2: has the same address and peer port as 'pg1' [config-conflict]",
        ),
        (
            "pg2: 10.0.0.2",
            "pg2: '10.0.0.2:2380'",
            "q.yml:5: store.members.pg2: '10.0.0.2:2380' has a port; only the address belongs here [config-range]\n  hint: ports stand in store.client_port and store.peer_port, or in {address: .., client_port: .., peer_port: ..}\nq.yml:5: store.members: 2 members vote; the number of voters must be odd (1, 3, 5) [config-voters]\n  hint: 2 voters survive no more failures than 1: leave one out, or add a witness for 3 (`name: {address: .., witness: true}`)",
        ),
        (
            "pg3: 10.0.0.3",
            "pg3: {address: 10.0.0.3, witnes: true}",
            "q.yml:5: store.members.pg3.witnes: unknown key [config-unknown-key]\n  hint: did you mean 'witness'?",
        ),
        (
            "10.0.0.1,",
            "{address: 10.0.0.1, witness: true},",
            "q.yml:6: postgresql: this member is a witness in store.members, which has no PostgreSQL [config-conflict]",
        ),
        (
            "  data_dir: /d/store\n",
            "",
            "q.yml:3: store.data_dir: is missing [config-missing]\n  hint: a directory for the store's log, such as /var/lib/quorate/store",
        ),
    ]);
}

#[test]
fn there_is_exactly_one_store() {
    check(&[
        (
            "",
            "etcd3: {hosts: [10.0.0.1:2379]}\n",
            "q.yml:9: etcd3: 'store' and 'etcd3' exclude each other; keep one [config-conflict]",
        ),
        (
            "",
            "consul: {host: 'x:8500'}\n",
            "q.yml:9: consul: is not supported yet [config-unsupported]\n  hint: the cluster's state lives in the embedded store or in an etcd; use 'store', 'etcd3' or 'etcd'",
        ),
        (
            "store:\n  data_dir: /d/store\n  members: {pg1: 10.0.0.1, pg2: 10.0.0.2, pg3: 10.0.0.3}\n",
            "restapi: {listen: '10.0.0.1:8008'}\n",
            "q.yml: store: is missing [config-missing]\n  hint: add 'store' for the embedded store, or 'etcd3' with the hosts of an etcd\nq.yml:4: postgresql.listen: is missing [config-missing]\n  hint: where PostgreSQL listens, such as 10.0.0.1:5432",
        ),
        (
            "store:\n  data_dir: /d/store\n  members: {pg1: 10.0.0.1, pg2: 10.0.0.2, pg3: 10.0.0.3}\n",
            "restapi: {listen: '10.0.0.1:8008'}\netcd3: {hosts: ['https://10.0.0.1:2379', 'a:b:c']}\n",
            "q.yml:4: etcd3.hosts: 'a:b:c' has an IPv6 address without brackets; write it as [address]:port [config-range]\nq.yml:5: postgresql.listen: is missing [config-missing]\n  hint: where PostgreSQL listens, such as 10.0.0.1:5432",
        ),
    ]);
}

#[test]
fn half_of_tls_is_refused() {
    check(&[
        (
            "",
            "restapi: {keyfile: /k}\n",
            "q.yml:9: restapi.certfile: is missing [config-missing]\n  hint: the server's certificate (PEM); without it the API is not served over TLS",
        ),
        (
            "",
            "restapi: {certfile: /c, verify_client: required}\n",
            "q.yml:9: restapi.cafile: is missing [config-missing]\n  hint: the certificates of the authorities whose clients are let in (PEM)",
        ),
        (
            "",
            "restapi: {certfile: /c, cafile: /ca, verify_client: or_password}\n",
            "q.yml:9: restapi.authentication: is missing [config-missing]\n  hint: the name and the password for whoever shows no certificate; or write 'verify_client: optional'",
        ),
        (
            "",
            "restapi: {certfile: /c, keyfile_password: secret}\n",
            "q.yml:9: restapi.keyfile_password: is not supported yet [config-unsupported]\n  hint: an encrypted key cannot be read; keep it without a password, readable only by the agent's user: openssl pkey -in OLD -out NEW",
        ),
        (
            "store:\n",
            "store:\n  peer_transport_security: {cert_file: /c, trusted_ca_file: /ca, client_cert_auth: false}\n",
            "q.yml:4: store.peer_transport_security.key_file: is missing [config-missing]\n  hint: the certificate's key (PEM)\nq.yml:4: store.peer_transport_security.client_cert_auth: members always show each other a certificate; only 'true' is accepted [config-range]\n  hint: leave the key out",
        ),
        (
            "store:\n",
            "store:\n  client-transport-security: {}\n",
            "q.yml:4: store.client-transport-security: unknown key [config-unknown-key]\n  hint: did you mean 'client_transport_security'?",
        ),
        (
            "store:\n  data_dir: /d/store\n  members: {pg1: 10.0.0.1, pg2: 10.0.0.2, pg3: 10.0.0.3}\n",
            "restapi: {listen: '10.0.0.1:8008'}\netcd3: {hosts: ['https://10.0.0.1:2379', '10.0.0.2:2379'], key: /k}\n",
            "q.yml:4: etcd3: some endpoints are https and some are http [config-conflict]\n  hint: all of them speak TLS, or none; 'protocol: https' is for those without a scheme\nq.yml:4: etcd3.cert: is missing [config-missing]\n  hint: the certificate that belongs to the key\nq.yml:5: postgresql.listen: is missing [config-missing]\n  hint: where PostgreSQL listens, such as 10.0.0.1:5432",
        ),
    ]);
}

#[test]
fn what_is_not_supported_yet_says_so() {
    check(&[
        (
            "",
            "  pre_promote: /x\n",
            "q.yml:9: postgresql.pre_promote: is not supported yet [config-unsupported]\n  hint: a fencing script that is not run would be worse than none; fencing is built in",
        ),
        (
            "",
            "bootstrap: {method: wal_e, wal_e: {command: /x}}\n",
            "q.yml:9: bootstrap.method: the bootstrap method 'wal_e' is not supported yet; only initdb is [config-unsupported]\n  hint: restore into the data directory by hand and start with it; an existing data directory is taken over",
        ),
        (
            "",
            "bootstrap: {dcs: {standby_cluster: {host: x, create_replica_methods: [wal_e]}}}\n",
            "q.yml:9: bootstrap.dcs.standby_cluster.create_replica_methods: other methods than basebackup are not supported [config-unsupported]",
        ),
    ]);
}

#[test]
fn redis_and_sentinel_are_checked_as_strictly() {
    check(&[
        (
            "",
            "redis: {data_dir: /d/r, port: 6379}\n",
            "q.yml:9: redis.port: unknown key [config-unknown-key]\n  hint: known keys: name, listen, connect_address, data_dir, bin_dir, binary, os_user, authentication, tls, parameters, min_replicas_to_write, priority, down_after, supervise",
        ),
        (
            "",
            "redis: {data_dir: /d/r, down_after: 0}\n",
            "q.yml:9: redis.down_after: 0 is out of range; expected 0.2 to 600 seconds [config-range]",
        ),
        (
            "",
            "redis:\n  listen: 10.0.0.1\n",
            "q.yml:9: redis.data_dir: is missing [config-missing]\n  hint: a directory for Redis's data, existing or to be created",
        ),
        (
            "",
            "redis: {data_dir: /d/pg}\n",
            "q.yml:9: redis.data_dir: is postgresql.data_dir too; each needs a directory of its own [config-conflict]",
        ),
        (
            "",
            "redis:\n  data_dir: /d/r\n  parameters:\n    maxmemory: 1gb\n    ReplicaOf: 10.0.0.2 6379\n",
            "q.yml:13: redis.parameters.ReplicaOf: is set by the agent itself; remove it [config-reserved]\n  hint: the agent decides whom the server follows",
        ),
        (
            "",
            "redis: {data_dir: /d/r, parameters: {save: {a: 1}}}\n",
            "q.yml:9: redis.parameters.save: must be a single value, or a list of them, of one line each [config-type]",
        ),
        (
            "",
            "redis: {data_dir: /d/r, parameters: {maxmemory: \"1gb\\nrequirepass x\"}}\n",
            "q.yml:9: redis.parameters.maxmemory: must be a single value, or a list of them, of one line each [config-type]",
        ),
        (
            "",
            "redis: {data_dir: /d/r, parameters: {'a b': 1}}\n",
            "q.yml:9: redis.parameters.a b: is not a directive's name (letters, digits, '-', '_', '.') [config-range]",
        ),
        (
            "",
            "redis: {data_dir: /d/r, authentication: {username: app}}\n",
            "q.yml:9: redis.authentication.password: is missing [config-missing]\n  hint: the password that goes with the user",
        ),
        (
            "",
            "redis: {data_dir: /d/r, tls: {cert_file: /c, key_file: /k}}\n",
            "q.yml:9: redis.tls.ca_file: is missing [config-missing]\n  hint: the certificates of the authorities to trust (PEM)",
        ),
        (
            "",
            "redis: {data_dir: /d/r, name: 'a,b'}\n",
            "q.yml:9: redis.name: a master's name has no blanks, commas and slashes [config-range]",
        ),
        (
            "",
            "redis: {data_dir: /d/r, os_user: redis}\n",
            "q.yml:9: redis.os_user: 'redis' is not PostgreSQL's user ('postgres') [config-conflict]\n  hint: the worker must be able to end both, so they run as one user",
        ),
        (
            "",
            "proxy: {redis_port: 6380}\n",
            "q.yml:9: proxy.redis_port: needs the section redis: without it there is no master to lead to [config-conflict]",
        ),
        (
            "",
            "proxy: {redis_port: 5000}\nredis: {data_dir: /d/r}\n",
            "q.yml:9: proxy.redis_port: 5000 is proxy.primary_port too; the ports must differ [config-conflict]",
        ),
        (
            "",
            "sentinel: {masters: {db1: {port: 6379}}}\n",
            "q.yml:9: sentinel.masters.db1.host: is missing [config-missing]\n  hint: the master's host name or IP address",
        ),
        (
            "",
            "sentinel: {masters: {db1: {host: h, mode: ours}}}\n",
            "q.yml:9: sentinel.masters.db1.mode: 'ours' is not accepted; expected native, mixed or supervised [config-range]",
        ),
        (
            "",
            "sentinel: {masters: {db1: {host: h, quorm: 2}}}\n",
            "q.yml:9: sentinel.masters.db1.quorm: unknown key [config-unknown-key]\n  hint: did you mean 'quorum'?",
        ),
        (
            "",
            "sentinel: {masters: {demo: {host: h}}}\nredis: {data_dir: /d/r}\n",
            "q.yml:9: sentinel.masters.demo: is the master that the section redis supervises; leave it out here [config-conflict]",
        ),
        (
            "",
            "sentinel: {masters: [db1]}\n",
            "q.yml:9: sentinel.masters: must be a section: a name, and below it its keys [config-type]",
        ),
    ]);
}

#[test]
fn a_pgbouncer_that_could_not_work_is_refused() {
    let instance = |keys: &str| format!("pgbouncer: {{instances: {{a: {{{keys}}}}}}}\n");
    let cases = [
        (
            "pgbouncer:\n".to_owned(),
            "q.yml:9: pgbouncer.instances: is missing [config-missing]\n  hint: at least one, such as: instances: {local: {host: /var/run/postgresql}}",
        ),
        (
            instance("password: a, password_file: /b"),
            "q.yml:9: pgbouncer.instances.a.password_file: 'password' and 'password_file' exclude each other; keep one [config-conflict]",
        ),
        (
            instance("databases: ['a b']"),
            "q.yml:9: pgbouncer.instances.a.databases: 'a b' has characters that PgBouncer's commands do not take [config-range]\n  hint: letters, digits, '_', '-', '.' and '$'; rename the database in pgbouncer.ini",
        ),
        (
            instance("include_file: /q.ini"),
            "q.yml:9: pgbouncer.instances.a.databases: is missing [config-missing]\n  hint: the databases that include_file is to lead to the primary, such as [app]",
        ),
        (
            instance("databases: app, include_file: q.ini"),
            "q.yml:9: pgbouncer.instances.a.include_file: must be an absolute path [config-range]\n  hint: PgBouncer reads it from its own working directory otherwise",
        ),
        (
            instance("databases: app, include_file: /q.ini, include_parameters: {b: x=1}"),
            "q.yml:9: pgbouncer.instances.a.include_parameters: 'b' is not one of 'databases' [config-conflict]",
        ),
        (
            instance("databases: app, include_file: /q.ini, include_parameters: {app: password=x}"),
            "q.yml:9: pgbouncer.instances.a.include_parameters: 'app': everybody may read that file; passwords belong in PgBouncer's auth_file [config-conflict]",
        ),
        (
            instance("databases: app, include_parameters: {app: x=1}"),
            "q.yml:9: pgbouncer.instances.a.include_parameters: needs 'include_file', the file they are written to [config-conflict]",
        ),
        (
            instance("pasword: hunter2"),
            "q.yml:9: pgbouncer.instances.a.pasword: unknown key [config-unknown-key]\n  hint: did you mean 'password'?",
        ),
        (
            "pgbouncer: {pause_timeout: 60, instances: {a: {}}}\n".to_owned(),
            "q.yml:9: pgbouncer.pause_timeout: 60 is out of range; expected 0 to 10 seconds [config-range]",
        ),
    ];
    for (text, expected) in cases {
        check(&[("", &text, expected)]);
    }
}

#[test]
fn missing_keys_say_what_they_are_for() {
    assert_eq!(
        messages("{}"),
        "q.yml: scope: is missing [config-missing]\n  hint: the cluster's name, the same on every member\nq.yml: name: is missing [config-missing]\n  hint: this member's name, different on every member\nq.yml: store: is missing [config-missing]\n  hint: add 'store' for the embedded store, or 'etcd3' with the hosts of an etcd\nq.yml: restapi.listen: is missing [config-missing]\n  hint: where the REST API listens, such as 10.0.0.1:8008\nq.yml: postgresql: is missing [config-missing]\n  hint: describe this member's PostgreSQL (or its redis), or make the member a witness in store.members"
    );
}

#[test]
fn a_file_that_is_not_yaml_is_named_with_the_line() {
    assert_eq!(
        messages("scope: a\npassword: hunter2\n  x: [\n"),
        "q.yml:3: not valid YAML: mapping values are not allowed in this context [config-syntax]"
    );
    assert_eq!(messages("- a\n- b\n"), "q.yml:1: the file must hold keys and values (name: value) [config-type]");
}

#[test]
fn no_password_is_in_a_message() {
    for text in [
        "postgresql: {authentication: {superuser: hunter2}}\n",
        "postgresql: {authentication: hunter2}\n",
        "postgresql: {authentication: {superuser: {password: [hunter2]}}}\n",
        "postgresql: {authentication: {superuser: {pasword: hunter2}}}\n",
        "etcd3: {url: 'http://root:hunter2@h:2379'}\n",
        "etcd3: {hosts: ['http://root:hunter2@h:2379']}\n",
        "password: 'hunter2\n",
        "redis: {authentication: {pasword: hunter2}}\n",
        "redis: {authentication: {password: [hunter2]}}\n",
        "redis: {authentication: hunter2}\n",
        "redis: {parameters: {requirepass: hunter2}}\n",
        "pgbouncer: {instances: {a: {password: [hunter2]}}}\n",
        "sentinel: {masters: {a: {host: h, authentication: {password: {x: hunter2}}}}}\n",
    ] {
        let found = messages(text);
        assert!(!found.contains("hunter2") && found != "accepted", "{text}: {found}");
    }
}

#[test]
fn two_listeners_on_one_port_are_found_before_either_fails() {
    let taken = |line: u32, key: &str, port: u16, by: &str| {
        format!(
            "q.yml:{line}: {key}: port {port} is taken at this address by {by} [config-conflict]\n  hint: give one of them another port or another address"
        )
    };
    let redis = "redis: {data_dir: /d/redis}\n";
    check(&[
        ("", &format!("{redis}proxy: {{redis_port: 6379}}\n"), &taken(10, "proxy.redis_port", 6379, "redis.listen")),
        (
            "",
            &format!("{redis}sentinel: {{listen: '10.0.0.1:6379'}}\n"),
            &taken(10, "sentinel.listen", 6379, "redis.listen"),
        ),
        (
            "",
            &format!("{redis}proxy: {{listen: 0.0.0.0, replica_port: 5432}}\n"),
            &taken(10, "proxy.replica_port", 5432, "postgresql.listen"),
        ),
        ("", "restapi: {listen: '10.0.0.1:2380'}\n", &taken(9, "restapi.listen", 2380, "store.peer_port")),
        (
            "",
            "redis: {data_dir: /d/redis, listen: 6379}\n",
            "q.yml:9: redis.listen: '6379' is a number and no address; expected host:port, such as 10.0.0.1:6379 [config-range]",
        ),
    ]);
    let elsewhere = format!("{GOOD}{redis}proxy: {{listen: 10.0.0.9, redis_port: 6379}}\n");
    assert_eq!(messages(&elsewhere), "accepted", "one port at two addresses");
}

#[test]
fn more_replicas_than_members_make_are_worth_a_warning() {
    let warnings = |count: u32| {
        let text =
            format!("{GOOD}redis: {{data_dir: /d/redis, listen: '127.0.0.1:6379', min_replicas_to_write: {count}}}\n");
        load_text("q.yml", &text, &BTreeMap::new()).unwrap().warnings
    };
    assert_eq!(warnings(2), []);
    let found = warnings(3);
    assert!(found.len() == 1 && found[0].to_string().contains("3 members make at most 2"), "{found:?}");
}
